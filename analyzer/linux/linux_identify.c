/* SPDX-License-Identifier: MIT */
/* From vCPU registers to a running kernel: LSTAR, page tables, image, kallsyms, BTF; each step is logged. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "linux_guest_private.h"
#include "vcpu_state.h"

#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)

#define CR3_GPA_MASK 0x000ffffffffff000ull
#define PTI_CR3_BITS 0x1800ull /* PTI_USER_PCID_MASK, PTI_USER_PGTABLE_MASK: arch/x86/entry/calling.h */
#define PTI_PGD_BIT  0x1000ull

/* Where Linux links _text unless CONFIG_PHYSICAL_START was changed: for kernels without vmcoreinfo only. */
#define DEFAULT_TEXT 0xffffffff81000000ull

#define MAX_SPACES 128u
/* The user half of a PTI pair maps less of the kernel than this, any kernel is larger. */
#define MIN_KERNEL_BYTES (8u << 20)

struct identify {
	struct guest_memory *memory;
	FILE *log;
	struct linux_guest *guest;
	gva_t lstar;
	struct kernel_image image;
	size_t largest_image_bytes;
	struct vmtape_error *last_error; /* of the candidate that came furthest */
};

void linux_note(FILE *log, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (!log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	fprintf(log, "%s\n", line);
}

static uint64_t vcpu_reg(const struct linux_vcpu *vcpu, unsigned reg)
{
	return reg < vcpu->nr ? vcpu->values[reg] : 0;
}

/* ---- candidates --------------------------------------------------------- */

static void add_space(struct guest_space *spaces, size_t *n, struct guest_space space)
{
	for (size_t i = 0; i < *n; i++)
		if (spaces[i].cr3 == space.cr3 && spaces[i].levels == space.levels)
			return;
	if (*n < MAX_SPACES)
		spaces[(*n)++] = space;
}

/* Each vCPU's page tables, and with them the other half of a PTI pair: a user half maps only the entry code. */
static size_t collect_spaces(const struct linux_vcpu *vcpus, size_t nr_vcpus, struct guest_space *spaces)
{
	size_t n = 0;

	for (size_t i = 0; i < nr_vcpus; i++) {
		struct guest_space space = {
			.cr3 = vcpu_reg(&vcpus[i], TRAP_REG_CR3) & CR3_GPA_MASK,
			.levels = vcpu_reg(&vcpus[i], VCPU_CR4) & CR4_LA57 ? 5 : 4,
		};

		if (!(vcpu_reg(&vcpus[i], VCPU_EFER) & EFER_LMA))
			continue;
		add_space(spaces, &n, space);
		space.cr3 &= ~PTI_PGD_BIT;
		add_space(spaces, &n, space);
	}
	return n;
}

static bool is_running_kernel(void *ctx, const struct kallsyms *symbols)
{
	struct identify *id = ctx;
	uint64_t entry;

	if (!kallsyms_lookup(symbols, "entry_SYSCALL_64", &entry)) {
		linux_note(id->log, "kallsyms with %u symbols has no entry_SYSCALL_64", symbols->nr);
		return false;
	}
	if (entry != id->lstar.v)
		linux_note(id->log, "kallsyms with %u symbols has entry_SYSCALL_64 at 0x%" PRIx64 ", not at LSTAR",
			   symbols->nr, entry);
	return entry == id->lstar.v;
}

static struct vmtape_error *find_symbols(struct identify *id, struct guest_space space, bool with_code)
{
	struct vmtape_error *error;

	kernel_image_deinit(&id->image);
	error = kernel_image_read(&id->image, id->memory, space, id->lstar, with_code);
	if (!error) {
		linux_note(id->log, "kernel image by CR3 0x%" PRIx64 " (%d levels): 0x%" PRIx64 ", %zu MiB", space.cr3,
			   space.levels, id->image.start.v, id->image.size_bytes >> 20);
		error = kallsyms_find(&id->guest->symbols, id->image.bytes, id->image.size_bytes, id->image.start.v,
				      is_running_kernel, id);
	}
	return error;
}

static bool try_space(struct identify *id, struct guest_space space)
{
	struct vmtape_error *error = find_symbols(id, space, false);

	/* A kernel that has only begun to boot may execute all of itself. */
	if (error && id->image.bytes && error->code != VMTAPE_ERROR_NO_MEMORY) {
		vmtape_error_destroy(error);
		error = find_symbols(id, space, true);
	}
	if (!error) {
		linux_note(id->log, "kallsyms: %u symbols, %s", id->guest->symbols->nr, id->guest->symbols->layout);
		return true;
	}
	linux_note(id->log, "CR3 0x%" PRIx64 ": %s", space.cr3, error->message);
	if (!id->last_error || id->image.bytes) {
		vmtape_error_destroy(id->last_error);
		id->last_error = error;
	} else {
		vmtape_error_destroy(error);
	}
	return false;
}

static struct vmtape_error *find_kernel(struct identify *id, const struct linux_vcpu *vcpus, size_t nr_vcpus)
{
	struct guest_space spaces[MAX_SPACES], scanned;
	size_t nr_spaces = collect_spaces(vcpus, nr_vcpus, spaces);
	const char *where = "";
	struct vmtape_error *error;

	for (size_t i = 0; i < nr_vcpus && !id->lstar.v; i++)
		id->lstar = GVA(vcpu_reg(&vcpus[i], VCPU_LSTAR));
	if (!nr_spaces || !id->lstar.v)
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
					   "the guest has not booted yet: of %zu vCPUs, %zu page tables in 64-bit mode "
					   "and %s LSTAR, which the kernel sets before the first process",
					   nr_vcpus, nr_spaces, id->lstar.v ? "one" : "no");
	linux_note(id->log, "LSTAR 0x%" PRIx64 ", %zu vCPUs, %zu page tables to try", id->lstar.v, nr_vcpus, nr_spaces);
	for (size_t i = 0; i < nr_spaces; i++)
		if (try_space(id, spaces[i]))
			return NULL;

	/* A kernel that was seen whole is not found better elsewhere, nor is one whose LSTAR lies elsewhere. */
	if (id->largest_image_bytes < MIN_KERNEL_BYTES && kernel_image_may_hold(id->lstar)) {
		linux_note(id->log, "no vCPU's page tables lead to the kernel: scanning physical memory");
		error = kernel_scan_space(&scanned, id->memory, spaces[0].levels, id->lstar);
		if (!error && try_space(id, scanned))
			return NULL;
		if (error)
			linux_note(id->log, "scan: %s", error->message);
		vmtape_error_destroy(error);
		where = "and all physical memory ";
	}
	return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, id->lstar.v,
				      "no Linux kernel with kallsyms found: LSTAR of %zu vCPUs, %zu page tables %swere "
				      "searched; last: %s",
				      nr_vcpus, nr_spaces, where,
				      id->last_error ? id->last_error->message : "nothing to try");
}

