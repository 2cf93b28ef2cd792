/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * producer_proto.h - what a recorder and QEMU's vmtape-recorder object say to
 * each other over its UNIX stream socket (mode 0600, one client at a time; a
 * second one gets PROTO_ERROR with EBUSY and is closed).
 *
 * Every message is struct proto_header and size_bytes more bytes,
 * little-endian. File descriptors travel by SCM_RIGHTS with the first byte of
 * the message that lists them. The client's requests carry a number of its
 * choice, which the answer repeats; events of the server's own have request 0.
 * A request that fails is answered by PROTO_ERROR. Either side closes the
 * connection on a message that it cannot parse.
 *
 *   client                      server
 *   PROTO_HELLO              -> PROTO_WELCOME
 *   PROTO_GET_RAM            -> PROTO_RAM_BLOCK (one a block, fd if shared), PROTO_DONE
 *   PROTO_START (and plan)   -> PROTO_RING (one a vCPU, 2 or 3 fds each), PROTO_DONE
 *   PROTO_SET_PLAN (and plan)-> PROTO_DONE
 *   PROTO_SNAPSHOT           -> PROTO_SNAPSHOT_DATA [fd: staging memory, when it is new]
 *   PROTO_READ_RAM           -> PROTO_RAM_DATA, the same
 *   PROTO_GET_STATS          -> PROTO_STATS
 *   PROTO_STOP               -> PROTO_DONE; trapping is off, rings stay readable
 *                               PROTO_EVENT, at any time
 *
 * Closing the socket at any moment means PROTO_STOP.
 */
#ifndef PRODUCER_PROTO_H
#define PRODUCER_PROTO_H

#include "plan_abi.h"
#include "trap_abi.h"
#include "vcpu_state.h"

#define PROTO_MAGIC     0x45504154u /* "TAPE" */
#define PROTO_VERSION   1
#define PROTO_MAX_BYTES (1u << 20) /* size_bytes of any message */

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_WELCOME,
	PROTO_GET_RAM,
	PROTO_RAM_BLOCK,
	PROTO_START,
	PROTO_RING,
	PROTO_SET_PLAN,
	PROTO_SNAPSHOT,
	PROTO_SNAPSHOT_DATA,
	PROTO_READ_RAM,
	PROTO_RAM_DATA,
	PROTO_GET_STATS,
	PROTO_STATS,
	PROTO_STOP,
	PROTO_DONE,
	PROTO_ERROR,
	PROTO_EVENT,
	PROTO_TYPES
};

struct proto_header {
	__u32 magic;
	__u16 type;
	__u16 nr_fds; /* that come with this message */
	__u32 request;
	__u32 size_bytes; /* behind this header */
};

/* The client names the span of versions that it speaks; the server picks one. */
struct proto_hello {
	__u16 version_min;
	__u16 version_max;
	__u32 abi_version; /* TRAP_ABI_VERSION */
};

enum proto_producer {
	PROTO_PRODUCER_TCG = 1,
	PROTO_PRODUCER_KVM = 2,
};

struct proto_welcome {
	__u16 version;
	__u16 producer; /* enum proto_producer */
	__u32 abi_version;
	__u32 nr_vcpus;
	__u32 page_bytes;
	__u64 tsc_hz;     /* 0: not known */
	__u8 uuid[16];    /* of the VM; zeros: none */
	char vm_name[64]; /* NUL-terminated, -name of QEMU or empty */
	char qemu_version[64];
};

/* A block of guest RAM: block_bytes long, mapped at nr_ranges places. */
struct proto_ram_range {
	__u64 gpa;
	__u64 size_bytes;
	__u64 block_offset;
};
#define PROTO_MAX_RAM_RANGES 64
struct proto_ram_block {
	__u32 block; /* index, counts from 0 */
	__u32 nr_ranges;
	__u64 block_bytes;
	__u64 fd_offset; /* of the block in the file descriptor, if one came */
	char name[64];
	struct proto_ram_range ranges[];
};

enum proto_policy {
	PROTO_DROP = 0,
	PROTO_BLOCK = 1,
};

struct proto_start {
	__u64 ring_bytes; /* of each vCPU's data; a power of two */
	__u64 watermark_bytes;
	__u32 policy;         /* enum proto_policy */
	__u32 block_limit_ms; /* longest wait of a vCPU at a full ring, then it drops */
	__u32 flags;          /* PROTO_START_* */
	__u32 plan_bytes;     /* of the plan behind this; 0: registers only */
};
#define PROTO_START_DIRTY_LOG 0x01 /* snapshots will be asked for */

