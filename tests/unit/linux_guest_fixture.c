/* SPDX-License-Identifier: MIT */
#include "linux_guest_fixture.h"

#include <bpf/btf.h>
#include <errno.h>

#include "check.h"
#include "kallsyms_fixture.h"

#define PRESENT 0x63ull
#define LARGE   0x80ull

/* Offsets in the image. */
#define AT_FUNCTIONS   0x2000u
#define AT_BANNER      0x10000u
#define AT_VMCOREINFO  0x11000u
#define AT_VARIABLES   0x12000u
#define AT_CPU_DATA    0x13000u
#define AT_CALL_TABLE  0x14000u
#define AT_I386_TABLE  0x15000u
#define NR_I386_CALLS  300u
#define AT_METADATA    0x16000u
#define AT_META_ARRAY  0x1c000u
#define AT_TOP         0x20000u
#define AT_INIT_TASK   0x30000u
#define AT_BTF         0x40000u
#define AT_KALLSYMS    0x60000u
#define IMAGE_BYTES    0x200000u
#define HEAP_GPA       0x600000u
#define PERCPU_CURRENT 0x580u

static struct guest_range range = {{0}, FIXTURE_RAM_BYTES};

static const char *const calls[] = {"read", "openat", "newstat", "ni_syscall", "old_readdir", "clone", "futex_time32"};
enum { READ, OPENAT, NEWSTAT, NI_SYSCALL, OLD_READDIR, CLONE, FUTEX_TIME32, CALLS };

static const struct {
	int nr_args;
	const char *types[LINUX_SYSCALL_ARGS], *names[LINUX_SYSCALL_ARGS];
} prototypes[CALLS] = {
	[READ] = {3, {"unsigned int", "char *", "size_t"}, {"fd", "buf", "count"}},
	[OPENAT] = {4, {"int", "const char *", "int", "umode_t"}, {"dfd", "filename", "flags", "mode"}},
	[NEWSTAT] = {2, {"const char *", "struct stat *"}, {"filename", "statbuf"}},
	[OLD_READDIR] = {3, {"unsigned int", "struct old_linux_dirent *", "unsigned int"}, {"fd", "dirent", "count"}},
	[CLONE] = {5,
		   {"unsigned long", "unsigned long", "int *", "int *", "unsigned long"},
		   {"clone_flags", "newsp", "parent_tidptr", "child_tidptr", "tls"}},
	[FUTEX_TIME32] = {1, {"u32 *"}, {"uaddr"}},
};

static uint64_t gpa_of(const struct linux_guest_fixture *f, uint64_t gva)
{
	uint64_t gpa = gva >= FIXTURE_TEXT ? gva - FIXTURE_TEXT + FIXTURE_TEXT_GPA : gva - f->direct_map;

	CHECK(gpa < FIXTURE_RAM_BYTES);
	return gpa;
}

static void put_phys(struct linux_guest_fixture *f, uint64_t gpa, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		f->ram[gpa + i] = value >> 8 * i;
}

void linux_guest_fixture_put(struct linux_guest_fixture *f, uint64_t gva, uint64_t value, unsigned bytes)
{
	put_phys(f, gpa_of(f, gva), value, bytes);
}

static void put_text(struct linux_guest_fixture *f, uint64_t gva, const char *text)
{
	memcpy(f->ram + gpa_of(f, gva), text, strlen(text) + 1);
}

static uint64_t allocate(struct linux_guest_fixture *f, size_t bytes)
{
	uint64_t at = f->heap;

	f->heap += (bytes + 63) & ~(size_t)63;
	CHECK(f->heap <= FIXTURE_RAM_BYTES);
	return f->direct_map + at;
}

/* ---- page tables --------------------------------------------------------- */

static void put_entry(struct linux_guest_fixture *f, uint64_t table, unsigned index, uint64_t value)
{
	put_phys(f, table + 8 * index, value, 8);
}

static void put_top(struct linux_guest_fixture *f, uint64_t top)
{
	/* 0x1000: kernel's level 4, 0x2000: its level 3, 0x3000: its level 2; 0x4000, 0x5000: direct map. */
	put_entry(f, top, 511, (f->levels == 5 ? 0x1000 : 0x2000) | PRESENT);
	put_entry(f, top, 273, (f->levels == 5 ? 0x4000 : 0x5000) | PRESENT);
}

