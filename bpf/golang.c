// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Go's crypto/tls, in Go's calling convention: the receiver in RAX, a slice in RBX, RCX and RDI, the goroutine in R14.
// Goroutines change threads within a call, and their stacks move: nothing here goes by thread or by address on a stack.

// struct g and struct stack, runtime/runtime2.go
#define QTAP_GO_STACK_END 8
// tls.Conn: the net.Conn that it is on, as an interface of two words, and whether it is a client.
#define QTAP_GO_CONN_DATA 8
// net.netFD: its poll.FD, then what kind of socket that is.
#define QTAP_GO_FAMILY 56
#define QTAP_GO_CLOSED 1 // poll.fdMutex: mutexClosed

// The branch of a stack check that is taken comes again when the stack has grown: CF or ZF.
#define QTAP_GO_COMES_AGAIN 0x41

#define QTAP_GO_WRAPPINGS 3

struct qtap_go_conn {
	u64 holder;
	u8 is_client;
	u8 _pad[7];
};

struct qtap_go_descriptor {
	u64 mutex;
	u64 semaphores;
	u32 number;
	u32 _pad;
};

// What a hit says was carried.
struct qtap_go_transfer {
	u64 conn;
	u64 buffer;
	u64 size;
	u64 started_ns;
};

QTAP_INLINE u64 qtap_read_word(u64 address)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

// Whether a net.netFD for TCP is at this address: a family of IP and a stream, where it keeps these.
QTAP_INLINE int qtap_go_is_net_fd(u64 address)
{
	u64 kind[2] = {};

	return address && !bpf_probe_read_user(kind, sizeof(kind), (void *)(address + QTAP_GO_FAMILY)) &&
	       (kind[0] == AF_INET || kind[0] == AF_INET6) && kind[1] == SOCK_STREAM;
}

// The net.netFD below a net.Conn: that of a *net.TCPConn, whose only word points to it, or of one that is among the
// first words of what wraps it, in turn.
QTAP_INLINE u64 qtap_go_net_fd(u64 holder, u64 first_word)
{
	u64 words[2], inner;
	u32 depth;

	if (qtap_go_is_net_fd(first_word))
		return first_word;
	for (depth = 0; depth < QTAP_GO_WRAPPINGS; depth++) {
		if (!holder || bpf_probe_read_user(words, sizeof(words), (void *)holder))
			return 0;
		inner = qtap_read_word(words[1]); // an interface comes first: its data is the second word
		if (qtap_go_is_net_fd(inner))
			return inner;
		inner = qtap_read_word(words[0]); // or a pointer
		if (qtap_go_is_net_fd(inner))
			return inner;
		holder = words[1];
	}
	return 0;
}

