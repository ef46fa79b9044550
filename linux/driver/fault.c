// SPDX-License-Identifier: GPL-2.0-only
/* Fault records: who touched what was lent, and how. */
#include "driver.h"

#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/**
 * lh_fault_unpack - a fault record, as calls return it
 * @fault: the record
 * @registers: nine of them, in the order of LH_FAULT_CURRENT
 */
void lh_fault_unpack(struct leasehold_fault *fault,
		     const unsigned long *registers)
{
	*fault = (struct leasehold_fault) {
		.access = registers[0],
		.ipa = registers[1],
		.va = registers[2],
		.pc = registers[3],
		.esr = registers[4],
		.borrower = registers[5],
		.mechanism = registers[6],
		.cpu = registers[7],
		.counter = registers[8],
	};
}

static int fault_take(struct leasehold_fault *fault, u64 *lost)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_FAULT_READ };
	int error = lh_call(&regs);

	if (error)
		return error;
	*lost += regs.a1;
	lh_fault_unpack(fault, &regs.a2);
	return 0;
}

/**
 * lh_faults - take fault records, oldest first, until there are no more
 * @faults: room for them, and how many there were
 *
 * Return: 0 or an error. A record that cannot be copied out is gone.
 */
int lh_faults(struct leasehold_faults *faults)
{
	struct leasehold_fault __user *to = u64_to_user_ptr(faults->records);
	u32 n;

	if (faults->reserved)
		return -EINVAL;
	faults->count = 0;
	faults->lost = 0;
	for (n = 0; n < faults->capacity; n++) {
		struct leasehold_fault fault;
		int error;

		if (fatal_signal_pending(current))
			return -EINTR;
		error = fault_take(&fault, &faults->lost);
		if (error == -ENODATA)
			break;
		if (error)
			return error;
		if (copy_to_user(to + n, &fault, sizeof(fault)))
			return -EFAULT;
		faults->count++;
		cond_resched();
	}
	return 0;
}

/**
 * lh_fault_counts - ask how often touches of a class were answered, and how
 * @counts: the class, and what comes of it
 *
 * Return: 0 or an error.
 */
int lh_fault_counts(struct leasehold_fault_counts *counts)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_FAULT_COUNTS,
		.a1 = counts->access,
	};
	int error = lh_call(&regs);

	if (error)
		return error;
	memcpy(counts->counts, &regs.a1, sizeof(counts->counts));
	return 0;
}
