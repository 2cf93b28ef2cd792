/* SPDX-License-Identifier: MIT */
/*
 * producer.h - client of a VM's vmtape-recorder socket: messages, descriptors,
 * requests and their answers. The peer may be hostile: sizes, types, numbers
 * and descriptor counts are checked here, the bodies by producer_calls.c.
 * Main thread only.
 *
 * Errors: -ECONNRESET the VM is gone; -EREMOTEIO it refused, and says why;
 * -EPROTO it broke the protocol; -ETIMEDOUT no answer; -EINTR stop at once.
 */
#ifndef PRODUCER_H
#define PRODUCER_H

#include <stdint.h>

#include "loop.h"
#include "producer_proto.h"
#include "report.h"

#define PRODUCER_MAX_FDS 3

struct producer_message {
	struct proto_header header;
	int fds[PRODUCER_MAX_FDS]; /* header.nr_fds of them; taken ones are set to -1 */
	uint8_t *body;             /* header.size_bytes, and 8 bytes of zeros behind */
};
void producer_message_release(struct producer_message *message);

struct producer {
	int fd;
	const char *path;
	struct loop *loop;
	bool is_starting; /* nothing is recorded yet: a request to stop ends all waiting */
	uint32_t last_request;
	int remote_error; /* errno of the last PROTO_ERROR */
	/* Messages that answer no request. They are released after it returns. */
	int (*on_event)(void *ctx, struct producer_message *message, struct record_error *error);
	void *event_ctx;

	/* the message that is being read */
	struct producer_message in;
	uint8_t header_bytes[sizeof(struct proto_header)];
	size_t header_have;
	size_t body_have;
};

/* Connects; path must outlive the producer. */
int producer_init(struct producer *producer, struct loop *loop, const char *path, struct record_error *error);
void producer_deinit(struct producer *producer);

/* Takes a whole message off the socket: 1, 0 when none is there yet, or an error. */
int producer_receive(struct producer *producer, struct producer_message *out, struct record_error *error);
/* Serves what came without a request. */
int producer_serve_events(struct producer *producer, struct record_error *error);

/*
 * Sends a request of two parts (more may be NULL); *request is its number. With
 * patience_ms it must be answered in that time; 0: as long as it takes, but 5 s
 * from when the user asked to stop.
 */
int producer_send(struct producer *producer, enum proto_type type, const void *body, size_t body_bytes,
		  const void *more, size_t more_bytes, uint32_t *request, struct record_error *error);
int producer_answer(struct producer *producer, uint32_t request, unsigned patience_ms, struct producer_message *out,
		    struct record_error *error);
/* The answer must be of this type, have at least min_bytes and no descriptors but max_fds. */
int producer_expect(struct producer_message *message, enum proto_type type, size_t min_bytes, unsigned max_fds,
		    struct record_error *error);

#endif