static void make_tables(struct linux_guest_fixture *f)
{
	unsigned slot = FIXTURE_TEXT >> 21 & 511;

	f->direct_map = f->levels == 5 ? 0xff11000000000000ull : 0xffff888000000000ull;
	put_top(f, FIXTURE_TOP_GPA);
	put_top(f, FIXTURE_PGD_GPA);
	put_entry(f, 0x1000, 511, 0x2000 | PRESENT);
	put_entry(f, 0x2000, 510, 0x3000 | PRESENT);
	put_entry(f, 0x3000, slot, FIXTURE_TEXT_GPA | PRESENT | LARGE);
	/* A second part of the image by 4 KiB pages, behind a hole, with one page and nothing else in it. */
	put_entry(f, 0x3000, slot + 2, 0xb000 | PRESENT);
	put_entry(f, 0xb000, 5, 0xc000 | PRESENT);
	put_entry(f, 0x4000, 0, 0x5000 | PRESENT);
	put_entry(f, 0x5000, 0, 0 | PRESENT | LARGE);
	if (!f->pti)
		return;
	/* User halves: the entry code's page alone. */
	put_entry(f, FIXTURE_TOP_GPA + 0x1000, 511, 0x8000 | PRESENT);
	put_entry(f, FIXTURE_PGD_GPA + 0x1000, 511, (f->levels == 5 ? 0x8000 : 0x9000) | PRESENT);
	put_entry(f, 0x8000, 511, 0x9000 | PRESENT);
	put_entry(f, 0x9000, 510, 0xa000 | PRESENT);
	put_entry(f, 0xa000, slot, 0xd000 | PRESENT);
	put_entry(f, 0xd000, 1, (FIXTURE_TEXT_GPA + 0x1000) | PRESENT);
}

/* ---- types --------------------------------------------------------------- */

struct member {
	const char *name;
	int type;
	uint32_t offset;
};

static int add_struct(struct btf *btf, const char *name, uint32_t size, const struct member *members, size_t n)
{
	int id = btf__add_struct(btf, name, size);

	CHECK(id > 0);
	for (size_t i = 0; i < n; i++)
		CHECK(!btf__add_field(btf, members[i].name, members[i].type, members[i].offset * 8, 0));
	return id;
}

#define STRUCT(name, size, ...)                                           \
	add_struct(btf, name, size, (const struct member[]){__VA_ARGS__}, \
		   sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member))

