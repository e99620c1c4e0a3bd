// SPDX-License-Identifier: Apache-2.0
// Both ends of TLS connections in one process, by the OpenSSL calls that a test names. Each end writes and reads
// texts that say which call carried them. gcc -o openssl_calls openssl_calls.c -lssl -lcrypto -lpthread
//
//     openssl_calls CERTIFICATE KEY MODE
//
// MODE is one of those in main().
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);           \
			ERR_print_errors_fp(stderr);                                      \
			exit(1);                                                          \
		}                                                                         \
	} while (0)

static SSL_CTX *client_context, *server_context;

// Two ends of a TCP connection.
static void connect_pair(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1));
	CHECK(!getsockname(listener, (struct sockaddr *)&address, &length));
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(ends[0], (struct sockaddr *)&address, length));
	ends[1] = accept(listener, NULL, NULL);
	CHECK(ends[1] >= 0);
	close(listener);
}

static void *accept_in_thread(void *ssl)
{
	CHECK(SSL_accept(ssl) == 1);
	return NULL;
}

static void handshake(SSL *client, SSL *server)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, accept_in_thread, server));
	CHECK(SSL_connect(client) == 1);
	pthread_join(thread, NULL);
}

static void send_text(SSL *ssl, const char *text)
{
	CHECK(SSL_write(ssl, text, strlen(text)) == (int)strlen(text));
}

static void expect(SSL *ssl, const char *text)
{
	char buffer[256];
	int size = SSL_read(ssl, buffer, sizeof(buffer));

	CHECK(size == (int)strlen(text) && !memcmp(buffer, text, size));
}

static void new_pair(SSL *pair[2])
{
	pair[0] = SSL_new(client_context);
	pair[1] = SSL_new(server_context);
	CHECK(pair[0] && pair[1]);
}

static void free_pair(SSL *pair[2], int ends[2])
{
	SSL_free(pair[0]);
	SSL_free(pair[1]);
	close(ends[0]);
	close(ends[1]);
}

static void by_fd(SSL *pair[2], int ends[2])
{
	connect_pair(ends);
	new_pair(pair);
	CHECK(SSL_set_fd(pair[0], ends[0]) && SSL_set_fd(pair[1], ends[1]));
	handshake(pair[0], pair[1]);
}

static void plain(void)
{
	SSL *pair[2];
	int ends[2];

	by_fd(pair, ends);
	send_text(pair[0], "SSL_write");
	expect(pair[1], "SSL_write");
	free_pair(pair, ends);
}

static void extended(void)
{
	SSL *pair[2];
	char buffer[256];
	size_t size;
	int ends[2];

	by_fd(pair, ends);
	CHECK(SSL_write_ex(pair[0], "SSL_write_ex", 12, &size) && size == 12);
	CHECK(SSL_read_ex(pair[1], buffer, sizeof(buffer), &size) && size == 12);
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
	CHECK(SSL_write_ex2(pair[0], "SSL_write_ex2", 13, 0, &size) && size == 13);
	CHECK(SSL_read_ex(pair[1], buffer, sizeof(buffer), &size) && size == 13);
#endif
	free_pair(pair, ends);
}

static void peek(void)
{
	SSL *pair[2];
	char buffer[256];
	size_t size;
	int ends[2];

	by_fd(pair, ends);
	send_text(pair[0], "peeked at");
	CHECK(SSL_peek(pair[1], buffer, sizeof(buffer)) == 9);
	CHECK(SSL_peek_ex(pair[1], buffer, sizeof(buffer), &size) && size == 9);
	expect(pair[1], "peeked at");
	free_pair(pair, ends);
}

static void bio(int (*bind_read)(SSL *, BIO *))
{
	SSL *pair[2];
	int ends[2];

	connect_pair(ends);
	new_pair(pair);
	for (int end = 0; end < 2; end++) {
		BIO *both = BIO_new_socket(ends[end], BIO_NOCLOSE);

		if (bind_read) {
			BIO_up_ref(both);
			bind_read(pair[end], both);
			SSL_set0_wbio(pair[end], both);
		} else {
			SSL_set_bio(pair[end], both, both);
		}
	}
	handshake(pair[0], pair[1]);
	send_text(pair[0], "through a BIO");
	expect(pair[1], "through a BIO");
	free_pair(pair, ends);
}

static int set0_rbio(SSL *ssl, BIO *bio)
{
	SSL_set0_rbio(ssl, bio);
	return 1;
}

// BIO_f_ssl above a socket BIO.
static void filter(void)
{
	SSL *pair[2];
	char buffer[256];
	int ends[2];
	BIO *chain;

	connect_pair(ends);
	new_pair(pair);
	SSL_set_connect_state(pair[0]);
	chain = BIO_new(BIO_f_ssl());
	BIO_set_ssl(chain, pair[0], BIO_CLOSE);
	chain = BIO_push(chain, BIO_new_socket(ends[0], BIO_NOCLOSE));
	CHECK(SSL_set_fd(pair[1], ends[1]));
	pthread_t thread;
	CHECK(!pthread_create(&thread, NULL, accept_in_thread, pair[1]));
	// The first write makes the handshake.
	CHECK(BIO_write(chain, "BIO_f_ssl", 9) == 9);
	pthread_join(thread, NULL);
	expect(pair[1], "BIO_f_ssl");
	send_text(pair[1], "answer");
	CHECK(BIO_read(chain, buffer, sizeof(buffer)) == 6);
	BIO_free_all(chain);
	SSL_free(pair[1]);
	close(ends[0]);
	close(ends[1]);
}

