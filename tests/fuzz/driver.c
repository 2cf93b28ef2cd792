/* SPDX-License-Identifier: MIT */
/*
 * driver.c - main() of a fuzz target where libFuzzer is not at hand: replays
 * the files given and those in the folders given, then runs mutations of them
 * (VMTAPE_FUZZ_RUNS, 20,000 unless told; VMTAPE_FUZZ_SEED), the same ones each
 * time. A crash names the input, which it leaves behind as crash-input.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_INPUT_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* only in builds with a sanitizer */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
	char *name;
	uint8_t *data;
	size_t size;
};

static struct input *seeds;
static size_t nr_seeds;
static struct input running;
static uint64_t random_state;

static uint64_t next_random(void)
{
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static size_t below(size_t n)
{
	return n ? next_random() % n : 0;
}

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "no memory\n");
		exit(2);
	}
	return memory;
}

/* ---- a crash -------------------------------------------------------------- */

static void report(void)
{
	static bool done;
	int fd;

	if (done || !running.name)
		return;
	done = true;
	fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dprintf(2, "fuzz: crash by %s, %zu bytes", running.name, running.size);
	if (fd >= 0 && write(fd, running.data, running.size) == (ssize_t)running.size)
		dprintf(2, ", kept as crash-input");
	dprintf(2, "\n");
}

static void on_signal(int number)
{
	report();
	signal(number, SIG_DFL);
	raise(number);
}

static void run(const char *name, const uint8_t *data, size_t size)
{
	/* exactly as large as the input, so that a sanitizer sees the first byte too many */
	uint8_t *copy = must(malloc(size ? size : 1));

	if (size)
		memcpy(copy, data, size);
	running = (struct input){(char *)name, copy, size};
	LLVMFuzzerTestOneInput(copy, size);
	running.name = NULL;
	free(copy);
}

/* ---- seeds ---------------------------------------------------------------- */

static void load_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input *seed;

	if (!file) {
		fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	seeds = must(realloc(seeds, (nr_seeds + 1) * sizeof(*seeds)));
	seed = &seeds[nr_seeds++];
	seed->name = must(strdup(path));
	seed->data = must(malloc(MAX_INPUT_BYTES));
	seed->size = fread(seed->data, 1, MAX_INPUT_BYTES, file);
	fclose(file);
	seed->data = must(realloc(seed->data, seed->size ? seed->size : 1));
}

static void load(const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (!stat(path, &st) && !S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		char *file;

		if (names[i]->d_name[0] != '.' && asprintf(&file, "%s/%s", path, names[i]->d_name) >= 0) {
			load_file(file);
			free(file);
		}
		free(names[i]);
	}
	free(names);
}

/* ---- mutations ------------------------------------------------------------ */

static const uint64_t edges[] = {
	0,
	1,
	2,
	7,
	8,
	0x7f,
	0x80,
	0xff,
	0x100,
	0xfff,
	0x1000,
	0x7fff,
	0x8000,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0x7fffffffffffffff,
	0x8000000000000000,
	UINT64_MAX - 7,
	UINT64_MAX,
};

/*
 * One change of the data, of which there is room for room bytes. Returns the
 * new size: the same with keep_size, as most binary formats die of another.
 */
static size_t mutate(uint8_t *data, size_t size, size_t room, bool keep_size)
{
	size_t at = below(size), n = 1 + below(16), width = (size_t)1 << below(4);
	const struct input *other = &seeds[below(nr_seeds)];
	uint64_t value;

	switch (below(keep_size ? 5 : 9)) {
	case 0: /* flip a bit */
		if (size)
			data[at] ^= (uint8_t)(1u << below(8));
		return size;
	case 1: /* another byte */
		if (size)
			data[at] = (uint8_t)next_random();
		return size;
	case 2: /* a number on the edge of something */
		value = edges[below(sizeof(edges) / sizeof(edges[0]))];
		if (size >= width) {
			at = below(size - width + 1);
			memcpy(data + (below(4) ? at / width * width : at), &value, width);
		}
		return size;
	case 3: /* a number, a little more or less */
		if (size >= width) {
			at = below(size - width + 1) / width * width;
			value = 0;
			memcpy(&value, data + at, width);
			value += below(33) - 16;
			memcpy(data + at, &value, width);
		}
		return size;
	case 4: /* put a piece of another seed over it */
		n = 1 + below(64);
		if (other->size && size) {
			size_t from = below(other->size);

			if (n > other->size - from)
				n = other->size - from;
			if (n > size - at)
				n = size - at;
			memcpy(data + at, other->data + from, n);
		}
		return size;
	case 5: /* cut off the end */
		return at;
	case 6: /* take a piece out */
		if (n > size - at)
			n = size - at;
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	case 7: /* repeat a piece */
		if (n > size - at)
			n = size - at;
		if (n > room - size)
			return size;
		memmove(data + at + n, data + at, size - at);
		return size + n;
	default: /* end as another seed does */
		if (other->size && at < other->size && other->size <= room) {
			memcpy(data + at, other->data + at, other->size - at);
			return other->size;
		}
		return size;
	}
}

static unsigned long number_of(const char *variable, unsigned long otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	unsigned long runs = number_of("VMTAPE_FUZZ_RUNS", 20000), seed_number = number_of("VMTAPE_FUZZ_SEED", 1);
	time_t start = time(NULL);
	uint8_t *data;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FOLDER|FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		load(argv[i]);
	if (!nr_seeds) {
		fprintf(stderr, "fuzz: no seeds\n");
		return 1;
	}
	atexit(report);
	signal(SIGABRT, on_signal);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(report);
	else
		for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
			signal(fatal[i], on_signal);

	for (size_t i = 0; i < nr_seeds; i++)
		run(seeds[i].name, seeds[i].data, seeds[i].size);

	data = must(malloc(MAX_INPUT_BYTES));
	for (unsigned long i = 0; i < runs; i++) {
		const struct input *seed = &seeds[i % nr_seeds];
		size_t size = seed->size;
		bool keep_size;
		char name[64];

		/* each run depends on its number only */
		random_state = (i + 1) * 0x9e3779b97f4a7c15ull ^ seed_number << 32 ^ seed_number;
		if (!random_state)
			random_state = 1;
		memcpy(data, seed->data, size);
		keep_size = below(2);
		for (size_t changes = 1 + below(8); changes; changes--)
			size = mutate(data, size, MAX_INPUT_BYTES, keep_size);
		snprintf(name, sizeof(name), "mutation %lu", i);
		run(name, data, size);
	}
	printf("%zu seeds, %lu mutations, no crash, %ld s\n", nr_seeds, runs, (long)(time(NULL) - start));
	for (size_t i = 0; i < nr_seeds; i++) {
		free(seeds[i].name);
		free(seeds[i].data);
	}
	free(seeds);
	free(data);
	return 0;
}
