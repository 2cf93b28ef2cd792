/* SPDX-License-Identifier: MIT */
/*
 * tape_key.h - Ed25519 keys that sign tapes, from PEM files as openssl makes
 * them. A secret key lies in locked memory that is not dumped, and is wiped.
 * 0 or a negative errno, with a message that names the file.
 */
#ifndef TAPE_KEY_H
#define TAPE_KEY_H

#include "tape.h"

#define TAPE_FINGERPRINT_CHARS 65 /* with the NUL */

/* PKCS#8, not encrypted ("BEGIN PRIVATE KEY"). *exposed: others than its owner may read the file. */
int tape_key_load(struct tape_key **out, const char *path, bool *exposed, struct tape_error *error);
void tape_key_destroy(struct tape_key *key);
void tape_key_public(const struct tape_key *key, uint8_t out[TAPE_PUBLIC_KEY_BYTES]);
/* Of any bytes; key is not changed. */
void tape_key_sign(const struct tape_key *key, const void *message, size_t size_bytes,
		   uint8_t signature[TAPE_RAW_SIGNATURE_BYTES]);

/* SubjectPublicKeyInfo ("BEGIN PUBLIC KEY"). */
int tape_public_key_load(uint8_t out[TAPE_PUBLIC_KEY_BYTES], const char *path, struct tape_error *error);
/* SHA-256 of the key's DER form, in hex: what openssl pkey -pubin -outform DER | sha256sum prints. */
void tape_key_fingerprint(char out[TAPE_FINGERPRINT_CHARS], const uint8_t public_key[TAPE_PUBLIC_KEY_BYTES]);

#endif
