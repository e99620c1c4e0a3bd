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

QTAP_INLINE void qtap_end_io(u64 io, u32 tgid)
{
	struct qtap_connection_key *connection;
	struct qtap_io_key key = {};
	struct qtap_state *state;

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

// Raw tracepoints sock_send_length and sock_recv_length (include/trace/events/sock.h): the socket comes first.
int qtap_socket_io(struct qtap_raw_arguments *ctx)
{
	qtap_note_io(ctx->arguments[0]);
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

// For all of read, write, readv, writev, recvfrom, sendto, recvmsg and sendmsg: the descriptor comes first.
int qtap_sys_enter_io(struct qtap_sys_enter *ctx)
{
	qtap_note_io((u32)ctx->arguments[0] + 1ULL);
	return 0;
}

int qtap_sys_enter_close(struct qtap_sys_enter *ctx)
{
	qtap_end_io((u32)ctx->arguments[0] + 1ULL, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

#endif
