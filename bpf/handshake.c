// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Handshake records in clear, as they go through sockets: who speaks TLS, which random went through which socket.

#define QTAP_CONTENT_HANDSHAKE 22 // RFC 8446 5.1
#define QTAP_CONTENT_APPLICATION_DATA 23
#define QTAP_CLIENT_HELLO 1       // RFC 8446 4
#define QTAP_SERVER_HELLO 2
#define QTAP_CERTIFICATE 11
#define QTAP_SERVER_KEY_EXCHANGE 12
#define QTAP_CONTINUATION 256 // no message begins here: more of one that began before

#define QTAP_RECORD_HEADER 5
#define QTAP_HELLO_RANDOM 6 // in a hello: after the message's type and length, and the version
#define QTAP_SMALLEST_HELLO 38
#define QTAP_MAX_HANDSHAKE 4096 // as much of one send or receive is kept
#define QTAP_MAX_FLIGHT 16384	// no longer is a flight followed that comes in pieces
#define QTAP_MAX_RECORDS 6	// of one send or receive
#define QTAP_MAX_BUFFERS 4	// of one send

// The fixed random of a HelloRetryRequest, its bytes 8 to 23 (RFC 8446 4.1.3): that is no ServerHello yet.
static const u8 qtap_retry_random[QTAP_RANDOM_BYTES] = {0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
							0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e};

// What a system call about a socket has in the process's memory.
struct qtap_transfer {
	u64 buffer;
	u64 size;
	u64 io;
	u64 socket;
	u64 vector; // where there are several buffers, their array, and how much is in those behind the first
	u64 more;
	u32 direction;
	u32 message;  // offset of the handshake message: behind a record's header, or 0 where that was read before
	u32 position; // bytes of the same flight that were received before
};

// The process sent or received a ClientHello (`hellos` 1) or a ServerHello. A notice to the supervisor, once for each
// process.
QTAP_INLINE void qtap_speaks_tls(u32 tgid, u32 hellos, u32 relayed)
{
	struct qtap_speaker *known = speaking_processes.lookup(&tgid), fresh = {};
	struct qtap_tls_process *process = tls_processes.lookup(&tgid);
	int is_new = 0;

	fresh.process_start_ns = qtap_process_start_ns();
	if (process && process->start_ns == fresh.process_start_ns)
		fresh.called_ns = process->called_ns;
	if (!known || known->process_start_ns != fresh.process_start_ns) {
		if (known) // left by an earlier process with this number
			speaking_processes.delete(&tgid);
		is_new = !speaking_processes.insert(&tgid, &fresh); // or another thread of it has just been here
		known = speaking_processes.lookup(&tgid);
	}
	if (known) {
		__sync_fetch_and_add(&known->hellos, hellos);
		__sync_fetch_and_add(&known->relayed, relayed);
	}
	if (is_new)
		qtap_submit_process_event(QTAP_PROCESS_SPEAKS_TLS, NULL);
}

// The kind of handshake message that starts here, of those that are kept; 0 for anything else.
QTAP_INLINE u32 qtap_message_kind(const u8 *message)
{
	u32 kind = message[0];

	if (kind == QTAP_CERTIFICATE || kind == QTAP_SERVER_KEY_EXCHANGE)
		return kind;
	if ((kind == QTAP_CLIENT_HELLO || kind == QTAP_SERVER_HELLO) && !message[1] && message[4] == 3 && message[5] <= 4)
		return kind;
	return 0;
}

QTAP_INLINE int qtap_is_handshake_record(const u8 *header)
{
	return header[0] == QTAP_CONTENT_HANDSHAKE && header[1] == 3 && header[2] <= 4;
}

// How many bytes of the handshake record that a transfer breaks off in are still to come. `at`: where a record begins.
QTAP_INLINE u32 qtap_bytes_to_come(struct qtap_transfer *transfer, u32 at)
{
	u8 header[QTAP_RECORD_HEADER] = {};
	int record;

	for (record = 0; record < QTAP_MAX_RECORDS; record++) {
		if (at >= transfer->size)
			return at - transfer->size;
		if (at + QTAP_RECORD_HEADER > transfer->size ||
		    bpf_probe_read_user(header, sizeof(header), (void *)(transfer->buffer + at)) ||
		    !qtap_is_handshake_record(header))
			return 0;
		at += QTAP_RECORD_HEADER + ((u32)header[3] << 8 | header[4]);
	}
	return 0;
}

