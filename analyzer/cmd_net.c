/* SPDX-License-Identifier: MIT */
/* vmtape net - who talked to whom. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <xxhash.h>

#include "call_fd_text.h"
#include "call_report.h"
#include "call_touch.h"
#include "linux/captured.h"
#include "plan_abi.h"
#include "u64_map.h"

struct net_row {
	int32_t pid;
	char comm[16 + 1];
	struct fd_object *socket;
	uint64_t connects, failed, accepts, sends, bytes_out, receives, bytes_in;
	int64_t first_ns, last_ns;
	bool uncertain, merged;
};

struct net {
	struct report report;
	struct touch_cache cache;
	struct u64_map by_key;
	struct net_row *rows;
	size_t count, room;
};

static const char help[] =
	"Usage: vmtape net TAPE [OPTION]...\n"
	"Show which process talked to whom: a row for each process, protocol, local address and peer, with how often "
	"it\n"
	"connected and accepted, and the bytes in each direction; those with the most bytes come first.\n\n"
	"  -f, --filter FILTER   only the calls that match: see vmtape events --help\n"
	"      --from TIME       entered at TIME or later: HH:MM:SS[.frac], +SECONDS from the start, ISO 8601\n"
	"      --to TIME         entered before TIME\n"
	"      --top N           the first N rows\n"
	"      --format FORMAT   text (default), json: one object a line, csv\n"
	"      --local           times are in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"CONN +N: N that failed. ? is what is not known; behind PEER: not sure, as records were lost.\n"
	"Exit status: 0 done, 1 nobody talked to anybody, 2 bad usage or bad input.\n";

/* What makes a row: the addresses, not what else the socket is. */
static uint64_t key_of(const struct call *call, const struct fd_object *o, uint64_t place)
{
	struct {
		int32_t pid;
		uint16_t family, local_port, peer_port;
		uint8_t type, local_known, peer_known, padding;
		uint8_t local[16], peer[16];
		uint64_t name;
	} key = {.pid = call->thread.pid};

	key.family = o->socket.family;
	key.type = o->socket.type;
	key.local_port = o->socket.local.port;
	key.peer_port = o->socket.peer.port;
	key.local_known = o->socket.local.known;
	key.peer_known = o->socket.peer.known;
	memcpy(key.local, o->socket.local.address, 16);
	memcpy(key.peer, o->socket.peer.address, 16);
	key.name = XXH3_64bits(o->name, o->name_len);
	return XXH3_64bits_withSeed(&key, sizeof(key), place);
}

static bool same_end(const struct fd_endpoint *a, const struct fd_endpoint *b)
{
	return a->port == b->port && a->known == b->known && !memcmp(a->address, b->address, sizeof(a->address));
}

static bool is_row_of(const struct net_row *row, const struct call *call, const struct fd_object *o)
{
	const struct fd_object *x = row->socket;

	return row->pid == call->thread.pid && x->socket.family == o->socket.family &&
	       x->socket.type == o->socket.type && same_end(&x->socket.local, &o->socket.local) &&
	       same_end(&x->socket.peer, &o->socket.peer) && x->name_len == o->name_len &&
	       !memcmp(x->name, o->name, o->name_len);
}

static struct net_row *row_of(struct net *n, const struct call *call, struct fd_object *socket)
{
	uint64_t key, at;
	struct net_row *row;

	/* others may have the same hash: to the next place then */
	for (uint64_t place = 0;; place++) {
		key = key_of(call, socket, place);
		if (!u64_map_get(&n->by_key, key, &at))
			break;
		row = &n->rows[at];
		if (!is_row_of(row, call, socket))
			continue;
		row->last_ns = call->time_ns;
		return row;
	}
	if (n->count == REPORT_MAX_ROWS) {
		n->report.rest++;
		return NULL;
	}
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 256;
		struct net_row *rows = realloc(n->rows, room * sizeof(*rows));

		if (!rows)
			return NULL;
		n->rows = rows;
		n->room = room;
	}
	if (!u64_map_set(&n->by_key, key, n->count))
		return NULL;
	row = &n->rows[n->count++];
	*row = (struct net_row){.pid = call->thread.pid,
				.socket = fd_object_hold(socket),
				.first_ns = call->time_ns,
				.last_ns = call->time_ns};
	memcpy(row->comm, call->thread.comm, sizeof(row->comm));
	return row;
}

/* The socket with the peer that this call alone names: sendto, recvfrom, connect. NULL: it names none. */
static struct fd_object *with_peer(const struct call *call, const struct fd_object *socket, int arg, bool after)
{
	struct fd_socket told = socket->socket;
	struct captured piece;
	const char *path;
	size_t path_len;
	uint16_t family;