/* ---- facts ---------------------------------------------------------------- */

static struct vmtape_error *read_types(struct identify *id)
{
	const struct kallsyms *symbols = id->guest->symbols;
	struct vmtape_error *error;
	uint64_t start, stop;
	const uint8_t *bytes;

	if (!kallsyms_lookup(symbols, "__start_BTF", &start) || !kallsyms_lookup(symbols, "__stop_BTF", &stop)) {
		linux_note(id->log, "BTF: not found, no symbols __start_BTF and __stop_BTF");
		return NULL;
	}
	bytes = stop > start ? kernel_image_at(&id->image, start, stop - start) : NULL;
	if (!bytes) {
		linux_note(id->log, "BTF: 0x%" PRIx64 " to 0x%" PRIx64 " is not inside the image", start, stop);
		return NULL;
	}
	error = btf_types_create(&id->guest->types, bytes, stop - start);
	if (error && error->code == VMTAPE_ERROR_NO_MEMORY)
		return error;
	if (error)
		linux_note(id->log, "BTF at 0x%" PRIx64 ": %s", start, error->message);
	else
		linux_note(id->log, "BTF: %zu types, %" PRIu64 " bytes", btf_types_count(id->guest->types),
			   stop - start);
	vmtape_error_destroy(error);
	return NULL;
}

