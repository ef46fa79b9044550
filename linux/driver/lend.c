// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lending a process's memory, and taking it back. The pages stay pinned from
 * before they are lent until Leasehold has given them back; those that it does
 * not give back stay pinned for good, so that nobody is handed a page that
 * faults.
 */
#include "driver.h"

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

/* Pages to pin in one go: a batch takes the mmap lock once at most. */
#define LH_PIN_BATCH	512UL

static void region_free(struct lh_region *region)
{
	account_locked_vm(region->mm, region->nr_pages, false);
	mmdrop(region->mm);
	kvfree(region->pages);
	kfree(region);
}

/* Unpins pages that are not lent, or no more. */
static void region_trim(struct lh_region *region, unsigned long nr_pages)
{
	unsigned long excess = region->nr_pages - nr_pages;

	unpin_user_pages_dirty_lock(region->pages + nr_pages, excess, true);
	account_locked_vm(region->mm, excess, false);
	region->nr_pages = nr_pages;
}

static int region_pin(struct lh_region *region, unsigned long address,
		      unsigned long nr_pages)
{
	while (region->nr_pages < nr_pages) {
		unsigned long done = region->nr_pages;
		int pinned;

		if (fatal_signal_pending(current))
			return -EINTR;
		pinned = pin_user_pages_fast(address + (done << PAGE_SHIFT),
					     min(nr_pages - done, LH_PIN_BATCH),
					     FOLL_LONGTERM | FOLL_WRITE,
					     region->pages + done);
		if (pinned <= 0)
			return pinned ? pinned : -EFAULT;
		region->nr_pages += pinned;
		cond_resched();
	}
	return 0;
}

/*
 * Memory that has a file or a device behind it may be read or written by the
 * kernel at any time. Anonymous memory and shmem is the process's own.
 */
static int region_check(const struct lh_region *region)
{
	unsigned long n;

	for (n = 0; n < region->nr_pages; n++) {
		struct folio *folio = page_folio(region->pages[n]);

		if (!folio_test_anon(folio) && !folio_test_swapbacked(folio))
			return -EOPNOTSUPP;
	}
	return 0;
}

static struct lh_region *region_new(unsigned long address,
				    unsigned long nr_pages)
{
	struct lh_region *region;
	int error;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->pages = kvmalloc_array(nr_pages, sizeof(*region->pages),
				       GFP_KERNEL_ACCOUNT);
	if (!region->pages) {
		kfree(region);
		return ERR_PTR(-ENOMEM);
	}
	INIT_LIST_HEAD(&region->leases);
	mmgrab(current->mm);
	region->mm = current->mm;

	error = account_locked_vm(region->mm, nr_pages, true);
	if (error) {
		pr_info_ratelimited("lend of %lu pages by %s[%d]: over RLIMIT_MEMLOCK\n",
				    nr_pages, current->comm, current->pid);
		region_free(region);
		return ERR_PTR(error);
	}
	error = region_pin(region, address, nr_pages);
	if (!error)
		error = region_check(region);
	if (error) {
		pr_info_ratelimited("lend of %#lx+%#lx by %s[%d]: error %d after %lu pages pinned\n",
				    address, nr_pages << PAGE_SHIFT,
				    current->comm, current->pid, error,
				    region->nr_pages);
		account_locked_vm(region->mm, nr_pages - region->nr_pages,
				  false);
		region_trim(region, 0);
		region_free(region);
		return ERR_PTR(error);
	}
	return region;
}

/* Lends what one transaction takes, from page @first on. */
static struct lh_lease *lease_new(struct lh_region *region, u16 vm,
				  unsigned long first, u32 *ranges)
{
	struct lh_lease *lease = kzalloc(sizeof(*lease), GFP_KERNEL_ACCOUNT);
	long lent;

	if (!lease)
		return ERR_PTR(-ENOMEM);
	lease->pages = region->pages + first;
	lent = lh_ffa_lend(vm, lease->pages, region->nr_pages - first,
			   &lease->handle, ranges);
	if (lent < 0) {
		pr_warn_ratelimited("VM %u: lend of page %lu of %lu refused: %ld\n",
				    vm, first, region->nr_pages, lent);
		kfree(lease);
		return ERR_PTR(lent);
	}
	lease->nr_pages = lent;
	list_add_tail(&lease->node, &region->leases);
	return lease;
}

