/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Prints offset and size of every field that both sides of the ring must agree on. */
#include <stddef.h>
#include <stdio.h>
#include "qtap_events.h"

#define FIELD(type, field) \
	printf("%s.%s %zu %zu\n", #type, #field, offsetof(struct type, field), sizeof(((struct type *)0)->field))
#define SIZE(type) printf("%s %zu\n", #type, sizeof(struct type))

int main(void)
{
	SIZE(qtap_connection);
	FIELD(qtap_connection, process_start_ns);
	FIELD(qtap_connection, handle);
	FIELD(qtap_connection, generation);
	FIELD(qtap_connection, tgid);
	FIELD(qtap_connection, user_id);
	FIELD(qtap_connection, local_address);
	FIELD(qtap_connection, remote_address);
	FIELD(qtap_connection, local_port);
	FIELD(qtap_connection, remote_port);
	FIELD(qtap_connection, family);
	FIELD(qtap_connection, file);
	FIELD(qtap_connection, role);
	FIELD(qtap_connection, peer_source);
	FIELD(qtap_connection, library);
	FIELD(qtap_connection, flags);
	FIELD(qtap_connection, client_random);
	FIELD(qtap_connection, command);
	SIZE(qtap_data_event);
	FIELD(qtap_data_event, kind);
	FIELD(qtap_data_event, direction);
	FIELD(qtap_data_event, timestamp_ns);
	FIELD(qtap_data_event, started_ns);
	FIELD(qtap_data_event, position);
	FIELD(qtap_data_event, size);
	FIELD(qtap_data_event, captured);
	FIELD(qtap_data_event, connection);
	printf("qtap_data_event.data %zu 0\n", offsetof(struct qtap_data_event, data));
	SIZE(qtap_connection_event);
	FIELD(qtap_connection_event, kind);
	FIELD(qtap_connection_event, reason);
	FIELD(qtap_connection_event, timestamp_ns);
	FIELD(qtap_connection_event, started_ns);
	FIELD(qtap_connection_event, egress_position);
	FIELD(qtap_connection_event, ingress_position);
	FIELD(qtap_connection_event, connection);
	SIZE(qtap_process_event);
	FIELD(qtap_process_event, kind);
	FIELD(qtap_process_event, tgid);
	FIELD(qtap_process_event, process_start_ns);
	FIELD(qtap_process_event, timestamp_ns);
	FIELD(qtap_process_event, inode);
	FIELD(qtap_process_event, device);
	FIELD(qtap_process_event, user_id);
	FIELD(qtap_process_event, command);
	SIZE(qtap_speaker);
	FIELD(qtap_speaker, process_start_ns);
	FIELD(qtap_speaker, called_ns);
	FIELD(qtap_speaker, hellos);
	FIELD(qtap_speaker, relayed);
	FIELD(qtap_speaker, captured);
	FIELD(qtap_speaker, missed);
	SIZE(qtap_hello);
	FIELD(qtap_hello, seen_ns);
	FIELD(qtap_hello, client_random);
	FIELD(qtap_hello, tgid);
	FIELD(qtap_hello, local_port);
	FIELD(qtap_hello, remote_port);
	FIELD(qtap_hello, role);
	FIELD(qtap_hello, captured);
	FIELD(qtap_hello, relayed);
	FIELD(qtap_hello, answered);
	FIELD(qtap_hello, claimed);
	FIELD(qtap_hello, asked);
	printf("endings %d\n", QTAP_ENDINGS);
	printf("losses %d\n", QTAP_LOSSES);
	return 0;
}
