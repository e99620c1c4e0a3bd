// SPDX-License-Identifier: Apache-2.0
// A library with the names of OpenSSL's functions that claims to have read more than there is.
// gcc -shared -fPIC -o libssl-false.so false_library.c
#include <stddef.h>

__attribute__((noinline)) int SSL_read_ex(void *ssl, void *buffer, size_t size, size_t *read)
{
	(void)ssl;
	(void)buffer;
	*read = size; // the caller says what to claim
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
