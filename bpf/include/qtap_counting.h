// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Whether a connection's positions count every byte of plaintext since its handshake, as the other end's agent counts
// them. Said only where nothing can have gone by unseen: a wrong answer would join what does not belong together.
#pragma once

QTAP_INLINE int qtap_probed_before(u32 file, u64 time_ns)
{
	u64 *since = probed_since.lookup(&file);

	return since && *since && *since < time_ns;
}

// Whether a ServerHello has answered: what is written before it is early data, which a server may refuse and never
// read. Where receives are not seen, the object tells: it has no server's random before.
QTAP_INLINE int qtap_is_answered(struct qtap_state *state, struct qtap_hello *hello, u64 handle, u64 cookie)
{
	struct qtap_randoms randoms;
	struct qtap_random_socket *sent;
	int is_known = !qtap_is_zero_random(hello->client_random);

	if (is_known && !qtap_same_random(hello->client_random, state->connection.client_random))
		return 0;
	if (is_known && hello->answered)
		return 1;
	if (!qtap_read_randoms(handle, cookie, &randoms) ||
	    !qtap_same_random(randoms.client, state->connection.client_random))
		return 0;
	if (is_known)
		return 1;
	// Of a server only what it sent was seen: the ServerHello must be this object's.
	sent = qtap_socket_of_random(randoms.server, state->connection.tgid, QTAP_EGRESS);
	return sent && !sent->ambiguous && sent->socket == state->socket;
}

// To be asked before the first plaintext of a connection is counted. The file was probed, and nothing excluded, before
// the hello went by: so whatever followed it has passed the probes. Of a file without a number nobody knows since when.
// A hello counts for one state only: one that
// was forgotten and found anew does not begin at the handshake.
QTAP_INLINE void qtap_count_from_handshake(struct qtap_state *state, u64 handle, u64 cookie)
{
	u64 socket = state->socket;
	u32 file = QTAP_COOKIE_FILE(cookie);
	struct qtap_hello *hello;

	if (!file || state->position[QTAP_EGRESS] || state->position[QTAP_INGRESS])
		return;
	hello = hellos.lookup(&socket);
	if (!hello || hello->claimed || hello->role != state->connection.role || hello->local_port != state->connection.local_port ||
	    hello->remote_port != state->connection.remote_port ||
	    !qtap_probed_before(file, hello->seen_ns) ||
	    !qtap_probed_before(QTAP_EVERY_FILE, hello->seen_ns) || !qtap_is_answered(state, hello, handle, cookie))
		return;
	hello->claimed = 1;
	state->connection.flags |= QTAP_FROM_HANDSHAKE;
}

// Bytes went by whose number is not known.
QTAP_INLINE void qtap_lose_count(u64 handle)
{
	struct qtap_state *state = qtap_find(handle);

	if (state)
		qtap_stop_counting(state);
}
