// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Defaults of what the loader sets by -D. OFF_* have no default: they come from the running kernel's BTF.
#pragma once

#ifndef QTAP_DATA_RING_PAGES
#define QTAP_DATA_RING_PAGES 8192 // 32 MiB; a power of two
#endif
#ifndef QTAP_CONTROL_RING_PAGES
#define QTAP_CONTROL_RING_PAGES 256
#endif
#ifndef QTAP_HANDSHAKE_RING_PAGES
#define QTAP_HANDSHAKE_RING_PAGES 1024
#endif
#ifndef QTAP_PROCESS_RING_PAGES
#define QTAP_PROCESS_RING_PAGES 16
#endif
#ifndef QTAP_MAX_CONNECTIONS
#define QTAP_MAX_CONNECTIONS 32768
#endif
#ifndef QTAP_SHARE
#define QTAP_SHARE (QTAP_MAX_CONNECTIONS / 2) // of one process, with those that have just ended
#endif
#define QTAP_MAX_OPEN_CALLS 4096
#define QTAP_CALLS_SHARE (QTAP_MAX_OPEN_CALLS / 2) // of one process
#ifndef QTAP_MAX_FILES
#define QTAP_MAX_FILES 4096
#endif
#ifndef QTAP_MAX_CALL_CHUNKS
#define QTAP_MAX_CALL_CHUNKS 640 // of 64 KiB: 40 MiB in one TLS call
#endif

#define QTAP_REPORT_AGAIN_NS 100000000
#define QTAP_CHUNK_BYTES 65536
#define QTAP_MAX_PIECES 32 // as many pieces of one gathering write are copied, or 64 KiB parts of them
#define QTAP_MAX_CALL_BYTES (1ULL << 32) // no library moves more in one call
#define QTAP_WAKE_BYTES (4 << 20) // a power of two
#define QTAP_VERDICT_NS 50000000 // how long a thread takes the verdict on its process for granted
#define QTAP_CONVERSATION_BYTES 24576 // a TCP connection that carried so much had more than a handshake
#define QTAP_LONGEST_FINISHED 69 // the record of it: 4 and 48 bytes (SHA-384), its type and tag (RFC 8446 4.4.4, 5.2)
#define QTAP_MAX_FLIGHTS 4096 // of handshake records, that are received in part
#define QTAP_CIPHERTEXT_BYTES 20 // header, and 15 bytes that no other record has: the shortest record has 22
#define QTAP_TELL_AGAIN_NS 1000000000
#define QTAP_HANDSHAKE_SPAN 16384 // a hello comes within as many bytes of a TCP connection, or not at all
