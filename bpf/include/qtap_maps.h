// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Every map, with its key, value, writer, reader and lifetime.
// What belongs to a process and outlives it (one that is killed closes nothing) is removed by the supervisor at its
// next look around: otel_qtap/capture/leftovers.py.
#pragma once

// Plaintext. Written by the TLS probes; mapped and read by the pipeline. Never wakes its reader per event.
BPF_RINGBUF_OUTPUT(data_ring, QTAP_DATA_RING_PAGES);

// Closes, handshakes, exits: apart from the data, so that a payload flood never loses a close.
// Read by the pipeline.
BPF_RINGBUF_OUTPUT(control_ring, QTAP_CONTROL_RING_PAGES);

// Handshake records in clear, of all processes: apart, so that a flood of connections never loses a close either.
// Read by the pipeline, before the others: what it holds of a connection comes before what they do.
BPF_RINGBUF_OUTPUT(handshake_ring, QTAP_HANDSHAKE_RING_PAGES);

// Processes and files that discovery should look at. Read by the supervisor, which is woken at once.
BPF_RINGBUF_OUTPUT(process_ring, QTAP_PROCESS_RING_PAGES);

// Losses by reason, enum qtap_loss. Written by all programs (atomic adds), mapped by the pipeline.
// 1024 = BPF_F_MMAPABLE.
BPF_F_TABLE("array", u32, u64, counters, 2 * QTAP_LOSSES, 1024);

// Processes that are never captured: the agent's own, and those that selectors exclude.
// Key: tgid. Value: start time in units of 10 ms, as /proc tells it: the supervisor may write an entry when
// its process is gone already, and whoever gets the PID next is another one.
// Written by the supervisor, removed when the process exits or runs another program.
BPF_HASH(excluded_processes, u32, u64, 16384);

// Files that are mapped as code. Key: the file. Written when one is mapped or run (QTAP_FILE_REPORTED) and by the
// supervisor, which knows better and removes what nobody maps any more. LRU: a forgotten file is only reported again.
struct qtap_file_key {
	u64 inode;
	u32 device;
	u32 _pad;
};
struct qtap_known_file {
	u32 kind; // enum qtap_file_kind
	u32 _pad;
	u64 reported_ns;
	u64 size; // in the state that was looked at, or first reported
	u64 mtime_ns;
};
BPF_TABLE("lru_hash", struct qtap_file_key, struct qtap_known_file, known_files, 32768);

// Processes that were seen with TLS. Key: tgid. Written when a TLS library is mapped or the first connection
// appears, removed at exit; LRU in case an exit is missed.
struct qtap_tls_process {
	u64 start_ns; // 0 from an exec on until the new program is seen with TLS
	u64 image_ns; // time of the last exec: connections that are older went with the old program
	u64 called_ns; // when a call of a probed TLS library was first seen in this program, 0: none so far
};
BPF_TABLE("lru_hash", u32, struct qtap_tls_process, tls_processes, 16384);

// One TLS call between its entry and its return.
struct qtap_call {
	u64 handle; // 0: none
	u64 buffer;
	u64 count_pointer; // of QTAP_SHAPE_IOVEC: how many bytes are left out
	u64 started_ns;
	u64 stack_pointer; // at entry
	u64 first_io;      // what the first nested read or write went to (qtap_socket), 0: none so far
	u64 last_io;       // the same of the last one after it
	u32 hook;
	u32 handshake; // whether a handshake was made within it
};

// What is copied when a call returns. It is not on the stack so that the verifier, which knows nothing of values in
// maps, need not follow the loops over it once for each way that leads there.
struct qtap_run {
	u64 buffer;
	u64 size;
	u64 position; // of its first byte in the stream
	u64 started_ns;
	u64 ended_ns;
	u32 direction;
	u32 _pad;
};