static size_t put_types(struct linux_guest_fixture *f)
{
	struct btf *btf = btf__new_empty();
	int u32, u64, list, qstr, path, uid, vfsmount, chr, comm, words, tree;
	const void *data;
	__u32 size;

	CHECK(btf);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	u64 = btf__add_int(btf, "unsigned long", 8, 0);
	chr = btf__add_int(btf, "char", 1, 0);
	comm = btf__add_array(btf, u32, chr, 16);
	words = btf__add_array(btf, u32, u32, 24);
	list = STRUCT("list_head", 16, {"next", u64, 0}, {"prev", u64, 8});
	STRUCT("task_struct", TASK_BYTES, {"flags", u32, TASK_FLAGS}, {"exit_state", u32, TASK_EXIT_STATE},
	       {"pid", u32, TASK_PID}, {"tgid", u32, TASK_PID + 4}, {"tasks", list, TASK_TASKS}, {"mm", u64, TASK_MM},
	       {"real_parent", u64, TASK_REAL_PARENT}, {"start_boottime", u64, TASK_START}, {"cred", u64, TASK_CRED},
	       {"comm", comm, TASK_COMM}, {"files", u64, TASK_FILES}, {"signal", u64, TASK_SIGNAL},
	       {"thread_node", list, TASK_THREAD_NODE}, {"nsproxy", u64, TASK_NSPROXY});
	STRUCT("nsproxy", 64, {"mnt_ns", u64, 24});
	STRUCT("signal_struct", 64, {"thread_head", list, 16});
	uid = STRUCT(NULL, 4, {"val", u32, 0});
	STRUCT("cred", 64, {"uid", btf__add_typedef(btf, "kuid_t", uid), 8});
	tree = STRUCT("maple_tree", 16, {"ma_flags", u32, 4}, {"ma_root", u64, 8});
	if (f->maple)
		STRUCT("mm_struct", 256, {"mm_mt", tree, 16}, {"pgd", u64, 72}, {"brk", u64, 88},
		       {"exe_file", u64, 200});
	else
		STRUCT("mm_struct", 256, {"mmap", u64, 16}, {"pgd", u64, 72}, {"brk", u64, 88}, {"exe_file", u64, 200});
	STRUCT("vm_area_struct", 64, {"vm_start", u64, 0}, {"vm_end", u64, 8}, {"vm_next", u64, 16},
	       {"vm_flags", u64, 32}, {"vm_file", u64, 40}, {"vm_pgoff", u64, 48});
	STRUCT("maple_range_64", 256, {"pivot", btf__add_array(btf, u32, u64, 15), 8},
	       {"slot", btf__add_array(btf, u32, u64, 16), 128});
	STRUCT("maple_arange_64", 256, {"pivot", btf__add_array(btf, u32, u64, 9), 8},
	       {"slot", btf__add_array(btf, u32, u64, 10), 80});
	STRUCT("files_struct", 64, {"fdt", u64, 32});
	STRUCT("fdtable", 64, {"max_fds", u32, 0}, {"fd", u64, 8});
	path = STRUCT("path", 16, {"mnt", u64, 0}, {"dentry", u64, 8});
	STRUCT("file", 128, {"f_path", path, 64}, {"f_flags", u32, 40});
	qstr = STRUCT("qstr", 16, {"len", u32, 4}, {"name", u64, 8});
	STRUCT("hlist_bl_node", 16, {"next", u64, 0}, {"pprev", u64, 8});
	STRUCT("dentry", 128, {"d_hash", btf__type_cnt(btf) - 1, 8}, {"d_parent", u64, 24}, {"d_name", qstr, 32},
	       {"d_inode", u64, 48}, {"d_sb", u64, 104});
	vfsmount = STRUCT("vfsmount", 32, {"mnt_root", u64, 0}, {"mnt_sb", u64, 8});
	STRUCT("mount", 128, {"mnt_parent", u64, 16}, {"mnt_mountpoint", u64, 24}, {"mnt", vfsmount, 32},
	       {"mnt_instance", list, 64}, {"mnt_ns", u64, 80});
	STRUCT("super_block", 128, {"s_type", u64, 40}, {"s_mounts", list, 64});
	STRUCT("file_system_type", 64, {"name", u64, 0});
	STRUCT("inode", 128, {"i_ino", u64, 64});
	STRUCT("cpuinfo_x86", 256, {"x86_capability", words, 32});
	STRUCT("pcpu_hot", 64, {"current_task", u64, 24});
	STRUCT("syscall_metadata", 64, {"name", u64, 0}, {"syscall_nr", u32, 8}, {"types", u64, 16}, {"args", u64, 24});
	/* The number of arguments as the bitfield that newer kernels have. */
	CHECK(!btf__add_field(btf, "nb_args", chr, 12 * 8, 7));
	data = btf__raw_data(btf, &size);
	CHECK(data && size < AT_KALLSYMS - AT_BTF);
	memcpy(f->ram + FIXTURE_TEXT_GPA + AT_BTF, data, size);
	btf__free(btf);
	return size;
}

/* ---- the image -------------------------------------------------------------- */

struct symbol_list {
	struct fixture_symbol symbols[128];
	char names[128][64];
	unsigned n;
};

static void add_symbol(struct symbol_list *list, uint64_t address, const char *format, const char *name)
{
	CHECK(list->n < 128);
	snprintf(list->names[list->n], sizeof(list->names[0]), format, name);
	list->symbols[list->n] = (struct fixture_symbol){address, list->names[list->n]};
	list->n++;
}

