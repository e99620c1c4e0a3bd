// SPDX-License-Identifier: Apache-2.0
// Calls of GnuTLS that carry nothing, or what an earlier call was given, to a server that sends everything back.
//
//     gnutls_calls PORT
//
// Prints what it has sent, as it understands it; what comes back must be that.
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int descriptor, failing, why;
static char sent[65536], message[2000];
static size_t total;
static gnutls_session_t session;

static void check(int failed, const char *what)
{
	if (failed) {
		fprintf(stderr, "gnutls_calls: %s\n", what);
		exit(1);
	}
}

// The next `failing` sends find no room in the socket, or are interrupted.
static ssize_t push(gnutls_transport_ptr_t unused, const void *data, size_t size)
{
	(void)unused;
	if (failing > 0) {
		failing--;
		gnutls_transport_set_errno(session, why);
		return -1;
	}
	return send(descriptor, data, size, 0);
}

static ssize_t pull(gnutls_transport_ptr_t unused, void *data, size_t size)
{
	(void)unused;
	return recv(descriptor, data, size, 0);
}

static int wait_for_data(gnutls_transport_ptr_t unused, unsigned int milliseconds)
{
	(void)unused, (void)milliseconds;
	return 1;
}

// Another thousand bytes that are not like any others.
static const char *next(void)
{
	static int number;
	size_t filled = 0;

	for (number++; filled < 1000; filled += 8)
		sprintf(message + filled, "%03d.%03zu;", number, filled / 8);
	memcpy(sent + total, message, 1000);
	total += 1000;
	return message;
}

static void resend(int reason, int by_name)
{
	const char *data = next();
	long result;

	why = reason;
	failing = 2;
	result = gnutls_record_send(session, data, 1000);
	check(result != (reason == EAGAIN ? GNUTLS_E_AGAIN : GNUTLS_E_INTERRUPTED), "it did not fail");
	check(gnutls_record_send(session, by_name ? data : NULL, by_name ? 1000 : 0) >= 0, "nor did it then");
	check(gnutls_record_send(session, by_name ? data : NULL, by_name ? 1000 : 0) != 1000, "resend");
}

static void cork(int fails)
{
	int result;

	gnutls_record_cork(session);
	for (int i = 0; i < 3; i++)
		check(gnutls_record_send(session, next(), 1000) != 1000, "corked");
	why = EAGAIN;
	failing = fails;
	while ((result = gnutls_record_uncork(session, 0)) == GNUTLS_E_AGAIN)
		check(fails-- == 0, "uncork failed too often");
	check(result < 0, "uncork");
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	gnutls_certificate_credentials_t credentials;
	char answer[sizeof(sent)];
	size_t got = 0;
	long result;

	check(argc != 2, "usage");
	server.sin_port = htons(atoi(argv[1]));
	descriptor = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(descriptor, (struct sockaddr *)&server, sizeof(server)), "connect");
	gnutls_certificate_allocate_credentials(&credentials);
	gnutls_init(&session, GNUTLS_CLIENT);
	gnutls_set_default_priority(session);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_push_function(session, push);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_pull_timeout_function(session, wait_for_data);
	do
		result = gnutls_handshake(session);
	while (result < 0 && !gnutls_error_is_fatal(result));
	check(result, "handshake");

	check(gnutls_record_send(session, next(), 1000) != 1000, "send");
	cork(0);
	resend(EAGAIN, 0);
	resend(EINTR, 0);
	resend(EAGAIN, 1);
	cork(2);
	check(gnutls_record_send(session, next(), 1000) != 1000, "send");
	check(gnutls_record_send(session, NULL, 0) >= 0, "there was something to send");

	while (got < total) {
		result = gnutls_record_recv(session, answer + got, total - got);
		if (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED)
			continue; // a session ticket
		check(result <= 0, "receive");
		got += result;
	}
	check(memcmp(sent, answer, total), "it came back changed");
	gnutls_bye(session, GNUTLS_SHUT_WR);
	gnutls_deinit(session);
	fwrite(sent, 1, total, stdout);
	return 0;
}
