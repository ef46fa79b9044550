// SPDX-License-Identifier: GPL-2.0-only
/* A VM's life: create, lend, load, start, run, destroy. */
#include "driver.h"

#include <linux/build_bug.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

/* What programs see is what the hypervisor says. */
static_assert(LEASEHOLD_EXIT_WAIT == LH_EXIT_WAIT);
static_assert(LEASEHOLD_EXIT_CONSOLE == LH_EXIT_CONSOLE);
static_assert(LEASEHOLD_EXIT_OFF == LH_EXIT_OFF);
static_assert(LEASEHOLD_EXIT_RESET == LH_EXIT_RESET);
static_assert(LEASEHOLD_EXIT_CRASHED == LH_EXIT_CRASHED);
static_assert(LEASEHOLD_EXIT_TAKEN == LH_EXIT_TAKEN);

/* How often a destroy is tried whose invalidations the hardware is late to confirm */
#define LH_DESTROY_TRIES	5
#define LH_DESTROY_PAUSE_MS	100

/**
 * lh_vm_new - what an open file starts with
 *
 * Return: a VM in LH_STATE_NONE, or NULL.
 */
struct lh_vm *lh_vm_new(void)
{
	struct lh_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return NULL;
	vm->bounce = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->bounce)
		goto free_vm;
	if (kfifo_alloc(&vm->console, LH_CONSOLE_SIZE, GFP_KERNEL_ACCOUNT))
		goto free_bounce;
	mutex_init(&vm->lock);
	mutex_init(&vm->console_lock);
	INIT_LIST_HEAD(&vm->regions);
	init_waitqueue_head(&vm->idle);
	init_waitqueue_head(&vm->console_wait);
	return vm;

free_bounce:
	free_page((unsigned long)vm->bounce);
free_vm:
	kfree(vm);
	return NULL;
}

/* Locks a VM that is in a state and does not run. */
static int vm_lock_in(struct lh_vm *vm, enum lh_state state)
{
	int error = 0;

	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	if (vm->state != state)
		error = -EBADFD;
	else if (vm->running)
		error = -EBUSY;
	if (error)
		mutex_unlock(&vm->lock);
	return error;
}

int lh_vm_create(struct lh_vm *vm, struct leasehold_create *create)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_VM_CREATE };
	int error = vm_lock_in(vm, LH_STATE_NONE);

	if (error)
		return error;
	error = lh_call(&regs);
	if (!error && regs.a1 > U16_MAX)
		error = -EIO;
	if (error) {
		pr_warn_ratelimited("no VM for %s[%d]: %d\n", current->comm,
				    current->pid, error);
	} else {
		vm->id = regs.a1;
		vm->state = LH_STATE_CREATED;
		create->vm = vm->id;
	}
	mutex_unlock(&vm->lock);
	return error;
}

int lh_vm_lend(struct lh_vm *vm, struct leasehold_lend *lend)
{
	int error;

	if (!lend->length || lend->reserved ||
	    !PAGE_ALIGNED(lend->user_address | lend->length | lend->guest_ipa))
		return -EINVAL;
	if (lend->user_address + lend->length < lend->user_address ||
	    lend->guest_ipa + lend->length < lend->guest_ipa ||
	    lend->length >> PAGE_SHIFT > INT_MAX)
		return -EINVAL;
	error = vm_lock_in(vm, LH_STATE_CREATED);
	if (error)
		return error;
	error = lh_lend(vm, lend);
	mutex_unlock(&vm->lock);
	return error;
}

/* Copies what lies in one page of the guest. */
static int vm_load_some(struct lh_vm *vm, u64 ipa, const void __user *from,
			size_t length)
{
	const struct arm_smccc_1_2_regs args = {
		.a0 = LH_VM_LOAD, .a1 = vm->id, .a2 = ipa,
		.a3 = virt_to_phys(vm->bounce), .a4 = length,
	};
	int error;

	if (copy_from_user(vm->bounce, from, length))
		return -EFAULT;
	error = lh_call_steps(&args, LH_SPARE_STEPS, true);
	if (error)
		pr_warn_ratelimited("VM %u: load of %zu bytes to %#llx refused: %d\n",
				    vm->id, length, ipa, error);
	return error;
}

int lh_vm_load(struct lh_vm *vm, const struct leasehold_load *load)
{
	u64 done = 0;
	int error;

	if (load->reserved || load->guest_ipa + load->length < load->guest_ipa)
		return -EINVAL;
	error = vm_lock_in(vm, LH_STATE_CREATED);
	if (error)
		return error;
	while (!error && done < load->length) {
		u64 ipa = load->guest_ipa + done;
		size_t room = LH_MAX_LOAD_BYTES -
			      ipa % LH_MAX_LOAD_BYTES;
		size_t length = min_t(u64, room, load->length - done);

		error = vm_load_some(vm, ipa,
				     u64_to_user_ptr(load->user_address + done),
				     length);
		done += length;
		if (fatal_signal_pending(current))
			error = -EINTR;
		cond_resched();
	}
	mutex_unlock(&vm->lock);
	return error;
}

int lh_vm_start(struct lh_vm *vm, const struct leasehold_start *start)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_VM_START,
		.a2 = start->entry,
		.a3 = start->device_tree,
	};
	int error;

	if (start->reserved)
		return -EINVAL;
	error = vm_lock_in(vm, LH_STATE_CREATED);
	if (error)
		return error;
	regs.a1 = vm->id;
	error = lh_call(&regs);
	if (error) {
		pr_warn_ratelimited("VM %u: start at %#llx, tree at %#llx, refused: %d\n",
				    vm->id, start->entry, start->device_tree,
				    error);
	} else {
		vm->state = LH_STATE_STARTED;
		lh_console_talks(vm, true);
	}
	mutex_unlock(&vm->lock);
	return error;
}

