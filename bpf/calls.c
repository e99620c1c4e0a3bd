// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Calls of TLS libraries with a C interface, from their entry to their return, and single events in the life of their
// objects. The site's cookie says which function it is.

// int ssl_read_internal(SSL *s, void *buf, size_t num, size_t *readbytes);
// int ssl_write_internal(SSL *s, const void *buf, size_t num, [uint64_t flags,] size_t *written);
// int SSL_read(SSL *ssl, void *buf, int num);          int SSL_read_ex(..., size_t *readbytes);
// int SSL_write(SSL *ssl, const void *buf, int num);   int SSL_write_ex(..., size_t *written);
// int SSL_do_handshake(SSL *ssl);
// ssize_t _gnutls_recv_int(gnutls_session_t session, content_type_t type, uint8_t *data, size_t data_size, ...);
// ssize_t gnutls_record_send2(gnutls_session_t session, const void *data, size_t data_size, size_t pad, unsigned flags);
// int gnutls_record_uncork(gnutls_session_t session, unsigned int flags);   int gnutls_handshake(gnutls_session_t session);
// int ssl_SecureRecv(sslSocket *ss, unsigned char *buf, int len, int flags);   int ssl_SecureSend(...);
// SECStatus ssl_Do1stHandshake(sslSocket *ss);
// int mbedtls_ssl_read(mbedtls_ssl_context *ssl, unsigned char *buf, size_t len);   int mbedtls_ssl_write(...);
// int wolfSSL_read(WOLFSSL *ssl, void *data, int sz);   int wolfSSL_write(...);
// ssize_t s2n_recv_impl(struct s2n_connection *conn, void *buf, ssize_t size, s2n_blocked_status *blocked);
// ssize_t s2n_sendv_with_offset(struct s2n_connection *conn, const struct iovec *bufs, ssize_t count, ssize_t offs, ...);

#define QTAP_PR_MSG_PEEK 2               // prio.h of NSPR
#define QTAP_GNUTLS_E_AGAIN (-28)        // gnutls.h
#define QTAP_GNUTLS_E_INTERRUPTED (-52)

// Another call begins within this thread's innermost one, or where that never returned. Whoever puts aside as many as
// this process may loses count of what the outer call carries.
QTAP_INLINE void qtap_put_aside(struct qtap_thread *thread, u64 pid_tgid)
{
	struct qtap_holding *holding = qtap_holding(pid_tgid >> 32);
	struct qtap_call_key key = {};

	if (!holding || !qtap_has_room(holding, holding->open_calls, QTAP_CALLS_SHARE)) {
		qtap_count_loss(QTAP_LOST_NO_STATE, 0);
		qtap_lose_count(thread->call.handle);
		return;
	}
	key.pid_tgid = pid_tgid;
	key.stack_pointer = thread->call.stack_pointer;
	if (!open_calls.insert(&key, &thread->call))
		__sync_fetch_and_add(&holding->open_calls, 1);
	else // one that never returned was there
		open_calls.update(&key, &thread->call);
}

// What was put aside is taken up again.
QTAP_INLINE void qtap_take_up(struct qtap_call_key *key)
{
	u32 tgid = key->pid_tgid >> 32;
	struct qtap_holding *holding = holdings.lookup(&tgid);

	open_calls.delete(key);
	if (holding)
		__sync_fetch_and_add(&holding->open_calls, -1);
}

