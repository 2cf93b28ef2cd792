/* SPDX-License-Identifier: MIT */
/*
 * fake_vm.h - the VM's side of producer_proto.h for tests of the recorder: a
 * thread serves the socket, real memfd rings are filled by the test's threads,
 * and RAM has a dirty log. What it does wrong, a test asks for by a flag.
 */
#ifndef FAKE_VM_H
#define FAKE_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "producer_proto.h"
#include "trap_ring_producer.h"

#define FAKE_VM_MAX_VCPUS 4
#define FAKE_VM_SNAPSHOTS 32

/* What the VM does wrong, once. */
enum fake_fault {
	FAULT_NONE,
	FAULT_SILENT,         /* never answers HELLO */
	FAULT_GARBAGE,        /* answers HELLO with other bytes */
	FAULT_QMP,            /* greets like a QMP socket */
	FAULT_HANGUP,         /* closes at HELLO */
	FAULT_BUSY,           /* a second client */
	FAULT_VERSION,        /* WELCOME with version 2 */
	FAULT_ABI,            /* WELCOME with another ABI */
	FAULT_REFUSE_VERSION, /* PROTO_ERROR to HELLO */
	FAULT_VCPUS,          /* 100,000 vCPUs */
	FAULT_PAGE_BYTES,
	FAULT_HUGE_MESSAGE, /* size_bytes 0xffffffff */
	FAULT_SHORT_WELCOME,
	FAULT_UNKNOWN_TYPE,
	FAULT_WRONG_REQUEST,
	FAULT_EXTRA_FDS,          /* descriptors with a message that has none */
	FAULT_MISSING_FDS,        /* nr_fds 3, none come */
	FAULT_MANY_FDS,           /* a dozen */
	FAULT_RAM_INDEX,          /* block 7 first */
	FAULT_RAM_SIZE,           /* 2^60 bytes */
	FAULT_RAM_SHORT,          /* file shorter than the block */
	FAULT_RAM_RANGE,          /* a range outside of its block */
	FAULT_RAM_RANGES,         /* more ranges said than sent */
	FAULT_RAM_OVERLAP,        /* two ranges at one place */
	FAULT_RAM_NONE,           /* no block */
	FAULT_NO_SUPPORT,         /* START is refused */
	FAULT_RING_COUNT,         /* one ring too few */
	FAULT_RING_MANY,          /* one too many, a vCPU twice */
	FAULT_RING_SIZE,          /* memory shorter than said */
	FAULT_RING_UNSEALED,      /* memory that cannot be sealed */
	FAULT_RING_MAGIC,         /* head is not one of a ring */
	FAULT_RING_VCPU,          /* head names another vCPU */
	FAULT_RING_EVENTFD,       /* data descriptor is a plain file */
	FAULT_RING_ANONYMOUS,     /* memory is of the kernel, and no ring */
	FAULT_RING_FDS,           /* only one descriptor */
	FAULT_RING_BROKEN,        /* later: head runs away */
	FAULT_RECORD_BROKEN,      /* later: a record of size 4 */
	FAULT_SNAPSHOT_SHORT,     /* staging shorter than said */
	FAULT_SNAPSHOT_COUNT,     /* nr_pages is not what the bitmap has */
	FAULT_SNAPSHOT_BITS,      /* bits behind the end of a block */
	FAULT_SNAPSHOT_OFFSET,    /* pages outside */
	FAULT_SNAPSHOT_PROTECTED, /* more pages protected than dirty */
	FAULT_SNAPSHOT_ID,        /* another id */
	FAULT_SNAPSHOT_NO_FD,     /* staging never sent */
	FAULT_SNAPSHOT_VCPUS,     /* 2^31 vCPUs */
	FAULT_SNAPSHOT_REFUSED,   /* PROTO_ERROR, each time: only snapshots fail */
	FAULT_SNAPSHOT_ENDLESS,   /* never whole */
	FAULT_SNAPSHOT_HANGUP,    /* dies in the middle */
	FAULT_RAM_CUT,            /* RAM's file is cut short at START */
	FAULT_READ_RAM_SHORT,     /* fewer bytes than asked for (not shared) */
	FAULT_PLAN_REFUSED,       /* SET_PLAN fails */
	FAULT_EVENT_UNKNOWN,      /* an event of a kind that nobody knows: not an error */
	FAULT_ANSWER_UNASKED,     /* DONE to a request that was never made */
	FAULTS
};

