// SPDX-License-Identifier: GPL-2.0-only
/* The accesses themselves, in a context of the caller's choice. */
#include "matrix.h"

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/word-at-a-time.h>

/* What memcpy copies: more than one register pair, less than a page. */
#define LHM_COPY_BYTES	64

struct lhm_work {
	struct irq_work work;
	struct leasehold_matrix_touch *touch;
};

static void lhm_user(struct leasehold_matrix_touch *touch)
{
	u64 __user *word = (u64 __user *)touch->user;
	u64 value = touch->value;

	if (touch->access == LEASEHOLD_MATRIX_GET_USER)
		touch->result = get_user(value, word);
	else
		touch->result = put_user(value, word);
	touch->value = value;
}

static void lhm_memcpy(struct leasehold_matrix_touch *touch, const void *from)
{
	u64 copy[LHM_COPY_BYTES / sizeof(u64)];
	size_t length = LHM_COPY_BYTES;

	/* A length that the compiler does not know: it has to call memcpy. */
	OPTIMIZER_HIDE_VAR(length);
	memcpy(copy, from, length);
	touch->value = copy[0];
}

/* What atomic64_inc is on CPUs without FEAT_LSE. */
static void lhm_exclusive(u64 *word)
{
	u64 value;
	u32 failed;

	asm volatile("1:	ldxr	%0, %2\n"
		     "	add	%0, %0, #1\n"
		     "	stxr	%w1, %0, %2\n"
		     "	cbnz	%w1, 1b\n"
		     : "=&r" (value), "=&r" (failed), "+Q" (*word));
}

static void lhm_kernel(struct leasehold_matrix_touch *touch)
{
	void *address = phys_to_virt(touch->physical);
	u64 *word = address;

	touch->result = 0;
	switch (touch->access) {
	case LEASEHOLD_MATRIX_NOFAULT:
		touch->result = copy_from_kernel_nofault(&touch->value, word,
							 sizeof(*word));
		break;
	case LEASEHOLD_MATRIX_ZEROPAD:
		touch->value = load_unaligned_zeropad(address);
		break;
	case LEASEHOLD_MATRIX_READ:
		touch->value = READ_ONCE(*word);
		break;
	case LEASEHOLD_MATRIX_WRITE:
		WRITE_ONCE(*word, touch->value);
		break;
	case LEASEHOLD_MATRIX_MEMCPY:
		lhm_memcpy(touch, address);
		break;
	case LEASEHOLD_MATRIX_ATOMIC:
		atomic64_inc(address);
		break;
	case LEASEHOLD_MATRIX_EXCLUSIVE:
		lhm_exclusive(word);
		break;
	case LEASEHOLD_MATRIX_DMA_READ:
	case LEASEHOLD_MATRIX_DMA_WRITE:
		touch->result = lhm_dma(address, touch->access ==
					LEASEHOLD_MATRIX_DMA_WRITE);
		break;
	default:
		touch->result = -EINVAL;
	}
}

static void lhm_interrupt(struct irq_work *work)
{
	lhm_kernel(container_of(work, struct lhm_work, work)->touch);
}

static void lhm_in_interrupt(struct leasehold_matrix_touch *touch)
{
	struct lhm_work work = { .touch = touch };

	init_irq_work(&work.work, lhm_interrupt);
	irq_work_queue(&work.work);
	irq_work_sync(&work.work);
}

/**
 * lhm_touch - make one access
 * @touch: what, where, and what came of it
 *
 * Return: 0, or -EINVAL where there is no such access.
 */
int lhm_touch(struct leasehold_matrix_touch *touch)
{
	bool user = touch->access <= LEASEHOLD_MATRIX_PUT_USER;
	bool sleeps = user || touch->access >= LEASEHOLD_MATRIX_DMA_READ;

	if (touch->access > LEASEHOLD_MATRIX_DMA_WRITE ||
	    (sleeps && touch->context != LEASEHOLD_MATRIX_TASK))
		return -EINVAL;
	switch (touch->context) {
	case LEASEHOLD_MATRIX_TASK:
		if (user)
			lhm_user(touch);
		else
			lhm_kernel(touch);
		return 0;
	case LEASEHOLD_MATRIX_NO_PREEMPTION:
		preempt_disable();
		lhm_kernel(touch);
		preempt_enable();
		return 0;
	case LEASEHOLD_MATRIX_INTERRUPT:
		lhm_in_interrupt(touch);
		return 0;
	default:
		return -EINVAL;
	}
}
