// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Socket syscalls: those inside a TLS call bind it to its socket; close(2) ends what the socket carried.

// For all of read, write, readv, writev, recvfrom, sendto, recvmsg and sendmsg: the descriptor comes first.
int qtap_sys_enter_io(struct qtap_sys_enter *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct qtap_thread *thread = threads.lookup(&pid_tgid);

	if (!thread || !thread->call.handle)
		return 0;
	// What the descriptor is, and whether it is news, is found out when the call returns.
	if (!thread->call.first_fd)
		thread->call.first_fd = ctx->arguments[0] + 1;
	else
		thread->call.last_fd = ctx->arguments[0] + 1;
	return 0;
}

int qtap_sys_enter_close(struct qtap_sys_enter *ctx)
{
	struct qtap_fd_key key = {};
	struct qtap_state *state;
	u64 *handle;

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.fd = ctx->arguments[0];
	handle = handles_by_fd.lookup(&key);
	if (!handle)
		return 0;
	state = qtap_find(*handle);
	handles_by_fd.delete(&key);
	if (state && state->fd == key.fd)
		qtap_end(state, QTAP_SOCKET_CLOSED);
	return 0;
}
