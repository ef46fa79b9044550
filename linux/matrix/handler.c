// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done about an abort before, or by, the kernel's own handlers, where a
 * parameter asks for it. The parameter reads N where the kernel has no place
 * for it.
 */
#include "matrix.h"

#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>

#include <asm/esr.h>

static bool handler;
module_param(handler, bool, 0444);
MODULE_PARM_DESC(handler, "try fix-ups first where the kernel takes a synchronous External abort");

static bool pkvm;
module_param(pkvm, bool, 0444);
MODULE_PARM_DESC(pkvm, "switch on what the kernel does about a stage-2 fault that pKVM reflects");

/* Older kernels leave the second argument alone. */
typedef bool (*fixup_fn)(struct pt_regs *regs, unsigned long esr);
typedef unsigned long (*lookup_fn)(const char *name);

static fixup_fn fixup;

/* A symbol that is not exported, by way of a function that a probe finds. */
static void *lhm_find(const char *name)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	static lookup_fn lookup;

	if (!lookup) {
		if (register_kprobe(&probe))
			return NULL;
		lookup = (lookup_fn)probe.addr;
		unregister_kprobe(&probe);
	}
	return (void *)lookup(name);
}

/*
 * At the entry of do_sea(far, esr, regs), which tries no fix-up: where there is
 * one, do_sea returns 0 at once, for "handled".
 */
static int lhm_external(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long esr = regs->regs[1];
	struct pt_regs *aborted = (struct pt_regs *)regs->regs[2];

	if (ESR_ELx_EC(esr) != ESR_ELx_EC_DABT_CUR || !fixup(aborted, esr))
		return 0;
	regs->regs[0] = 0;
	instruction_pointer_set(regs, procedure_link_pointer(regs));
	return 1;
}

static struct kprobe external = {
	.symbol_name = "do_sea",
	.pre_handler = lhm_external,
};

static bool lhm_hook(void)
{
	fixup = (fixup_fn)lhm_find("fixup_exception");
	return fixup && !register_kprobe(&external);
}

/*
 * The key says that pKVM is there. Kernels have had it before they knew what
 * to do about the fault: the function that does it tells them apart.
 */
static bool lhm_pkvm(void)
{
	struct static_key *key = lhm_find("kvm_protected_mode_initialized");

	if (!key || !lhm_find("pkvm_force_reclaim_guest_page"))
		return false;
	static_key_enable(key);
	return true;
}

/**
 * lhm_handlers_init - put in place what the parameters ask for, if that can be
 */
void lhm_handlers_init(void)
{
	handler = handler && lhm_hook();
	pkvm = pkvm && lhm_pkvm();
}

/**
 * lhm_handlers_exit - take back what can be: pKVM's key stays as it is
 */
void lhm_handlers_exit(void)
{
	if (handler)
		unregister_kprobe(&external);
}
