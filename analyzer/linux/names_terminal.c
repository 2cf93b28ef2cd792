/* SPDX-License-Identifier: MIT */
/* Names for ioctl requests and terminal settings; the order is the one in which strace prints flags. */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/kd.h>
#include <linux/sockios.h>
#include <linux/vt.h>

#include "name_set.h"

/* Requests that coincide with others are named as strace names them without knowing the file. */
static const struct named_value ioctl_values[] = {NAMED(TCGETS),
						  NAMED_AS(TCSETS, "SNDCTL_TMR_START or TCSETS"),
						  NAMED_AS(TCSETSW, "SNDCTL_TMR_STOP or TCSETSW"),
						  NAMED_AS(TCSETSF, "SNDCTL_TMR_CONTINUE or TCSETSF"),
						  NAMED(TCGETA),
						  NAMED(TCSETA),
						  NAMED(TCSETAW),
						  NAMED(TCSETAF),
						  NAMED(TCSBRK),
						  NAMED(TCXONC),
						  NAMED(TCFLSH),
						  NAMED(TIOCEXCL),
						  NAMED(TIOCNXCL),
						  NAMED(TIOCSCTTY),
						  NAMED(TIOCGPGRP),
						  NAMED(TIOCSPGRP),
						  NAMED(TIOCOUTQ),
						  NAMED(TIOCSTI),
						  NAMED(TIOCGWINSZ),
						  NAMED(TIOCSWINSZ),
						  NAMED(TIOCMGET),
						  NAMED(TIOCMBIS),
						  NAMED(TIOCMBIC),
						  NAMED(TIOCMSET),
						  NAMED(FIONREAD),
						  NAMED(TIOCLINUX),
						  NAMED(TIOCCONS),
						  NAMED(TIOCGSERIAL),
						  NAMED(TIOCSSERIAL),
						  NAMED(TIOCPKT),
						  NAMED(FIONBIO),
						  NAMED(TIOCNOTTY),
						  NAMED(TIOCSETD),
						  NAMED(TIOCGETD),
						  NAMED(TCSBRKP),
						  NAMED(TIOCSBRK),
						  NAMED(TIOCCBRK),
						  NAMED(TIOCGSID),
						  NAMED_AS(0x802c542a, "TCGETS2"),
						  NAMED_AS(0x402c542b, "TCSETS2"),
						  NAMED(TIOCGPTN),
						  NAMED(TIOCSPTLCK),
						  NAMED(TIOCGDEV),
						  NAMED(TIOCVHANGUP),
						  NAMED(TIOCGPTPEER),
						  NAMED(FIONCLEX),
						  NAMED(FIOCLEX),
						  NAMED(FIOASYNC),
						  NAMED(FIOQSIZE),
						  NAMED(KDGKBTYPE),
						  NAMED(KDGKBMODE),
						  NAMED(KDSKBMODE),
						  NAMED(KDGETMODE),
						  NAMED(KDSETMODE),
						  NAMED(VT_OPENQRY),
						  NAMED(VT_GETMODE),
						  NAMED(VT_SETMODE),
						  NAMED(VT_GETSTATE),
						  NAMED(VT_ACTIVATE),
						  NAMED(VT_WAITACTIVE),
						  NAMED(VT_DISALLOCATE),
						  NAMED(BLKROSET),
						  NAMED(BLKROGET),
						  NAMED(BLKRRPART),
						  NAMED(BLKGETSIZE),
						  NAMED(BLKFLSBUF),
						  NAMED(BLKRAGET),
						  NAMED(BLKSSZGET),
						  NAMED(BLKGETSIZE64),
						  NAMED(BLKDISCARD),
						  NAMED_AS(FICLONE, "BTRFS_IOC_CLONE or FICLONE"),
						  NAMED_AS(FICLONERANGE, "BTRFS_IOC_CLONE_RANGE or FICLONERANGE"),
						  NAMED(FIBMAP),
						  NAMED(FIGETBSZ),
						  NAMED(FIFREEZE),
						  NAMED(FITHAW),
						  NAMED(FITRIM),
						  NAMED(FS_IOC_FIEMAP),
						  NAMED(FS_IOC_GETFLAGS),
						  NAMED(FS_IOC_SETFLAGS),
						  NAMED(FS_IOC_GETVERSION),
						  NAMED(SIOCADDRT),
						  NAMED(SIOCDELRT),
						  NAMED(SIOCGIFNAME),
						  NAMED(SIOCGIFCONF),
						  NAMED(SIOCGIFFLAGS),
						  NAMED(SIOCSIFFLAGS),
						  NAMED(SIOCGIFADDR),
						  NAMED(SIOCSIFADDR),
						  NAMED(SIOCGIFDSTADDR),
						  NAMED(SIOCGIFBRDADDR),
						  NAMED(SIOCGIFNETMASK),
						  NAMED(SIOCSIFNETMASK),
						  NAMED(SIOCGIFMETRIC),
						  NAMED(SIOCGIFMTU),
						  NAMED(SIOCSIFMTU),
						  NAMED(SIOCGIFHWADDR),
						  NAMED(SIOCGIFINDEX),
						  NAMED(SIOCGIFTXQLEN),
						  NAMED(SIOCGIFMAP),
						  NAMED(SIOCETHTOOL),
						  NAMED(SIOCGMIIPHY),
						  NAMED(SIOCBRADDBR),
						  NAMED(SIOCBRDELBR)};
