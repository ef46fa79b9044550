// SPDX-License-Identifier: GPL-2.0-only
/* What a guest writes on its console, kept until somebody reads it. */
#include "driver.h"

#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/stddef.h>

#ifdef CONFIG_CPU_BIG_ENDIAN
#error "the text comes in little-endian registers"
#endif

/* Takes one chunk. Returns its length, or an error. */
static int console_take(struct lh_vm *vm)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_CONSOLE_READ, .a1 = vm->id,
	};
	int error = lh_call(&regs);

	if (error)
		return error;
	if (regs.a1 > LH_MAX_CONSOLE_BYTES)
		return -EIO;
	kfifo_in(&vm->console, (const unsigned char *)&regs +
		 offsetof(struct arm_smccc_1_2_regs, a2), regs.a1);
	return regs.a1;
}

/**
 * lh_console_drain - take over what the guest has written
 * @vm: the VM
 *
 * Return: whether all was taken. Otherwise somebody has to read first.
 */
bool lh_console_drain(struct lh_vm *vm)
{
	bool all = false;
	bool news = false;

	mutex_lock(&vm->console_lock);
	while (!all && kfifo_avail(&vm->console) >= LH_MAX_CONSOLE_BYTES) {
		int taken = console_take(vm);

		if (taken > 0)
			news = true;
		else
			all = true;
		if (taken < 0 && taken != -ENODATA)
			pr_warn_ratelimited("VM %u: console not read: %d\n",
					    vm->id, taken);
	}
	mutex_unlock(&vm->console_lock);
	if (news)
		wake_up_interruptible(&vm->console_wait);
	return all;
}

/**
 * lh_console_talks - tell readers whether more may come
 * @vm: the VM
 * @talks: whether it may
 */
void lh_console_talks(struct lh_vm *vm, bool talks)
{
	mutex_lock(&vm->console_lock);
	vm->talks = talks;
	mutex_unlock(&vm->console_lock);
	wake_up_interruptible(&vm->console_wait);
}

/**
 * lh_console_read - read what the guest has written
 * @vm: the VM
 * @to: where to
 * @length: room there
 * @wait: whether to wait for the guest to write something
 *
 * Return: bytes read; 0 when no more will come; -EAGAIN when there are none
 * now; or another error.
 */
ssize_t lh_console_read(struct lh_vm *vm, char __user *to, size_t length,
			bool wait)
{
	unsigned int copied;
	bool talks;
	int error;

	if (!length)
		return 0;
	length = min_t(size_t, length, LH_CONSOLE_SIZE);
	for (;;) {
		if (mutex_lock_interruptible(&vm->console_lock))
			return -ERESTARTSYS;
		talks = vm->talks;
		copied = 0;
		error = kfifo_to_user(&vm->console, to, length, &copied);
		mutex_unlock(&vm->console_lock);
		if (copied)
			return copied;
		if (error)
			return error;
		if (!talks)
			return 0;
		if (!wait)
			return -EAGAIN;
		error = wait_event_interruptible(vm->console_wait,
						 !kfifo_is_empty(&vm->console) ||
						 !READ_ONCE(vm->talks));
		if (error)
			return error;
	}
}

/**
 * lh_console_poll - whether a read would wait
 * @vm: the VM
 * @file: its file
 * @table: who polls
 *
 * Return: EPOLLIN when there is text, EPOLLHUP when no more will come.
 */
__poll_t lh_console_poll(struct lh_vm *vm, struct file *file,
			 struct poll_table_struct *table)
{
	__poll_t events = 0;

	poll_wait(file, &vm->console_wait, table);
	mutex_lock(&vm->console_lock);
	if (!kfifo_is_empty(&vm->console))
		events |= EPOLLIN | EPOLLRDNORM;
	if (!vm->talks)
		events |= EPOLLHUP;
	mutex_unlock(&vm->console_lock);
	return events;
}
