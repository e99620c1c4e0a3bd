/* SPDX-License-Identifier: Apache-2.0
 *
 * Two threads of one process bounce a message over TLS and TCP, and say what a round trip costs.
 *
 * usage: pingpong CERTIFICATE KEY SIZE plain|ex
 *
 * For each line of standard input (a number of round trips) it makes them and prints the wall
 * microseconds and the CPU microseconds of one. "plain" uses SSL_read and SSL_write, "ex" the _ex
 * forms. Both ends are observed: one round trip is two writes and two reads.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int sockets[2];
static size_t size;
static int use_ex;
static const char *certificate, *key;

static void die(const char *what)
{
	fprintf(stderr, "pingpong: %s\n", what);
	exit(1);
}

/* A connection to ourselves over the loopback. */
static void connect_sockets(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) != 0)
		die("listen");
	sockets[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(sockets[1], (struct sockaddr *)&address, length) != 0)
		die("connect");
	sockets[0] = accept(listener, NULL, NULL);
	for (int i = 0; i < 2; i++)
		setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static double seconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void send_message(SSL *ssl, const char *buffer)
{
	if (use_ex) {
		size_t written;
		if (SSL_write_ex(ssl, buffer, size, &written) != 1 || written != size)
			die("SSL_write_ex");
	} else if (SSL_write(ssl, buffer, (int)size) != (int)size) {
		die("SSL_write");
	}
}

/* Returns 0 at the end of the stream. */
static int receive_message(SSL *ssl, char *buffer)
{
	size_t have = 0;
	while (have < size) {
		size_t got;
		if (use_ex) {
			if (SSL_read_ex(ssl, buffer + have, size - have, &got) != 1)
				return 0;
		} else {
			int n = SSL_read(ssl, buffer + have, (int)(size - have));
			if (n <= 0)
				return 0;
			got = (size_t)n;
		}
		have += got;
	}
	return 1;
}

static void *serve(void *unused)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		die("certificate");
	SSL *ssl = SSL_new(context);
	SSL_set_fd(ssl, sockets[0]);
	if (SSL_accept(ssl) != 1)
		die("SSL_accept");
	char *buffer = malloc(size);
	while (receive_message(ssl, buffer))
		send_message(ssl, buffer);
	return unused;
}

int main(int count, char **arguments)
{
	if (count != 5)
		die("usage: pingpong CERTIFICATE KEY SIZE plain|ex");
	certificate = arguments[1];
	key = arguments[2];
	size = strtoul(arguments[3], NULL, 10);
	use_ex = strcmp(arguments[4], "ex") == 0;
	connect_sockets();
	pthread_t server;
	pthread_create(&server, NULL, serve, NULL);
	SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
	SSL_set_fd(ssl, sockets[1]);
	if (SSL_connect(ssl) != 1)
		die("SSL_connect");
	char *buffer = malloc(size);
	memset(buffer, 'q', size);
	long rounds;
	while (scanf("%ld", &rounds) == 1) {
		double wall = seconds(CLOCK_MONOTONIC);
		double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
		for (long n = 0; n < rounds; n++) {
			send_message(ssl, buffer);
			if (!receive_message(ssl, buffer))
				die("the stream ended");
		}
		cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		wall = seconds(CLOCK_MONOTONIC) - wall;
		printf("%.4f %.4f\n", wall * 1e6 / rounds, cpu * 1e6 / rounds);
		fflush(stdout);
	}
	return 0;
}