// What a thread is doing, and what never changes while it runs this program. Key: pid_tgid. Written in place by
// the probes and the syscall tracepoints; removed when the thread ends or its process runs another program.
struct qtap_thread {
	struct qtap_call call; // the innermost open call: what a nested socket syscall belongs to
	u64 process_start_ns;
	u64 image_ns;
	u64 judged_ns; // when excluded_processes was last asked
	u64 excluded;
	struct qtap_run run;
};
BPF_TABLE("lru_hash", u64, struct qtap_thread, threads, 16384);

// Open calls that are not the innermost of their thread: TLS inside TLS, coroutines. Key: thread and stack
// pointer at entry. Written when another call begins, removed at return; LRU for those that never return.
struct qtap_call_key {
	u64 pid_tgid;
	u64 stack_pointer;
};
BPF_TABLE("lru_hash", struct qtap_call_key, struct qtap_call, open_calls, QTAP_MAX_OPEN_CALLS);

// Calls of Go methods from their entry to one of their returns. Key: process, goroutine, distance of the stack pointer
// at entry from the end of the stack. Removed at return; LRU for those that never return.
struct qtap_go_call_key {
	u64 goroutine;
	u32 tgid;
	u32 depth;
};
struct qtap_go_call {
	u64 conn;
	u64 buffer;
	u64 stack_pointer;
	u64 stack_end;
	u64 started_ns;
};
BPF_TABLE("lru_hash", struct qtap_go_call_key, struct qtap_go_call, go_calls, 16384);

// State of each connection. Key: process and TLS object. Written by the probes and the syscall
// tracepoints; ended by SSL_free, close and exit; LRU for those that end unseen.
struct qtap_connection_key {
	u64 handle;
	u32 tgid;
	u32 _pad;
};
enum qtap_inner_handshake {
	QTAP_HANDSHAKE_BEGUN = 1,  // in a call that failed, as one on a non-blocking socket does
	QTAP_HANDSHAKE_UNTOLD = 2, // it ended well
};
struct qtap_carrier { // what a Go Conn is on, 0 elsewhere: another one there is another connection
	u64 holder;     // the net.Conn
	u64 first_word; // that it begins with
	u64 net_fd;     // the net.netFD below it, 0: none was found
	u32 descriptor;
	u32 handshakes;
};
struct qtap_state {
	struct qtap_connection connection;
	u64 ended_ns;     // 0 until it is closed
	u64 socket;       // struct sock *, 0 while unbound
	u64 position[2];  // bytes that went by, per direction
	u64 io;           // by which that socket was found (qtap_socket)
	struct qtap_carrier carrier;
	u8 over_random[QTAP_RANDOM_BYTES]; // of what this object carried before, when the program closed its socket
	u8 closed; // enum qtap_close_reason; kept until evicted or reused, so that a forked child can inherit
	u8 egress_closed;
	u8 handshake; // within reads and writes: enum qtap_inner_handshake
	u8 _pad[5];
};
BPF_TABLE("lru_hash", struct qtap_connection_key, struct qtap_state, connections, QTAP_MAX_CONNECTIONS);

// How many elements of `connections` and of `open_calls` each process has: one alone, of which any may make up TLS
// objects, must not displace those of all others. Key: tgid. Counted up when one is made, and calls down at their
// return. The supervisor sets it right, and removes ended connections where there are many, for a probe that runs just
// now may still write to one that has only just ended, and calls that never returned (otel_qtap/capture/holdings.py).
// Removed at exit; LRU, a process that was forgotten counts from 0 until it is set right.
struct qtap_holding {
	s64 connections;
	s64 open_calls; // below 0 where some of them were forgotten with the rest
	u64 told_ns; // when the supervisor was last told that there are many
};
BPF_TABLE("lru_hash", u32, struct qtap_holding, holdings, 16384);

// What a call of GnuTLS that could not send at once was given: the caller may go on without naming it again.
// Key: process and session. Written when a send returns GNUTLS_E_AGAIN or GNUTLS_E_INTERRUPTED, LRU.
BPF_TABLE("lru_hash", struct qtap_connection_key, u64, unsent_buffers, 4096);

