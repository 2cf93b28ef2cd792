/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * vcpu_state.h - registers and MSRs of one vCPU at a snapshot: an array of
 * __u64, indexed by enum vcpu_reg. New registers go to the end; who reads
 * fewer ignores the rest, who reads more takes them as not recorded.
 */
#ifndef VCPU_STATE_H
#define VCPU_STATE_H

#include "trap_abi.h"

enum vcpu_reg {
	/* 0-21: as enum trap_reg, RAX to KERNEL_GS_BASE */
	VCPU_CR0 = 22,
	VCPU_CR2,
	VCPU_CR4,
	VCPU_CR8,
	VCPU_EFER,
	VCPU_STAR,
	VCPU_LSTAR,
	VCPU_CSTAR,
	VCPU_FMASK,
	VCPU_SYSENTER_CS,
	VCPU_SYSENTER_ESP,
	VCPU_SYSENTER_EIP,
	VCPU_TSC,
	VCPU_TSC_AUX,
	VCPU_GDT_BASE,
	VCPU_GDT_LIMIT,
	VCPU_IDT_BASE,
	VCPU_IDT_LIMIT,
	VCPU_TR_BASE,
	VCPU_TR_SELECTOR,
	VCPU_LDT_BASE,
	VCPU_LDT_SELECTOR,
	VCPU_CS_SELECTOR,
	VCPU_SS_SELECTOR,
	VCPU_DS_SELECTOR,
	VCPU_ES_SELECTOR,
	VCPU_FS_SELECTOR,
	VCPU_GS_SELECTOR,
	VCPU_CPL,
	VCPU_HALTED,
	VCPU_APIC_ID,
	VCPU_REGS
};

#endif
