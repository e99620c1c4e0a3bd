// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Copies plaintext into the data ring: exact size classes, and never more than the call returned.
#pragma once

// BCC wants map methods outside macros, and the kernel wants reservations of constant size.
#define QTAP_RESERVATION(CLASS) (sizeof(struct qtap_data_event) + CLASS)
QTAP_INLINE void *qtap_reserve_256(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(256)); }
QTAP_INLINE void *qtap_reserve_1024(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(1024)); }
QTAP_INLINE void *qtap_reserve_2048(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(2048)); }
QTAP_INLINE void *qtap_reserve_4096(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(4096)); }
QTAP_INLINE void *qtap_reserve_16384(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(16384)); }
QTAP_INLINE void *qtap_reserve_65536(void) { return data_ring.ringbuf_reserve(QTAP_RESERVATION(65536)); }

QTAP_INLINE u64 qtap_wake_flag(u64 position, u64 size)
{
	return (position ^ (position + size)) >= QTAP_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

// Intended: event = reserve(header + length); copy length bytes. Hence the size classes; and the copy's
// length must be bounded where the verifier sees it, hence the asm barrier, which stops the compiler from
// dropping a check that it has proved already. A buffer that cannot be read leaves `captured` 0, which the
// reader counts. The reader comes by itself every few dozen milliseconds: a wake-up costs the target 13 us, so
// only a flood wakes it, once per QTAP_WAKE_BYTES of a stream. Yields whether there was room.
#define QTAP_SUBMIT(CLASS, SIZE)                                                               \
	({                                                                                     \
		struct qtap_data_event *_event = qtap_reserve_##CLASS();                       \
		if (_event) {                                                                  \
			u64 _length = SIZE;                                                    \
			asm volatile("" : "+r"(_length));                                      \
			if (_length > CLASS)                                                   \
				_length = CLASS;                                               \
			_event->kind = QTAP_DATA;                                              \
			_event->direction = run->direction;                                    \
			_event->timestamp_ns = run->ended_ns;                                  \
			_event->started_ns = run->started_ns;                                  \
			_event->position = run->position;                                      \
			_event->size = SIZE;                                                   \
			_event->captured = _length;                                            \
			_event->connection = state->connection;                                \
			if (bpf_probe_read_user(_event->data, _length, (void *)run->buffer))   \
				_event->captured = 0;                                          \
			bpf_ringbuf_submit(_event, qtap_wake_flag(run->position, SIZE));       \
		}                                                                              \
		_event != NULL;                                                                \
	})

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
		kept = QTAP_SUBMIT(65536, 65536);
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
	if (kept) {
		if (left <= 256)
			kept = QTAP_SUBMIT(256, left);
		else if (left <= 1024)
			kept = QTAP_SUBMIT(1024, left);
		else if (left <= 2048)
			kept = QTAP_SUBMIT(2048, left);
		else if (left <= 4096)
			kept = QTAP_SUBMIT(4096, left);
		else if (left <= 16384)
			kept = QTAP_SUBMIT(16384, left);
		else
			kept = QTAP_SUBMIT(65536, left);
	}
	if (!kept)
		qtap_count_loss(QTAP_LOST_RING_FULL, left);
}

// What comes in several pieces: `run->buffer` is an array of struct iovec, of whose bytes `skipped` were sent before.
// Submits all pieces but the last that is needed, for which `run` is left. What lies beyond QTAP_MAX_PIECES is counted
// as lost. One loop over chunks, for the verifier's sake.
QTAP_INLINE void qtap_submit_pieces(struct qtap_state *state, struct qtap_run *run, u64 skipped)
{
	u64 vector = run->buffer, piece[2] = {}, length;
	int kept;
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
		kept = 1;
		if (length > 4096)
			kept = QTAP_SUBMIT(65536, length);
		else if (length)
			kept = QTAP_SUBMIT(4096, length);
		if (!kept)
			qtap_count_loss(QTAP_LOST_RING_FULL, length);
		run->position += length;
		run->size -= length;
		piece[0] += length;
		piece[1] -= length;
	}
	qtap_count_loss(QTAP_LOST_CALL_TOO_LARGE, run->size);
	run->size = 0;
}
