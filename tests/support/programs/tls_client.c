// SPDX-License-Identifier: Apache-2.0
// Holds one TLS connection open: for each line of standard input (a target) one GET; prints the status.
//
//     tls_client PORT CA
//
// As keepalive_client.py, but small enough that hundreds of it run at once.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void check(int failed, const char *what)
{
	if (failed) {
		fprintf(stderr, "tls_client: %s failed\n", what);
		exit(1);
	}
}

// Status of one request. The answers are small and have a length: both parts come in a few reads.
static int get(SSL *ssl, const char *port, const char *target)
{
	char text[8192];
	const char *head_end = NULL, *length;
	int filled = 0, wanted = 0, got;
	int size = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost:%s\r\n\r\n", target, port);

	check(SSL_write(ssl, text, size) != size, "write");
	while (!head_end || filled < wanted) {
		check(filled >= (int)sizeof(text) - 1, "a small answer");
		got = SSL_read(ssl, text + filled, sizeof(text) - 1 - filled);
		check(got <= 0, "read");
		filled += got;
		text[filled] = 0;
		if (!head_end && (head_end = strstr(text, "\r\n\r\n"))) {
			length = strstr(text, "Content-Length: ");
			check(!length, "Content-Length");
			wanted = (int)(head_end + 4 - text) + atoi(length + 16);
		}
	}
	return atoi(text + 9);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char target[1024];
	int descriptor;
	SSL *ssl;

	check(argc != 3, "usage");
	signal(SIGPIPE, SIG_IGN);
	server.sin_port = htons(atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	check(SSL_CTX_load_verify_locations(context, argv[2], NULL) != 1, "the CA");
	descriptor = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(descriptor, (struct sockaddr *)&server, sizeof(server)), "connect");
	ssl = SSL_new(context);
	check(SSL_set1_host(ssl, "localhost") != 1 || SSL_set_fd(ssl, descriptor) != 1, "set up");
	check(SSL_connect(ssl) != 1, "handshake");
	printf("connected\n");
	fflush(stdout);
	while (fgets(target, sizeof(target), stdin)) {
		target[strcspn(target, "\n")] = 0;
		printf("%d\n", get(ssl, argv[1], target));
		fflush(stdout);
	}
	SSL_shutdown(ssl);
	SSL_free(ssl);
	return 0;
}