	if (!call->args[arg] ||
	    !captured_find(call, after ? CAPTURED_AFTER : CAPTURED_BEFORE, (uint8_t)(PLAN_LABEL_ARG0 + arg),
			   call->args[arg], &piece) ||
	    !fd_sockaddr_read(piece.data, piece.len, &family, &told.peer, &path, &path_len) ||
	    (told.family && told.family != family))
		return NULL;
	told.family = family;
	if (family == AF_UNIX && path_len && path[0])
		return fd_object_create_socket(&told, path, path_len);
	return told.peer.known ? fd_object_create_socket(&told, "", 0) : NULL;
}

static struct fd_object *socket_of(const struct call *call, int arg)
{
	struct fd_object *object = call->fds->objects[arg];
	bool is_socket = object && object->kind == FD_SOCKET;

	return is_socket && object->socket.family != AF_NETLINK ? object : NULL;
}

static void data(struct net *n, const struct call *call, int arg, bool in, bool bytes)
{
	struct fd_object *socket = arg < 0 ? NULL : socket_of(call, arg), *named = NULL;
	struct net_row *row;

	if (!socket || !call_is_ok(call) || call->ret < 0)
		return;
	if (!strcmp(call->syscall->name, "sendto"))
		named = with_peer(call, socket, 4, false);
	else if (!strcmp(call->syscall->name, "recvfrom"))
		named = with_peer(call, socket, 4, true);
	row = row_of(n, call, named ? named : socket);
	fd_object_release(named);
	if (!row)
		return;
	row->uncertain |= call->uncertain || call->fds->uncertain >> arg & 1;
	row->sends += !in;
	row->receives += in;
	row->bytes_out += !in && bytes ? (uint64_t)call->ret : 0;
	row->bytes_in += in && bytes ? (uint64_t)call->ret : 0;
}

static void connected(struct net *n, const struct call *call)
{
	struct fd_object *socket = socket_of(call, 0), *named = socket ? with_peer(call, socket, 1, false) : NULL;
	struct net_row *row = named ? row_of(n, call, named) : NULL;

	fd_object_release(named);
	if (!row)
		return;
	row->uncertain |= call->uncertain || call->fds->uncertain & 1;
	/* -115: EINPROGRESS, it goes on */
	row->connects += call->ret_known && (call->ret == 0 || call->ret == -115);
	row->failed += call->ret_known && call->ret < 0 && call->ret != -115;
}

static struct vmtape_error *take(struct report *report, const struct call *call)
{
	struct net *n = (struct net *)report;
	const struct call_touch *touch = call_touch(&n->cache, call);
	struct fd_object *socket;
	struct net_row *row;

	if (!touch || !call->fds)
		return NULL;
	if (touch->what == TOUCH_DATA || touch->what == TOUCH_MESSAGES) {
		data(n, call, touch->in, true, touch->what == TOUCH_DATA);
		data(n, call, touch->out, false, touch->what == TOUCH_DATA);
	} else if (touch->what == TOUCH_CONNECT) {
		connected(n, call);
	} else if (touch->what == TOUCH_ACCEPT && call_is_ok(call)) {
		socket = socket_of(call, CALL_FDS_RET);
		row = socket ? row_of(n, call, socket) : NULL;
		if (row) {
			row->accepts++;
			row->uncertain |= call->uncertain || call->fds->uncertain >> CALL_FDS_RET & 1;
		}
	} else if (touch->what == TOUCH_LISTEN && call_is_ok(call)) {
		socket = socket_of(call, 0);
		row = socket ? row_of(n, call, socket) : NULL;
		if (row)
			row->uncertain |= call->uncertain || call->fds->uncertain & 1;
	}
	return NULL;
}

/* ---- output --------------------------------------------------------------- */

/*
 * A client's own address becomes known behind its connect: the same peer, and one socket only, which did not connect
 * by itself and began when the other had ended, that it may have been.
 */
static bool is_earlier(const struct net_row *a, const struct net_row *b)
{
	const struct fd_socket *x = &a->socket->socket, *y = &b->socket->socket;

	return !x->local.port && y->local.port && !b->connects && b->first_ns >= a->last_ns && x->peer.known &&
	       y->peer.known;
}

