// SPDX-License-Identifier: Apache-2.0
// A library with the names of OpenSSL's functions that claims to have read more than there is.
// gcc -shared -fPIC -o libssl-false.so false_library.c
#include <stddef.h>
#include <unistd.h>

size_t nested; // so many calls are made within the next one, each on another object
int gate = -1; // the innermost of them waits for a byte from here

__attribute__((noinline)) int SSL_read_ex(void *ssl, void *buffer, size_t size, size_t *claimed)
{
	char byte;

	if (nested) {
		nested--;
		SSL_read_ex((char *)ssl + 64, buffer, size, claimed);
	} else if (gate >= 0 && read(gate, &byte, 1) != 1) {
		return 0;
	}
	*claimed = size; // the caller says what to claim
	return 1;
}

int SSL_write_ex(void *ssl, const void *buffer, size_t size, size_t *written)
{
	(void)ssl;
	(void)buffer;
	*written = size;
	return 1;
}

__attribute__((noinline)) void SSL_free(void *ssl)
{
	__asm__ volatile("" : : "r"(ssl)); // a call of it is not left out
}
