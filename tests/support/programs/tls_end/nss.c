// SPDX-License-Identifier: Apache-2.0
// As `certificate`, a server takes the directory of a database, as `key` the nickname of what it has in there.
#include "end.h"
#include <cert.h>
#include <keyhi.h>
#include <nss.h>
#include <pk11func.h>
#include <private/pprio.h>
#include <ssl.h>
#include <sslproto.h>

static CERTCertificate *own;
static SECKEYPrivateKey *private_key;
static int only;

static SECStatus accept_certificate(void *context, PRFileDesc *descriptor, PRBool signature, PRBool is_server)
{
	(void)context, (void)descriptor, (void)signature, (void)is_server;
	return SECSuccess;
}

void end_prepare(const char *ca, const char *certificate, const char *key, int version)
{
	(void)ca;
	only = version;
	check(certificate ? NSS_Init(certificate) : NSS_NoDB_Init(NULL), "NSS");
	NSS_SetDomesticPolicy();
	if (certificate) {
		own = PK11_FindCertFromNickname(key, NULL);
		check(!own || !(private_key = PK11_FindKeyByAnyCert(own, NULL)), "certificate");
		check(SSL_ConfigServerSessionIDCache(0, 0, 0, NULL), "session cache");
	}
}

void *end_open(int socket, int is_server)
{
	PRFileDesc *end = SSL_ImportFD(NULL, PR_ImportTCPSocket(socket));
	SSLVersionRange range = {SSL_LIBRARY_VERSION_TLS_1_2, SSL_LIBRARY_VERSION_TLS_1_3};

	check(!end, "session");
	if (only)
		range.min = range.max = only == 12 ? SSL_LIBRARY_VERSION_TLS_1_2 : SSL_LIBRARY_VERSION_TLS_1_3;
	check(SSL_VersionRangeSet(end, &range), "version");
	SSL_OptionSet(end, SSL_SECURITY, PR_TRUE);
	SSL_OptionSet(end, is_server ? SSL_HANDSHAKE_AS_SERVER : SSL_HANDSHAKE_AS_CLIENT, PR_TRUE);
	if (is_server)
		check(SSL_ConfigServerCert(end, own, private_key, NULL, 0), "certificate");
	SSL_AuthCertificateHook(end, accept_certificate, NULL);
	SSL_SetURL(end, "localhost");
	check(SSL_ResetHandshake(end, is_server), "reset");
	if (!is_server) // a server's is made by its first read
		check(SSL_ForceHandshake(end), "handshake");
	return end;
}

long end_read(void *end, void *buffer, size_t size) { return PR_Recv(end, buffer, (PRInt32)size, 0, PR_INTERVAL_NO_TIMEOUT); }

long end_write(void *end, const void *buffer, size_t size)
{
	return PR_Send(end, buffer, (PRInt32)size, 0, PR_INTERVAL_NO_TIMEOUT);
}

void end_close(void *end, int socket)
{
	(void)socket; // belongs to the descriptor
	PR_Close(end);
}