/* Enters the guest until its owner is needed. The VM is marked as running. */
static int vm_enter(struct lh_vm *vm, struct leasehold_run *run)
{
	for (;;) {
		struct arm_smccc_1_2_regs regs = {
			.a0 = LH_VM_RUN, .a1 = vm->id, .a2 = run->vcpu,
		};
		bool drained;
		int error;

		if (READ_ONCE(vm->stopping))
			return -ECANCELED;
		if (signal_pending(current))
			return -EINTR;
		error = lh_call(&regs);
		if (error) {
			pr_warn_ratelimited("VM %u: run refused: %d\n", vm->id,
					    error);
			return error;
		}
		cond_resched();
		if (regs.a1 == LH_EXIT_INTERRUPT)
			continue;
		drained = lh_console_drain(vm);
		if (regs.a1 == LH_EXIT_CONSOLE && drained)
			continue;
		run->reason = regs.a1;
		run->details[0] = regs.a2;
		run->details[1] = regs.a3;
		run->details[2] = regs.a4;
		return 0;
	}
}

/* Whether the guest is through. Says why, if that is not its own wish. */
static bool vm_ended(const struct lh_vm *vm, const struct leasehold_run *run)
{
	switch (run->reason) {
	case LH_EXIT_WAIT:
	case LH_EXIT_CONSOLE:
		return false;
	case LH_EXIT_OFF:
	case LH_EXIT_RESET:
		return true;
	case LH_EXIT_CRASHED:
		pr_warn_ratelimited("VM %u crashed: ESR_EL2 %#llx, IPA %#llx, PC %#llx\n",
				    vm->id, run->details[0], run->details[1],
				    run->details[2]);
		return true;
	case LH_EXIT_TAKEN:
		pr_warn_ratelimited("VM %u touched memory that was taken from it: ESR_EL2 %#llx, IPA %#llx, PC %#llx\n",
				    vm->id, run->details[0], run->details[1],
				    run->details[2]);
		return true;
	default:
		pr_warn_ratelimited("VM %u: exit reason %llu is not known\n",
				    vm->id, run->reason);
		return true;
	}
}

int lh_vm_run(struct lh_vm *vm, struct leasehold_run *run)
{
	int error = vm_lock_in(vm, LH_STATE_STARTED);
	bool ended;

	if (error)
		return error;
	WRITE_ONCE(vm->running, true);
	mutex_unlock(&vm->lock);

	error = vm_enter(vm, run);
	ended = !error && vm_ended(vm, run);
	if (ended)
		lh_console_talks(vm, false);

	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->running, false);
	if (ended)
		vm->state = LH_STATE_ENDED;
	mutex_unlock(&vm->lock);
	wake_up_all(&vm->idle);
	return error;
}

/* Has the thread that is in RUN come back. @lock is held, and let go meanwhile. */
static void vm_stop(struct lh_vm *vm)
{
	WRITE_ONCE(vm->stopping, true);
	while (vm->running) {
		mutex_unlock(&vm->lock);
		/* An interrupt ends the run that it may be in, on any CPU. */
		kick_all_cpus_sync();
		wait_event_timeout(vm->idle, !READ_ONCE(vm->running), HZ / 10);
		mutex_lock(&vm->lock);
	}
	WRITE_ONCE(vm->stopping, false);
}

static unsigned long vm_pages(const struct lh_vm *vm)
{
	struct lh_region *region;
	unsigned long pages = 0;

	list_for_each_entry(region, &vm->regions, node)
		pages += region->nr_pages;
	return pages;
}

/* Has the hypervisor stop the VM, relinquish for it, and scrub. */
static void vm_hyp_destroy(const struct lh_vm *vm)
{
	const struct arm_smccc_1_2_regs args = {
		.a0 = LH_VM_DESTROY, .a1 = vm->id,
	};
	unsigned long steps = vm_pages(vm) + LH_SPARE_STEPS;
	int tries = LH_DESTROY_TRIES;
	int error;

	for (;;) {
		error = lh_call_steps(&args, steps, false);
		if (!error)
			return;
		pr_err("VM %u is not destroyed: %d\n", vm->id, error);
		if (error != -ETIMEDOUT || !--tries)
			return;
		msleep(LH_DESTROY_PAUSE_MS);
	}
}

/* Destroys the VM and takes back all that it has. @lock is held. */
static void vm_end(struct lh_vm *vm, struct lh_returned *returned)
{
	vm_stop(vm);
	lh_console_drain(vm);
	vm_hyp_destroy(vm);
	lh_take_back(vm, returned);
	vm->state = LH_STATE_NONE;
	lh_console_talks(vm, false);
}

int lh_vm_destroy(struct lh_vm *vm, struct leasehold_destroy *destroy)
{
	struct lh_returned returned = {};

	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	if (vm->state == LH_STATE_NONE) {
		mutex_unlock(&vm->lock);
		return -EBADFD;
	}
	vm_end(vm, &returned);
	mutex_unlock(&vm->lock);
	destroy->leases = returned.leases;
	destroy->pages_back = returned.back;
	destroy->pages_lost = returned.lost;
	return 0;
}

/**
 * lh_vm_free - what the last close of a file does
 * @vm: the VM, in any state; no other thread can reach it
 */
void lh_vm_free(struct lh_vm *vm)
{
	struct lh_returned returned = {};

	mutex_lock(&vm->lock);
	if (vm->state != LH_STATE_NONE)
		vm_end(vm, &returned);
	mutex_unlock(&vm->lock);
	kfifo_free(&vm->console);
	free_page((unsigned long)vm->bounce);
	kfree(vm);
}
