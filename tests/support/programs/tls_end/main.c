// SPDX-License-Identifier: Apache-2.0
// Ends of TLS connections on some library.
//
//     tls_end server CERTIFICATE KEY            sends back whatever it gets; prints its port
//     tls_end client PORT CA VERSION SIZE ROUNDS  sends messages and expects them back
//     tls_end pingpong CERTIFICATE KEY SIZE     as programs/pingpong.c: what a round trip costs
//
// VERSION is 12, 13 or 0. A message has SIZE bytes of lines that say where in the stream they are.
#include "end.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static size_t size;
static int sockets[2];

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_anywhere(int *port)
{
	struct sockaddr_in address = loopback(0);
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(listener, (struct sockaddr *)&address, length) || listen(listener, 64) ||
		      getsockname(listener, (struct sockaddr *)&address, &length),
	      "listen");
	*port = ntohs(address.sin_port);
	return listener;
}

static int connect_to(int port)
{
	struct sockaddr_in address = loopback(port);
	int on = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);

	check(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), "connect");
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return descriptor;
}

static void write_all(void *end, const char *data, size_t left)
{
	long written;

	for (; left; data += written, left -= written) {
		written = end_write(end, data, left);
		check(written <= 0, "write");
	}
}

// Returns 0 at the end of the stream.
static int read_all(void *end, char *data, size_t left)
{
	long got;

	for (; left; data += got, left -= got) {
		got = end_read(end, data, left);
		if (got <= 0)
			return 0;
	}
	return 1;
}

static void *echo(void *argument)
{
	int descriptor = (int)(long)argument;
	void *end = end_open(descriptor, 1);
	char *buffer = malloc(65536);
	long got;

	while ((got = end_read(end, buffer, 65536)) > 0)
		write_all(end, buffer, got);
	end_close(end, descriptor);
	free(buffer);
	return NULL;
}

static void serve(void)
{
	int port, listener = listen_anywhere(&port);
	pthread_t thread;

	printf("%d\n", port);
	fflush(stdout);
	for (;;) {
		int descriptor = accept(listener, NULL, NULL);
		check(pthread_create(&thread, NULL, echo, (void *)(long)descriptor), "thread");
		pthread_detach(thread);
	}
}

static void talk(int port, int rounds)
{
	int descriptor = connect_to(port);
	void *end = end_open(descriptor, 0);
	char *message = malloc(size + 32), *answer = malloc(size);
	size_t offset = 0, filled;

	for (; rounds; rounds--, offset += size) {
		for (filled = 0; filled < size; filled += 16)
			sprintf(message + filled, "%015zu\n", offset + filled);
		write_all(end, message, size);
		check(!read_all(end, answer, size) || memcmp(message, answer, size), "echo");
	}
	end_close(end, descriptor);
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void *bounce(void *unused)
{
	void *end = end_open(sockets[0], 1);
	char *buffer = malloc(size);

	while (read_all(end, buffer, size))
		write_all(end, buffer, size);
	return unused;
}

static void measure(void)
{
	int port, listener = listen_anywhere(&port), on = 1;
	char *buffer = malloc(size);
	double wall, cpu;
	pthread_t server;
	long rounds, n;
	void *end;

	sockets[1] = connect_to(port);
	sockets[0] = accept(listener, NULL, NULL);
	setsockopt(sockets[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	check(pthread_create(&server, NULL, bounce, NULL), "thread");
	end = end_open(sockets[1], 0);
	memset(buffer, 'q', size);
	while (scanf("%ld", &rounds) == 1) {
		wall = seconds(CLOCK_MONOTONIC);
		cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
		for (n = 0; n < rounds; n++) {
			write_all(end, buffer, size);
			check(!read_all(end, buffer, size), "read");
		}
		cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		wall = seconds(CLOCK_MONOTONIC) - wall;
		printf("%.4f %.4f\n", wall * 1e6 / rounds, cpu * 1e6 / rounds);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "server")) {
		end_prepare(NULL, argv[2], argv[3], 0);
		serve();
	} else if (argc == 7 && !strcmp(argv[1], "client")) {
		end_prepare(argv[3], NULL, NULL, atoi(argv[4]));
		size = strtoul(argv[5], NULL, 10);
		talk(atoi(argv[2]), atoi(argv[6]));
	} else if (argc == 5 && !strcmp(argv[1], "pingpong")) {
		end_prepare(NULL, argv[2], argv[3], 0);
		size = strtoul(argv[4], NULL, 10);
		measure();
	} else {
		check(1, "usage");
	}
	return 0;
}
