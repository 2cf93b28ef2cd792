/* SPDX-License-Identifier: MIT */
/* Names and texts of what calls return when they fail. */
#include <errno.h>
#include <string.h>

#include "arg_decode.h"
#include "name_set.h"
#include "ret_names.h"

static const struct named_value errno_values[] = {NAMED(EPERM),
						  NAMED(ENOENT),
						  NAMED(ESRCH),
						  NAMED(EINTR),
						  NAMED(EIO),
						  NAMED(ENXIO),
						  NAMED(E2BIG),
						  NAMED(ENOEXEC),
						  NAMED(EBADF),
						  NAMED(ECHILD),
						  NAMED(EAGAIN),
						  NAMED(ENOMEM),
						  NAMED(EACCES),
						  NAMED(EFAULT),
						  NAMED(ENOTBLK),
						  NAMED(EBUSY),
						  NAMED(EEXIST),
						  NAMED(EXDEV),
						  NAMED(ENODEV),
						  NAMED(ENOTDIR),
						  NAMED(EISDIR),
						  NAMED(EINVAL),
						  NAMED(ENFILE),
						  NAMED(EMFILE),
						  NAMED(ENOTTY),
						  NAMED(ETXTBSY),
						  NAMED(EFBIG),
						  NAMED(ENOSPC),
						  NAMED(ESPIPE),
						  NAMED(EROFS),
						  NAMED(EMLINK),
						  NAMED(EPIPE),
						  NAMED(EDOM),
						  NAMED(ERANGE),
						  NAMED(EDEADLK),
						  NAMED(ENAMETOOLONG),
						  NAMED(ENOLCK),
						  NAMED(ENOSYS),
						  NAMED(ENOTEMPTY),
						  NAMED(ELOOP),
						  NAMED(ENOMSG),
						  NAMED(EIDRM),
						  NAMED(ECHRNG),
						  NAMED(EL2NSYNC),
						  NAMED(EL3HLT),
						  NAMED(EL3RST),
						  NAMED(ELNRNG),
						  NAMED(EUNATCH),
						  NAMED(ENOCSI),
						  NAMED(EL2HLT),
						  NAMED(EBADE),
						  NAMED(EBADR),
						  NAMED(EXFULL),
						  NAMED(ENOANO),
						  NAMED(EBADRQC),
						  NAMED(EBADSLT),
						  NAMED(EBFONT),
						  NAMED(ENOSTR),
						  NAMED(ENODATA),
						  NAMED(ETIME),
						  NAMED(ENOSR),
						  NAMED(ENONET),
						  NAMED(ENOPKG),
						  NAMED(EREMOTE),
						  NAMED(ENOLINK),
						  NAMED(EADV),
						  NAMED(ESRMNT),
						  NAMED(ECOMM),
						  NAMED(EPROTO),
						  NAMED(EMULTIHOP),
						  NAMED(EDOTDOT),
						  NAMED(EBADMSG),
						  NAMED(EOVERFLOW),
						  NAMED(ENOTUNIQ),
						  NAMED(EBADFD),
						  NAMED(EREMCHG),
						  NAMED(ELIBACC),
						  NAMED(ELIBBAD),
						  NAMED(ELIBSCN),
						  NAMED(ELIBMAX),
						  NAMED(ELIBEXEC),
						  NAMED(EILSEQ),
						  NAMED(ERESTART),
						  NAMED(ESTRPIPE),
						  NAMED(EUSERS),
						  NAMED(ENOTSOCK),
						  NAMED(EDESTADDRREQ),
						  NAMED(EMSGSIZE),
						  NAMED(EPROTOTYPE),
						  NAMED(ENOPROTOOPT),
						  NAMED(EPROTONOSUPPORT),
						  NAMED(ESOCKTNOSUPPORT),
						  NAMED(EOPNOTSUPP),
						  NAMED(EPFNOSUPPORT),
						  NAMED(EAFNOSUPPORT),
						  NAMED(EADDRINUSE),
						  NAMED(EADDRNOTAVAIL),
						  NAMED(ENETDOWN),
						  NAMED(ENETUNREACH),
						  NAMED(ENETRESET),
						  NAMED(ECONNABORTED),
						  NAMED(ECONNRESET),
						  NAMED(ENOBUFS),
						  NAMED(EISCONN),
						  NAMED(ENOTCONN),
						  NAMED(ESHUTDOWN),
						  NAMED(ETOOMANYREFS),
						  NAMED(ETIMEDOUT),
						  NAMED(ECONNREFUSED),
						  NAMED(EHOSTDOWN),
						  NAMED(EHOSTUNREACH),
						  NAMED(EALREADY),
						  NAMED(EINPROGRESS),
						  NAMED(ESTALE),
						  NAMED(EUCLEAN),
						  NAMED(ENOTNAM),
						  NAMED(ENAVAIL),
						  NAMED(EISNAM),
						  NAMED(EREMOTEIO),
						  NAMED(EDQUOT),
						  NAMED(ENOMEDIUM),
						  NAMED(EMEDIUMTYPE),
						  NAMED(ECANCELED),
						  NAMED(ENOKEY),
						  NAMED(EKEYEXPIRED),
						  NAMED(EKEYREVOKED),
						  NAMED(EKEYREJECTED),
						  NAMED(EOWNERDEAD),
						  NAMED(ENOTRECOVERABLE),
						  NAMED(ERFKILL),
						  NAMED(EHWPOISON)};
static NAME_SET(names_errno, errno_values);

/* The kernel's own, which user space never sees: include/linux/errno.h */
static const struct kernel_error {
	int number;
	const char *name, *text;
} kernel_errors[] = {
	{512, "ERESTARTSYS", "To be restarted if SA_RESTART is set"},
	{513, "ERESTARTNOINTR", "To be restarted"},
	{514, "ERESTARTNOHAND", "To be restarted if no handler"},
	{516, "ERESTART_RESTARTBLOCK", "Interrupted by signal"},
};

static const struct kernel_error *kernel_error(int number)
{
	for (size_t i = 0; i < sizeof(kernel_errors) / sizeof(kernel_errors[0]); i++) {
		if (kernel_errors[i].number == number)
			return &kernel_errors[i];
	}
	return NULL;
}

bool errno_is_restart(int number)
{
	return kernel_error(number);
}

const char *linux_errno_name(int number)
{
	const struct kernel_error *own = kernel_error(number);

	if (own)
		return own->name;
	return number > 0 ? name_set_find(&names_errno, (uint64_t)number) : NULL;
}

const char *errno_text(int number)
{
	const struct kernel_error *own = kernel_error(number);

	return own ? own->text : strerrordesc_np(number);
}
