// SPDX-License-Identifier: Apache-2.0
#include "end.h"
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <unistd.h>

struct end {
	mbedtls_ssl_context ssl;
	mbedtls_net_context net;
};

static mbedtls_ssl_config configurations[2];
static mbedtls_x509_crt authority, chain;
static mbedtls_pk_context private_key;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_numbers;

static void configure(int is_server, int verifies)
{
	mbedtls_ssl_config *configuration = &configurations[is_server];

	mbedtls_ssl_config_init(configuration);
	check(mbedtls_ssl_config_defaults(configuration, is_server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
					  MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
	      "configuration");
	mbedtls_ssl_conf_rng(configuration, mbedtls_ctr_drbg_random, &random_numbers);
	mbedtls_ssl_conf_authmode(configuration, verifies ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
}

void end_prepare(const char *ca, const char *certificate, const char *key, int version)
{
	(void)version; // 2.28 speaks 1.2 alone
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random_numbers);
	check(mbedtls_ctr_drbg_seed(&random_numbers, mbedtls_entropy_func, &entropy, NULL, 0), "random numbers");
	configure(0, ca != NULL);
	configure(1, 0);
	mbedtls_x509_crt_init(&authority);
	mbedtls_x509_crt_init(&chain);
	mbedtls_pk_init(&private_key);
	if (ca) {
		check(mbedtls_x509_crt_parse_file(&authority, ca), "the CA");
		mbedtls_ssl_conf_ca_chain(&configurations[0], &authority, NULL);
	}
	if (certificate)
		check(mbedtls_x509_crt_parse_file(&chain, certificate) ||
			      mbedtls_pk_parse_keyfile(&private_key, key, NULL) ||
			      mbedtls_ssl_conf_own_cert(&configurations[1], &chain, &private_key),
		      "certificate");
}

void *end_open(int socket, int is_server)
{
	struct end *end = calloc(1, sizeof(*end));

	mbedtls_ssl_init(&end->ssl);
	check(mbedtls_ssl_setup(&end->ssl, &configurations[is_server]), "session");
	end->net.fd = socket;
	mbedtls_ssl_set_bio(&end->ssl, &end->net, mbedtls_net_send, mbedtls_net_recv, NULL);
	if (!is_server)
		mbedtls_ssl_set_hostname(&end->ssl, "localhost");
	check(mbedtls_ssl_handshake(&end->ssl), "handshake");
	return end;
}

long end_read(void *end, void *buffer, size_t size) { return mbedtls_ssl_read(end, buffer, size); }

long end_write(void *end, const void *buffer, size_t size) { return mbedtls_ssl_write(end, buffer, size); }

void end_close(void *end, int socket)
{
	mbedtls_ssl_close_notify(end);
	mbedtls_ssl_free(end);
	free(end);
	close(socket);
}
