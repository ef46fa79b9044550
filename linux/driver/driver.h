/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the driver share. */
#ifndef LEASEHOLD_DRIVER_H
#define LEASEHOLD_DRIVER_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/arm-smccc.h>
#include <linux/kfifo.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/printk.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "../leasehold_abi.h"
#include "uapi/leasehold.h"

/*
 * A call that works in bounded steps is given up after as many steps as there
 * are pages, and these on top: a hypervisor that makes no progress must not
 * hold a task for ever.
 */
#define LH_SPARE_STEPS	65536UL

/* Bytes that a guest may write on its console before somebody has to read. */
#define LH_CONSOLE_SIZE	16384

/**
 * struct lh_hyp - the hypervisor, as it was found
 * @major: revision: changes that break callers
 * @minor: revision: additions
 * @features: feature bits
 * @max_vms: most VMs at a time
 * @max_leases: most leases at a time
 * @max_ranges: most ranges in a lease
 */
struct lh_hyp {
	u32 major;
	u32 minor;
	u64 features;
	u64 max_vms;
	u64 max_leases;
	u64 max_ranges;
};

enum lh_state {
	LH_STATE_NONE,		/* no VM yet, or no more */
	LH_STATE_CREATED,	/* takes memory and an image */
	LH_STATE_STARTED,	/* runs when it is told to */
	LH_STATE_ENDED,		/* off or crashed: to be destroyed */
	LH_STATE_BROKEN,	/* a lend failed half way: to be destroyed */
};

/**
 * struct lh_lease - memory that was lent in one FF-A transaction
 * @node: in the region's list
 * @handle: the FF-A handle
 * @pages: its part of the region's pages
 * @nr_pages: how many
 */
struct lh_lease {
	struct list_head node;
	u64 handle;
	struct page **pages;
	unsigned long nr_pages;
};

/**
 * struct lh_region - a range of a process that is lent to a VM
 * @node: in the VM's list
 * @leases: the leases it was cut into, in the order of their addresses
 * @mm: whose RLIMIT_MEMLOCK counts the pages
 * @pages: the pinned pages
 * @nr_pages: how many of them are pinned, from the first on
 */
struct lh_region {
	struct list_head node;
	struct list_head leases;
	struct mm_struct *mm;
	struct page **pages;
	unsigned long nr_pages;
};

/**
 * struct lh_returned - what taking memory back came to
 * @leases: leases that were taken back
 * @back: pages that were
 * @lost: pages that were not
 */
struct lh_returned {
	unsigned int leases;
	unsigned long back;
	unsigned long lost;
};

/**
 * struct lh_vm - an open file, and its VM
 * @lock: protects all up to @bounce. It is not held while the guest runs;
 *	  @running says that it does.
 * @state: what calls make sense
 * @id: the VM's id, unless there is none
 * @running: a thread is in RUN
 * @stopping: that thread is to come back
 * @regions: memory that the VM has, in the order it was lent
 * @bounce: a page of the kernel's own, which the hypervisor loads from
 * @idle: woken when @running becomes false
 * @console_lock: protects @console and @talks
 * @console: what the guest wrote and nobody has read
 * @talks: more may come
 * @console_wait: woken when one of the two changes
 */
struct lh_vm {
	struct mutex lock;	/* see above */
	enum lh_state state;
	u16 id;
	bool running;
	bool stopping;
	struct list_head regions;
	void *bounce;
	wait_queue_head_t idle;

	struct mutex console_lock;	/* see above */
	DECLARE_KFIFO_PTR(console, unsigned char);
	bool talks;
	wait_queue_head_t console_wait;
};

/* hyp.c */
extern struct lh_hyp lh_hyp;
int lh_hyp_find(void);
void lh_smccc(struct arm_smccc_1_2_regs *regs);
int lh_call(struct arm_smccc_1_2_regs *regs);
int lh_call_steps(const struct arm_smccc_1_2_regs *args, unsigned long steps,
		  bool killable);

/* ffa.c */
int lh_ffa_open(void);
void lh_ffa_close(void);
u32 lh_ffa_version(void);
u16 lh_ffa_endpoint(void);
long lh_ffa_lend(u16 vm, struct page **pages, unsigned long nr_pages,
		 u64 *handle, u32 *ranges);
int lh_ffa_reclaim(u64 handle, struct page **pages, unsigned long nr_pages);

/* find.c */
void *lh_find(const char *name);

/* sdei.c */
void lh_sdei_init(void);
void lh_sdei_exit(void);

/* unmap.c */
void lh_unmap_init(void);
bool lh_unmaps(void);
int lh_unmap(struct page **pages, unsigned long nr_pages);
void lh_remap(struct page **pages, unsigned long nr_pages);

/* lend.c */
int lh_lend(struct lh_vm *vm, struct leasehold_lend *lend);
void lh_take_back(struct lh_vm *vm, struct lh_returned *returned);

/* vm.c */
struct lh_vm *lh_vm_new(void);
void lh_vm_free(struct lh_vm *vm);
int lh_vm_create(struct lh_vm *vm, struct leasehold_create *create);
int lh_vm_lend(struct lh_vm *vm, struct leasehold_lend *lend);
int lh_vm_load(struct lh_vm *vm, const struct leasehold_load *load);
int lh_vm_start(struct lh_vm *vm, const struct leasehold_start *start);
int lh_vm_run(struct lh_vm *vm, struct leasehold_run *run);
int lh_vm_destroy(struct lh_vm *vm, struct leasehold_destroy *destroy);

/* console.c */
bool lh_console_drain(struct lh_vm *vm);
void lh_console_talks(struct lh_vm *vm, bool talks);
ssize_t lh_console_read(struct lh_vm *vm, char __user *to, size_t length,
			bool wait);
__poll_t lh_console_poll(struct lh_vm *vm, struct file *file,
			 struct poll_table_struct *table);

/* fault.c */
void lh_fault_unpack(struct leasehold_fault *fault,
		     const unsigned long *registers);
int lh_faults(struct leasehold_faults *faults);
int lh_fault_counts(struct leasehold_fault_counts *counts);

/* chardev.c */
int lh_chardev_register(void);
void lh_chardev_unregister(void);

#endif