static struct vmtape_error *read_banner(struct identify *id)
{
	static const char start[] = "Linux version ";
	struct linux_guest *guest = id->guest;
	char text[512];
	uint64_t gva;
	struct vmtape_error *error = NULL;

	text[0] = '\0';
	if (kallsyms_lookup(guest->symbols, "linux_banner", &gva))
		error = guest_read_string(id->memory, id->image.space, GVA(gva), text, sizeof(text));
	vmtape_error_destroy(error);
	if (strncmp(text, start, strlen(start))) {
		const uint8_t *hit = memmem(id->image.bytes, id->image.size_bytes, start, strlen(start));
		size_t left = hit ? id->image.bytes + id->image.size_bytes - hit : 0;

		snprintf(text, sizeof(text), "%.*s", (int)(left < sizeof(text) ? left : sizeof(text) - 1),
			 hit ? (const char *)hit : "");
	}
	text[strcspn(text, "\n")] = '\0';
	guest->banner = strdup(text);
	if (!strncmp(text, start, strlen(start)))
		guest->release = strndup(text + strlen(start), strcspn(text + strlen(start), " "));
	else
		guest->release = strdup("");
	if (!guest->banner || !guest->release)
		return &vmtape_error_no_memory;
	linux_note(id->log, "banner: %s", text[0] ? text : "not found");
	return NULL;
}

/* VMCOREINFO says it exactly: "KERNELOFFSET=12e00000". */
static bool slide_by_vmcoreinfo(struct identify *id, uint64_t *slide)
{
	static const char key[] = "KERNELOFFSET=";
	char text[GUEST_PAGE_BYTES + 1] = "";
	struct vmtape_error *error;
	uint64_t symbol, gva;
	const char *hit;

	if (!kallsyms_lookup(id->guest->symbols, "vmcoreinfo_data", &symbol))
		return false;
	error = guest_read_u64(id->memory, id->image.space, GVA(symbol), &gva);
	if (!error)
		error = guest_read_virt(id->memory, id->image.space, GVA(gva), text, GUEST_PAGE_BYTES);
	if (error) {
		vmtape_error_destroy(error);
		return false;
	}
	hit = strstr(text, key);
	if (!hit)
		return false;
	*slide = strtoull(hit + strlen(key), NULL, 16);
	return true;
}

static uint64_t address_behind(const struct kallsyms *symbols, uint64_t address)
{
	uint32_t i = kallsyms_first_at(symbols, address + 1);

	return i < symbols->nr ? symbols->symbols[i].address : UINT64_MAX;
}

/* CPUID-derived state of the kernel itself: X86_FEATURE_PTI is word 7, bit 11, since 4.15. -1: not known. */
static int pti_by_feature(struct identify *id)
{
	struct linux_field capability = {.type = "cpuinfo_x86", .member = "x86_capability"};
	struct vmtape_error *error;
	uint64_t data;
	uint32_t word;

	if (!kallsyms_lookup(id->guest->symbols, "boot_cpu_data", &data))
		return -1;
	error = linux_fields_find(id->guest, &capability, 1);
	if (!error)
		error = guest_read_u32(id->memory, id->image.space, GVA(data + capability.at.offset_bytes + 7 * 4),
				       &word);
	if (error) {
		vmtape_error_destroy(error);
		return -1;
	}
	return word >> 11 & 1;
}

