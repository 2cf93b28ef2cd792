/* SPDX-License-Identifier: MIT */
#include "fault_rig.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define SAMPLE_NS   2000000u
#define MAX_SAMPLES 65536u

bool fault_is_long(void)
{
	const char *text = getenv("VMTAPE_LONG");

	return text && *text && strcmp(text, "0");
}

void fault_pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

unsigned fault_below(unsigned n)
{
	return (unsigned)random() % n;
}

void fault_seed(void)
{
	const char *text = getenv("VMTAPE_FAULT_SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 0) : (unsigned)time(NULL);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("VMTAPE_FAULT_SEED=%u%s\n", seed, fault_is_long() ? ", the long form" : "");
	srandom(seed);
}

static void write_map(const char *path, const char *format, unsigned id)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && dprintf(fd, format, id) > 0);
	close(fd);
}

bool fault_private_mounts(void)
{
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWNS)) {
		/* Who is not root may be it in a world of their own. */
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			return false;
		write_map("/proc/self/setgroups", "deny", 0);
		write_map("/proc/self/uid_map", "0 %u 1", uid);
		write_map("/proc/self/gid_map", "0 %u 1", gid);
	}
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* ---- the guest ------------------------------------------------------- */

static void take_sample(struct fault_vcpu *vcpu, uint64_t tsc)
{
	struct fake_ring *ring = &vcpu->guest->vm->rings[vcpu->vcpu];

	if (vcpu->nr_samples >= MAX_SAMPLES ||
	    (vcpu->nr_samples && tsc - vcpu->samples[vcpu->nr_samples - 1].tsc < SAMPLE_NS))
		return;
	pthread_mutex_lock(&ring->lock);
	/* A loss that no record tells of yet does not count: it is placed when there is room. */
	vcpu->samples[vcpu->nr_samples++] =
		(struct fault_sample){tsc, ring->writer.seq - ring->writer.untold.lost_records};
	pthread_mutex_unlock(&ring->lock);
}

static void *run_vcpu(void *arg)
{
	struct fault_vcpu *vcpu = arg;
	struct fault_guest *guest = vcpu->guest;
	struct fake_vm *vm = guest->vm;
	uint64_t before = fake_tsc();

	while (!atomic_load(&guest->ending) && atomic_load(&vm->trapping)) {
		uint64_t now;

		fake_vm_append(vm, vcpu->vcpu);
		now = fake_tsc();
		if (now - before > vcpu->max_append_ns)
			vcpu->max_append_ns = now - before;
		take_sample(vcpu, before);
		vcpu->tries++;
		if (vcpu->vcpu == 0 && vcpu->tries % 64 == 0)
			fake_vm_write(vm, (unsigned)(vcpu->tries / 64 % vm->ram_pages), (unsigned)(vcpu->tries % 4096),
				      (uint8_t)vcpu->tries);
		if (guest->records_a_ms && vcpu->tries % guest->records_a_ms == 0)
			fault_pause_ms(1);
		before = fake_tsc();
	}
	return NULL;
}

void fault_guest_start(struct fault_guest *guest, struct fake_vm *vm, unsigned records_a_ms)
{
	*guest = (struct fault_guest){.vm = vm, .records_a_ms = records_a_ms};
	for (unsigned i = 0; i < FAULT_VCPUS; i++) {
		struct fault_vcpu *vcpu = &guest->vcpus[i];

		vcpu->guest = guest;
		vcpu->vcpu = i;
		vcpu->samples = calloc(MAX_SAMPLES, sizeof(*vcpu->samples));
		CHECK(vcpu->samples);
		CHECK(!pthread_create(&vcpu->thread, NULL, run_vcpu, vcpu));
	}
}

void fault_guest_stop(struct fault_guest *guest)
{
	atomic_store(&guest->ending, true);
	for (unsigned i = 0; i < FAULT_VCPUS; i++)
		pthread_join(guest->vcpus[i].thread, NULL);
}

void fault_guest_deinit(struct fault_guest *guest)
{
	for (unsigned i = 0; i < FAULT_VCPUS; i++)
		free(guest->vcpus[i].samples);
}

