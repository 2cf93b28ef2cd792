/* SPDX-License-Identifier: MIT */
/* tape_key.c - PEM to Ed25519 keys. Only what openssl writes for them is taken, byte for byte. */
#include "tape_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tape_private.h"

#define FILE_MAX_BYTES 4096u /* such a file has some 120 */

struct tape_key {
	uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* seed and public key */
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES];
};

/* RFC 8410: all DER before the 32 bytes of the key. */
static const uint8_t private_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
					 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

struct key_form {
	const char *label;
	const uint8_t *prefix;
	size_t prefix_bytes;
};
static const struct key_form private_form = {"PRIVATE KEY", private_prefix, sizeof(private_prefix)};
static const struct key_form public_form = {"PUBLIC KEY", public_prefix, sizeof(public_prefix)};

/* ---- files ----------------------------------------------------------- */

/* The text with a NUL behind it, in memory of sodium_malloc(). */
static int read_text(char **out, const char *path, bool *exposed, struct tape_error *error)
{
	size_t size_bytes = 0;
	struct stat status;
	char *text;
	int fd, code = 0;

	if (sodium_init() < 0)
		return tape_fail(error, -ENOSYS, TAPE_NO_OFFSET, "%s: libsodium does not start", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		code = errno;
		return tape_fail(error, -code, TAPE_NO_OFFSET, "cannot open %s: %s", path, strerror(code));
	}
	*exposed = !fstat(fd, &status) && S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO));
	text = sodium_malloc(FILE_MAX_BYTES + 1);
	if (!text) {
		close(fd);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for %s", path);
	}
	while (size_bytes <= FILE_MAX_BYTES) {
		ssize_t count = read(fd, text + size_bytes, FILE_MAX_BYTES + 1 - size_bytes);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			code = errno;
		if (count <= 0)
			break;
		size_bytes += (size_t)count;
	}
	close(fd);
	if (code)
		tape_fail(error, -code, TAPE_NO_OFFSET, "cannot read %s: %s", path, strerror(code));
	else if (size_bytes > FILE_MAX_BYTES || memchr(text, 0, size_bytes))
		tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "%s is not a key in PEM form", path);
	if (code || size_bytes > FILE_MAX_BYTES || memchr(text, 0, size_bytes)) {
		sodium_free(text);
		return code ? -code : -EINVAL;
	}
	text[size_bytes] = 0;
	*out = text;
	return 0;
}

/* ---- PEM ------------------------------------------------------------- */

static bool has_label(const char *begin, const char *label)
{
	size_t length = strlen(label);

	return !strncmp(begin, label, length) && !strncmp(begin + length, "-----", 5);
}

/* Says what the file holds instead. */
static int wrong_label(const char *path, const char *begin, struct tape_error *error)
{
	const char *what = "is not a key in PEM form that openssl makes with: openssl genpkey -algorithm ed25519";

	if (has_label(begin, public_form.label))
		what = "holds a public key; signing takes the private one";
	else if (has_label(begin, private_form.label))
		what = "holds a private key; checking takes the public one: openssl pkey -in KEY.pem -pubout";
	else if (has_label(begin, "ENCRYPTED PRIVATE KEY"))
		what = "is encrypted; decrypt it with: openssl pkey -in KEY.pem -out PLAIN.pem";
	else if (has_label(begin, "OPENSSH PRIVATE KEY"))
		what = "is a key of OpenSSH; make one with: openssl genpkey -algorithm ed25519";
	return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "%s %s", path, what);
}

static int decode_key(uint8_t key[32], const char *text, const char *path, const struct key_form *form,
		      struct tape_error *error)
{
	static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ";
	const char *begin = strstr(text, begin_mark), *body, *end, *stop;
	uint8_t *der;
	size_t der_bytes = 0, want_bytes = form->prefix_bytes + 32;
	bool decoded, fits;

	if (!begin || (begin != text && begin[-1] != '\n'))
		return wrong_label(path, "", error);
	begin += strlen(begin_mark);
	if (!has_label(begin, form->label))
		return wrong_label(path, begin, error);
	body = begin + strlen(form->label) + 5;
	end = strstr(body, end_mark);
	if (!end || !has_label(end + strlen(end_mark), form->label))
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "%s is cut off: no END %s", path, form->label);
	stop = end + strlen(end_mark) + strlen(form->label) + 5;
	if (stop[strspn(stop, " \t\r\n")])
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "%s holds more than one key", path);
	der = sodium_malloc(want_bytes);
	if (!der)
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for %s", path);
	decoded = !sodium_base642bin(der, want_bytes, body, (size_t)(end - body), "\r\n", &der_bytes, &stop,
				     sodium_base64_VARIANT_ORIGINAL) &&
		  stop == end;
	fits = decoded && der_bytes == want_bytes && !memcmp(der, form->prefix, form->prefix_bytes);
	if (fits)
		memcpy(key, der + form->prefix_bytes, 32);
	sodium_free(der);
	if (fits)
		return 0;
	/* Keys of other kinds are longer: they do not get into the room. */
	return tape_fail(error, -EINVAL, TAPE_NO_OFFSET,
			 "%s is no Ed25519 key, or damaged; make one with: openssl genpkey -algorithm ed25519", path);
}

/* ---- keys ------------------------------------------------------------ */

int tape_key_load(struct tape_key **out, const char *path, bool *exposed, struct tape_error *error)
{
	struct tape_key *key;
	uint8_t *seed;
	char *text;
	int result = read_text(&text, path, exposed, error);

	if (result)
		return result;
	key = sodium_malloc(sizeof(*key));
	seed = sodium_malloc(crypto_sign_SEEDBYTES);
	if (!key || !seed)
		result = tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for %s", path);
	else
		result = decode_key(seed, text, path, &private_form, error);
	if (!result)
		crypto_sign_seed_keypair(key->public_key, key->secret, seed);
	sodium_free(text);
	sodium_free(seed);
	if (result)
		sodium_free(key);
	else
		*out = key;
	return result;
}

void tape_key_destroy(struct tape_key *key)
{
	sodium_free(key);
}

void tape_key_public(const struct tape_key *key, uint8_t out[TAPE_PUBLIC_KEY_BYTES])
{
	memcpy(out, key->public_key, TAPE_PUBLIC_KEY_BYTES);
}

void tape_key_sign(const struct tape_key *key, const void *message, size_t size_bytes,
		   uint8_t signature[TAPE_RAW_SIGNATURE_BYTES])
{
	crypto_sign_detached(signature, NULL, message, size_bytes, key->secret);
}

int tape_public_key_load(uint8_t out[TAPE_PUBLIC_KEY_BYTES], const char *path, struct tape_error *error)
{
	bool exposed;
	char *text;
	int result = read_text(&text, path, &exposed, error);

	if (result)
		return result;
	result = decode_key(out, text, path, &public_form, error);
	sodium_free(text);
	return result;
}

void tape_key_fingerprint(char out[TAPE_FINGERPRINT_CHARS], const uint8_t public_key[TAPE_PUBLIC_KEY_BYTES])
{
	uint8_t der[sizeof(public_prefix) + TAPE_PUBLIC_KEY_BYTES], hash[crypto_hash_sha256_BYTES];

	memcpy(der, public_prefix, sizeof(public_prefix));
	memcpy(der + sizeof(public_prefix), public_key, TAPE_PUBLIC_KEY_BYTES);
	crypto_hash_sha256(hash, der, sizeof(der));
	sodium_bin2hex(out, TAPE_FINGERPRINT_CHARS, hash, sizeof(hash));
}
