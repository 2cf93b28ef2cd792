/* SPDX-License-Identifier: MIT */
/* Key files of any content: none but a whole key is taken, and then it signs what its public half proves. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tape_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES], payload[TAPE_SIGNATURE_BYTES];
	struct tape_signature signature = {.number = 1};
	struct tape_error error = {0};
	char path[64], fingerprint[TAPE_FINGERPRINT_CHARS];
	struct tape_key *key;
	bool exposed;
	int fd = memfd_create("key", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(write(fd, data, size_bytes) == (ssize_t)size_bytes);
	if (!tape_key_load(&key, path, &exposed, &error)) {
		tape_put_signature(payload, &signature, key);
		must(tape_get_signature(payload, &signature) && signature.number == 1);
		payload[112] ^= 1;
		must(!tape_get_signature(payload, &signature));
		tape_key_destroy(key);
	} else {
		must(error.error && error.message[0]);
	}
	if (!tape_public_key_load(public_key, path, &error))
		tape_key_fingerprint(fingerprint, public_key);
	close(fd);
	return 0;
}