/* As by_peer() has them next to each other. */
static bool has_same_peer(const struct net_row *a, const struct net_row *b)
{
	const struct fd_socket *x = &a->socket->socket, *y = &b->socket->socket;

	return a->pid == b->pid && x->family == y->family && x->type == y->type && x->peer.port == y->peer.port &&
	       !memcmp(x->peer.address, y->peer.address, sizeof(x->peer.address));
}

static int by_peer(const void *a, const void *b)
{
	const struct net_row *x = a, *y = b;
	int order = memcmp(x->socket->socket.peer.address, y->socket->socket.peer.address, 16);

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->socket->socket.family != y->socket->socket.family)
		return (int)x->socket->socket.family - (int)y->socket->socket.family;
	if (x->socket->socket.type != y->socket->socket.type)
		return (int)x->socket->socket.type - (int)y->socket->socket.type;
	if (order)
		return order;
	if (x->socket->socket.peer.port != y->socket->socket.peer.port)
		return x->socket->socket.peer.port < y->socket->socket.peer.port ? -1 : 1;
	/* those whose own port is not known come first */
	return (int)x->socket->socket.local.port - (int)y->socket->socket.local.port;
}

static void merge(struct net_row *into, struct net_row *from)
{
	into->connects += from->connects;
	into->failed += from->failed;
	into->accepts += from->accepts;
	into->sends += from->sends;
	into->bytes_out += from->bytes_out;
	into->receives += from->receives;
	into->bytes_in += from->bytes_in;
	into->uncertain |= from->uncertain;
	if (from->first_ns < into->first_ns)
		into->first_ns = from->first_ns;
	if (from->last_ns > into->last_ns)
		into->last_ns = from->last_ns;
	from->merged = true;
}

static void merge_earlier(struct net *n)
{
	qsort(n->rows, n->count, sizeof(*n->rows), by_peer);
	for (size_t i = 0; i + 1 < n->count; i++) {
		struct net_row *row = &n->rows[i], *later = NULL;
		unsigned found = 0;

		if (row->socket->socket.local.port || row->connects > 1)
			continue;
		for (size_t k = i + 1; k < n->count && found < 2 && has_same_peer(row, &n->rows[k]); k++) {
			if (!is_earlier(row, &n->rows[k]))
				continue;
			later = &n->rows[k];
			found++;
		}
		if (found == 1)
			merge(later, row);
	}
}

static int by_bytes(const void *a, const void *b)
{
	const struct net_row *x = a, *y = b;
	uint64_t m = x->bytes_in + x->bytes_out, n = y->bytes_in + y->bytes_out;

	if (m != n)
		return m > n ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->first_ns < y->first_ns ? -1 : x->first_ns > y->first_ns;
}

static const char *protocol_of(const struct net_row *row)
{
	const char *protocol = fd_object_protocol(row->socket);

	return protocol ? protocol : fd_object_type(row->socket);
}

static void put_end(struct strbuf *out, const struct net_row *row, bool local)
{
	const struct fd_socket *s = &row->socket->socket;

	if (fd_object_is_inet(row->socket)) {
		if (!local && s->listening)
			strbuf_put_char(out, '*');
		else
			fd_endpoint_put(row->socket, local ? &s->local : &s->peer, out);
	} else if (row->socket->name_len && local == (s->role == FD_ROLE_SERVER)) {
		strbuf_put_escaped(out, row->socket->name, row->socket->name_len);
	} else {
		strbuf_put_char(out, '?');
	}
}

static void put_text(struct report *r, const struct net_row *row)
{
	struct strbuf comm = {0}, local = {0}, peer = {0};
	char connects[32];

	strbuf_put_escaped(&comm, row->comm, strlen(row->comm));
	put_end(&local, row, true);
	put_end(&peer, row, false);
	if (row->uncertain)
		strbuf_put(&peer, " ?");
	snprintf(connects, sizeof(connects), row->failed ? "%" PRIu64 "+%" PRIu64 : "%" PRIu64, row->connects,
		 row->failed);
	strbuf_printf(&r->line, "%7" PRId32 " %-15s %-11s %-22s %-22s %5s %6" PRIu64 " %10" PRIu64 " %10" PRIu64 " ",
		      row->pid, comm.data ? comm.data : "?", protocol_of(row), local.data, peer.data, connects,
		      row->accepts, row->bytes_out, row->bytes_in);
	time_put_clock(&r->line, row->first_ns, r->local);
	strbuf_put_char(&r->line, ' ');
	time_put_clock(&r->line, row->last_ns, r->local);
	strbuf_put_char(&r->line, '\n');
	strbuf_deinit(&comm);
	strbuf_deinit(&local);
	strbuf_deinit(&peer);
}

