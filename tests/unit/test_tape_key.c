/* SPDX-License-Identifier: MIT */
/* test_tape_key.c - keys in files: openssl's Ed25519 ones are taken, all others refused with a word on why. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "tape_key.h"

#define KEY_PATH    "golden/test-sign-key.pem"
#define PUBLIC_PATH "golden/test-sign-pub.pem"

static char path[] = "/tmp/test_tape_key.XXXXXX";

static void write_file(const char *text, size_t size_bytes, mode_t mode)
{
	FILE *file = fopen(path, "w");

	CHECK(file);
	CHECK_INT(fwrite(text, 1, size_bytes, file), size_bytes);
	CHECK_INT(fclose(file), 0);
	CHECK_INT(chmod(path, mode), 0);
}

static void read_file(char *text, size_t room, const char *from)
{
	FILE *file = fopen(from, "r");
	size_t count;

	CHECK(file);
	count = fread(text, 1, room - 1, file);
	text[count] = 0;
	fclose(file);
}

static void test_good(void)
{
	uint8_t from_secret[TAPE_PUBLIC_KEY_BYTES], public_key[TAPE_PUBLIC_KEY_BYTES];
	char fingerprint[TAPE_FINGERPRINT_CHARS], text[1024], crlf[2048];
	struct tape_key *key;
	bool exposed;
	size_t n = 0;

	CHECK_INT(tape_key_load(&key, KEY_PATH, &exposed, NULL), 0);
	tape_key_public(key, from_secret);
	tape_key_destroy(key);
	CHECK_INT(tape_public_key_load(public_key, PUBLIC_PATH, NULL), 0);
	CHECK(!memcmp(from_secret, public_key, sizeof(public_key)));
	/* openssl pkey -pubin -in test-sign-pub.pem -outform DER | sha256sum */
	tape_key_fingerprint(fingerprint, public_key);
	CHECK_STR(fingerprint, "37e9dcdba5cede1e9de1e4aebdb8b98da2e4199ad49d8b070241ca734e6e858d");

	read_file(text, sizeof(text), KEY_PATH);
	write_file(text, strlen(text), 0600);
	CHECK_INT(tape_key_load(&key, path, &exposed, NULL), 0);
	CHECK(!exposed);
	tape_key_destroy(key);
	write_file(text, strlen(text), 0640);
	CHECK_INT(tape_key_load(&key, path, &exposed, NULL), 0);
	CHECK(exposed);
	tape_key_destroy(key);
	/* Text before it, and the line ends of another system. */
	n += (size_t)snprintf(crlf, sizeof(crlf), "for evidence\r\n");
	for (const char *at = text; *at; at++) {
		if (*at == '\n')
			crlf[n++] = '\r';
		crlf[n++] = *at;
	}
	write_file(crlf, n, 0600);
	CHECK_INT(tape_key_load(&key, path, &exposed, NULL), 0);
	tape_key_public(key, public_key);
	CHECK(!memcmp(from_secret, public_key, sizeof(public_key)));
	tape_key_destroy(key);
	tape_key_destroy(NULL);
}

static void refuse(const char *text, size_t size_bytes, const char *why)
{
	struct tape_error error = {0};
	struct tape_key *key;
	bool exposed;

	write_file(text, size_bytes, 0600);
	CHECK_INT(tape_key_load(&key, path, &exposed, &error), -EINVAL);
	if (!strstr(error.message, why) || !strstr(error.message, path)) {
		fprintf(stderr, "\"%s\" does not say \"%s\" and \"%s\"\n", error.message, why, path);
		exit(1);
	}
}

/* The key's text with one part replaced. */
static void refuse_changed(const char *from, const char *to, const char *why)
{
	char text[1024], changed[2048];
	const char *at;

	read_file(text, sizeof(text), KEY_PATH);
	at = strstr(text, from);
	CHECK(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	refuse(changed, strlen(changed), why);
}

static void test_bad(void)
{
	static const char big[5000] = "-----BEGIN PRIVATE KEY-----\n";
	uint8_t public_key[TAPE_PUBLIC_KEY_BYTES];
	struct tape_error error = {0};
	char text[1024], twice[2048];
	struct tape_key *key;
	bool exposed;

	refuse("", 0, "not a key in PEM form");
	refuse("hello\n", 6, "not a key in PEM form");
	refuse("\0\1\2", 3, "not a key in PEM form");
	refuse(big, sizeof(big), "not a key in PEM form");
	read_file(text, sizeof(text), PUBLIC_PATH);
	refuse(text, strlen(text), "holds a public key");
	refuse_changed("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE", "is encrypted");
	refuse_changed("BEGIN PRIVATE", "BEGIN OPENSSH PRIVATE", "OpenSSH");
	refuse_changed("BEGIN PRIVATE", "BEGIN RSA PRIVATE", "ed25519");
	refuse_changed("-----END PRIVATE KEY-----", "", "cut off");
	refuse_changed("K2Vw", "K2Vu", "no Ed25519 key"); /* X25519 */
	refuse_changed("MC4C", "MC4D", "no Ed25519 key");
	refuse_changed("MC4C", "MC4", "no Ed25519 key");
	refuse_changed("MC4C", "MC*C", "no Ed25519 key");
	refuse_changed("\n-----END", "AAAA\n-----END", "no Ed25519 key");
	read_file(text, sizeof(text), KEY_PATH);
	snprintf(twice, sizeof(twice), "%s%s", text, text);
	refuse(twice, strlen(twice), "more than one key");

	CHECK_INT(tape_public_key_load(public_key, KEY_PATH, &error), -EINVAL);
	CHECK(strstr(error.message, "holds a private key"));
	CHECK_INT(tape_key_load(&key, "/nowhere/key.pem", &exposed, &error), -ENOENT);
	CHECK(strstr(error.message, "No such file"));
	CHECK_INT(tape_key_load(&key, "/", &exposed, &error), -EISDIR);
}

int main(void)
{
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	test_good();
	test_bad();
	unlink(path);
	return 0;
}