QTAP_INLINE int qtap_enter_call(struct pt_regs *ctx, u64 cookie)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct qtap_thread *thread;
	u32 hook = QTAP_COOKIE_HOOK(cookie), count = QTAP_COOKIE_COUNT(cookie), shape = QTAP_COOKIE_SHAPE(cookie);
	u64 handle = ctx->di, buffer = ctx->si, arg3 = ctx->dx, arg4 = ctx->cx, arg5 = ctx->r8;
	u64 now = bpf_ktime_get_boot_ns();

	// All are loaded here: a choice between two places in ctx becomes pointer arithmetic on it, which
	// the verifier refuses.
	asm volatile("" : "+r"(buffer), "+r"(arg3), "+r"(arg4), "+r"(arg5));
	if (shape == QTAP_SHAPE_GNUTLS_RECEIVE) {
		if ((u32)buffer != QTAP_CONTENT_APPLICATION_DATA)
			return 0;
		buffer = arg3;
	} else if (shape == QTAP_SHAPE_NSS && hook == QTAP_HOOK_READ && (u32)arg4 & QTAP_PR_MSG_PEEK) {
		return 0;
	}
	thread = qtap_this_thread(pid_tgid);
	if (!thread)
		return 0;
	if (qtap_is_thread_excluded(thread, pid_tgid >> 32, now))
		return 0;
	if (thread->call.handle) {
		// One function of the library may call another that is probed too: the outer call counts. But what a
		// callback reads or writes, as those of Node.js do in the midst of a handshake, is in a buffer of its own.
		// A record left behind by a call that never returned sits above us on the stack, or far away.
		if (thread->call.handle == handle && thread->call.stack_pointer - ctx->sp - 1 < 65536) {
			if (hook == QTAP_HOOK_HANDSHAKE)
				thread->call.handshake = 1;
			if (hook == QTAP_HOOK_HANDSHAKE || shape != QTAP_SHAPE_PLAIN || thread->call.buffer == buffer)
				return 0;
		}
		qtap_put_aside(thread, pid_tgid);
	}
	thread->call.handle = handle;
	thread->call.buffer = buffer;
	thread->call.count_pointer = count == QTAP_COUNT_ARG5 ? arg5 : arg4;
	thread->call.started_ns = now;
	thread->call.stack_pointer = ctx->sp;
	thread->call.first_io = 0;
	thread->call.last_io = 0;
	thread->call.hook = hook;
	thread->call.handshake = 0;
	return 0;
}

// A call that carried nothing.
QTAP_INLINE void qtap_leave_failed(struct qtap_thread *thread, struct qtap_call *call, u64 cookie, int result)
{
	struct qtap_connection_key key = {};
	struct qtap_state *state;

	if (QTAP_COOKIE_SHAPE(cookie) == QTAP_SHAPE_GNUTLS_SEND && call->buffer &&
	    (result == QTAP_GNUTLS_E_AGAIN || result == QTAP_GNUTLS_E_INTERRUPTED)) {
		key.handle = call->handle;
		key.tgid = bpf_get_current_pid_tgid() >> 32;
		unsent_buffers.update(&key, &call->buffer);
	}
	if (!call->handshake &&
	    (QTAP_COOKIE_SHAPE(cookie) != QTAP_SHAPE_NSS || QTAP_COOKIE_HOOK(cookie) != QTAP_HOOK_HANDSHAKE))
		return;
	// The handshake may have ended well all the same: a read then finds nothing to be read yet. Or it has only
	// begun: too early to look for the hello of the socket.
	state = qtap_find_or_begin(thread, call->handle, cookie);
	if (state && !qtap_is_used(state))
		state->handshake = QTAP_HANDSHAKE_BEGUN;
}

// The buffer of a call of gnutls_record_send2 that names none.
QTAP_INLINE u64 qtap_unsent_buffer(u64 handle)
{
	struct qtap_connection_key key = {};
	u64 *buffer;

	key.handle = handle;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	buffer = unsent_buffers.lookup(&key);
	return buffer ? *buffer : 0;
}