// What is received next continues a flight: `left` bytes of a record, after `position` bytes that were kept.
QTAP_INLINE void qtap_expect(struct qtap_transfer *transfer, u32 left, u32 position)
{
	u64 socket = transfer->socket;
	struct qtap_flight flight = {};

	if (!left || position > QTAP_MAX_FLIGHT) {
		flights.delete(&socket);
		return;
	}
	flight.left = left;
	flight.position = position;
	flight.local_port = qtap_local_port(socket);
	flight.remote_port = qtap_remote_port(socket);
	flights.update(&socket, &flight);
}

// A record's header that is received by itself.
QTAP_INLINE void qtap_look_at_header(struct qtap_transfer *transfer)
{
	u8 header[QTAP_RECORD_HEADER] = {};

	if (transfer->direction == QTAP_INGRESS &&
	    !bpf_probe_read_user(header, sizeof(header), (void *)transfer->buffer) && qtap_is_handshake_record(header))
		qtap_expect(transfer, (u32)header[3] << 8 | header[4], 0);
}

// What is received belongs to a record whose header was received before.
QTAP_INLINE u32 qtap_continue_flight(struct qtap_transfer *transfer, const u8 *head)
{
	u64 socket = transfer->socket;
	struct qtap_flight *flight = flights.lookup(&socket);
	u32 left, position, kind = QTAP_CONTINUATION;

	if (!flight || flight->local_port != qtap_local_port(socket) ||
	    flight->remote_port != qtap_remote_port(socket))
		return 0;
	left = flight->left;
	position = flight->position;
	transfer->message = 0;
	transfer->position = position;
	if (!position)
		kind = qtap_message_kind(head);
	if (!kind || left > transfer->size)
		left = kind ? left - transfer->size : 0;
	else
		left = qtap_bytes_to_come(transfer, left);
	qtap_expect(transfer, left, position + transfer->size);
	return kind;
}

// Whether the client has asked for something: a handshake alone may be long, for the certificates in it, but its
// client sends one record of this type at the most, of which the length is known (TLS 1.3; with a certificate of its
// own it sends more, behind a ChangeCipherSpec). `head`: the first bytes of what is sent or received.
QTAP_INLINE void qtap_note_question(struct qtap_transfer *transfer, const u8 *head)
{
	u64 socket = transfer->socket;
	struct qtap_hello *hello;

	if (head[0] != QTAP_CONTENT_APPLICATION_DATA || head[1] != 3 || head[2] > 4 ||
	    ((u32)head[3] << 8 | head[4]) <= QTAP_LONGEST_FINISHED)
		return;
	hello = hellos.lookup(&socket);
	if (hello && !hello->asked && hello->role == (transfer->direction == QTAP_EGRESS ? QTAP_CLIENT : QTAP_SERVER) &&
	    hello->local_port == qtap_local_port(socket) && hello->remote_port == qtap_remote_port(socket))
		hello->asked = 1;
}

// The kind of handshake message that a transfer begins with, 0 for anything else. Libraries that read a record's
// header by itself, then its body, are met at the body.
QTAP_INLINE u32 qtap_handshake_message(struct qtap_transfer *transfer)
{
	u8 head[12] = {};
	u32 kind;

	if (transfer->size >= QTAP_SMALLEST_HELLO &&
	    bpf_probe_read_user(head, sizeof(head), (void *)transfer->buffer))
		return 0;
	qtap_note_question(transfer, head);
	if (!qtap_is_handshake_record(head)) // or too little to be any
		return transfer->direction == QTAP_INGRESS ? qtap_continue_flight(transfer, head) : 0;
	transfer->message = QTAP_RECORD_HEADER;
	kind = qtap_message_kind(head + QTAP_RECORD_HEADER);
	if (kind && transfer->direction == QTAP_INGRESS)
		qtap_expect(transfer, qtap_bytes_to_come(transfer, 0), transfer->size);
	return kind;
}

// A ServerHello by itself; a padded ClientHello (RFC 7685) and less; one with post-quantum keys, a flight of one
// certificate; longer chains. See qtap_reserve.
QTAP_INLINE struct qtap_data_event *qtap_reserve_handshake(u64 size, u64 *room)
{
	*room = 4096;
	if (size <= 128)
		*room = 128;
	else if (size <= 640)
		*room = 640;
	else if (size <= 2048)
		*room = 2048;
	return handshake_ring.ringbuf_reserve(QTAP_RESERVATION(*room));
}

