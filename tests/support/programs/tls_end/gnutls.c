// SPDX-License-Identifier: Apache-2.0
#include "end.h"
#include <gnutls/gnutls.h>
#include <unistd.h>

static gnutls_certificate_credentials_t credentials;
static const char *priorities;
static int verifies;

void end_prepare(const char *ca, const char *certificate, const char *key, int version)
{
	priorities = version == 12   ? "NORMAL:-VERS-ALL:+VERS-TLS1.2"
		     : version == 13 ? "NORMAL:-VERS-ALL:+VERS-TLS1.3"
				     : "NORMAL";
	verifies = ca != NULL;
	check(gnutls_certificate_allocate_credentials(&credentials), "credentials");
	if (ca)
		check(gnutls_certificate_set_x509_trust_file(credentials, ca, GNUTLS_X509_FMT_PEM) <= 0, "the CA");
	if (certificate)
		check(gnutls_certificate_set_x509_key_file(credentials, certificate, key, GNUTLS_X509_FMT_PEM),
		      "certificate");
}

void *end_open(int socket, int is_server)
{
	gnutls_session_t session;
	int result;

	check(gnutls_init(&session, is_server ? GNUTLS_SERVER : GNUTLS_CLIENT) ||
		      gnutls_priority_set_direct(session, priorities, NULL) ||
		      gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials),
	      "session");
	gnutls_transport_set_int(session, socket);
	if (!is_server) {
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", 9);
		if (verifies)
			gnutls_session_set_verify_cert(session, "localhost", 0);
	}
	do
		result = gnutls_handshake(session);
	while (result < 0 && !gnutls_error_is_fatal(result));
	check(result, "handshake");
	return session;
}

long end_read(void *end, void *buffer, size_t size)
{
	long got;

	do // a session ticket is no data
		got = gnutls_record_recv(end, buffer, size);
	while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
	return got;
}

long end_write(void *end, const void *buffer, size_t size) { return gnutls_record_send(end, buffer, size); }

void end_close(void *end, int socket)
{
	gnutls_bye(end, GNUTLS_SHUT_WR);
	gnutls_deinit(end);
	close(socket);
}
