// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Which socket carries a TLS object: told by what is sent and received inside its calls, else by the random of the
// hello that went through the socket and that the object holds.
#pragma once

QTAP_INLINE int qtap_same_random(const u8 *one, const u8 *other)
{
	const u64 *a = (const u64 *)one, *b = (const u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

QTAP_INLINE int qtap_is_zero_random(const u8 *random)
{
	const u64 *words = (const u64 *)random;

	return !(words[0] | words[1]);
}

// Positions do not count from the handshake, or no more.
QTAP_INLINE void qtap_stop_counting(struct qtap_state *state)
{
	if (state->connection.flags & QTAP_FROM_HANDSHAKE)
		state->connection.flags |= QTAP_UNCOUNTED;
}

// The state is from now on that of what this socket carries.
QTAP_INLINE void qtap_set_socket(struct qtap_state *state, u64 handle, u64 socket, u64 io, u8 source)
{
	struct qtap_connection_key key = {};
	struct qtap_io_key io_key = {};
	struct qtap_hello *hello = hellos.lookup(&socket);

	key.handle = handle;
	key.tgid = state->connection.tgid;
	state->socket = socket;
	state->io = io;
	state->connection.peer_source = source;
	qtap_set_addresses(&state->connection, socket);
	if (hello && (hello->local_port != state->connection.local_port ||
		      hello->remote_port != state->connection.remote_port))
		hello = NULL;
	// Bound anew to what may be another connection's socket, it has not been counted from its handshake.
	if (!hello || !qtap_same_random(state->connection.client_random, hello->client_random))
		qtap_stop_counting(state);
	if (hello) {
		hello->captured = 1;
		if (!qtap_is_zero_random(hello->client_random))
			__builtin_memcpy(state->connection.client_random, hello->client_random, QTAP_RANDOM_BYTES);
		if (state->connection.role == QTAP_ROLE_UNKNOWN)
			state->connection.role = hello->role;
	}
	io_key.io = io;
	io_key.tgid = QTAP_IO_TGID(key.tgid);
	connections_by_io.update(&io_key, &key);
}

struct qtap_randoms {
	u8 client[QTAP_RANDOM_BYTES];
	u8 server[QTAP_RANDOM_BYTES];
};

// Both randoms of a TLS object's handshake, at the places that are known for its library. Yields whether there are.
QTAP_INLINE int qtap_read_randoms(u64 handle, u64 cookie, struct qtap_randoms *randoms)
{
	struct qtap_layout *layout = qtap_layout_of(cookie);
	u64 holder = handle;

	if (!layout || !layout->client_random || !layout->server_random || !qtap_is_plain(layout, handle))
		return 0;
	if (layout->randoms &&
	    (bpf_probe_read_user(&holder, sizeof(holder), (void *)(handle + layout->randoms - 1)) || !holder))
		return 0;
	holder += QTAP_RANDOM_SKIPPED - 1;
	return !bpf_probe_read_user(randoms->client, QTAP_RANDOM_BYTES, (void *)(holder + layout->client_random)) &&
	       !bpf_probe_read_user(randoms->server, QTAP_RANDOM_BYTES, (void *)(holder + layout->server_random)) &&
	       !qtap_is_zero_random(randoms->client) && !qtap_is_zero_random(randoms->server);
}

QTAP_INLINE struct qtap_random_socket *qtap_socket_of_random(const u8 *random, u32 tgid, u32 direction)
{
	struct qtap_random_key key = {};
	struct qtap_random_socket *found;

	__builtin_memcpy(key.random, random, QTAP_RANDOM_BYTES);
	key.tgid = tgid;
	key.direction = direction;
	return sockets_by_random.lookup(&key);
}

// The socket through which the hellos of this handshake went. An object that does not say which end it is, in a
// process that holds both ends of the connection, has none: the randoms are the same at both.
QTAP_INLINE struct qtap_random_socket *qtap_socket_of_hellos(u8 role, struct qtap_randoms *randoms, u32 tgid)
{
	struct qtap_random_socket *as_client = NULL, *as_server = NULL, *found;

	if (role != QTAP_SERVER)
		as_client = qtap_socket_of_random(randoms->client, tgid, QTAP_EGRESS);
	if (role != QTAP_CLIENT)
		as_server = qtap_socket_of_random(randoms->server, tgid, QTAP_EGRESS);
	if (as_client && as_server)
		return NULL;
	found = as_client ? as_client : as_server;
	if (!found || found->ambiguous)
		return NULL;
	// The socket may have been closed, and its memory be another's: then nothing is known of who talked here.
	if (qtap_local_port(found->socket) != found->local_port ||
	    qtap_remote_port(found->socket) != found->remote_port)
		return NULL;
	return found;
}

// What is sent and received inside a call goes through the socket that carries this TLS object. Returns the state
// that the call belongs to.
QTAP_INLINE struct qtap_state *qtap_bind(struct qtap_state *state, struct qtap_call *call, u64 cookie)
{
	struct qtap_connection_key key = {};
	u64 io = call->first_io, socket;
	struct qtap_random_socket *told;
	struct qtap_randoms randoms;
	u16 family = 0;

	// What is bound is still that socket: its end would have ended the connection. Only a handshake is
	// looked at in any case, for an object may be used anew.
	if (state->socket && call->hook != QTAP_HOOK_HANDSHAKE && (io == state->io || call->last_io == state->io))
		return state;
	// The first may have been something else: random numbers, a key log.
	socket = qtap_tcp_socket(io, &family);
	if (!socket && call->last_io) {
		io = call->last_io;
		socket = qtap_tcp_socket(io, &family);
	}
	if (!socket || socket == state->socket)
		return state;
	// What a callback of the library sends to somebody else says nothing, where the hellos tell the socket.
	if (qtap_read_randoms(call->handle, cookie, &randoms)) {
		told = qtap_socket_of_hellos(state->connection.role, &randoms, bpf_get_current_pid_tgid() >> 32);
		if (told && told->socket != socket)
			return state;
	}
	// A handshake on another socket is another conversation; elsewhere, and in the first handshake, it is
	// a second descriptor of the same one (SSL_set_rfd and SSL_set_wfd may differ).
	if (state->socket && call->hook == QTAP_HOOK_HANDSHAKE && qtap_is_used(state)) {
		key.handle = call->handle;
		key.tgid = bpf_get_current_pid_tgid() >> 32;
		qtap_end(state, QTAP_REPLACED);
		state = qtap_begin(&key, state->connection.process_start_ns, cookie, state);
		if (!state)
			return NULL;
	}
	qtap_set_socket(state, call->handle, socket, io, QTAP_PEER_NESTED_SYSCALL);
	return state;
}

// Binds by the hello random. The socket's own hello tells the role, where the object does not.
QTAP_INLINE void qtap_bind_by_random(struct qtap_state *state, u64 handle, struct qtap_randoms *randoms, u32 tgid)
{
	struct qtap_random_socket *found = qtap_socket_of_hellos(state->connection.role, randoms, tgid);

	if (!found)
		return;
	if (state->connection.role == QTAP_ROLE_UNKNOWN)
		state->connection.role = qtap_socket_of_random(randoms->client, tgid, QTAP_EGRESS) ? QTAP_CLIENT :
												    QTAP_SERVER;
	qtap_set_socket(state, handle, found->socket, found->io, QTAP_PEER_HELLO_RANDOM);
}

// Looks at the randoms of an object about whose socket no nested call tells. Returns the state that the call
// belongs to: with another random it is another connection's.
QTAP_INLINE struct qtap_state *qtap_follow_random(struct qtap_state *state, u64 handle, u64 cookie)
{
	struct qtap_connection_key key = {};
	struct qtap_randoms randoms;

	if (state->connection.peer_source == QTAP_PEER_NESTED_SYSCALL &&
	    !qtap_is_zero_random(state->connection.client_random))
		return state;
	if (!qtap_read_randoms(handle, cookie, &randoms))
		return state;
	// What the object still yields when its program has closed the socket was received before, and goes to nobody.
	if (!state->socket && qtap_same_random(state->over_random, randoms.client)) {
		__builtin_memcpy(state->connection.client_random, randoms.client, QTAP_RANDOM_BYTES);
		state->closed = QTAP_SOCKET_CLOSED;
		state->ended_ns = bpf_ktime_get_boot_ns();
		return state;
	}
	if (!qtap_is_zero_random(state->connection.client_random) &&
	    !qtap_same_random(state->connection.client_random, randoms.client)) {
		key.handle = handle;
		key.tgid = state->connection.tgid;
		qtap_end(state, QTAP_REPLACED);
		state = qtap_begin(&key, state->connection.process_start_ns, cookie, state);
		if (!state)
			return NULL;
	}
	__builtin_memcpy(state->connection.client_random, randoms.client, QTAP_RANDOM_BYTES);
	if (!state->socket)
		qtap_bind_by_random(state, handle, &randoms, state->connection.tgid);
	if (!state->socket) // a child that was forked after the handshake
		qtap_bind_by_random(state, handle, &randoms, qtap_parent_tgid());
	return state;
}