/*
 * fds: ring memory; "data", which becomes readable when the watermark is
 * reached; "room", a timerfd that the consumer arms when it moved tail and
 * `waiting` is set, absent where the producer looks at tail itself (KVM).
 * O_NONBLOCK belongs to both sides: who writes an eventfd hangs when the other
 * has filled it and made it blocking. Arming a timer never blocks.
 */
struct proto_ring {
	__u32 vcpu;
	__u32 reserved;
	__u64 memory_bytes;
};

struct proto_set_plan {
	__u32 plan_bytes; /* of the plan behind this; 0: registers only */
	__u32 reserved;
};

/*
 * A snapshot point. The vCPUs are paused; if at most max_pages pages are dirty
 * since the last point, they are copied to the staging memory in the pause,
 * TRAP_MARK goes into each ring, and the vCPUs run on: a whole snapshot. If
 * more are dirty, nothing is copied and no mark is made, and their bitmap is
 * handed out: the client copies them while the guest runs (as they will be
 * rewritten, it asks again until few enough are dirty). The dirty log is
 * cleared in both cases.
 *
 * With max_pages ~0 the answer is always whole. The server may then protect the
 * pages that are dirty from being written while the guest still runs. Those that
 * it writes to before the pause are copied in it; nr_protected others while it
 * runs again, each before it is written to, and the answer comes when all are.
 * Until then PROTO_SNAPSHOT and PROTO_READ_RAM are refused with EBUSY.
 */
struct proto_snapshot {
	__u64 snapshot_id;
	__u64 max_pages; /* ~0: all of them, whatever it takes */
};

/*
 * Staging memory, from offset 0, in this order, each part starting at a
 * multiple of 4096:
 *   bitmaps   for each block in order of its index, (pages + 63) / 64 __u64
 *   vCPUs     nr_vcpus times nr_regs __u64 (only when whole)
 *   pages     nr_pages pages, in order of the bitmaps' bits (only when whole)
 */
struct proto_snapshot_data {
	__u64 snapshot_id;
	__u32 whole; /* 1: a snapshot; 0: too many dirty pages */
	__u32 nr_vcpus;
	__u32 nr_regs;       /* VCPU_REGS of the server */
	__u32 nr_protected;  /* pages that were copied behind the pause (whole only) */
	__u64 staging_bytes; /* size of the staging memory */
	__u64 bitmaps_offset;
	__u64 vcpus_offset;
	__u64 pages_offset;
	__u64 nr_pages; /* dirty */
	__u64 tsc;      /* in the pause, with realtime_ns and monotonic_ns */
	__u64 realtime_ns;
	__u64 monotonic_ns;
	__u64 pause_ns;
};

/* size_bytes of the block from block_offset on are copied to offset 0 of the staging memory. */
struct proto_read_ram {
	__u32 block;
	__u32 reserved;
	__u64 block_offset;
	__u64 size_bytes; /* at most PROTO_MAX_READ_BYTES */
};
#define PROTO_MAX_READ_BYTES (4u << 20)
struct proto_ram_data {
	__u64 staging_bytes;
	__u64 size_bytes;
};

struct proto_vcpu_stats {
	__u64 records[8]; /* appended, by enum trap_type; KVM counts marks as plan changes */
	__u64 lost_records;
	__u64 bytes;
	__u64 blocked_ns;
	__u64 open_call_misses; /* exits whose open call had been pushed out of the table */
};
struct proto_stats {
	__u32 nr_vcpus;
	__u32 reserved;
	struct proto_vcpu_stats vcpus[];
};

/* Why a request failed; message is for people, NUL-terminated. */
struct proto_error {
	__s32 error; /* errno of Linux, positive */
	char message[252];
};

enum proto_event_kind {
	PROTO_EVENT_RESET = 1,    /* the guest was reset: forget who it is */
	PROTO_EVENT_SHUTDOWN = 2, /* the guest was powered off; QEMU may go on */
	PROTO_EVENT_RING = 3,     /* a vCPU was plugged: PROTO_RING with request 0 follows */
	PROTO_EVENT_RAM = 4,      /* the memory map changed: ask for it again */
};
struct proto_event {
	__u32 kind;
	__u32 reserved;
	__u64 tsc; /* 0: not known */
};

#endif
