/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include <stdio.h>
#include <string.h>

#include "arg_plain.h"
#include "call_fd_text.h"
#include "filter_private.h"
#include "linux/arg_decode.h"

#define LAST_ERRNO 4095

/* What a field is, of the call at hand. */
struct fact {
	bool has_text, has_number;
	const char *text;
	size_t text_bytes;
	int64_t number;
	struct strbuf buffer;
};

const char *call_shown_name(const struct call *call, char *buffer, size_t size_bytes)
{
	if (call->syscall)
		return call->syscall->name;
	if (!call->nr_known)
		return "?";
	snprintf(buffer, size_bytes, "syscall_%u", call->nr);
	return buffer;
}

static void set_text(struct fact *fact, const char *text)
{
	fact->has_text = true;
	fact->text = text;
	fact->text_bytes = strlen(text);
}

static void set_number(struct fact *fact, bool known, int64_t number)
{
	fact->has_number = known;
	fact->number = number;
}

/* By name, or by position. */
static void set_arg(struct fact *fact, const struct call *call, const char *name)
{
	bool is_pointer;

	for (int i = 0; i < call_shown_args(call); i++) {
		if (strcmp(name, call_arg_name(call, i)) && (name[0] != '0' + i || name[1]))
			continue;
		call_arg_plain(call, i, &fact->buffer);
		set_number(fact, true, call_arg_number(call, i, &is_pointer));
		fact->has_text = true;
		fact->text = fact->buffer.data ? fact->buffer.data : "";
		fact->text_bytes = fact->buffer.len;
		return;
	}
}

static void set_known_text(struct fact *fact, const char *text)
{
	if (text && text[0])
		set_text(fact, text);
}

static void set_buffer(struct fact *fact)
{
	fact->has_text = fact->buffer.len;
	fact->text = fact->buffer.data;
	fact->text_bytes = fact->buffer.len;
}

/* Of a socket whose ends are known to be client and server, and of which end is here. */
static const struct fd_endpoint *endpoint_of(const struct fd_object *object, enum filter_field field)
{
	const struct fd_socket *s;

	if (!fd_object_is_inet(object))
		return NULL;
	s = &object->socket;
	switch (field) {
	case FILTER_FD_LIP:
	case FILTER_FD_LPORT:
		return &s->local;
	case FILTER_FD_RIP:
	case FILTER_FD_RPORT:
		return &s->peer;
	case FILTER_FD_CIP:
	case FILTER_FD_CPORT:
		return s->role == FD_ROLE_CLIENT ? &s->local : s->role == FD_ROLE_SERVER ? &s->peer : NULL;
	default:
		return s->role == FD_ROLE_CLIENT ? &s->peer : s->role == FD_ROLE_SERVER ? &s->local : NULL;
	}
}

static void set_fd(struct fact *fact, const struct call *call, enum filter_field field)
{
	const struct fd_endpoint *endpoint;
	const char *protocol;
	struct call_fd fd;

	if (!call_main_fd(call, &fd))
		return;
	switch (field) {
	case FILTER_FD_NUM:
		set_number(fact, true, fd.num);
		return;
	case FILTER_FD_TYPE:
		set_known_text(fact, fd_object_type(fd.object));
		return;
	case FILTER_FD_NAME:
		fd_object_put_name(fd.object, &fact->buffer);
		set_buffer(fact);
		return;
	case FILTER_FD_UNCERTAIN:
		set_number(fact, fd.object, fd.uncertain);
		return;
	case FILTER_FD_L4PROTO:
		protocol = fd_object_is_inet(fd.object) ? fd_object_protocol(fd.object) : NULL;
		set_known_text(fact, !protocol                  ? NULL
				     : !strcmp(protocol, "TCP") ? "tcp"
				     : !strcmp(protocol, "UDP") ? "udp"
				     : !strcmp(protocol, "RAW") ? "raw"
								: NULL);
		return;
	case FILTER_FD_LPORT:
	case FILTER_FD_RPORT:
	case FILTER_FD_CPORT:
	case FILTER_FD_SPORT:
		endpoint = endpoint_of(fd.object, field);
		set_number(fact, endpoint && endpoint->port, endpoint ? endpoint->port : 0);
		return;
	default:
		endpoint = endpoint_of(fd.object, field);
		if (endpoint && endpoint->known)
			fd_endpoint_put_address(fd.object, endpoint, &fact->buffer);
		set_buffer(fact);
	}
}

