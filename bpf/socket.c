// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Sockets: what is sent and received inside a TLS call binds it to its socket; the socket's end ends what it carried.

// What the socket is, and whether it is news, is found out when the call returns.
QTAP_INLINE void qtap_note_io(u64 io)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct qtap_thread *thread = threads.lookup(&pid_tgid);

	if (!thread || !thread->call.handle)
		return;
	if (!thread->call.first_io)
		thread->call.first_io = io;
	else
		thread->call.last_io = io;
}

// Whether plaintext of the process went by since then whose socket is not known: it may be of any.
QTAP_INLINE int qtap_had_unbound(u32 tgid, u64 since_ns)
{
	u64 *told = unbound_processes.lookup(&tgid);

	return told && *told + QTAP_TELL_AGAIN_NS > since_ns;
}

// The end of a connection of which a hello was seen. It was missed if it was more than a handshake and none of it
// was captured. What began before its process called a probed library says nothing: that may not have been probed yet.
QTAP_INLINE void qtap_count_ended(u64 socket, struct qtap_hello *hello)
{
	u64 *count, carried;
	struct qtap_speaker *speaker;
	u32 ending = hello->captured ? QTAP_ENDED_CAPTURED : QTAP_ENDED_MISSED, tgid = hello->tgid;

	if (hello->relayed || !hello->tgid)
		return;
	carried = qtap_read(u64, socket + OFF_TCP_BYTES_SENT) + qtap_read(u64, socket + OFF_TCP_BYTES_RECEIVED);
	count = ended_connections.lookup(&ending);
	if (count)
		__sync_fetch_and_add(count, 1);
	speaker = speaking_processes.lookup(&tgid);
	if (!speaker)
		return;
	if (hello->captured)
		__sync_fetch_and_add(&speaker->captured, 1);
	else if (hello->seen_ns > speaker->called_ns && (hello->asked || carried >= QTAP_CONVERSATION_BYTES) &&
		 !qtap_had_unbound(tgid, hello->seen_ns))
		__sync_fetch_and_add(&speaker->missed, 1);
}

QTAP_INLINE void qtap_end_io(u64 io, u32 tgid)
{
	u64 socket = qtap_socket(io);
	struct qtap_hello *hello = hellos.lookup(&socket);
	struct qtap_connection_key *connection;
	struct qtap_io_key key = {};
	struct qtap_state *state;

	if (hello) {
		qtap_count_ended(socket, hello);
		hellos.delete(&socket);
	}
	key.io = io;
	key.tgid = QTAP_IO_TGID(tgid);
	connection = connections_by_io.lookup(&key);
	if (!connection)
		return;
	state = connections.lookup(connection);
	connections_by_io.delete(&key);
	if (state && state->io == io)
		qtap_end(state, QTAP_SOCKET_CLOSED);
}

#ifdef QTAP_SOCKET_TRACEPOINTS // kernel >= 6.3: nothing is paid by system calls that are not about sockets

struct qtap_raw_arguments {
	u64 arguments[3];
};

// Raw tracepoints sock_send_length and sock_recv_length (include/trace/events/sock.h): the socket comes first, then
// the number of bytes, or an error. They come at the end, when the process's buffer holds what was carried; which of
// them this is, the system call tells.
int qtap_socket_io(struct qtap_raw_arguments *ctx)
{
	struct qtap_transfer transfer = {};
	u64 socket = ctx->arguments[0], registers;
	int size = (int)ctx->arguments[1], is_young, is_watched;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u16 family;

	qtap_note_io(socket);
	if (size <= 0)
		return 0;
	is_young = qtap_is_young(socket);
	is_watched = qtap_is_watched(tgid);
	if ((!is_young && !is_watched) || !qtap_tcp_socket(socket, &family))
		return 0;
	registers = bpf_task_pt_regs(bpf_get_current_task_btf());
	transfer.socket = socket;
	transfer.io = socket;
	if (!qtap_find_buffer(&transfer, qtap_read(u64, registers + __builtin_offsetof(struct pt_regs, orig_ax)),
			      qtap_read(u64, registers + __builtin_offsetof(struct pt_regs, si)), size))
		return 0;
	if (is_young)
		qtap_look_at_transfer(&transfer);
	if (is_watched && transfer.direction == QTAP_EGRESS)
		qtap_bind_by_ciphertext(&transfer, tgid);
	return 0;
}

// Raw tracepoint inet_sock_set_state: when a program closes a socket, both directions are shut before the state
// changes (__tcp_close). That may be so long before the socket is gone.
int qtap_socket_state(struct qtap_raw_arguments *ctx)
{
	u64 socket = ctx->arguments[0];

	if (qtap_read(u8, socket + OFF_SOCK_SHUTDOWN) == SHUTDOWN_MASK)
		qtap_end_io(socket, 0);
	return 0;
}

// Raw tracepoint tcp_destroy_sock: the end of one that was closed after its peer had reset it.
int qtap_socket_destroy(struct qtap_raw_arguments *ctx)
{
	qtap_end_io(ctx->arguments[0], 0);
	return 0;
}

#else

// For all of read, readv, recvfrom and recvmsg: the descriptor comes first.
int qtap_sys_enter_receive(struct qtap_sys_enter *ctx)
{
	qtap_note_io((u32)ctx->arguments[0] + 1ULL);
	return 0;
}

// For all of write, writev, sendto and sendmsg. Nothing says yet how much of it will be sent.
int qtap_sys_enter_send(struct qtap_sys_enter *ctx)
{
	u64 io = (u32)ctx->arguments[0] + 1ULL;
	struct qtap_transfer transfer = {};
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	int is_young, is_watched = qtap_is_watched(tgid);
	u16 family;

	qtap_note_io(io);
	transfer.socket = qtap_tcp_socket(io, &family);
	if (!transfer.socket)
		return 0;
	is_young = qtap_is_young(transfer.socket);
	if (!is_young && !is_watched)
		return 0;
	transfer.io = io;
	if (!qtap_find_buffer(&transfer, ctx->number, ctx->arguments[1],
			     ctx->number == QTAP_SYS_SENDTO || ctx->number == QTAP_SYS_WRITE ? ctx->arguments[2] : ~0ULL))
		return 0;
	if (is_young)
		qtap_look_at_transfer(&transfer);
	if (is_watched)
		qtap_bind_by_ciphertext(&transfer, tgid);
	return 0;
}

int qtap_sys_enter_close(struct qtap_sys_enter *ctx)
{
	qtap_end_io((u32)ctx->arguments[0] + 1ULL, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

#endif
