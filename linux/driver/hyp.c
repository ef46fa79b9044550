// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leasehold's own calls: SMCCC (Arm DEN0028), vendor-specific hypervisor
 * service. How they are numbered, and what they carry, is in leasehold_abi.h.
 */
#include "driver.h"

#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

struct lh_hyp lh_hyp;

static void (*conduit)(const struct arm_smccc_1_2_regs *args,
		       struct arm_smccc_1_2_regs *results);

static int lh_error(s32 status)
{
	switch (status) {
	case LH_SUCCESS:
		return 0;
	case LH_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case LH_INVALID_PARAMETERS:
		return -EINVAL;
	case LH_DENIED:
		return -EPERM;
	case LH_NO_MEMORY:
		return -ENOSPC;
	case LH_BUSY:
		return -EBUSY;
	case LH_AGAIN:
		return -EAGAIN;
	case LH_NO_DATA:
		return -ENODATA;
	case LH_TIMED_OUT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

/**
 * lh_smccc - make a call
 * @regs: x0 to x17, arguments and then results
 */
void lh_smccc(struct arm_smccc_1_2_regs *regs)
{
	struct arm_smccc_1_2_regs results;

	conduit(regs, &results);
	*regs = results;
}

/**
 * lh_call - make a call of Leasehold's own
 * @regs: x0 to x17, arguments and then results
 *
 * Return: 0, or the status as an error.
 */
int lh_call(struct arm_smccc_1_2_regs *regs)
{
	lh_smccc(regs);
	return lh_error((s32)regs->a0);
}

/**
 * lh_call_steps - make a call that works in bounded steps, until it is done
 * @args: x0 to x17
 * @steps: give up after so many steps
 * @killable: also give up when the task is killed
 *
 * Return: 0, the status as an error, -EINTR, or -ETIMEDOUT after @steps.
 */
int lh_call_steps(const struct arm_smccc_1_2_regs *args, unsigned long steps,
		  bool killable)
{
	unsigned long step;
	int error;

	for (step = 0; step < steps; step++) {
		struct arm_smccc_1_2_regs regs = *args;

		error = lh_call(&regs);
		if (error != -EAGAIN && error != -EBUSY)
			return error;
		if (killable && fatal_signal_pending(current))
			return -EINTR;
		/* Busy is another CPU's step: wait for it. */
		if (error == -EBUSY)
			usleep_range(20, 100);
		cond_resched();
	}
	return -ETIMEDOUT;
}

static int lh_hyp_features(void)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_FEATURES };
	int error = lh_call(&regs);

	if (error) {
		pr_err("Leasehold does not tell its features: %d\n", error);
		return error;
	}
	lh_hyp.features = regs.a1;
	lh_hyp.max_vms = regs.a2;
	lh_hyp.max_leases = regs.a3;
	lh_hyp.max_ranges = regs.a4;
	if (!lh_hyp.max_ranges) {
		pr_err("Leasehold takes no ranges in a lease\n");
		return -EIO;
	}
	return 0;
}

/**
 * lh_hyp_find - look for Leasehold
 *
 * It is asked by the instruction that the kernel found to work for its
 * firmware calls: HVC is undefined on a machine without EL2.
 *
 * Return: 0, or -ENODEV where there is none that this driver can talk to.
 */
int lh_hyp_find(void)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_SMCCC_VENDOR_HYP_CALL_UID,
	};

	switch (arm_smccc_1_1_get_conduit()) {
	case SMCCC_CONDUIT_HVC:
		conduit = arm_smccc_1_2_hvc;
		break;
	case SMCCC_CONDUIT_SMC:
		conduit = arm_smccc_1_2_smc;
		break;
	default:
		pr_info("no Leasehold: the firmware has no SMCCC 1.1\n");
		return -ENODEV;
	}
	if (arm_smccc_get_version() < ARM_SMCCC_VERSION_1_2) {
		pr_info("no Leasehold: the firmware has no SMCCC 1.2\n");
		return -ENODEV;
	}

	lh_smccc(&regs);
	if ((u32)regs.a0 != LH_UID_0 || (u32)regs.a1 != LH_UID_1 ||
	    (u32)regs.a2 != LH_UID_2 || (u32)regs.a3 != LH_UID_3) {
		pr_info("no Leasehold: UID %08x-%08x-%08x-%08x\n", (u32)regs.a0,
			(u32)regs.a1, (u32)regs.a2, (u32)regs.a3);
		return -ENODEV;
	}

	regs = (struct arm_smccc_1_2_regs) {
		.a0 = LH_SMCCC_VENDOR_HYP_REVISION,
	};
	lh_smccc(&regs);
	lh_hyp.major = (u32)regs.a0;
	lh_hyp.minor = (u32)regs.a1;
	if (lh_hyp.major != LH_REVISION_MAJOR ||
	    lh_hyp.minor < LH_REVISION_MINOR) {
		pr_err("Leasehold has revision %u.%u, this driver wants %u.%u\n",
		       lh_hyp.major, lh_hyp.minor, LH_REVISION_MAJOR,
		       LH_REVISION_MINOR);
		return -ENODEV;
	}
	return lh_hyp_features();
}
