// SPDX-License-Identifier: Apache-2.0
// Two versions of one program, each other's ruin: where the first has functions of a TLS library (in name), the second
// computes something, and says by its exit code whether that came out right. They end with their input.
// gcc -O1 -DRELEASE=1 -o first two_versions.c; gcc -O1 -DRELEASE=2 -o second two_versions.c
#include <stdio.h>

#if RELEASE == 1
__asm__(".skip 8192, 0x90");

__attribute__((noinline)) int SSL_read(void *ssl, void *buffer, int size)
{
	__asm__ volatile("" : : "r"(ssl), "r"(buffer) : "rbx", "memory");
	return size;
}

__attribute__((noinline)) int SSL_write(void *ssl, const void *buffer, int size)
{
	__asm__ volatile("" : : "r"(ssl), "r"(buffer) : "rbx", "memory");
	return size;
}

int main(void)
{
	char text[] = "text";

	while (getchar() != EOF)
		;
	return SSL_write(text, text, sizeof(text)) - SSL_read(text, text, sizeof(text));
}
#else
#define TIMES 4000

int main(void)
{
	unsigned long sum = 0;

	// 24000 bytes of code: a breakpoint in any instruction changes the sum, or more.
	__asm__ volatile(".rept %c1\n addq $0x01010101, %0\n .endr" : "+a"(sum) : "i"(TIMES));
	while (getchar() != EOF)
		;
	return sum != TIMES * 0x01010101UL;
}
#endif
