// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// THE contract between the kernel side and otel_qtap/capture/records.py, which mirrors it.
// Structs, enums and limits only. Fields run from large to small; padding is spelled out.
#pragma once
#include <linux/types.h>

enum qtap_kind {
	QTAP_DATA = 1,
	QTAP_HANDSHAKE = 2,
	QTAP_DIRECTION_CLOSED = 3,
	QTAP_CONNECTION_CLOSED = 4,
	QTAP_PROCESS_EXITED = 5,
	QTAP_FILE_MAPPED = 6,
	QTAP_PROCESS_SEEN = 7,
	QTAP_HANDSHAKE_BYTES = 8,
	QTAP_PROCESS_SPEAKS_TLS = 9,
	QTAP_PROCESS_UNBOUND = 10,
	QTAP_PROCESS_CROWDED = 11, // it holds much of its share of the connection map
};

enum qtap_direction { QTAP_EGRESS = 0, QTAP_INGRESS = 1 };
enum qtap_role { QTAP_ROLE_UNKNOWN = 0, QTAP_CLIENT = 1, QTAP_SERVER = 2 };
enum qtap_peer_source {
	QTAP_PEER_NONE = 0,
	QTAP_PEER_NESTED_SYSCALL = 1,
	QTAP_PEER_HELLO_RANDOM = 2,
	QTAP_PEER_CIPHERTEXT = 3,
	QTAP_PEER_DESCRIPTOR = 4, // the TLS object itself holds the descriptor (Go)
};
enum qtap_close_reason { QTAP_SSL_FREE = 1, QTAP_SOCKET_CLOSED = 2, QTAP_REPLACED = 3 };
enum qtap_connection_flag {
	QTAP_HANDSHAKE_SEEN = 1,
	QTAP_FROM_HANDSHAKE = 2, // positions count every byte since the handshake,
	QTAP_UNCOUNTED = 4,      // but that this says that they do so no more: what was said once is not taken back
};

// As much of a hello's random as tells connections apart: bytes 8 to 23, which are random even where a library
// puts the time first or a sentinel last (RFC 5246 7.4.1.2, RFC 8446 4.1.3).
#define QTAP_RANDOM_BYTES 16
#define QTAP_RANDOM_SKIPPED 8

// Who talks to whom: first in every event of a connection, so that each event explains itself
// (a lost event, or a reader that starts late, costs nothing but that event).
struct qtap_connection {
	__u64 process_start_ns; // task->group_leader->start_boottime
	__u64 handle;           // SSL *, or what the library has in its place; 0 in handshake bytes
	__u64 generation;       // boot time at which this use of the handle was first seen
	__u32 tgid;
	__u32 user_id;
	__u8 local_address[16]; // IPv4 in the first four bytes
	__u8 remote_address[16];
	__u16 local_port; // host order
	__u16 remote_port;
	__u16 family; // AF_INET, AF_INET6, or 0 while unbound
	__u16 file;   // which probed file the TLS object belongs to: index in the map `layouts`, 0 if not known
	__u8 role;
	__u8 peer_source;
	__u8 library;
	__u8 flags;
	__u8 _pad[4];
	__u8 client_random[QTAP_RANDOM_BYTES]; // part of the ClientHello's random, 0 while not known
	char command[16];
};

// A run of plaintext; `captured` bytes follow. As QTAP_HANDSHAKE_BYTES: handshake records in clear, as they were
// sent or received on a socket, whoever's it is; position is 0 and the connection has no handle. size > captured: the rest was not copied.
struct qtap_data_event {
	__u32 kind;
	__u32 direction;
	__u64 timestamp_ns; // when the TLS call returned
	__u64 started_ns;   // when it was entered
	__u64 position;     // of the first byte in this direction's stream
	__u32 size;
	__u32 captured;
	struct qtap_connection connection;
	char data[];
};

// Handshake, direction closed, connection closed.
struct qtap_connection_event {
	__u32 kind;
	__u32 reason; // close reason, or the direction that was closed
	__u64 timestamp_ns;
	__u64 started_ns;
	__u64 egress_position;
	__u64 ingress_position;
	struct qtap_connection connection;
};

// Process exited (or runs another program now), process seen, file mapped. device and inode are 0 but for QTAP_FILE_MAPPED.
struct qtap_process_event {
	__u32 kind;
	__u32 tgid;
	__u64 process_start_ns;
	__u64 timestamp_ns;
	__u64 inode;
	__u32 device; // as the kernel keeps it: major << 20 | minor
	__u32 user_id;
	char command[16];
};

// What is known of a file that is mapped as code. Mirrors otel_qtap/agent/probed_files.py.
enum qtap_file_kind {
	QTAP_FILE_REPORTED = 1, // nobody has looked at it yet
	QTAP_FILE_OTHER = 2,    // nothing in it can be probed
	QTAP_FILE_LIBRARY = 3,  // it is probed, or about to be
};

// A process of which a hello was seen: what the map `speaking_processes` holds. Mirrors otel_qtap/capture/records.py.
struct qtap_speaker {
	__u64 process_start_ns;
	__u64 called_ns; // when a call of a probed TLS library was first seen in it, 0: none so far
	__u64 hellos;    // ClientHellos that it sent or received, each once a connection
	__u64 relayed;   // of these, those that it passed on from one connection to another: sent and received count
	__u64 captured;  // connections with a hello that ended and of which plaintext was captured
	__u64 missed;    // those of which none was, though they carried more than a handshake; since the first call
};