NAME_SET(names_ioctl, ioctl_values);

static const struct named_value tcflush_values[] = {NAMED(TCIFLUSH), NAMED(TCOFLUSH), NAMED(TCIOFLUSH)};
NAME_SET(names_tcflush, tcflush_values, .unknown = "TC?FLUSH");

static const struct named_value tcflow_values[] = {NAMED(TCOOFF), NAMED(TCOON), NAMED(TCIOFF), NAMED(TCION)};
NAME_SET(names_tcflow, tcflow_values, .unknown = "TC???");

static const struct named_value iflag_values[] = {NAMED(IGNBRK), NAMED(BRKINT),  NAMED(IGNPAR), NAMED(PARMRK),
						  NAMED(INPCK),  NAMED(ISTRIP),  NAMED(INLCR),  NAMED(IGNCR),
						  NAMED(ICRNL),  NAMED(IUCLC),   NAMED(IXON),   NAMED(IXANY),
						  NAMED(IXOFF),  NAMED(IMAXBEL), NAMED(IUTF8)};
NAME_SET(names_iflag, iflag_values);

static const struct named_value oflag_values[] = {NAMED(OPOST), NAMED(OLCUC),  NAMED(ONLCR), NAMED(OCRNL),
						  NAMED(ONOCR), NAMED(ONLRET), NAMED(OFILL), NAMED(OFDEL)};
NAME_SET(names_oflag, oflag_values);

static const struct named_value speed_values[] = {
	NAMED(B0),       NAMED(B50),      NAMED(B75),      NAMED(B110),     NAMED(B134),     NAMED(B150),
	NAMED(B200),     NAMED(B300),     NAMED(B600),     NAMED(B1200),    NAMED(B1800),    NAMED(B2400),
	NAMED(B4800),    NAMED(B9600),    NAMED(B19200),   NAMED(B38400),   NAMED(B57600),   NAMED(B115200),
	NAMED(B230400),  NAMED(B460800),  NAMED(B500000),  NAMED(B576000),  NAMED(B921600),  NAMED(B1000000),
	NAMED(B1152000), NAMED(B1500000), NAMED(B2000000), NAMED(B2500000), NAMED(B3000000), NAMED(B3500000),
	NAMED(B4000000)};
NAME_SET(names_speed, speed_values);

static const struct named_value cflag_values[] = {NAMED(CSTOPB), NAMED(CREAD),  NAMED(PARENB), NAMED(PARODD),
						  NAMED(HUPCL),  NAMED(CLOCAL), NAMED(CMSPAR), NAMED(CRTSCTS)};
NAME_SET(names_cflag, cflag_values);

static const struct named_value lflag_values[] = {NAMED(ISIG),   NAMED(ICANON),  NAMED(XCASE),   NAMED(ECHO),
						  NAMED(ECHOE),  NAMED(ECHOK),   NAMED(ECHONL),  NAMED(NOFLSH),
						  NAMED(IEXTEN), NAMED(ECHOCTL), NAMED(ECHOPRT), NAMED(ECHOKE),
						  NAMED(FLUSHO), NAMED(PENDIN),  NAMED(TOSTOP),  NAMED(EXTPROC)};
NAME_SET(names_lflag, lflag_values);