static void set_container(struct fact *fact, const char *id, size_t digits)
{
	set_known_text(fact, id);
	if (fact->has_text && fact->text_bytes > digits)
		fact->text_bytes = digits;
}

static bool has_failed(const struct call *call)
{
	return call->ret_known && call->ret < 0 && call->ret >= -LAST_ERRNO && call_error_name(call);
}

static void look_up(struct fact *fact, const struct filter_node *node, const struct call *call, char dir, char *buffer,
		    size_t size_bytes)
{
	static const char *const states[] = {"complete", "no-exit", "open", "exit-only"};
	static const char *const abis[] = {"x86_64", "x32", "i386"};
	const struct call_thread *thread = &call->thread;

	switch (node->field) {
	case FILTER_PROC_NAME:
		if (thread->comm[0])
			set_text(fact, thread->comm);
		break;
	case FILTER_PROC_EXE:
		if (thread->exe && thread->exe[0])
			set_text(fact, thread->exe);
		break;
	case FILTER_PROC_PID:
		set_number(fact, thread->pid >= 0, thread->pid);
		break;
	case FILTER_PROC_PPID:
		set_number(fact, thread->ppid >= 0, thread->ppid);
		break;
	case FILTER_THREAD_TID:
		set_number(fact, thread->tid >= 0, thread->tid);
		break;
	case FILTER_EVT_TYPE:
		if (call->nr_known)
			set_text(fact, call_shown_name(call, buffer, size_bytes));
		break;
	case FILTER_EVT_DIR:
		if (dir)
			set_text(fact, dir == '>' ? ">" : "<");
		break;
	case FILTER_EVT_RES:
		set_number(fact, call->ret_known, call->ret);
		break;
	case FILTER_EVT_FAILED:
		set_number(fact, call->ret_known, has_failed(call));
		break;
	case FILTER_EVT_LATENCY:
		set_number(fact, call->duration_ns >= 0, call->duration_ns);
		break;
	case FILTER_EVT_CPU:
		set_number(fact, true, call->vcpu);
		break;
	case FILTER_EVT_TIME:
		set_number(fact, call->time_ns >= 0, call->time_ns);
		break;
	case FILTER_EVT_STATE:
		set_text(fact, states[call->state]);
		break;
	case FILTER_EVT_ABI:
		if (call->abi < TRAP_ABIS)
			set_text(fact, abis[call->abi]);
		break;
	case FILTER_EVT_ARG:
		set_arg(fact, call, node->name);
		break;
	case FILTER_USER_UID:
		set_number(fact, thread->uid_known, thread->uid);
		break;
	case FILTER_PROC_CWD:
		set_known_text(fact, thread->cwd);
		break;
	case FILTER_PROC_CMDLINE:
		set_known_text(fact, thread->cmdline);
		break;
	case FILTER_PROC_PIDNS:
		set_number(fact, thread->pidns, thread->pidns);
		break;
	case FILTER_CONTAINER_ID:
		set_container(fact, thread->container, 12);
		break;
	case FILTER_CONTAINER_FULL_ID:
		set_container(fact, thread->container, 64);
		break;
	case FILTER_FIELDS:
		break;
	default:
		set_fd(fact, call, node->field);
		break;
	}
}

static bool equals(const struct fact *fact, const struct filter_node *value, const struct call *call)
{
	if (value->is_success)
		return fact->has_number && !has_failed(call);
	if (value->is_number && fact->has_number && fact->number == value->number)
		return true;
	return fact->has_text && fact->text_bytes == strlen(value->text) &&
	       !memcmp(fact->text, value->text, fact->text_bytes);
}