QTAP_INLINE void qtap_submit_handshake(struct qtap_transfer *transfer, struct qtap_hello *hello, u32 tgid)
{
	struct qtap_data_event *event;
	struct qtap_connection *facts;
	u64 room;

	event = qtap_reserve_handshake(transfer->size, &room);
	if (!event) {
		qtap_count_loss(QTAP_LOST_HANDSHAKE, 0);
		return;
	}
	facts = &event->connection;
	__builtin_memset(facts, 0, sizeof(*facts));
	facts->process_start_ns = qtap_process_start_ns();
	facts->tgid = tgid;
	facts->user_id = bpf_get_current_uid_gid();
	facts->role = hello->role;
	__builtin_memcpy(facts->client_random, hello->client_random, QTAP_RANDOM_BYTES);
	bpf_get_current_comm(facts->command, sizeof(facts->command));
	qtap_set_addresses(facts, transfer->socket);
	event->kind = QTAP_HANDSHAKE_BYTES;
	event->direction = transfer->direction;
	event->timestamp_ns = bpf_ktime_get_boot_ns();
	event->started_ns = event->timestamp_ns;
	event->position = transfer->position;
	qtap_fill(event, transfer->buffer, transfer->size, room);
	handshake_ring.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

// Whether a process passes a ClientHello on: what came by one connection goes out by another. Both ends of one
// connection in one process look alike, but for their addresses.
QTAP_INLINE int qtap_is_relayed(struct qtap_transfer *transfer, const u8 *random, u32 tgid)
{
	struct qtap_random_key key = {};
	struct qtap_random_socket *other;
	struct qtap_hello *hello;
	u64 socket;

	if (transfer->direction != QTAP_EGRESS)
		return 0;
	__builtin_memcpy(key.random, random, QTAP_RANDOM_BYTES);
	key.tgid = tgid;
	key.direction = QTAP_INGRESS;
	other = sockets_by_random.lookup(&key);
	if (!other)
		return 0;
	if (other->local_port == qtap_remote_port(transfer->socket) &&
	    other->remote_port == qtap_local_port(transfer->socket))
		return 0;
	socket = other->socket;
	hello = hellos.lookup(&socket);
	if (hello)
		hello->relayed = 1;
	return 1;
}

QTAP_INLINE void qtap_remember_random(struct qtap_transfer *transfer, const u8 *random, u32 tgid)
{
	struct qtap_random_key key = {};
	struct qtap_random_socket place = {}, *known;

	__builtin_memcpy(key.random, random, QTAP_RANDOM_BYTES);
	key.tgid = tgid;
	key.direction = transfer->direction;
	place.io = transfer->io;
	place.socket = transfer->socket;
	place.local_port = qtap_local_port(transfer->socket);
	place.remote_port = qtap_remote_port(transfer->socket);
	known = sockets_by_random.lookup(&key);
	place.ambiguous = known && (known->ambiguous || known->socket != place.socket ||
				    known->local_port != place.local_port || known->remote_port != place.remote_port);
	sockets_by_random.update(&key, &place);
}

// A server that sends each message of its flight from a buffer of its own: those behind the hello.
QTAP_INLINE void qtap_submit_buffers(struct qtap_transfer *transfer, struct qtap_hello *hello, u32 tgid)
{
	u64 piece[2] = {};
	u8 head[12] = {};
	int number;

	for (number = 1; number < QTAP_MAX_BUFFERS && transfer->more; number++) {
		if (bpf_probe_read_user(piece, sizeof(piece), (void *)(transfer->vector + number * sizeof(piece))) ||
		    bpf_probe_read_user(head, sizeof(head), (void *)piece[0]))
			return;
		transfer->buffer = piece[0];
		transfer->size = piece[1] < transfer->more ? piece[1] : transfer->more;
		transfer->more -= transfer->size;
		if (!qtap_is_handshake_record(head) || !qtap_message_kind(head + QTAP_RECORD_HEADER))
			return;
		qtap_submit_handshake(transfer, hello, tgid);
	}
}

// A send or receive early in the life of a TCP connection.
QTAP_INLINE void qtap_look_at_transfer(struct qtap_transfer *transfer)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, kind;
	struct qtap_hello *hello, fresh = {};
	u8 random[QTAP_RANDOM_BYTES] = {};
	u64 socket = transfer->socket;

	if (transfer->size == QTAP_RECORD_HEADER) {
		qtap_look_at_header(transfer);
		return;
	}
	kind = qtap_handshake_message(transfer);
	if (!kind)
		return;
	if (qtap_is_excluded(tgid)) { // that it speaks TLS may be known, what it says may not
		if (kind <= QTAP_SERVER_HELLO)
			qtap_speaks_tls(tgid, kind == QTAP_CLIENT_HELLO, 0);
		return;
	}
	if (kind > QTAP_SERVER_HELLO) {
		hello = hellos.lookup(&socket);
		if (hello)
			qtap_submit_handshake(transfer, hello, tgid);
		return;
	}
	if (bpf_probe_read_user(random, sizeof(random),
				(void *)(transfer->buffer + transfer->message + QTAP_HELLO_RANDOM +
					 QTAP_RANDOM_SKIPPED)))
		return;
	fresh.seen_ns = bpf_ktime_get_boot_ns();
	fresh.local_port = qtap_local_port(socket);
	fresh.remote_port = qtap_remote_port(socket);
	hello = hellos.lookup(&socket);
	// That of another connection is left where nobody saw its end.
	if (hello && (hello->local_port != fresh.local_port || hello->remote_port != fresh.remote_port))
		hello = NULL;
	if (kind == QTAP_CLIENT_HELLO && hello && hello->tgid == tgid && qtap_same_random(random, hello->client_random)) {
		// One that was looked at before it is received (MSG_PEEK), or that a server asked for again: it is
		// counted, and what became of its connection is known by the first.
		qtap_submit_handshake(transfer, hello, tgid);
		return;
	}
	if (kind == QTAP_CLIENT_HELLO) {
		__builtin_memcpy(fresh.client_random, random, QTAP_RANDOM_BYTES);
		fresh.role = transfer->direction == QTAP_EGRESS ? QTAP_CLIENT : QTAP_SERVER;
		fresh.tgid = tgid;
		fresh.relayed = qtap_is_relayed(transfer, random, tgid);
		hellos.update(&socket, &fresh);
		qtap_remember_random(transfer, random, tgid);
		qtap_submit_handshake(transfer, &fresh, tgid);
	} else {
		fresh.role = transfer->direction == QTAP_EGRESS ? QTAP_SERVER : QTAP_CLIENT;
		if (hello)
			fresh = *hello;
		if (!qtap_same_random(random, qtap_retry_random)) {
			qtap_remember_random(transfer, random, tgid);
			fresh.answered = 1;
		}
		hellos.update(&socket, &fresh);
		qtap_submit_handshake(transfer, &fresh, tgid);
		if (transfer->more)
			qtap_submit_buffers(transfer, &fresh, tgid);
	}
	qtap_speaks_tls(tgid, kind == QTAP_CLIENT_HELLO, 2 * (kind == QTAP_CLIENT_HELLO && fresh.relayed));
}

