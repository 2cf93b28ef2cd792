/* SPDX-License-Identifier: MIT */
#include "call_fd_text.h"

#include <fcntl.h>
#include <string.h>

static int32_t number_of(const struct call *call, int i)
{
	if (!i && call->fds->in_memory)
		return call->fds->first;
	return (int32_t)(uint32_t)(i == CALL_FDS_RET ? (uint64_t)call->ret : call->args[i]);
}

static bool has_fd(const struct call *call, int i)
{
	if (i == CALL_FDS_RET)
		return call->fds->makes_fd && call->ret_known && call->ret >= 0;
	return call->fds->args & 1u << i && call->args_known;
}

bool call_main_fd(const struct call *call, struct call_fd *out)
{
	int found = CALL_FDS_RET;

	if (!call->fds)
		return false;
	if (!has_fd(call, found))
		for (found = 0; found < CALL_FDS_RET; found++)
			if (has_fd(call, found) && number_of(call, found) >= 0)
				break;
	if (found == CALL_FDS_RET && !has_fd(call, found))
		return false;
	*out = (struct call_fd){.num = number_of(call, found),
				.object = call->fds->objects[found],
				.uncertain = call->fds->uncertain & 1u << found};
	return true;
}

/* Most names; longer ones take memory of their own. */
#define NAME_BYTES 256

void fd_object_put_label(const struct fd_object *object, struct strbuf *out)
{
	const char *protocol = fd_object_protocol(object), *type = fd_object_type(object);
	char memory[NAME_BYTES];
	struct strbuf name;

	strbuf_init_on(&name, memory, sizeof(memory));
	if (fd_object_put_name(object, &name)) {
		if (protocol) {
			strbuf_put(out, protocol);
			strbuf_put_char(out, ':');
		}
		strbuf_put_escaped(out, name.data, name.len);
	} else if (protocol || type) {
		strbuf_put(out, protocol ? protocol : type);
	}
	strbuf_deinit(&name);
}

void call_put_fd_name(const struct call *call, int i, struct strbuf *out)
{
	const struct call_fds *fds = call->fds;

	if (!call->show_fds || !fds || !has_fd(call, i))
		return;
	if (i != CALL_FDS_RET && fds->dir_args & 1u << i && number_of(call, i) == AT_FDCWD) {
		if (!fds->cwd || !fds->cwd[0])
			return;
		strbuf_put_char(out, '<');
		strbuf_put_escaped(out, fds->cwd, strlen(fds->cwd));
		strbuf_put(out, fds->cwd_uncertain ? "?>" : ">");
		return;
	}
	if (!fd_object_type(fds->objects[i]))
		return;
	strbuf_put_char(out, '<');
	fd_object_put_label(fds->objects[i], out);
	strbuf_put(out, fds->uncertain & 1u << i ? "?>" : ">");
}

static void put_text_field(struct strbuf *out, const char *key, const char *text)
{
	strbuf_put(out, key);
	strbuf_put_json_string(out, text, strlen(text));
}

static void put_endpoint(struct strbuf *out, const struct fd_object *object, const struct fd_endpoint *endpoint,
			 const char *address_key, const char *port_key)
{
	char memory[NAME_BYTES];
	struct strbuf text;

	if (endpoint->known) {
		strbuf_init_on(&text, memory, sizeof(memory));
		fd_endpoint_put_address(object, endpoint, &text);
		put_text_field(out, address_key, text.data);
		strbuf_deinit(&text);
	}
	if (endpoint->port) {
		strbuf_put(out, port_key);
		strbuf_put_u64(out, endpoint->port);
	}
}

void fd_object_put_json(const struct fd_object *object, struct strbuf *out)
{
	const char *type = fd_object_type(object), *protocol = fd_object_protocol(object);
	char memory[NAME_BYTES];
	struct strbuf name;

	if (!object) {
		strbuf_put(out, "\"type\": null, \"name\": null");
		return;
	}
	if (type)
		put_text_field(out, "\"type\": ", type);
	else
		strbuf_put(out, "\"type\": null");
	strbuf_put(out, ", \"name\": ");
	strbuf_init_on(&name, memory, sizeof(memory));
	if (fd_object_put_name(object, &name))
		strbuf_put_json_string(out, name.data, name.len);
	else
		strbuf_put(out, "null");
	strbuf_deinit(&name);
	if (protocol)
		put_text_field(out, ", \"protocol\": ", protocol);
	if (!fd_object_is_inet(object))
		return;
	put_endpoint(out, object, &object->socket.local, ", \"lip\": ", ", \"lport\": ");
	put_endpoint(out, object, &object->socket.peer, ", \"rip\": ", ", \"rport\": ");
	if (object->socket.listening)
		strbuf_put(out, ", \"listening\": true");
}

void call_put_fd_json(const struct call *call, struct strbuf *out)
{
	struct call_fd fd;

	if (!call_main_fd(call, &fd))
		return;
	strbuf_put(out, ", \"fd\": {\"num\": ");
	strbuf_put_i64(out, fd.num);
	strbuf_put(out, ", ");
	fd_object_put_json(fd.object, out);
	if (fd.uncertain)
		strbuf_put(out, ", \"uncertain\": true");
	strbuf_put_char(out, '}');
}