static int by_address(const void *a, const void *b)
{
	const struct fixture_symbol *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static uint64_t function(unsigned call)
{
	return FIXTURE_TEXT + AT_FUNCTIONS + 0x20 * call;
}

/* struct syscall_metadata, its arrays and strings; the struct's address. */
static uint64_t put_metadata(struct linux_guest_fixture *f, unsigned call)
{
	uint64_t meta = FIXTURE_TEXT + AT_METADATA + 0x400 * call, types = meta + 0x40, names = meta + 0x80,
		 text = meta + 0xc0;
	char name[64];

	snprintf(name, sizeof(name), "sys_%s", calls[call]);
	put_text(f, text, name);
	linux_guest_fixture_put(f, meta, text, 8);
	linux_guest_fixture_put(f, meta + 12, 0x80 | prototypes[call].nr_args, 1);
	linux_guest_fixture_put(f, meta + 16, types, 8);
	linux_guest_fixture_put(f, meta + 24, names, 8);
	text += 32;
	for (int i = 0; i < prototypes[call].nr_args; i++) {
		put_text(f, text, prototypes[call].types[i]);
		linux_guest_fixture_put(f, types + 8 * i, text, 8);
		text += 32;
		put_text(f, text, prototypes[call].names[i]);
		linux_guest_fixture_put(f, names + 8 * i, text, 8);
		text += 32;
	}
	return meta;
}

static void put_calls(struct linux_guest_fixture *f, struct symbol_list *list)
{
	/* openat and stat by the array, read by its symbol only. */
	static const struct {
		unsigned nr, call;
	} table[] = {{0, READ}, {4, NEWSTAT}, {257, OPENAT}, {56, CLONE}};

	for (unsigned nr = 0; nr < FIXTURE_NR_CALLS; nr++)
		linux_guest_fixture_put(f, FIXTURE_TEXT + AT_CALL_TABLE + 8 * nr, function(NI_SYSCALL), 8);
	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
		linux_guest_fixture_put(f, FIXTURE_TEXT + AT_CALL_TABLE + 8 * table[i].nr, function(table[i].call), 8);
	for (unsigned call = 0; call < CALLS; call++) {
		add_symbol(list, function(call), call == NI_SYSCALL ? "T%s" : "T__x64_sys_%s",
			   call == NI_SYSCALL ? "sys_ni_syscall" : calls[call]);
		add_symbol(list, function(call) + 0x10, "T__ia32_sys_%s", calls[call]);
		if (call == NI_SYSCALL || f->no_metadata)
			continue;
		add_symbol(list, put_metadata(f, call), "d__syscall_meta__%s", calls[call]);
		for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
			if (table[i].call == call && call != READ)
				linux_guest_fixture_put(f, FIXTURE_TEXT + AT_META_ARRAY + 8 * table[i].nr,
							FIXTURE_TEXT + AT_METADATA + 0x400 * call, 8);
	}
	add_symbol(list, FIXTURE_TEXT + AT_CALL_TABLE, "D%s", "sys_call_table");
	add_symbol(list, FIXTURE_TEXT + AT_CALL_TABLE + 8 * FIXTURE_NR_CALLS, "d%s", "vdso_mapping");
	add_symbol(list, FIXTURE_TEXT + AT_FUNCTIONS + 0x800, "T%s", "ia32_sys_call");
	if (f->i386_table) {
		for (unsigned nr = 0; nr < NR_I386_CALLS; nr++)
			linux_guest_fixture_put(f, FIXTURE_TEXT + AT_I386_TABLE + 8 * nr, function(NI_SYSCALL) + 0x10,
						8);
		linux_guest_fixture_put(f, FIXTURE_TEXT + AT_I386_TABLE + 8 * 295, function(OPENAT) + 0x10, 8);
		add_symbol(list, FIXTURE_TEXT + AT_I386_TABLE, "D%s", "ia32_sys_call_table");
		add_symbol(list, FIXTURE_TEXT + AT_I386_TABLE + 8 * NR_I386_CALLS, "d%s", "behind_table");
	}
	if (!f->no_metadata) {
		linux_guest_fixture_put(f, FIXTURE_TEXT + AT_VARIABLES + 16, FIXTURE_TEXT + AT_META_ARRAY, 8);
		add_symbol(list, FIXTURE_TEXT + AT_VARIABLES + 16, "b%s", "syscalls_metadata");
	}
}

static void make_image(struct linux_guest_fixture *f)
{
	struct symbol_list list = {.n = 0};
	struct kallsyms_fixture kallsyms = {
		.symbols = list.symbols,
		.encoding = FIXTURE_BASE_PERCPU,
		.addresses_first = f->addresses_first,
		.alignment = 8,
		.marker_bytes = 4,
		.base = FIXTURE_TEXT,
		.image_gva = FIXTURE_TEXT,
	};
	size_t btf_size = put_types(f), end;

	put_text(f, FIXTURE_TEXT + AT_BANNER, "Linux version 6.66.0-test (builder@host) #1 SMP\n");
	put_text(f, FIXTURE_TEXT + AT_VMCOREINFO, "OSRELEASE=6.66.0-test\nPAGESIZE=4096\nKERNELOFFSET=19000000\n");
	linux_guest_fixture_put(f, FIXTURE_TEXT + AT_VARIABLES, f->direct_map, 8);
	linux_guest_fixture_put(f, FIXTURE_TEXT + AT_VARIABLES + 8, FIXTURE_TEXT + AT_VMCOREINFO, 8);
	linux_guest_fixture_put(f, FIXTURE_TEXT + AT_VARIABLES + 24, f->booting ? 0 : 3, 4);
	linux_guest_fixture_put(f, FIXTURE_TEXT + AT_CPU_DATA + 32 + 7 * 4, f->pti ? 1u << 11 : 0, 4);

	add_symbol(&list, PERCPU_CURRENT, "A%s", f->pcpu_hot ? "pcpu_hot" : "current_task");
	add_symbol(&list, FIXTURE_TEXT, "T%s", "_text");
	add_symbol(&list, FIXTURE_LSTAR, "T%s", "entry_SYSCALL_64");
	add_symbol(&list, FIXTURE_TEXT + AT_BANNER, "D%s", "linux_banner");
	add_symbol(&list, FIXTURE_TEXT + AT_VARIABLES, "D%s", "page_offset_base");
	add_symbol(&list, FIXTURE_TEXT + AT_VARIABLES + 8, "D%s", "vmcoreinfo_data");
	add_symbol(&list, FIXTURE_TEXT + AT_VARIABLES + 24, "D%s", "system_state");
	add_symbol(&list, FIXTURE_TEXT + AT_CPU_DATA, "D%s", "boot_cpu_data");
	add_symbol(&list, FIXTURE_TEXT + AT_TOP, "D%s", "init_top_pgt");
	add_symbol(&list, FIXTURE_TEXT + AT_TOP + 0x2000, "D%s", "level4_kernel_pgt");
	add_symbol(&list, FIXTURE_TEXT + AT_INIT_TASK, "D%s", "init_task");
	if (!f->no_btf) {
		add_symbol(&list, FIXTURE_TEXT + AT_BTF, "R%s", "__start_BTF");
		add_symbol(&list, FIXTURE_TEXT + AT_BTF + btf_size, "R%s", "__stop_BTF");
	}
	put_calls(f, &list);
	qsort(list.symbols, list.n, sizeof(*list.symbols), by_address);
	kallsyms.nr = list.n;
	end = kallsyms_fixture_write(&kallsyms, f->ram + FIXTURE_TEXT_GPA, AT_KALLSYMS);
	CHECK(end < IMAGE_BYTES);
}

/* ---- tasks and files --------------------------------------------------------- */

static void link_after(struct linux_guest_fixture *f, uint64_t head, uint64_t last, uint64_t link)
{
	linux_guest_fixture_put(f, last, link, 8);
	linux_guest_fixture_put(f, link + 8, last, 8);
	linux_guest_fixture_put(f, link, head, 8);
	linux_guest_fixture_put(f, head + 8, link, 8);
}

static void put_task(struct linux_guest_fixture *f, uint64_t task, int pid, int tgid, uint64_t parent, const char *comm)
{
	uint64_t cred = allocate(f, 64);

	linux_guest_fixture_put(f, task + TASK_PID, pid, 4);
	linux_guest_fixture_put(f, task + TASK_PID + 4, tgid, 4);
	linux_guest_fixture_put(f, task + TASK_REAL_PARENT, parent, 8);
	linux_guest_fixture_put(f, task + TASK_START, pid * 1000000007ull, 8);
	linux_guest_fixture_put(f, task + TASK_CRED, cred, 8);
	linux_guest_fixture_put(f, cred + 8, 1000 + pid, 4);
	put_text(f, task + TASK_COMM, comm);
}

static void put_group(struct linux_guest_fixture *f, uint64_t last, uint64_t leader)
{
	uint64_t signal = allocate(f, 64), head = signal + 16;

	linux_guest_fixture_put(f, leader + TASK_SIGNAL, signal, 8);
	link_after(f, head, head, leader + TASK_THREAD_NODE);
	link_after(f, f->init_task + TASK_TASKS, last + TASK_TASKS, leader + TASK_TASKS);
}

static uint64_t put_file_system(struct linux_guest_fixture *f, const char *name)
{
	uint64_t sb = allocate(f, 128), type = allocate(f, 64), text = allocate(f, 32);

	put_text(f, text, name);
	linux_guest_fixture_put(f, type, text, 8);
	linux_guest_fixture_put(f, sb + 40, type, 8);
	return sb;
}

/* parent 0: its own. */
static uint64_t put_dentry(struct linux_guest_fixture *f, uint64_t parent, const char *name, uint64_t sb, uint64_t ino)
{
	uint64_t dentry = allocate(f, 128), text = allocate(f, strlen(name) + 1), inode = allocate(f, 128);

	put_text(f, text, name);
	linux_guest_fixture_put(f, dentry + 16, dentry, 8); /* hashed */
	linux_guest_fixture_put(f, dentry + 24, parent ? parent : dentry, 8);
	linux_guest_fixture_put(f, dentry + 36, strlen(name), 4);
	linux_guest_fixture_put(f, dentry + 40, text, 8);
	linux_guest_fixture_put(f, dentry + 48, inode, 8);
	linux_guest_fixture_put(f, dentry + 104, sb, 8);
	linux_guest_fixture_put(f, inode + 64, ino, 8);
	return dentry;
}

/* Address of the struct mount; its vfsmount is 32 further on. */
static uint64_t put_mount(struct linux_guest_fixture *f, uint64_t parent, uint64_t point, uint64_t root)
{
	uint64_t mount = allocate(f, 128);

	linux_guest_fixture_put(f, mount + 16, parent ? parent : mount, 8);
	linux_guest_fixture_put(f, mount + 24, point, 8);
	linux_guest_fixture_put(f, mount + 32, root, 8);
	return mount;
}

/* All mounts of a file system. */
static void list_mounts(struct linux_guest_fixture *f, uint64_t sb, const uint64_t *mounts, unsigned n)
{
	uint64_t at = sb + 64;

	for (unsigned i = 0; i < n; i++) {
		linux_guest_fixture_put(f, mounts[i] + 32 + 8, sb, 8);
		linux_guest_fixture_put(f, at, mounts[i] + 64, 8);
		at = mounts[i] + 64;
	}
	linux_guest_fixture_put(f, at, sb + 64, 8);
}

static uint64_t put_file(struct linux_guest_fixture *f, uint64_t mount, uint64_t dentry, uint32_t flags)
{
	uint64_t file = allocate(f, 128);

	linux_guest_fixture_put(f, file + 64, mount + 32, 8);
	linux_guest_fixture_put(f, file + 72, dentry, 8);
	linux_guest_fixture_put(f, file + 40, flags, 4);
	return file;
}

static void make_files(struct linux_guest_fixture *f, uint64_t mm)
{
	uint64_t files = allocate(f, 64), fdt = allocate(f, 64), array = allocate(f, 1024 * 8);
	uint64_t ext4 = put_file_system(f, "ext4"), pipefs = put_file_system(f, "pipefs"),
		 sockfs = put_file_system(f, "sockfs"), anon = put_file_system(f, "anon_inodefs"),
		 tmpfs = put_file_system(f, "tmpfs");
	uint64_t root = put_dentry(f, 0, "/", ext4, 2), mnt = put_dentry(f, root, "mnt", ext4, 3);
	uint64_t root_mount = put_mount(f, 0, root, root);
	uint64_t deep_root = put_dentry(f, 0, "/", ext4, 2), deep_mount = put_mount(f, root_mount, mnt, deep_root);
	uint64_t bin = put_dentry(f, deep_root, "bin", ext4, 11), app = put_dentry(f, bin, "app", ext4, 12);
	uint64_t gone = put_dentry(f, root, "gone", ext4, 13), pipe_root = put_dentry(f, 0, "pipe:", pipefs, 1);
	uint64_t pipe_mount = put_mount(f, 0, pipe_root, pipe_root);
	uint64_t open_files[] = {
		put_file(f, root_mount, root, 0200000),
		put_file(f, root_mount, gone, 02),
		0,
		put_file(f, pipe_mount, put_dentry(f, 0, "", pipefs, 4711), 01),
		put_file(f, pipe_mount, put_dentry(f, 0, "TCP", sockfs, 815), 02),
		put_file(f, pipe_mount, put_dentry(f, 0, "[eventpoll]", anon, 9), 02),
		put_file(f, pipe_mount, put_dentry(f, 0, "memfd:x", tmpfs, 9), 02),
	};

	uint64_t elsewhere = put_dentry(f, root, "elsewhere", ext4, 14);
	uint64_t proxy = allocate(f, 64), *mounts = f->mounts;

	f->mount_namespace = allocate(f, 64);
	linux_guest_fixture_put(f, proxy + 24, f->mount_namespace, 8);
	linux_guest_fixture_put(f, f->leader + TASK_NSPROXY, proxy, 8);
	mounts[FIXTURE_MOUNT_ROOT] = root_mount;
	mounts[FIXTURE_MOUNT_DEEP] = deep_mount;
	/* the same file system again, in no namespace */
	mounts[FIXTURE_MOUNT_BIND] = put_mount(f, root_mount, elsewhere, deep_root);
	f->mount_point = mnt;
	list_mounts(f, ext4, mounts, 1);
	list_mounts(f, tmpfs, mounts + FIXTURE_MOUNT_DEEP, 2);
	for (unsigned i = 0; i < FIXTURE_MOUNT_BIND; i++)
		linux_guest_fixture_put(f, mounts[i] + 80, f->mount_namespace, 8);
	f->exe_dentry = app;
	f->exe_directory = bin;
	linux_guest_fixture_put(f, gone + 16, 0, 8); /* unlinked */
	linux_guest_fixture_put(f, mm + 200, put_file(f, deep_mount, app, 0), 8);
	for (unsigned i = 0; i < sizeof(open_files) / sizeof(*open_files); i++)
		linux_guest_fixture_put(f, array + 8 * i, open_files[i], 8);
	linux_guest_fixture_put(f, array + 8 * 1000, open_files[0], 8);
	linux_guest_fixture_put(f, fdt, 1024, 4);
	linux_guest_fixture_put(f, fdt + 8, array, 8);
	linux_guest_fixture_put(f, files + 32, fdt, 8);
	linux_guest_fixture_put(f, f->leader + TASK_FILES, files, 8);
}

static uint64_t make_vma(struct linux_guest_fixture *f, uint64_t start, uint64_t end, uint64_t flags)
{
	uint64_t vma = allocate(f, 64);

	linux_guest_fixture_put(f, vma, start, 8);
	linux_guest_fixture_put(f, vma + 8, end, 8);
	linux_guest_fixture_put(f, vma + 32, flags, 8);
	return vma;
}

static uint64_t make_node(struct linux_guest_fixture *f, unsigned type)
{
	return ((allocate(f, 512) + 255) & ~255ull) | type << 3 | 4;
}

static void put_slot(struct linux_guest_fixture *f, uint64_t node, unsigned slots_at, unsigned i, uint64_t last,
		     uint64_t slot)
{
	linux_guest_fixture_put(f, (node & ~255ull) + 8 + 8 * i, last, 8);
	linux_guest_fixture_put(f, (node & ~255ull) + slots_at + 8 * i, slot, 8);
}

/* 400000-402000 r-x of a file, 600000-601000 rw-, 7ffe0000-7fff0000 rw- shared. */
static void make_regions(struct linux_guest_fixture *f, uint64_t mm, uint64_t file)
{
	uint64_t code = make_vma(f, 0x400000, 0x402000, 0x75), heap = make_vma(f, 0x600000, 0x601000, 0x73);
	uint64_t shared = make_vma(f, 0x7ffe0000, 0x7fff0000, 0xfb), root, leaf;

	f->first_vma = code;
	f->last_vma = shared;
	linux_guest_fixture_put(f, code + 40, file, 8);
	linux_guest_fixture_put(f, code + 48, 1, 8);
	linux_guest_fixture_put(f, mm + 88, 0x600800, 8);
	if (!f->maple) {
		linux_guest_fixture_put(f, mm + 16, code, 8);
		linux_guest_fixture_put(f, code + 16, heap, 8);
		linux_guest_fixture_put(f, heap + 16, shared, 8);
		return;
	}
	root = make_node(f, 3);
	leaf = make_node(f, 1);
	f->maple_leaf = make_node(f, 1);
	linux_guest_fixture_put(f, mm + 16 + 8, (root & ~7ull) | 2, 8);
	put_slot(f, root, 80, 0, 0x5fffff, leaf);
	put_slot(f, root, 80, 1, UINT64_MAX, f->maple_leaf);
	put_slot(f, leaf, 128, 0, 0x3fffff, 0);
	put_slot(f, leaf, 128, 1, 0x401fff, code);
	put_slot(f, leaf, 128, 2, 0x5fffff, 0);
	/* left over from when the node had more */
	put_slot(f, leaf, 128, 3, 0x7fffff, shared);
	put_slot(f, f->maple_leaf, 128, 0, 0x600fff, heap);
	put_slot(f, f->maple_leaf, 128, 1, 0x7ffdffff, 0);
	put_slot(f, f->maple_leaf, 128, 2, 0x7ffeffff, shared);
	/* no pivot: up to the node's end */
	put_slot(f, f->maple_leaf, 128, 3, 0, 0);
	put_slot(f, f->maple_leaf, 128, 4, 0, code);
}

static void make_tasks(struct linux_guest_fixture *f)
{
	uint64_t mm = allocate(f, 256), signal_head, file;

	f->init_task = FIXTURE_TEXT + AT_INIT_TASK;
	f->kthread = allocate(f, TASK_BYTES);
	f->leader = allocate(f, TASK_BYTES);
	f->thread = allocate(f, TASK_BYTES);
	f->zombie = allocate(f, TASK_BYTES);
	linux_guest_fixture_put(f, f->init_task + TASK_TASKS, f->init_task + TASK_TASKS, 8);
	put_task(f, f->init_task, 0, 0, f->init_task, "swapper/0");
	put_task(f, f->kthread, 2, 2, f->init_task, "kthreadd");
	linux_guest_fixture_put(f, f->kthread + TASK_FLAGS, 0x00200000, 4);
	put_task(f, f->leader, 100, 100, f->init_task, "app");
	put_task(f, f->thread, 101, 100, f->init_task, "app-\x1b[0m worker");
	put_task(f, f->zombie, 103, 103, f->thread, "dead");
	linux_guest_fixture_put(f, f->zombie + TASK_EXIT_STATE, 0x20, 4);

	put_group(f, f->init_task, f->kthread);
	put_group(f, f->kthread, f->leader);
	put_group(f, f->leader, f->zombie);
	memcpy(&signal_head, f->ram + gpa_of(f, f->leader + TASK_SIGNAL), 8);
	signal_head += 16;
	link_after(f, signal_head, f->leader + TASK_THREAD_NODE, f->thread + TASK_THREAD_NODE);
	linux_guest_fixture_put(f, f->thread + TASK_SIGNAL, signal_head - 16, 8);

	linux_guest_fixture_put(f, f->leader + TASK_MM, mm, 8);
	linux_guest_fixture_put(f, f->thread + TASK_MM, mm, 8);
	linux_guest_fixture_put(f, mm + 72, f->direct_map + FIXTURE_PGD_GPA, 8);
	make_files(f, mm);
	memcpy(&file, f->ram + gpa_of(f, mm + 200), 8);
	make_regions(f, mm, file);

	f->gs_base = allocate(f, 4096);
	linux_guest_fixture_put(f, f->gs_base + PERCPU_CURRENT + (f->pcpu_hot ? 24 : 0), f->thread, 8);
}

/* ---- all of it ------------------------------------------------------------------ */

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	struct linux_guest_fixture *f = ctx;

	if (gfn >= FIXTURE_RAM_BYTES / GUEST_PAGE_BYTES || (f->missing_gfn && gfn == f->missing_gfn))
		return -ENOENT;
	memcpy(out, f->ram + gfn * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	return 0;
}

void linux_guest_fixture_reopen(struct linux_guest_fixture *f)
{
	struct guest_memory_source source = {read_page, f, &range, 1};

	guest_memory_destroy(f->memory);
	CHECK(!guest_memory_create(&f->memory, &source));
}

void linux_guest_fixture_build(struct linux_guest_fixture *f)
{
	f->ram = calloc(1, FIXTURE_RAM_BYTES);
	CHECK(f->ram);
	f->heap = HEAP_GPA;
	make_tables(f);
	make_image(f);
	make_tasks(f);
	f->regs[VCPU_LSTAR] = FIXTURE_LSTAR;
	f->regs[VCPU_EFER] = 0xd01;
	f->regs[VCPU_CR4] = f->levels == 5 ? 0x1000 : 0;
	/* As in user mode: with PTI the user half, with its PCID. */
	f->regs[TRAP_REG_CR3] = FIXTURE_PGD_GPA | (f->pti ? 0x1801 : 0);
	f->regs[TRAP_REG_KERNEL_GS_BASE] = f->gs_base;
	f->vcpu = (struct linux_vcpu){.values = f->regs, .nr = VCPU_REGS};
	linux_guest_fixture_reopen(f);
}

void linux_guest_fixture_deinit(struct linux_guest_fixture *f)
{
	guest_memory_destroy(f->memory);
	free(f->ram);
}