// The struct sock * behind a descriptor of the current process, and what ends are known by (qtap_socket), or 0.
QTAP_INLINE u64 qtap_go_socket(u32 descriptor, u64 *io)
{
	u64 file = qtap_file(descriptor), inode, socket;

	if (!file)
		return 0;
	inode = qtap_read(u64, file + OFF_FILE_INODE);
	if ((qtap_read(u16, inode + OFF_INODE_MODE) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = qtap_read(u64, qtap_read(u64, file + OFF_FILE_PRIVATE_DATA) + OFF_SOCKET_SK);
#ifdef QTAP_SOCKET_TRACEPOINTS
	*io = socket;
#else
	*io = descriptor + 1ULL;
#endif
	return socket;
}

// The connection of a Conn. Another one may have been at its address: then another net.Conn, or another netFD, is
// below it, for a netFD is only collected when it has been closed. NULL and no `has_room`: its socket is closed.
QTAP_INLINE struct qtap_state *qtap_go_state(struct qtap_thread *thread, u64 address, u64 cookie, int *has_room)
{
	struct qtap_go_descriptor descriptor = {};
	struct qtap_connection_key key = {};
	struct qtap_go_conn conn = {};
	struct qtap_state *state;
	u64 first_word, net_fd, socket = 0, io = 0;
	int is_known;

	*has_room = 1;
	if (bpf_probe_read_user(&conn, sizeof(conn), (void *)(address + QTAP_GO_CONN_DATA)))
		return NULL;
	first_word = qtap_read_word(conn.holder);
	key.handle = address;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	state = connections.lookup(&key);
	is_known = state && !state->closed && state->connection.process_start_ns == thread->process_start_ns &&
		   state->connection.generation >= thread->image_ns && state->carrier.holder == conn.holder &&
		   state->carrier.first_word == first_word;
	// Where nothing below tells, a second handshake tells; that it may be renegotiated counts for less.
	if (is_known && !state->carrier.net_fd &&
	    !(QTAP_COOKIE_HOOK(cookie) == QTAP_HOOK_GO_HANDSHAKE_RETURN && state->carrier.handshakes))
		return state;
	net_fd = is_known ? state->carrier.net_fd : qtap_go_net_fd(conn.holder, first_word);
	if (net_fd) {
		bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)net_fd);
		if (!(descriptor.mutex & QTAP_GO_CLOSED)) {
			if (is_known && state->carrier.descriptor == descriptor.number)
				return state;
			socket = qtap_go_socket(descriptor.number, &io);
		}
		if (!socket) {
			*has_room = 0;
			return NULL;
		}
	}
	if (state)
		qtap_end(state, QTAP_REPLACED);
	else if (!qtap_take_share(key.tgid))
		return NULL;
	state = qtap_begin(&key, thread->process_start_ns, cookie, state);
	if (!state)
		return NULL;
	// A parent may be a Go program too, with a Conn at the same address, but leaves no connection to another one.
	state->connection.flags = 0;
	state->position[QTAP_EGRESS] = 0;
	state->position[QTAP_INGRESS] = 0;
	__builtin_memset(state->connection.client_random, 0, QTAP_RANDOM_BYTES);
	state->connection.role = conn.is_client ? QTAP_CLIENT : QTAP_SERVER;
	state->carrier.holder = conn.holder;
	state->carrier.first_word = first_word;
	state->carrier.net_fd = net_fd;
	state->carrier.descriptor = descriptor.number;
	if (socket) {
		qtap_set_socket(state, address, socket, io, QTAP_PEER_DESCRIPTOR);
		if (!qtap_read(u64, socket + OFF_TCP_BYTES_SENT)) // not even a hello: this is the beginning
			state->connection.flags |= QTAP_HANDSHAKE_SEEN;
	}
	return state;
}

// A call is known by its goroutine and its distance from the end of that one's stack.
QTAP_INLINE int qtap_go_call_key(struct pt_regs *ctx, struct qtap_go_call_key *key, u64 *stack_end)
{
	*stack_end = qtap_read_word(ctx->r14 + QTAP_GO_STACK_END);
	key->goroutine = ctx->r14;
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->depth = *stack_end - ctx->sp;
	return *stack_end > ctx->sp;
}

QTAP_INLINE int qtap_go_enter_call(struct pt_regs *ctx)
{
	struct qtap_go_call_key key = {};
	struct qtap_go_call call = {};

	if (!qtap_go_call_key(ctx, &key, &call.stack_end))
		return 0;
	call.conn = ctx->ax;
	call.buffer = ctx->bx;
	call.stack_pointer = ctx->sp;
	call.started_ns = bpf_ktime_get_boot_ns();
	go_calls.update(&key, &call);
	return 0;
}

// What a call had at its entry. A buffer on a stack that moved since went along: stacks are copied to their ends.
QTAP_INLINE int qtap_go_leave_call(struct pt_regs *ctx, struct qtap_go_transfer *transfer)
{
	struct qtap_go_call_key key = {};
	struct qtap_go_call *call;
	u64 stack_end;

	if (!qtap_go_call_key(ctx, &key, &stack_end))
		return 0;
	call = go_calls.lookup(&key);
	if (!call)
		return 0;
	transfer->conn = call->conn;
	transfer->buffer = call->buffer;
	transfer->started_ns = call->started_ns;
	if (call->buffer > call->stack_pointer && call->buffer < call->stack_end)
		transfer->buffer += stack_end - call->stack_end;
	go_calls.delete(&key);
	return 1;
}