/*
 * Has a lease mapped in the VM. When that fails before anything is mapped, the
 * lease comes back at once; else it stays, until the VM is destroyed.
 */
static int lease_map(struct lh_lease *lease, u16 vm, u64 ipa)
{
	const struct arm_smccc_1_2_regs args = {
		.a0 = LH_VM_MAP, .a1 = vm, .a2 = lease->handle, .a3 = ipa,
	};
	int error = lh_call_steps(&args, lease->nr_pages + LH_SPARE_STEPS,
				  true);

	if (!error)
		return 0;
	pr_warn_ratelimited("VM %u: lease %#llx not mapped at %#llx: %d\n",
			    vm, lease->handle, ipa, error);
	if (!lh_ffa_reclaim(lease->handle, lease->pages, lease->nr_pages)) {
		list_del(&lease->node);
		kfree(lease);
	}
	return error;
}

/* The pages that are lent: those of all leases, from the first page on. */
static unsigned long region_lent(const struct lh_region *region)
{
	struct lh_lease *lease;
	unsigned long lent = 0;

	list_for_each_entry(lease, &region->leases, node)
		lent += lease->nr_pages;
	return lent;
}

/* Lends a region, lease by lease, each mapped behind the one before. */
static int region_lend(struct lh_region *region, u16 vm,
		       struct leasehold_lend *lend)
{
	unsigned long done = 0;

	lend->ranges = 0;
	lend->leases = 0;
	while (done < region->nr_pages) {
		struct lh_lease *lease;
		u64 ipa = lend->guest_ipa + ((u64)done << PAGE_SHIFT);
		u32 ranges;
		int error;

		if (fatal_signal_pending(current))
			return -EINTR;
		lease = lease_new(region, vm, done, &ranges);
		if (IS_ERR(lease))
			return PTR_ERR(lease);
		done += lease->nr_pages;
		error = lease_map(lease, vm, ipa);
		if (error)
			return error;
		lend->ranges += ranges;
		lend->leases++;
		cond_resched();
	}
	return 0;
}

/* Takes a lease back and frees it. Pages that do not come stay pinned. */
static void lease_take_back(struct lh_lease *lease, struct lh_returned *returned)
{
	int error = lh_ffa_reclaim(lease->handle, lease->pages, lease->nr_pages);

	if (error) {
		pr_err("lease %#llx does not come back: %d. Its %lu pages, from %#llx on, are lost to the kernel\n",
		       lease->handle, error, lease->nr_pages,
		       (u64)page_to_phys(lease->pages[0]));
		returned->lost += lease->nr_pages;
	} else {
		unpin_user_pages_dirty_lock(lease->pages, lease->nr_pages,
					    true);
		returned->leases++;
		returned->back += lease->nr_pages;
	}
	list_del(&lease->node);
	kfree(lease);
	cond_resched();
}

static void region_take_back(struct lh_region *region,
			     struct lh_returned *returned)
{
	struct lh_lease *lease, *next;

	list_for_each_entry_safe(lease, next, &region->leases, node)
		lease_take_back(lease, returned);
	region_free(region);
}

/**
 * lh_lend - lend a range of the caller's memory to a VM
 * @vm: the VM, locked, in LH_STATE_CREATED; it becomes LH_STATE_BROKEN when
 *	the lend fails with a part of the memory in the VM
 * @lend: what to lend, and how many ranges and leases it came to
 *
 * Return: 0 or an error.
 */
int lh_lend(struct lh_vm *vm, struct leasehold_lend *lend)
{
	struct lh_region *region;
	unsigned long lent;
	int error;

	region = region_new(lend->user_address, lend->length >> PAGE_SHIFT);
	if (IS_ERR(region))
		return PTR_ERR(region);
	error = region_lend(region, vm->id, lend);
	lent = region_lent(region);
	if (error)
		region_trim(region, lent);
	if (!lent) {
		region_free(region);
		return error;
	}
	if (error)
		vm->state = LH_STATE_BROKEN;
	list_add_tail(&region->node, &vm->regions);
	return error;
}

/**
 * lh_take_back - take all memory of a VM back
 * @vm: the VM, which the hypervisor has destroyed
 * @returned: what it came to
 */
void lh_take_back(struct lh_vm *vm, struct lh_returned *returned)
{
	struct lh_region *region, *next;

	list_for_each_entry_safe(region, next, &vm->regions, node) {
		list_del(&region->node);
		region_take_back(region, returned);
	}
}
