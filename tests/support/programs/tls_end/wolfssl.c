// SPDX-License-Identifier: Apache-2.0
#include "end.h"
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <unistd.h>

static WOLFSSL_CTX *clients, *servers;

static WOLFSSL_CTX *context(int is_server, int version)
{
	WOLFSSL_METHOD *method = version == 12   ? is_server ? wolfTLSv1_2_server_method() : wolfTLSv1_2_client_method()
				 : version == 13 ? is_server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method()
				 : is_server     ? wolfSSLv23_server_method()
						 : wolfSSLv23_client_method();

	return wolfSSL_CTX_new(method);
}

void end_prepare(const char *ca, const char *certificate, const char *key, int version)
{
	clients = context(0, version);
	servers = context(1, version);
	check(!clients || !servers, "context");
	if (ca)
		check(wolfSSL_CTX_load_verify_locations(clients, ca, NULL) != WOLFSSL_SUCCESS, "the CA");
	else
		wolfSSL_CTX_set_verify(clients, WOLFSSL_VERIFY_NONE, NULL);
	if (certificate)
		check(wolfSSL_CTX_use_certificate_chain_file(servers, certificate) != WOLFSSL_SUCCESS ||
			      wolfSSL_CTX_use_PrivateKey_file(servers, key, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS,
		      "certificate");
}

// A server's handshake is made by its first read.
void *end_open(int socket, int is_server)
{
	WOLFSSL *ssl = wolfSSL_new(is_server ? servers : clients);

	check(!ssl || wolfSSL_set_fd(ssl, socket) != WOLFSSL_SUCCESS, "session");
	if (!is_server)
		check(wolfSSL_connect(ssl) != WOLFSSL_SUCCESS, "handshake");
	return ssl;
}

long end_read(void *end, void *buffer, size_t size) { return wolfSSL_read(end, buffer, (int)size); }

long end_write(void *end, const void *buffer, size_t size) { return wolfSSL_write(end, buffer, (int)size); }

void end_close(void *end, int socket)
{
	wolfSSL_shutdown(end);
	wolfSSL_free(end);
	close(socket);
}