uint64_t fault_guest_seq_at(const struct fault_guest *guest, unsigned vcpu, uint64_t tsc)
{
	const struct fault_vcpu *of = &guest->vcpus[vcpu];
	uint64_t seq = 0;

	for (unsigned i = 0; i < of->nr_samples && of->samples[i].tsc <= tsc; i++)
		seq = of->samples[i].seq;
	return seq;
}

/* ---- the tape -------------------------------------------------------- */

void fault_read_tape(const struct record_run *run, struct fault_sums *out)
{
	struct tape_reader *reader = record_run_open_tape(run);

	*out = (struct fault_sums){0};
	CHECK_INT(record_run_verify(reader, &out->cut_off), 0);
	record_account(reader, out->vcpus);
	out->snapshots = tape_reader_info(reader)->nr_snapshots;
	out->overwritten = tape_reader_info(reader)->nr_overwritten;
	for (unsigned i = 0; i < FAKE_VM_MAX_VCPUS + 1; i++) {
		out->calls += out->vcpus[i].calls;
		out->gaps += out->vcpus[i].gaps;
		out->gap_lost += out->vcpus[i].gap_lost;
		out->others += out->vcpus[i].others;
	}
	if (tape_reader_info(reader)->finished && !out->overwritten) {
		CHECK_INT(tape_reader_info(reader)->totals.records, tape_reader_info(reader)->nr_records);
		CHECK_INT(tape_reader_info(reader)->totals.lost_records, out->gap_lost);
	}
	tape_reader_close(reader);
}

void fault_check_whole(const struct record_run *run, const struct fake_vm *vm, const char *label,
		       struct fault_sums *out)
{
	uint64_t produced = 0, dropped = 0;

	fault_read_tape(run, out);
	for (unsigned i = 0; i < FAULT_VCPUS; i++) {
		const struct fake_ring *ring = &vm->rings[i];

		uint64_t first_seq = out->vcpus[i].first_seq;

		produced += first_seq ? out->vcpus[i].calls + out->vcpus[i].gap_lost
				      : ring->appended + ring->writer.lost_records;
		dropped += first_seq ? out->vcpus[i].gap_lost : ring->writer.lost_records;
		if (!first_seq) {
			CHECK_INT(out->vcpus[i].calls, ring->appended);
			CHECK_INT(out->vcpus[i].gap_lost, ring->writer.lost_records);
		}
		CHECK_INT(out->vcpus[i].next_seq, ring->writer.seq + (ring->writer.untold.lost_records != 0));
	}
	CHECK(!out->cut_off);
	CHECK_INT(out->gap_lost, dropped);
	printf("%s: %" PRIu64 " produced = %" PRIu64 " on the tape + %" PRIu64 " told lost in %" PRIu64
	       " gaps; %u snapshots%s\n",
	       label, produced, out->calls, out->gap_lost, out->gaps, out->snapshots,
	       out->overwritten ? "; from the oldest record of a ring on" : "");
	CHECK_INT(produced, out->calls + out->gap_lost);
}

/* The number before a word, in what the recorder said at its end. */
static uint64_t told(const struct record_run *run, const char *after)
{
	const char *end = strstr(run->text, after), *text = end;
	uint64_t value = 0;

	if (!end)
		fprintf(stderr, "nothing about \"%s\" in:\n%s", after, run->text);
	CHECK(end);
	while (text > run->text && (text[-1] == ',' || (text[-1] >= '0' && text[-1] <= '9')))
		text--;
	for (; text < end; text++)
		if (*text != ',')
			value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

void fault_check_failed(const struct record_run *run, const struct fake_vm *vm, const char *label,
			struct fault_sums *out)
{
	uint64_t numbers = 0, records = 0, lost = told(run, " LOST after the failure");

	fault_read_tape(run, out);
	CHECK(out->cut_off);
	for (unsigned i = 0; i < FAULT_VCPUS; i++) {
		numbers += vm->rings[i].writer.seq;
		records += out->vcpus[i].next_seq - out->vcpus[i].gap_lost;
	}
	printf("%s: %" PRIu64 " numbers given = %" PRIu64 " on the tape + %" PRIu64 " told lost\n", label, numbers,
	       records, lost);
	CHECK_INT(told(run, " events, "), out->calls);
	/* The recorder's own record of the last loss of each vCPU may be among those. */
	CHECK(records + lost >= numbers && records + lost <= numbers + FAULT_VCPUS);
}