// What was seen of the hellos on a socket: what the map `hellos` holds. Mirrors otel_qtap/capture/records.py.
struct qtap_hello {
	__u64 seen_ns;
	__u8 client_random[QTAP_RANDOM_BYTES]; // 0 where only the ServerHello was seen
	__u32 tgid;       // of the process that sent or received it, 0 in that case
	__u16 local_port; // of the connection that it went by
	__u16 remote_port;
	__u8 role;     // of the end that is at this socket
	__u8 captured; // plaintext of this connection was captured
	__u8 relayed;  // the process passes on what others say to each other
	__u8 answered; // a ServerHello went by
	__u8 claimed;  // some connection's positions count from here on
	__u8 asked;    // the client sent application data
	__u8 _pad[2];
};

// How TLS connections ended: index of the map `ended_connections`, which the pipeline maps read-only.
enum qtap_ended {
	QTAP_ENDED_CAPTURED = 0, // plaintext was captured and bound to the socket
	QTAP_ENDED_MISSED = 1,
	QTAP_ENDINGS = 2,
};

// Why something was lost. The counters map, which the pipeline maps read-only, holds events at this
// index and bytes of plaintext QTAP_LOSSES further on. Mirrors capture/ring.py.
enum qtap_loss {
	QTAP_LOST_RING_FULL = 0,
	QTAP_LOST_CALL_TOO_LARGE = 1, // beyond QTAP_MAX_CALL_CHUNKS of one call
	QTAP_LOST_NO_STATE = 2,       // no room in the connection map, or its process holds its share of it
	QTAP_LOST_CONTROL = 3,        // control ring full: events without bytes
	QTAP_LOST_PROCESS = 4,        // process ring full: events without bytes
	QTAP_LOST_NO_SOCKET = 5,      // of a connection that the program has closed: it went to nobody
	QTAP_LOST_HANDSHAKE = 6,      // handshake ring full: records without bytes
	QTAP_LOSSES = 7,
};

// Cookie of a probe site: what the probed function is. Mirrors otel_qtap/probes/spec.py.
enum qtap_hook {
	QTAP_HOOK_READ = 1,
	QTAP_HOOK_WRITE = 2,
	QTAP_HOOK_HANDSHAKE = 3,
	QTAP_HOOK_SHUTDOWN = 4,
	QTAP_HOOK_FREE = 5,
	QTAP_HOOK_SET_FD = 6,
	QTAP_HOOK_SET_BIO = 7,
	QTAP_HOOK_CLEAR = 8,
	QTAP_HOOK_FLUSH = 9, // sends what earlier writes have left behind
	QTAP_HOOK_GO_READ = 16,
	QTAP_HOOK_GO_WRITE = 17,
	QTAP_HOOK_GO_CALL = 18, // entry of a method whose returns have one of the next three
	QTAP_HOOK_GO_READ_RETURN = 19,
	QTAP_HOOK_GO_WRITE_RETURN = 20,
	QTAP_HOOK_GO_HANDSHAKE_RETURN = 21,
	QTAP_HOOK_BIO_WRITE = 24, // of libcrypto, for processes that are looked at closely: ciphertext.c
};
enum qtap_count { QTAP_COUNT_RC = 0, QTAP_COUNT_ARG4 = 1, QTAP_COUNT_ARG5 = 2, QTAP_COUNT_NONE = 3 };
// Which arguments a call of the library has, where they are not (object, buffer, length, ...).
enum qtap_shape {
	QTAP_SHAPE_PLAIN = 0,
	QTAP_SHAPE_GNUTLS_RECEIVE = 1, // (object, type of record, buffer, length, ...)
	QTAP_SHAPE_NSS = 2,            // (object, buffer, length, flags); handshakes go on elsewhere
	QTAP_SHAPE_IOVEC = 3,          // (object, array of buffers, their number, bytes to leave out, ...)
	QTAP_SHAPE_GNUTLS_SEND = 4,    // without a buffer it goes on with an earlier call's
};
// Bits 0-7 hook, 8-15 count, 16-23 library, 24-31 shape, 32-47 file (index in the map `layouts`).
// At QTAP_HOOK_GO_READ, count and shape are registers that hold the number of bytes and the Conn, as words of struct
// pt_regs, and bits 48-63 are where the buffer's address is above the stack pointer.
#define QTAP_COUNT_AT_BRANCH 1 // at entries of Go methods: the site is the branch of the stack check
#define QTAP_COOKIE(hook, count, library) ((hook) | (count) << 8 | (library) << 16)
#define QTAP_COOKIE_HOOK(cookie) ((u32)(cookie) & 0xff)
#define QTAP_COOKIE_COUNT(cookie) ((u32)((cookie) >> 8) & 0xff)
#define QTAP_COOKIE_LIBRARY(cookie) ((u32)((cookie) >> 16) & 0xff)
#define QTAP_COOKIE_SHAPE(cookie) ((u32)((cookie) >> 24) & 0xff)
#define QTAP_COOKIE_SLOT(cookie) ((u32)((cookie) >> 48) & 0xffff)
#define QTAP_COOKIE_FILE(cookie) ((u32)((cookie) >> 32) & 0xffff)

// Where the TLS objects of one probed file keep what they know. Offsets are plus one, 0: not known.
// Written by the supervisor before it attaches. Mirrors otel_qtap/probes/spec.py (LAYOUT).
struct qtap_layout {
	__u16 role;          // a u32: 0 client, else server
	__u16 type;          // a u32 that must be 0, or the object is no plain TLS connection
	__u16 randoms;       // a pointer to what holds the randoms; 0: the object itself does
	__u16 client_random; // the 32 bytes of the ClientHello
	__u16 server_random; // the 32 bytes of the ServerHello
	__u16 role_mask;     // the bits of the role that count; 0: all
	__u8 _pad[4];
};