static void memory(void)
{
	SSL *pair[2];
	BIO *wires[2] = { BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()) };

	new_pair(pair);
	for (int end = 0; end < 2; end++) {
		BIO_up_ref(wires[0]);
		BIO_up_ref(wires[1]);
		SSL_set_bio(pair[end], wires[end], wires[!end]);
	}
	SSL_set_connect_state(pair[0]);
	SSL_set_accept_state(pair[1]);
	for (int done = 0; done != 2;)
		done = (SSL_do_handshake(pair[0]) == 1) + (SSL_do_handshake(pair[1]) == 1);
	send_text(pair[0], "through memory");
	expect(pair[1], "through memory");
	SSL_free(pair[0]);
	SSL_free(pair[1]);
}

// The same objects carry a second connection; the first one's sockets stay open.
static void reuse(void)
{
	SSL *pair[2];
	int first[2], second[2];

	by_fd(pair, first);
	send_text(pair[0], "first");
	expect(pair[1], "first");
	connect_pair(second);
	CHECK(SSL_clear(pair[0]) && SSL_clear(pair[1]));
	CHECK(SSL_set_fd(pair[0], second[0]) && SSL_set_fd(pair[1], second[1]));
	handshake(pair[0], pair[1]);
	send_text(pair[0], "second");
	expect(pair[1], "second");
	free_pair(pair, second);
	close(first[0]);
	close(first[1]);
}

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void *read_all(void *ssl)
{
	struct pollfd readable = { .fd = SSL_get_fd(ssl), .events = POLLIN };
	char buffer[256];

	for (int left = 8 * 100; left > 0;) {
		int size;

		CHECK(poll(&readable, 1, -1) == 1);
		pthread_mutex_lock(&one_at_a_time);
		size = SSL_read(ssl, buffer, sizeof(buffer));
		pthread_mutex_unlock(&one_at_a_time);
		CHECK(size > 0);
		left -= size;
	}
	return NULL;
}

// One thread reads from the client while another writes to it.
static void threads(void)
{
	SSL *pair[2];
	pthread_t reader;
	int ends[2];

	SSL_CTX_set_num_tickets(server_context, 0); // what is readable then is data
	by_fd(pair, ends);
	CHECK(!pthread_create(&reader, NULL, read_all, pair[0]));
	for (int number = 0; number < 100; number++) {
		char text[16];

		snprintf(text, sizeof(text), "ping%04d", number);
		pthread_mutex_lock(&one_at_a_time);
		send_text(pair[0], text);
		pthread_mutex_unlock(&one_at_a_time);
		expect(pair[1], text);
		snprintf(text, sizeof(text), "pong%04d", number);
		send_text(pair[1], text);
	}
	pthread_join(reader, NULL);
	free_pair(pair, ends);
}

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (kept_session)
		SSL_SESSION_free(kept_session);
	kept_session = session;
	return 1;
}

static void *serve_early(void *argument)
{
	SSL *ssl = argument;
	char buffer[256];
	size_t size, total = 0;
	int state;

	while ((state = SSL_read_early_data(ssl, buffer + total, sizeof(buffer) - total, &size)) ==
	       SSL_READ_EARLY_DATA_SUCCESS)
		total += size;
	CHECK(state == SSL_READ_EARLY_DATA_FINISH && total == 10 && !memcmp(buffer, "early data", 10));
	CHECK(SSL_accept(ssl) == 1);
	return NULL;
}

static void early(void)
{
	SSL *pair[2];
	pthread_t thread;
	size_t size;
	int ends[2];

	SSL_CTX_set_session_cache_mode(client_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(client_context, keep_session);
	SSL_CTX_set_max_early_data(server_context, 1024);
	by_fd(pair, ends);
	send_text(pair[1], "ticket");
	expect(pair[0], "ticket"); // reads the session ticket on the way
	CHECK(kept_session && SSL_SESSION_get_max_early_data(kept_session));
	SSL_shutdown(pair[0]); // or the session is taken for a broken one, by either end
	SSL_shutdown(pair[1]);
	free_pair(pair, ends);

	connect_pair(ends);
	new_pair(pair);
	CHECK(SSL_set_fd(pair[0], ends[0]) && SSL_set_fd(pair[1], ends[1]));
	CHECK(SSL_set_session(pair[0], kept_session));
	CHECK(!pthread_create(&thread, NULL, serve_early, pair[1]));
	CHECK(SSL_write_early_data(pair[0], "early data", 10, &size) && size == 10);
	CHECK(SSL_connect(pair[0]) == 1);
	pthread_join(thread, NULL);
	send_text(pair[0], ", then the rest");
	expect(pair[1], ", then the rest");
	free_pair(pair, ends);
}

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	client_context = SSL_CTX_new(TLS_client_method());
	server_context = SSL_CTX_new(TLS_server_method());
	CHECK(SSL_CTX_use_certificate_chain_file(server_context, argv[1]));
	CHECK(SSL_CTX_use_PrivateKey_file(server_context, argv[2], SSL_FILETYPE_PEM));
	if (!strcmp(argv[3], "plain"))
		plain();
	else if (!strcmp(argv[3], "extended"))
		extended();
	else if (!strcmp(argv[3], "peek"))
		peek();
	else if (!strcmp(argv[3], "set_bio"))
		bio(NULL);
	else if (!strcmp(argv[3], "set0_rbio"))
		bio(set0_rbio);
	else if (!strcmp(argv[3], "filter"))
		filter();
	else if (!strcmp(argv[3], "memory"))
		memory();
	else if (!strcmp(argv[3], "clear"))
		reuse();
	else if (!strcmp(argv[3], "threads"))
		threads();
	else if (!strcmp(argv[3], "early"))
		early();
	else
		return 2;
	return 0;
}
