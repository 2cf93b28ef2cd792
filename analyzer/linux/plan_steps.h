/* SPDX-License-Identifier: MIT */
/*
 * plan_steps.h - the steps of one call's capture, entry and exit, as the plan's
 * compiler lists them. What does not fit into a list any more is left out.
 */
#ifndef PLAN_STEPS_H
#define PLAN_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan_abi.h"
#include "semantics.h"

#define CAP_STRING   1024
#define CAP_BUFFER   256
#define CAP_ITEM     256  /* of argv, of an environment, of an iovec */
#define CAP_SOCKADDR 128  /* sizeof(struct sockaddr_storage) */
#define CAP_DIRENTS  3800 /* with what else a record holds, below MAX_RECORD */
#define CAP_MESSAGES 512
#define CAP_STRUCT   256
#define MAX_MESSAGES 2 /* six steps each */
#define MAX_BLOCKS   4 /* struct iocb */
#define MAX_ARGV     PLAN_MAX_ITEMS
#define MAX_ENVIRON  PLAN_MAX_ITEMS
#define MAX_IOVECS   16
#define NODES_BYTES  128 /* of MAX_NUMNODES bits */
#define MAX_RECORD   4096
#define FDSET_BYTES  128 /* FD_SETSIZE bits */
#define SIGSET_BYTES 8
#define STACK_BYTES  256 /* of a signal frame: up to its saved RIP and flags */

#define ENTER_FLAGS (PLAN_STEP_AGAIN | PLAN_STEP_QUIET)
#define EXIT_FLAGS  (PLAN_STEP_IF_OK | PLAN_STEP_QUIET)

struct step_list {
	struct plan_step steps[PLAN_MAX_CALL_STEPS];
	size_t n;
};

struct capture {
	bool i386;   /* arguments in its registers */
	bool narrow; /* words of memory are 32 bits: i386, and the calls of x32 that have numbers of their own */
	struct step_list enter, exit;
};

uint8_t capture_arg_reg(const struct capture *c, int i);
int capture_add(struct capture *c, struct step_list *list, struct plan_step step);
void capture_bytes(struct capture *c, struct step_list *list, uint8_t base, size_t size_bytes, uint8_t label);
void capture_sized(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, size_t size_bytes,
		   size_t cap, bool len32, uint8_t label);
uint8_t capture_value(struct capture *c, struct step_list *list, uint8_t base, size_t offset, size_t size_bytes);
void capture_string(struct capture *c, struct step_list *list, uint8_t base, uint8_t label);
void capture_strings(struct capture *c, uint8_t base, uint8_t max_items, uint8_t label);
void capture_iovec(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, uint8_t label);
void capture_message(struct capture *c, struct step_list *list, uint8_t base, int i);
void capture_messages(struct capture *c, struct step_list *list, uint8_t base, uint8_t len_from, int i);
/* Size of a struct mmsghdr. */
size_t capture_mmsghdr_bytes(const struct capture *c);
/* Steps of calls whose arguments lie in memory: socketcall, ipc, old mmap and select. false: it is none of them. */
bool capture_multiplexed(struct capture *c, const struct linux_syscall *syscall);

#endif
