// SPDX-License-Identifier: Apache-2.0
// Answers messages, or sends them and looks at the answers, on some library: the messages of tests/matrix/messages.py.
//
//     c_messages server CERTIFICATE KEY
//     c_messages client PORT CA TOKEN ROUNDS VERSION      one connection; VERSION is 12 or 13
#include "end.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define LARGEST 65536

static const int sizes[] = {1, 300, 5000, 40000};

struct message {
	int local, remote, token, sequence, size, answer;
};

struct stream {
	void *end;
	char held[LARGEST];
	int first, count;
};

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int port_of(int descriptor, int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	check(name(descriptor, (struct sockaddr *)&address, &length), "name");
	return ntohs(address.sin_port);
}

static void say(void *end, struct message m)
{
	char tag[64], *text = malloc(LARGEST), *at = text;
	int tag_length = snprintf(tag, sizeof(tag), "%d>%d/%d#%d;", m.local, m.remote, m.token, m.sequence);
	int length = snprintf(text, 128, "m %d %d %d %d %d %d\n", m.local, m.remote, m.token, m.sequence, m.size,
			      m.answer);
	long written;

	for (int i = 0; i < m.size; i++)
		text[length + i] = tag[i % tag_length];
	for (length += m.size; length; at += written, length -= written) {
		written = end_write(end, at, length);
		check(written <= 0, "write");
	}
	free(text);
}

// The next byte, or -1 at the end.
static int next(struct stream *stream)
{
	if (stream->first == stream->count) {
		stream->first = 0;
		stream->count = end_read(stream->end, stream->held, sizeof(stream->held));
		if (stream->count <= 0)
			return stream->count = -1;
	}
	return (unsigned char)stream->held[stream->first++];
}

// Returns 0 at the end.
static int hear(struct stream *stream, struct message *m)
{
	char line[128];
	int length = 0, byte;

	while ((byte = next(stream)) != '\n') {
		if (byte < 0 || length == sizeof(line) - 1)
			return 0;
		line[length++] = byte;
	}
	line[length] = 0;
	check(sscanf(line, "m %d %d %d %d %d %d", &m->local, &m->remote, &m->token, &m->sequence, &m->size,
		     &m->answer) != 6,
	      "message");
	for (int i = 0; i < m->size; i++)
		check(next(stream) < 0, "body");
	return 1;
}

static void *answer(void *argument)
{
	int descriptor = (int)(long)argument;
	struct stream *stream = calloc(1, sizeof(*stream));
	struct message m;

	stream->end = end_open(descriptor, 1);
	while (hear(stream, &m)) {
		m.local = port_of(descriptor, getsockname);
		m.remote = port_of(descriptor, getpeername);
		m.size = m.answer;
		m.answer = 0;
		say(stream->end, m);
	}
	end_close(stream->end, descriptor);
	free(stream);
	return NULL;
}

static void serve(void)
{
	struct sockaddr_in address = loopback(0);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 128), "listen");
	printf("%d\n", port_of(listener, getsockname));
	fflush(stdout);
	for (;;) {
		long descriptor = accept(listener, NULL, NULL);
		check(pthread_create(&thread, NULL, answer, (void *)descriptor), "thread");
		pthread_detach(thread);
	}
}

static void talk(int port, int token, int rounds)
{
	struct sockaddr_in address = loopback(port);
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);
	struct stream *stream = calloc(1, sizeof(*stream));
	struct message asked = {.token = token}, got;

	check(connect(descriptor, (struct sockaddr *)&address, sizeof(address)), "connect");
	stream->end = end_open(descriptor, 0);
	asked.local = port_of(descriptor, getsockname);
	asked.remote = port_of(descriptor, getpeername);
	for (; asked.sequence < rounds; asked.sequence++) {
		asked.size = sizes[(token + asked.sequence) % 4];
		asked.answer = sizes[(token + asked.sequence + 1) % 4];
		say(stream->end, asked);
		check(!hear(stream, &got) || got.local != asked.remote || got.remote != asked.local ||
			      got.token != token || got.sequence != asked.sequence || got.size != asked.answer,
		      "answer");
	}
	end_close(stream->end, descriptor);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "server")) {
		end_prepare(NULL, argv[2], argv[3], 0);
		serve();
	} else {
		check(argc != 7, "usage");
		end_prepare(argv[3], NULL, NULL, atoi(argv[6]));
		talk(atoi(argv[2]), atoi(argv[4]), atoi(argv[5]));
	}
	return 0;
}
