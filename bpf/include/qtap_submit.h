// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Copies plaintext into the data ring: exact size classes, and never more than the call returned.
#pragma once

#define QTAP_RESERVATION(CLASS) (sizeof(struct qtap_data_event) + CLASS)

// A record with room for `size` bytes, or for the largest class if that is less. `room` is what it has: on each way
// through here the verifier knows it, as it knows the size of what was reserved, which has to be constant.
QTAP_INLINE struct qtap_data_event *qtap_reserve(u64 size, u64 *room)
{
	*room = 65536;
	if (size <= 256)
		*room = 256;
	else if (size <= 1024)
		*room = 1024;
	else if (size <= 2048)
		*room = 2048;
	else if (size <= 4096)
		*room = 4096;
	else if (size <= 16384)
		*room = 16384;
	return data_ring.ringbuf_reserve(QTAP_RESERVATION(*room));
}

QTAP_INLINE u64 qtap_wake_flag(u64 position, u64 size)
{
	return (position ^ (position + size)) >= QTAP_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

// Puts `size` bytes of a process into a reserved record, or as much as there is room for. The length must be bounded
// where the verifier sees it, hence the asm barrier, which stops the compiler from dropping a check that it has proved
// already. A buffer that cannot be read leaves `captured` 0, which the reader counts.
QTAP_INLINE void qtap_fill(struct qtap_data_event *event, u64 buffer, u64 size, u64 room)
{
	u64 length = size;

	asm volatile("" : "+r"(length));
	if (length > room)
		length = room;
	event->size = size;
	event->captured = length;
	if (bpf_probe_read_user(event->data, length, (void *)buffer))
		event->captured = 0;
}

// Submits the next `size` bytes of a call; yields whether there was room. The reader comes by itself every few dozen
// milliseconds: a wake-up costs the target 13 us, so only a flood wakes it, once per QTAP_WAKE_BYTES of a stream.
QTAP_INLINE int qtap_submit_run(struct qtap_state *state, struct qtap_run *run, u64 size)
{
	u64 room;
	struct qtap_data_event *event = qtap_reserve(size, &room);

	if (!event)
		return 0;
	event->kind = QTAP_DATA;
	event->direction = run->direction;
	event->timestamp_ns = run->ended_ns;
	event->started_ns = run->started_ns;
	event->position = run->position;
	event->connection = state->connection;
	qtap_fill(event, run->buffer, size, room);
	data_ring.ringbuf_submit(event, qtap_wake_flag(run->position, size));
	return 1;
}

// The next `size` bytes of the connection are those of this run.
QTAP_INLINE void qtap_count_run(struct qtap_state *state, struct qtap_run *run, int is_sent, u64 size)
{
	run->size = size;
	if (is_sent) { // the verifier wants places that are constant
		run->direction = QTAP_EGRESS;
		run->position = state->position[QTAP_EGRESS];
		state->position[QTAP_EGRESS] += size;
	} else {
		run->direction = QTAP_INGRESS;
		run->position = state->position[QTAP_INGRESS];
		state->position[QTAP_INGRESS] += size;
	}
}

// Submit what one TLS call carried, if anything. When there is no room, the rest of the call is lost: it is counted,
// and the position of what follows tells the reader exactly what is missing.
QTAP_INLINE void qtap_submit(struct qtap_state *state, struct qtap_run *run)
{
	u64 left = run->size;
	int kept = 1;
	u32 i;

	for (i = 0; i < QTAP_MAX_CALL_CHUNKS; i++) {
		if (left < QTAP_CHUNK_BYTES)
			break;
		kept = qtap_submit_run(state, run, QTAP_CHUNK_BYTES);
		if (!kept)
			break;
		run->buffer += QTAP_CHUNK_BYTES;
		run->position += QTAP_CHUNK_BYTES;
		left -= QTAP_CHUNK_BYTES;
	}
	if (!left)
		return;
	if (kept && left > QTAP_CHUNK_BYTES) {
		qtap_count_loss(QTAP_LOST_CALL_TOO_LARGE, left);
		return;
	}
	if (!kept || !qtap_submit_run(state, run, left))
		qtap_count_loss(QTAP_LOST_RING_FULL, left);
}

// What comes in several pieces: `run->buffer` is an array of struct iovec, of whose bytes `skipped` were sent before.
// Submits all pieces but the last that is needed, for which `run` is left. What lies beyond QTAP_MAX_PIECES is counted
// as lost. One loop over chunks, for the verifier's sake.
QTAP_INLINE void qtap_submit_pieces(struct qtap_state *state, struct qtap_run *run, u64 skipped)
{
	u64 vector = run->buffer, piece[2] = {}, length;
	u32 i;

	for (i = 0; i < QTAP_MAX_PIECES; i++) {
		if (!piece[1]) {
			if (bpf_probe_read_user(piece, sizeof(piece), (void *)vector))
				break;
			vector += sizeof(piece);
			length = skipped < piece[1] ? skipped : piece[1];
			piece[0] += length;
			piece[1] -= length;
			skipped -= length;
		}
		run->buffer = piece[0];
		if (piece[1] >= run->size)
			return;
		length = piece[1] < QTAP_CHUNK_BYTES ? piece[1] : QTAP_CHUNK_BYTES;
		if (length && !qtap_submit_run(state, run, length))
			qtap_count_loss(QTAP_LOST_RING_FULL, length);
		run->position += length;
		run->size -= length;
		piece[0] += length;
		piece[1] -= length;
	}
	qtap_count_loss(QTAP_LOST_CALL_TOO_LARGE, run->size);
	run->size = 0;
}
