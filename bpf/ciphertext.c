// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Which socket carries a TLS object whose handshake nobody saw, or whose hellos do not tell: what its library hands to a
// BIO, and a send soon begins with, was made by this object. A probe on every BIO_write would be dear: it is there only
// in processes that the supervisor was told of, and only for as long as something in them is unbound.

// Whether the process is looked at closely. Where none is, that is one load.
QTAP_INLINE int qtap_is_watched(u32 tgid)
{
	u32 zero = 0, *count = watched.lookup(&zero);

	return count && *count && watched_processes.lookup(&tgid);
}

// A notice to the supervisor that plaintext goes by whose socket is not known.
QTAP_INLINE void qtap_tell_unbound(struct qtap_state *state)
{
	u32 tgid = state->connection.tgid;
	u64 now = bpf_ktime_get_boot_ns(), *told = unbound_processes.lookup(&tgid);

	if (told && now - *told < QTAP_TELL_AGAIN_NS)
		return;
	unbound_processes.update(&tgid, &now);
	qtap_submit_process_event(QTAP_PROCESS_UNBOUND, NULL);
}

// The first bytes of a record of application data. Handshakes are left out: their objects may still be used anew, and
// a record that is sent late would then speak for another connection.
QTAP_INLINE int qtap_read_ciphertext(struct qtap_ciphertext *ciphertext, u64 buffer, u64 size, u32 tgid)
{
	if (size < QTAP_CIPHERTEXT_BYTES ||
	    bpf_probe_read_user(ciphertext->bytes, QTAP_CIPHERTEXT_BYTES, (void *)buffer))
		return 0;
	ciphertext->tgid = tgid;
	return ciphertext->bytes[0] == QTAP_CONTENT_APPLICATION_DATA && ciphertext->bytes[1] == 3 &&
	       ciphertext->bytes[2] <= 4;
}

// int BIO_write(BIO *b, const void *data, int dlen);
QTAP_INLINE int qtap_note_ciphertext(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tgid = pid_tgid >> 32;
	struct qtap_thread *thread = threads.lookup(&pid_tgid);
	struct qtap_ciphertext ciphertext = {};
	struct qtap_writer writer = {};
	struct qtap_state *state;

	// What a program itself writes to a BIO, outside of a call, is what it received.
	if (!thread || !thread->call.handle || thread->call.hook != QTAP_HOOK_WRITE || (int)ctx->dx <= 0)
		return 0;
	state = qtap_find(thread->call.handle);
	if (!state || state->socket || !qtap_is_watched(tgid) ||
	    !qtap_read_ciphertext(&ciphertext, ctx->si, ctx->dx, tgid))
		return 0;
	writer.handle = thread->call.handle;
	writer.generation = state->connection.generation;
	ciphertexts.update(&ciphertext, &writer);
	return 0;
}

// A send of a process that is looked at closely.
QTAP_INLINE void qtap_bind_by_ciphertext(struct qtap_transfer *transfer, u32 tgid)
{
	struct qtap_ciphertext ciphertext = {};
	struct qtap_connection_key key = {};
	struct qtap_writer *writer;
	struct qtap_state *state;

	if (!qtap_read_ciphertext(&ciphertext, transfer->buffer, transfer->size, tgid))
		return;
	writer = ciphertexts.lookup(&ciphertext);
	if (!writer)
		return;
	key.handle = writer->handle;
	key.tgid = tgid;
	state = connections.lookup(&key);
	if (state && !state->closed && !state->socket && state->connection.generation == writer->generation)
		qtap_set_socket(state, key.handle, transfer->socket, transfer->io, QTAP_PEER_CIPHERTEXT);
	ciphertexts.delete(&ciphertext); // a relay in the same process sends it once more
}