/*
 * With CONFIG_(MITIGATION_)PAGE_TABLE_ISOLATION each top-level table has a user
 * half behind it; PTI in use shows in its last entry, which then maps the entry
 * code. -1: the kernel has no such half.
 */
static int pti_by_tables(struct identify *id, uint64_t top, gpa_t top_gpa)
{
	struct vmtape_error *error;
	uint8_t entry[8];

	if (address_behind(id->guest->symbols, top) - top < 2 * GUEST_PAGE_BYTES || top_gpa.v & PTI_PGD_BIT)
		return -1;
	error = guest_read_phys(id->memory, GPA(top_gpa.v + GUEST_PAGE_BYTES + 511 * 8), entry, sizeof(entry));
	if (error) {
		vmtape_error_destroy(error);
		return -1;
	}
	return entry[0] & 1;
}

static void read_pti(struct identify *id, bool has_top, uint64_t top, gpa_t top_gpa)
{
	struct linux_guest_facts *facts = &id->guest->facts;
	int feature = pti_by_feature(id), tables = has_top ? pti_by_tables(id, top, top_gpa) : -1;

	/* What the tables show is what CR3 will do; the feature bit speaks where they can't be read. */
	facts->pti = (tables >= 0 ? tables : feature) == 1;
	facts->kernel_cr3_mask = facts->pti ? ~PTI_CR3_BITS : ~0ull;
	linux_note(id->log, "PTI: %s (page tables: %s, boot_cpu_data: %s)", facts->pti ? "on" : "off",
		   tables < 0 ? "not known" : (tables ? "on" : "off"),
		   feature < 0 ? "not known" : (feature ? "on" : "off"));
}

/* system_state is SYSTEM_BOOTING, 0, until rest_init(); what start_kernel() decides is not to be relied on before. */
static bool is_booting(struct identify *id)
{
	struct vmtape_error *error;
	uint64_t symbol;
	uint32_t state;

	if (!kallsyms_lookup(id->guest->symbols, "system_state", &symbol))
		return false;
	error = guest_read_u32(id->memory, id->image.space, GVA(symbol), &state);
	if (error) {
		vmtape_error_destroy(error);
		return false;
	}
	linux_note(id->log, "system_state: %u%s", state, state ? "" : ", still booting");
	return !state;
}

static struct vmtape_error *read_facts(struct identify *id)
{
	struct linux_guest *guest = id->guest;
	struct linux_guest_facts *facts = &guest->facts;
	struct vmtape_error *error;
	gpa_t top_gpa = GPA(0), lstar_gpa, top_lstar_gpa;
	uint64_t top, base;
	bool has_top;

	facts->levels = id->image.space.levels;
	facts->kernel_space = id->image.space;
	error = guest_translate(id->memory, id->image.space, id->lstar, &lstar_gpa);
	if (error)
		return error;

	/* The kernel's own tables know all of vmalloc, which a process learns by and by; they also outlive it. */
	has_top = kallsyms_lookup(guest->symbols, "init_top_pgt", &top);
	if (has_top) {
		error = guest_translate(id->memory, id->image.space, GVA(top), &top_gpa);
		if (!error) {
			struct guest_space space = {.cr3 = top_gpa.v, .levels = facts->levels};

			error = guest_translate(id->memory, space, id->lstar, &top_lstar_gpa);
			if (!error && top_lstar_gpa.v == lstar_gpa.v)
				facts->kernel_space = space;
		}
		if (error || facts->kernel_space.cr3 != top_gpa.v) {
			linux_note(id->log, "init_top_pgt at 0x%" PRIx64 " does not map the kernel", top);
			has_top = false;
		}
		vmtape_error_destroy(error);
	}
	read_pti(id, has_top, top, top_gpa);
	facts->booting = is_booting(id);

