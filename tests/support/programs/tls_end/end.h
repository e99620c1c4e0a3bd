// SPDX-License-Identifier: Apache-2.0
// One end of a TLS connection: what each library does in its own way. Failures end the program.
#pragma once
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// For clients `ca` is a file, for servers `certificate` and `key` are; the others are NULL.
// `version`: 12 or 13, the only version of TLS that is spoken; 0: the library chooses.
void end_prepare(const char *ca, const char *certificate, const char *key, int version);

// After the handshake on a connected socket.
void *end_open(int socket, int is_server);

// The number of bytes, which may be fewer; 0 or less at the end of the stream.
long end_read(void *end, void *buffer, size_t size);
long end_write(void *end, const void *buffer, size_t size);

// With the library's farewell to the peer; closes the socket as well.
void end_close(void *end, int socket);

static inline void check(int failed, const char *what)
{
	if (failed) {
		fprintf(stderr, "tls_end: %s failed\n", what);
		exit(1);
	}
}