QTAP_INLINE int qtap_leave_call(struct pt_regs *ctx, u64 cookie)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), size;
	u32 hook = QTAP_COOKIE_HOOK(cookie), count = QTAP_COOKIE_COUNT(cookie), shape = QTAP_COOKIE_SHAPE(cookie);
	struct qtap_thread *thread = threads.lookup(&pid_tgid);
	struct qtap_call_key key = {};
	struct qtap_call *open, call;
	struct qtap_state *state;
	struct qtap_run *run;
	int result = (int)ctx->ax;

	if (!thread)
		return 0;
	if (thread->call.handle && thread->call.stack_pointer == ctx->sp - 8) {
		call = thread->call;
		thread->call.handle = 0;
	} else {
		key.pid_tgid = pid_tgid;
		key.stack_pointer = ctx->sp - 8;
		open = open_calls.lookup(&key);
		if (!open)
			return 0;
		call = *open;
		qtap_take_up(&key);
	}
	if (result <= 0 && (result || count != QTAP_COUNT_NONE)) {
		if (shape || call.handshake)
			qtap_leave_failed(thread, &call, cookie, result);
		return 0;
	}
	if (shape == QTAP_SHAPE_GNUTLS_SEND && !call.buffer)
		call.buffer = qtap_unsent_buffer(call.handle);
	size = result;
	if (count == QTAP_COUNT_ARG4 || count == QTAP_COUNT_ARG5) {
		if (bpf_probe_read_user(&size, sizeof(size), (void *)call.count_pointer)) {
			qtap_lose_count(call.handle);
			return 0;
		}
		if (!size && !call.handshake)
			return 0; // which says nothing of the object
	}
	if (size > QTAP_MAX_CALL_BYTES) { // what a process says of itself must not run our sums over
		qtap_count_loss(QTAP_LOST_CALL_TOO_LARGE, 0);
		qtap_lose_count(call.handle);
		return 0;
	}
	state = qtap_find_or_begin(thread, call.handle, cookie);
	if (state && call.first_io)
		state = qtap_bind(state, &call, cookie);
	if (state)
		state = qtap_follow_random(state, call.handle, cookie);
	if (!state) {
		qtap_count_loss(QTAP_LOST_NO_STATE, hook == QTAP_HOOK_READ || hook == QTAP_HOOK_WRITE ? size : 0);
		return 0;
	}
	if (state->closed) {
		qtap_count_loss(QTAP_LOST_NO_SOCKET, size);
		return 0;
	}
	if (hook == QTAP_HOOK_HANDSHAKE) {
		if (!(state->connection.flags & QTAP_HANDSHAKE_SEEN)) {
			state->connection.flags |= QTAP_HANDSHAKE_SEEN;
			qtap_submit_connection_event(QTAP_HANDSHAKE, 0, call.started_ns, state);
		}
		return 0;
	}
	if ((call.handshake || state->handshake) && !qtap_is_used(state)) {
		state->handshake = QTAP_HANDSHAKE_UNTOLD;
		state->connection.flags |= QTAP_HANDSHAKE_SEEN; // what is submitted below says so, too
	}
	if (!size || hook == QTAP_HOOK_FLUSH)
		return 0;
	if (!state->socket)
		qtap_tell_unbound(state);
	else
		qtap_count_from_handshake(state, call.handle, cookie);
	run = &thread->run;
	run->buffer = call.buffer;
	run->started_ns = call.started_ns;
	run->ended_ns = bpf_ktime_get_boot_ns();
	qtap_count_run(state, run, hook == QTAP_HOOK_WRITE, size);
	if (shape == QTAP_SHAPE_IOVEC)
		qtap_submit_pieces(state, run, call.count_pointer);
	qtap_submit(state, run);
	if (state->handshake == QTAP_HANDSHAKE_UNTOLD) {
		state->handshake = 0;
		qtap_submit_connection_event(QTAP_HANDSHAKE, 0, call.started_ns, state);
	}
	return 0;
}

// int SSL_shutdown(SSL *ssl);   void SSL_free(SSL *ssl);
// int SSL_set_fd(SSL *ssl, int fd);   void SSL_set_bio(SSL *ssl, BIO *rbio, BIO *wbio);
// int SSL_clear(SSL *ssl);
QTAP_INLINE int qtap_enter_event(struct pt_regs *ctx, u64 cookie)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct qtap_state *state;
	u32 hook = QTAP_COOKIE_HOOK(cookie);

	if (qtap_is_excluded(pid_tgid >> 32))
		return 0;
	state = qtap_find(ctx->di);
	if (!state)
		return 0;
	if (hook == QTAP_HOOK_FREE) {
		qtap_end(state, QTAP_SSL_FREE);
	} else if (hook == QTAP_HOOK_SHUTDOWN) {
		if (!state->egress_closed) {
			state->egress_closed = 1;
			qtap_submit_connection_event(QTAP_DIRECTION_CLOSED, QTAP_EGRESS, 0, state);
		}
	} else if (hook == QTAP_HOOK_CLEAR) {
		// The library clears an object itself when a handshake begins, so this comes first thing in every
		// connection, too.
		if (qtap_is_used(state))
			qtap_end(state, QTAP_REPLACED);
	} else if (hook == QTAP_HOOK_SET_FD || hook == QTAP_HOOK_SET_BIO) {
		// The next nested syscall must tell the socket anew.
		state->socket = 0;
	}
	return 0;
}