static void put_json_end(struct strbuf *out, const struct net_row *row, const struct fd_endpoint *endpoint,
			 const char *ip, const char *port)
{
	strbuf_printf(out, ", \"%s\": ", ip);
	if (endpoint->known) {
		strbuf_put_char(out, '"');
		fd_endpoint_put_address(row->socket, endpoint, out);
		strbuf_put_char(out, '"');
	} else {
		strbuf_put(out, "null");
	}
	if (endpoint->port)
		strbuf_printf(out, ", \"%s\": %u", port, endpoint->port);
	else
		strbuf_printf(out, ", \"%s\": null", port);
}

static void put_json(struct report *r, const struct net_row *row)
{
	static const char *const roles[] = {"null", "\"client\"", "\"server\""};
	struct strbuf *out = &r->line;

	strbuf_printf(out, "{\"pid\": %" PRId32 ", \"process\": ", row->pid);
	report_put_json(out, row->comm, strlen(row->comm));
	strbuf_printf(out, ", \"type\": \"%s\", \"protocol\": \"%s\", \"role\": %s", fd_object_type(row->socket),
		      protocol_of(row), roles[row->socket->socket.role]);
	put_json_end(out, row, &row->socket->socket.local, "lip", "lport");
	put_json_end(out, row, &row->socket->socket.peer, "rip", "rport");
	strbuf_put(out, ", \"path\": ");
	if (row->socket->name_len)
		report_put_json(out, row->socket->name, row->socket->name_len);
	else
		strbuf_put(out, "null");
	strbuf_printf(out,
		      ", \"listening\": %s, \"connects\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"accepts\": %" PRIu64
		      ", \"sends\": %" PRIu64 ", \"bytes_out\": %" PRIu64 ", \"receives\": %" PRIu64
		      ", \"bytes_in\": %" PRIu64,
		      row->socket->socket.listening ? "true" : "false", row->connects, row->failed, row->accepts,
		      row->sends, row->bytes_out, row->receives, row->bytes_in);
	report_put_times(out, row->first_ns, row->last_ns);
	strbuf_put(out, row->uncertain ? ", \"uncertain\": true}\n" : "}\n");
}

static void put_csv(struct report *r, const struct net_row *row)
{
	struct strbuf end = {0}, *out = &r->line;

	strbuf_printf(out, "%" PRId32 ",", row->pid);
	report_put_csv(out, row->comm, strlen(row->comm));
	strbuf_printf(out, ",%s", protocol_of(row));
	for (int local = 1; local >= 0; local--) {
		strbuf_reset(&end);
		put_end(&end, row, local);
		strbuf_put_char(out, ',');
		report_put_csv(out, end.data ? end.data : "", end.len);
	}
	strbuf_printf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d\n",
		      row->connects, row->failed, row->accepts, row->sends, row->bytes_out, row->receives,
		      row->bytes_in, row->uncertain);
	strbuf_deinit(&end);
}

static struct vmtape_error *show(struct report *r)
{
	struct net *n = (struct net *)r;

	if (n->count) {
		merge_earlier(n);
		qsort(n->rows, n->count, sizeof(*n->rows), by_bytes);
	}
	if (r->format == REPORT_CSV)
		strbuf_put(&r->line, "pid,process,protocol,local,peer,connects,failed,accepts,sends,bytes_out,receives,"
				     "bytes_in,uncertain\n");
	else if (r->format == REPORT_TEXT && n->count)
		strbuf_printf(&r->line, "%7s %-15s %-11s %-22s %-22s %5s %6s %10s %10s %-15s %s\n", "PID", "PROCESS",
			      "PROTOCOL", "LOCAL", "PEER", "CONN", "ACCEPT", "BYTES OUT", "BYTES IN", "FIRST", "LAST");
	for (size_t i = 0; i < n->count; i++) {
		if (n->rows[i].merged)
			continue;
		if (r->format == REPORT_JSON)
			put_json(r, &n->rows[i]);
		else if (r->format == REPORT_CSV)
			put_csv(r, &n->rows[i]);
		else
			put_text(r, &n->rows[i]);
		if (!report_row(r))
			break;
	}
	return NULL;
}

int cmd_net(int argc, char **argv)
{
	struct net n = {.report = {.name = "net", .help = help, .take = take, .show = show}};
	int status = report_main(&n.report, argc, argv);

	for (size_t i = 0; i < n.count; i++)
		fd_object_release(n.rows[i].socket);
	free(n.rows);
	u64_map_deinit(&n.by_key);
	return status;
}
