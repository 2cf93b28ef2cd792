/* SPDX-License-Identifier: MIT */
/* Arguments that are numbers: descriptors, flags, modes, signals, … */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include <linux/if_ether.h>
#include <linux/sched.h>

#include "arg_put.h"
#include "call_fd_text.h"

static int64_t as_word(const struct arg_context *ctx, uint64_t value)
{
	return ctx->narrow ? (int32_t)(uint32_t)value : (int64_t)value;
}

static void put_hex_or_zero(uint64_t value, struct strbuf *out)
{
	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put_char(out, '0');
}

static void put_clone_flags(uint64_t value, struct strbuf *out)
{
	uint64_t flags = value & ~(uint64_t)CSIGNAL;
	uint32_t number = (uint32_t)(value & CSIGNAL);

	if (flags)
		name_set_put_flags(&names_clone, flags, out);
	if (!number) {
		if (!flags)
			strbuf_put_char(out, '0');
		return;
	}
	if (flags)
		strbuf_put_char(out, '|');
	if (!signal_name_put(number, out))
		strbuf_put_u64(out, number);
}

static void put_ioctl(uint64_t value, struct strbuf *out)
{
	static const char *const directions[] = {"_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"};
	uint32_t request = (uint32_t)value;
	const char *name = ioctl_name_find(request);

	if (name)
		strbuf_put(out, name);
	else
		strbuf_printf(out, "_IOC(%s, %#x, %#x, %#x)", directions[_IOC_DIR(request) & 3], _IOC_TYPE(request),
			      _IOC_NR(request), _IOC_SIZE(request));
}

static void put_ipc_flags(const struct name_set *names, uint64_t value, struct strbuf *out)
{
	uint64_t flags = (uint32_t)value & ~0777u;

	if (flags) {
		name_set_put_flags(names, flags, out);
		strbuf_put_char(out, '|');
	}
	put_octal((uint32_t)value & 0777, out);
}

static bool put_protocol(uint64_t family, uint64_t value, struct strbuf *out)
{
	switch ((uint32_t)family) {
	case AF_INET:
	case AF_INET6:
		name_set_put_one(&names_ip_protocol, value, out);
		return true;
	case AF_NETLINK:
		name_set_put_one(&names_netlink_protocol, value, out);
		return true;
	case AF_PACKET:
		strbuf_put(out, "htons(");
		name_set_put_one(&names_ethernet, ntohs((uint16_t)value), out);
		strbuf_put_char(out, ')');
		return true;
	default:
		strbuf_put_u64(out, (uint32_t)value);
		return false;
	}
}

/* linux/quota.h: QCMD; commands of XFS and type in the lowest byte */
static void put_quota_command(uint64_t value, struct strbuf *out)
{
	strbuf_put(out, "QCMD(");
	name_set_put_one(&names_quota_command, (uint32_t)value >> 8, out);
	strbuf_put(out, ", ");
	name_set_put_one(&names_quota_type, value & 0xff, out);
	strbuf_put_char(out, ')');
}

/* linux/ioprio.h: IOPRIO_PRIO_VALUE */
void put_io_priority(uint64_t value, struct strbuf *out)
{
	strbuf_put(out, "IOPRIO_PRIO_VALUE(");
	name_set_put_one(&names_ioprio_class, (uint32_t)value >> 13, out);
	strbuf_printf(out, ", %u)", (unsigned)(value & 0x1fff));
}

#define PAGE_SHIFT 12 /* of mmap2's offset, whatever the page's size is */

static uint64_t pair_value(const struct arg_context *ctx, int low, int high)
{
	return (uint32_t)ctx->call->args[low] | (high < LINUX_SYSCALL_ARGS ? ctx->call->args[high] << 32 : 0);
}

bool put_number_arg(struct arg_context *ctx)
{
	uint64_t value = arg_value(ctx);
	struct strbuf *out = ctx->out;
	const struct name_set *names = ctx->arg.names;

	switch ((enum arg_kind)ctx->arg.kind) {
	case ARG_INT:
	case ARG_FD:
	case ARG_ID:
		strbuf_put_i64(out, (int32_t)(uint32_t)value);
		call_put_fd_name(ctx->call, ctx->index, out);
		return false;
	case ARG_DIRFD:
		if ((int32_t)(uint32_t)value != AT_FDCWD) {
			strbuf_put_i64(out, (int32_t)(uint32_t)value);
			call_put_fd_name(ctx->call, ctx->index, out);
			return false;
		}
		strbuf_put(out, "AT_FDCWD");
		call_put_fd_name(ctx->call, ctx->index, out);
		return true;
	case ARG_UINT:
		strbuf_put_u64(out, (uint32_t)value);
		return false;
	case ARG_LONG:
		strbuf_put_i64(out, as_word(ctx, value));
		return false;
	case ARG_WIDE:
		strbuf_put_i64(out, (int64_t)ctx->call->args[ctx->index]);
		return false;
	case ARG_ULONG:
		strbuf_put_u64(out, value);
		return false;
	case ARG_HEX:
		put_hex_or_zero(value, out);
		return false;
	case ARG_HEX32:
		put_hex_or_zero((uint32_t)value, out);
		return false;
	case ARG_MODE:
		put_octal(value & 0xffff, out);
		return true;
	case ARG_FMODE:
		put_file_mode(value & 0xffff, out);
		return true;
	case ARG_IPC_FLAGS:
		put_ipc_flags(names, value, out);
		return true;
	case ARG_DEVICE:
		strbuf_printf(out, "makedev(%#x, %#x)", major(value), minor(value));
		return true;
	case ARG_SIGNAL:
		if (signal_name_put((uint32_t)value, out))
			return true;
		strbuf_put_i64(out, (int32_t)(uint32_t)value);
		return false;
	case ARG_NAME:
		name_set_put_one(names, value, out);
		return true;
	case ARG_FLAGS:
		name_set_put_flags(names, value, out);
		return true;
	case ARG_CLONE_FLAGS:
		put_clone_flags(value, out);
		return true;
	case ARG_IOCTL:
		put_ioctl(value, out);
		return true;
	case ARG_OPTION_NAME:
		names = socket_option_names(ctx->call->args[1]);
		if (!names) {
			strbuf_put_u64(out, (uint32_t)value);
			return false;
		}
		name_set_put_one(names, value, out);
		return true;
	case ARG_PROTOCOL:
		return put_protocol(ctx->call->args[0], value, out);
	case ARG_HANDLER:
		put_handler(value, out);
		return true;
	case ARG_OLD_SIGSET:
		signal_set_put_old((uint32_t)value, out);
		return true;
	case ARG_PAIR:
		strbuf_put_i64(out, (int64_t)pair_value(ctx, ctx->index, ctx->index + 1));
		return false;
	case ARG_PAIR_HIGH:
		strbuf_put_i64(out, (int64_t)pair_value(ctx, ctx->index + 1, ctx->index));
		return false;
	case ARG_PAIR_FLAGS:
		name_set_put_flags(names, pair_value(ctx, ctx->index, ctx->index + 1), out);
		return true;
	case ARG_PAGES:
		put_hex_or_zero(value << PAGE_SHIFT, out);
		return false;
	case ARG_QUOTA:
		put_quota_command(value, out);
		return true;
	case ARG_PRIORITY:
		put_io_priority(value, out);
		return true;
	case ARG_HIDDEN:
		put_hex_or_zero(value, out);
		return false;
	default:
		put_address(value, out);
		return !value;
	}
}