static bool in_order(const struct fact *fact, const struct filter_node *value, enum filter_op op)
{
	if (!fact->has_number || !value->is_number)
		return false;
	return op == FILTER_LT   ? fact->number < value->number
	       : op == FILTER_LE ? fact->number <= value->number
	       : op == FILTER_GT ? fact->number > value->number
				 : fact->number >= value->number;
}

static bool text_test(const struct fact *fact, const struct filter_node *value, enum filter_op op)
{
	size_t n = strlen(value->text);

	if (!fact->has_text || n > fact->text_bytes)
		return false;
	if (op == FILTER_CONTAINS)
		return memmem(fact->text, fact->text_bytes, value->text, n);
	return !memcmp(op == FILTER_STARTSWITH ? fact->text : fact->text + fact->text_bytes - n, value->text, n);
}

static bool compare(const struct filter *f, const struct filter_node *node, const struct call *call,
		    const struct fact *fact)
{
	bool known = fact->has_text || fact->has_number;
	const struct filter_node *value = node->left == FILTER_NONE ? NULL : &f->nodes[node->left];

	switch (node->op) {
	case FILTER_EXISTS:
		return known;
	case FILTER_EQ:
		return equals(fact, value, call);
	case FILTER_NE:
		return known && !equals(fact, value, call);
	case FILTER_IN:
		for (; value; value = value->right == FILTER_NONE ? NULL : &f->nodes[value->right])
			if (equals(fact, value, call))
				return true;
		return false;
	case FILTER_CONTAINS:
	case FILTER_STARTSWITH:
	case FILTER_ENDSWITH:
		return text_test(fact, value, node->op);
	default:
		return in_order(fact, value, node->op);
	}
}

/* fd.ip and fd.port: one end or the other; != : neither. */
static bool match_either(const struct filter *f, const struct filter_node *node, const struct call *call)
{
	static const enum filter_field ends[2][2] = {{FILTER_FD_LIP, FILTER_FD_RIP},
						     {FILTER_FD_LPORT, FILTER_FD_RPORT}};
	bool any = false, all = true, known = false;

	for (int end = 0; end < 2; end++) {
		struct fact fact = {0};
		bool result;

		set_fd(&fact, call, ends[node->field == FILTER_FD_PORT][end]);
		result = compare(f, node, call, &fact);
		if (fact.has_text || fact.has_number) {
			known = true;
			all &= result;
			any |= result;
		}
		strbuf_deinit(&fact.buffer);
	}
	return node->op == FILTER_NE ? known && all : any;
}

static bool match(const struct filter *f, uint32_t i, const struct call *call, char dir)
{
	const struct filter_node *node = &f->nodes[i];
	struct fact fact = {0};
	char buffer[32];
	bool result;

	if (node->op != FILTER_AND && node->op != FILTER_OR && node->op != FILTER_NOT &&
	    (node->field == FILTER_FD_IP || node->field == FILTER_FD_PORT))
		return match_either(f, node, call);
	switch (node->op) {
	case FILTER_AND:
		return match(f, node->left, call, dir) && match(f, node->right, call, dir);
	case FILTER_OR:
		return match(f, node->left, call, dir) || match(f, node->right, call, dir);
	case FILTER_NOT:
		return !match(f, node->left, call, dir);
	default:
		look_up(&fact, node, call, dir, buffer, sizeof(buffer));
		result = compare(f, node, call, &fact);
		strbuf_deinit(&fact.buffer);
		return result;
	}
}

bool filter_match_node(const struct filter *filter, uint32_t node, const struct call *call, char dir)
{
	return match(filter, node, call, dir);
}

bool filter_match(const struct filter *filter, const struct call *call, char dir)
{
	return !filter || match(filter, filter->root, call, dir);
}