	if (!kallsyms_lookup(guest->symbols, "_text", &facts->text.v) &&
	    !kallsyms_lookup(guest->symbols, "_stext", &facts->text.v))
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "kallsyms has neither _text nor _stext");
	error = guest_translate(id->memory, facts->kernel_space, facts->text, &facts->text_gpa);
	if (error)
		return error;
	if (!slide_by_vmcoreinfo(id, &facts->kaslr_slide))
		facts->kaslr_slide = facts->text.v - DEFAULT_TEXT;

	/* Documentation/arch/x86/x86_64/mm.rst; the variable is there with CONFIG_DYNAMIC_MEMORY_LAYOUT. */
	facts->page_offset = GVA(facts->levels == 5 ? 0xff11000000000000ull : 0xffff888000000000ull);
	if (kallsyms_lookup(guest->symbols, "page_offset_base", &base)) {
		error = guest_read_u64(id->memory, facts->kernel_space, GVA(base), &facts->page_offset.v);
		if (error)
			return error;
	}
	facts->nr_symbols = guest->symbols->nr;
	facts->nr_types = guest->types ? btf_types_count(guest->types) : 0;
	linux_note(id->log,
		   "_text 0x%" PRIx64 " at physical 0x%" PRIx64 ", KASLR slide 0x%" PRIx64 ", direct map 0x%" PRIx64
		   ", page tables at 0x%" PRIx64,
		   facts->text.v, facts->text_gpa.v, facts->kaslr_slide, facts->page_offset.v, facts->kernel_space.cr3);
	return NULL;
}

/* For the log: does the plan's way to the current task lead to one? */
static void check_current(struct identify *id, const struct linux_vcpu *vcpus, size_t nr_vcpus)
{
	struct plan_task plan;
	struct vmtape_error *error = linux_guest_plan_task(id->guest, &plan);

	if (error) {
		linux_note(id->log, "current task: %s", error->message);
		vmtape_error_destroy(error);
		return;
	}
	for (size_t i = 0; i < nr_vcpus; i++) {
		/* Whichever of the two bases is a kernel address is the kernel's, also around SWAPGS. */
		uint64_t base = vcpu_reg(&vcpus[i], TRAP_REG_GS_BASE), task, pids;

		if (base >> 63 == 0)
			base = vcpu_reg(&vcpus[i], TRAP_REG_KERNEL_GS_BASE);
		if (base >> 63 == 0)
			continue;
		error = guest_read_u64(id->memory, id->guest->facts.kernel_space, GVA(base + plan.offset), &task);
		if (!error)
			error = guest_read_u64(id->memory, id->guest->facts.kernel_space, GVA(task + plan.id_offset),
					       &pids);
		if (error)
			linux_note(id->log, "vCPU %zu: current task can't be read: %s", i, error->message);
		else
			linux_note(id->log, "vCPU %zu: current task 0x%" PRIx64 ", pid %d, tgid %d", i, task,
				   (int32_t)pids, (int32_t)(pids >> 32));
		vmtape_error_destroy(error);
	}
}

struct vmtape_error *linux_guest_identify(struct linux_guest **out, struct guest_memory *memory,
					  const struct linux_vcpu *vcpus, size_t nr_vcpus, FILE *log)
{
	struct identify id = {.memory = memory, .log = log};
	struct linux_guest *guest = calloc(1, sizeof(*guest));
	struct vmtape_error *error;

	*out = NULL;
	if (!guest)
		return &vmtape_error_no_memory;
	id.guest = guest;
	error = find_kernel(&id, vcpus, nr_vcpus);
	if (!error)
		error = read_types(&id);
	if (!error)
		error = read_banner(&id);
	if (!error)
		error = read_facts(&id);
	if (!error)
		error = linux_syscalls_create(guest, memory, log);
	kernel_image_deinit(&id.image);
	vmtape_error_destroy(id.last_error);
	if (error) {
		linux_guest_destroy(guest);
		return error;
	}
	guest->facts.banner = guest->banner;
	guest->facts.release = guest->release;
	check_current(&id, vcpus, nr_vcpus);
	*out = guest;
	return NULL;
}