// A handshake may be made by the first Write, which was reported before.
QTAP_INLINE void qtap_go_end_handshake(struct qtap_state *state, u64 started_ns)
{
	u64 socket = state->socket;
	struct qtap_hello *hello = hellos.lookup(&socket);

	if (state->carrier.handshakes || state->position[QTAP_INGRESS]) // it is renegotiated
		return;
	state->carrier.handshakes = 1;
	state->connection.flags |= QTAP_HANDSHAKE_SEEN;
	if (hello && hello->local_port == state->connection.local_port &&
	    hello->remote_port == state->connection.remote_port) {
		hello->captured = 1;
		__builtin_memcpy(state->connection.client_random, hello->client_random, QTAP_RANDOM_BYTES);
	}
	qtap_submit_connection_event(QTAP_HANDSHAKE, 0, started_ns, state);
}

QTAP_INLINE int qtap_go(struct pt_regs *ctx, u64 cookie)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), now = bpf_ktime_get_boot_ns(), ax = ctx->ax, size = ctx->cx;
	u32 hook = QTAP_COOKIE_HOOK(cookie);
	struct qtap_go_transfer transfer = {};
	struct qtap_run *run;
	struct qtap_thread *thread;
	struct qtap_state *state;
	int has_room;

	if (QTAP_COOKIE_COUNT(cookie) == QTAP_COUNT_AT_BRANCH && hook != QTAP_HOOK_GO_READ &&
	    ctx->flags & QTAP_GO_COMES_AGAIN)
		return 0;
	thread = qtap_this_thread(pid_tgid);
	if (!thread || qtap_is_thread_excluded(thread, pid_tgid >> 32, now))
		return 0;
	if (hook == QTAP_HOOK_GO_CALL)
		return qtap_go_enter_call(ctx);
	transfer.started_ns = now;
	if (hook == QTAP_HOOK_GO_WRITE) {
		transfer.conn = ax;
		transfer.buffer = ctx->bx;
		transfer.size = size;
	} else if (hook == QTAP_HOOK_GO_READ) {
		transfer.conn = qtap_read(u64, (u64)ctx + 8 * QTAP_COOKIE_SHAPE(cookie));
		transfer.size = qtap_read(u64, (u64)ctx + 8 * QTAP_COOKIE_COUNT(cookie));
		transfer.buffer = qtap_read_word(ctx->sp + QTAP_COOKIE_SLOT(cookie));
	} else if (!qtap_go_leave_call(ctx, &transfer)) {
		return 0;
	} else {
		transfer.size = ax;
	}
	if (hook == QTAP_HOOK_GO_HANDSHAKE_RETURN) {
		if (ax) // an error
			return 0;
	} else if ((s64)transfer.size <= 0) {
		return 0;
	} else if (transfer.size > QTAP_MAX_CALL_BYTES) {
		qtap_count_loss(QTAP_LOST_CALL_TOO_LARGE, 0);
		qtap_lose_count(transfer.conn);
		return 0;
	}
	state = qtap_go_state(thread, transfer.conn, cookie, &has_room);
	if (hook == QTAP_HOOK_GO_HANDSHAKE_RETURN) {
		if (state)
			qtap_go_end_handshake(state, transfer.started_ns);
		return 0;
	}
	if (!state) {
		qtap_count_loss(has_room ? QTAP_LOST_NO_STATE : QTAP_LOST_NO_SOCKET, transfer.size);
		return 0;
	}
	// A first Write that makes the handshake comes before the hello: then nothing is said of where counting began.
	qtap_count_from_handshake(state, transfer.conn, cookie);
	run = &thread->run;
	run->buffer = transfer.buffer;
	run->started_ns = transfer.started_ns;
	run->ended_ns = now;
	qtap_count_run(state, run, hook == QTAP_HOOK_GO_WRITE || hook == QTAP_HOOK_GO_WRITE_RETURN, transfer.size);
	qtap_submit(state, run);
	return 0;
}