#define FAKE_MANGLE_WAYS 9u
/* For people. */
const char *fake_mangle_name(unsigned way);

struct fake_ring {
	pthread_mutex_t lock;
	int memory_fd, data_fd, room_fd;
	uint8_t *memory;
	struct trap_writer writer;
	uint64_t appended; /* enter and exit records */
	uint64_t dropped;
};

/* RAM as it was in the pause of a snapshot. */
struct fake_snapshot {
	uint64_t id;
	uint64_t tsc;
	uint8_t *ram;
};

struct fake_vm {
	/* set before fake_vm_start() */
	unsigned nr_vcpus;
	unsigned ram_pages;
	bool shared;
	bool hides_tsc_hz;
	bool is_kvm; /* looks for room by itself, as KVM does: rings have no descriptor for it */
	enum fake_fault fault;
	unsigned mangle_at;  /* the message with this number, from 1, is spoilt; 0: none */
	unsigned mangle_way; /* how: below FAKE_MANGLE_WAYS */
	uint64_t mangle_seed;

	char folder[64];
	char socket_path[96];
	int listen_fd;
	int fd; /* the client; -1: none */
	pthread_t thread;
	atomic_bool ending;
	atomic_int_fast64_t clock_step_ns; /* by which its wall clock is wrong */
	atomic_bool trapping;              /* between START and STOP: for who must not take the lock */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool started; /* rings are there */
	bool stopped; /* PROTO_STOP, or the client went */
	unsigned nr_clients;
	unsigned nr_sent;  /* messages */
	unsigned nr_plans; /* uploaded, with START and SET_PLAN */
	uint32_t plan_ids[64];
	unsigned nr_rounds;    /* SNAPSHOT requests */
	unsigned nr_snapshots; /* whole ones */
	struct fake_snapshot snapshots[FAKE_VM_SNAPSHOTS];
	unsigned nr_reads; /* READ_RAM */
	struct proto_start start;
	int staging_fd;
	uint64_t staging_bytes;

	/* RAM: pages may be written by a test's thread under ram_lock, through fake_vm_write() */
	pthread_mutex_t ram_lock;
	int ram_fd;
	uint8_t *ram;
	uint64_t *dirty;
	bool extra_block; /* one of 16 pages behind the hole, announced with PROTO_EVENT_RAM */

	struct fake_ring rings[FAKE_VM_MAX_VCPUS + 1];
	unsigned nr_rings;
};

/* With a folder and a socket of its own; nobody is served before fake_vm_start(). */
void fake_vm_init(struct fake_vm *vm, unsigned nr_vcpus, unsigned ram_pages, bool shared);
void fake_vm_start(struct fake_vm *vm);
/* Ends the thread; from here on the test may look at everything without locks. */
void fake_vm_end(struct fake_vm *vm);
/* Ends it, if need be, and frees all. */
void fake_vm_deinit(struct fake_vm *vm);
/* Closes the client's socket, as a VM that dies does. */
void fake_vm_hang_up(struct fake_vm *vm);
/* Waits until the rings are there; dies after 20 s. */
void fake_vm_wait_started(struct fake_vm *vm);
/* Waits until the client's PROTO_STOP or end. */
void fake_vm_wait_stopped(struct fake_vm *vm);
bool fake_vm_is_stopped(struct fake_vm *vm);
unsigned fake_vm_count(struct fake_vm *vm, const unsigned *counter);
void fake_vm_send_event(struct fake_vm *vm, enum proto_event_kind kind);
/* A vCPU more, while it runs. */
void fake_vm_plug_vcpu(struct fake_vm *vm);

/* A byte of guest memory changes. */
void fake_vm_write(struct fake_vm *vm, unsigned page, unsigned offset, uint8_t value);

/*
 * Appends the next record of a vCPU, enter and exit in turn, with contents that
 * fake_record_check() can tell. False: the ring is full, and it was dropped (or,
 * by policy block, the limit is over, or the VM was stopped).
 */
bool fake_vm_append(struct fake_vm *vm, unsigned vcpu);
/* Time stamp counter of the fake: nanoseconds. */
uint64_t fake_tsc(void);

struct trap_view;
/* Is it a record that fake_vm_append() made, with this number? */
bool fake_record_check(const struct trap_view *view);

#endif