// Which connection a socket carries, for its end. Key: the socket; a descriptor means something only with its
// process, a struct sock * (tgid 0) everywhere. Written when a connection is bound, removed at the socket's end.
struct qtap_io_key {
	u64 io;
	u32 tgid;
	u32 _pad;
};
#ifdef QTAP_SOCKET_TRACEPOINTS
#define QTAP_IO_TGID(tgid) 0
#else
#define QTAP_IO_TGID(tgid) (tgid)
#endif
BPF_TABLE("lru_hash", struct qtap_io_key, struct qtap_connection_key, connections_by_io, QTAP_MAX_CONNECTIONS);

// Where the TLS objects of each probed file keep what they know. Index: the file's number in its sites' cookies.
// Written by the supervisor; number 0 is never written and means that nothing is known.
BPF_ARRAY(layouts, struct qtap_layout, QTAP_MAX_FILES);

// Since when each probed file has all of its probes (boot time). Index: the file's number, as in `layouts`; 0 while it
// has not. QTAP_EVERY_FILE: since when what is excluded has not been made less. Written by the supervisor.
#define QTAP_EVERY_FILE 0
BPF_ARRAY(probed_since, u64, QTAP_MAX_FILES);

// What was seen of the hellos on a socket: struct qtap_hello. Key: struct sock *. Written when a hello is sent or
// received, removed at the socket's end. The supervisor reads which conversations are missed that go on.
BPF_TABLE("lru_hash", u64, struct qtap_hello, hellos, QTAP_MAX_CONNECTIONS);

// A flight of handshake records that a socket has received in part. Key: struct sock *; LRU, and the ports tell whether
// it is still the same connection. Written and removed when something is received.
struct qtap_flight {
	u32 left;     // bytes of a record that are to come
	u32 position; // bytes of the flight that were kept; 0: a record's header was received, and nothing else yet
	u16 local_port;
	u16 remote_port; // in network order
};
BPF_TABLE("lru_hash", u64, struct qtap_flight, flights, QTAP_MAX_FLIGHTS);

// Which socket of a process a hello went through, by its random. Written when a hello is sent or received; LRU.
// `ambiguous`: it went through several sockets, as in a relay.
struct qtap_random_key {
	u8 random[QTAP_RANDOM_BYTES];
	u32 tgid;
	u32 direction;
};
struct qtap_random_socket {
	u64 io;
	u64 socket;
	u16 local_port; // of the connection that went by: the socket may be another one's by now
	u16 remote_port;
	u32 ambiguous;
};
BPF_TABLE("lru_hash", struct qtap_random_key, struct qtap_random_socket, sockets_by_random, QTAP_MAX_CONNECTIONS);

// Processes of which plaintext went by whose socket is not known. Key: tgid. Value: when the supervisor was last told.
// Written with that notice, LRU.
BPF_TABLE("lru_hash", u32, u64, unbound_processes, 4096);

// Processes whose ciphertext is looked at, so that their sockets become known. Key: tgid. Written by the supervisor for
// as long as its probe in their BIO_write is there. The one element of the array is how many they are.
BPF_HASH(watched_processes, u32, u32, 256);
BPF_ARRAY(watched, u32, 1);

// Who made which ciphertext: its first bytes, until a send begins with them. Written at BIO_write, LRU.
struct qtap_ciphertext {
	u32 tgid;
	u8 bytes[QTAP_CIPHERTEXT_BYTES];
};
struct qtap_writer {
	u64 handle;
	u64 generation; // an address alone may be another object's by the time of the send
};
BPF_TABLE("lru_hash", struct qtap_ciphertext, struct qtap_writer, ciphertexts, 4096);

// Processes of which a hello was seen. Key: tgid. Written with the notice to the supervisor, which reads here what
// became of it; removed when the process runs another program, LRU.
BPF_TABLE("lru_hash", u32, struct qtap_speaker, speaking_processes, 16384);

// Ended TLS connections, enum qtap_ended. Written at the end of sockets (atomic adds), mapped by the pipeline.
// 1024 = BPF_F_MMAPABLE.
BPF_F_TABLE("array", u32, u64, ended_connections, QTAP_ENDINGS, 1024);