// Whether a TCP socket has not carried much yet.
QTAP_INLINE int qtap_is_young(u64 socket)
{
	return qtap_read(u64, socket + OFF_TCP_BYTES_SENT) < QTAP_HANDSHAKE_SPAN &&
	       qtap_read(u64, socket + OFF_TCP_BYTES_RECEIVED) < QTAP_HANDSHAKE_SPAN;
}

#define QTAP_SYS_READ 0 // arch/x86/entry/syscalls/syscall_64.tbl
#define QTAP_SYS_WRITE 1
#define QTAP_SYS_READV 19
#define QTAP_SYS_WRITEV 20
#define QTAP_SYS_SENDTO 44
#define QTAP_SYS_RECVFROM 45
#define QTAP_SYS_SENDMSG 46
#define QTAP_SYS_RECVMSG 47
#define QTAP_MSG_IOV 16 // struct user_msghdr, include/linux/socket.h

// The buffer and the direction of a system call about a socket: `argument` is its second argument. Of several pieces
// the first.
QTAP_INLINE int qtap_find_buffer(struct qtap_transfer *transfer, u64 number, u64 argument, u64 size)
{
	u64 piece[2] = {};

	transfer->direction = number == QTAP_SYS_READ || number == QTAP_SYS_READV || number == QTAP_SYS_RECVFROM ||
					      number == QTAP_SYS_RECVMSG
				      ? QTAP_INGRESS
				      : QTAP_EGRESS;
	if (number == QTAP_SYS_SENDMSG || number == QTAP_SYS_RECVMSG) {
		if (bpf_probe_read_user(&argument, sizeof(argument), (void *)(argument + QTAP_MSG_IOV)))
			return 0;
	} else if (number != QTAP_SYS_READV && number != QTAP_SYS_WRITEV) {
		if (number != QTAP_SYS_READ && number != QTAP_SYS_WRITE && number != QTAP_SYS_SENDTO &&
		    number != QTAP_SYS_RECVFROM)
			return 0;
		transfer->buffer = argument;
		transfer->size = size;
		return 1;
	}
	if (bpf_probe_read_user(piece, sizeof(piece), (void *)argument))
		return 0;
	transfer->buffer = piece[0];
	transfer->size = size < piece[1] ? size : piece[1];
	transfer->vector = argument;
	transfer->more = size - transfer->size;
	return 1;
}
