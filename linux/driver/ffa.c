// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory management of the Firmware Framework for Arm A-profile: DEN0077A
 * (1.2) for the calls, DEN0140 for the descriptors. Kernels without
 * CONFIG_ARM_FFA_TRANSPORT are hosts too, so the driver does this itself.
 */
#include "driver.h"

#include <linux/build_bug.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>

/* DEN0077A, 13.2.1: a negative answer is an error, the rest major and minor */
#define FFA_VERSION_MAJOR(version)	((version) >> 16)

/* The unit of buffers and of page counts, whatever the kernel's page is */
#define FFA_PAGE_SIZE		SZ_4K
#define FFA_PAGES_PER_PAGE	(PAGE_SIZE / FFA_PAGE_SIZE)

/*
 * The descriptor of a lend to one borrower, as DEN0140 lays it out. The lender
 * names the borrower's data access. Memory type and instruction access are the
 * borrower's to name, so they are left "not specified", 0.
 */
struct ffa_range {
	__le64 address;
	__le32 page_count;
	__le32 reserved;
};

struct ffa_lend {
	/* memory transaction descriptor */
	__le16 sender;
	__le16 attributes;
	__le32 flags;
	__le64 handle;
	__le64 tag;
	__le32 access_size;
	__le32 access_count;
	__le32 access_offset;
	__le32 reserved0[3];
	/* endpoint memory access descriptor; 16 bytes shorter before 1.2 */
	__le16 receiver;
	u8 permissions;
	u8 access_flags;
	__le32 composite_offset;
	u8 impdef[16];
	__le64 reserved1;
	/* composite memory region descriptor */
	__le32 page_count;
	__le32 range_count;
	__le64 reserved2;
	struct ffa_range ranges[];
};

static_assert(offsetof(struct ffa_lend, receiver) == 48);
static_assert(offsetof(struct ffa_lend, page_count) == 80);
static_assert(offsetof(struct ffa_lend, ranges) == 96);
static_assert(sizeof(struct ffa_range) == 16);

#define FFA_LEND_RANGES \
	((FFA_PAGE_SIZE - sizeof(struct ffa_lend)) / sizeof(struct ffa_range))

/* What LH_LEND_UNMAPPED takes, in pages of ours: 64 MiB. */
#define FFA_UNMAPPED_PAGES	(SZ_64M / PAGE_SIZE)

/* The pages that Leasehold reads from and writes to. */
static struct {
	struct mutex lock;	/* of what is in tx */
	void *tx;
	void *rx;
	u32 version;
	u16 id;
} ffa = {
	.lock = __MUTEX_INITIALIZER(ffa.lock),
};

static int ffa_error(s32 code)
{
	switch (code) {
	case LH_FFA_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case LH_FFA_INVALID_PARAMETERS:
		return -EINVAL;
	case LH_FFA_NO_MEMORY:
		return -ENOSPC;
	case LH_FFA_BUSY:
		return -EBUSY;
	case LH_FFA_INTERRUPTED:
	case LH_FFA_RETRY:
		return -EAGAIN;
	case LH_FFA_DENIED:
		return -EPERM;
	case LH_FFA_ABORTED:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

static int ffa_call(struct arm_smccc_1_2_regs *regs)
{
	lh_smccc(regs);
	switch ((u32)regs->a0) {
	case LH_FFA_SUCCESS_32:
	case LH_FFA_SUCCESS_64:
		return 0;
	case LH_FFA_ERROR:
		return ffa_error((s32)regs->a2);
	default:
		if ((s32)regs->a0 == LH_SMCCC_NOT_SUPPORTED)
			return -EOPNOTSUPP;
		return -EIO;
	}
}

/* Makes a call again for as long as it says so, within a bound. */
static int ffa_call_steps(struct arm_smccc_1_2_regs *regs, unsigned long steps)
{
	const struct arm_smccc_1_2_regs args = *regs;
	unsigned long step;
	int error;

	for (step = 0; step < steps; step++) {
		*regs = args;
		error = ffa_call(regs);
		if (error != -EAGAIN && error != -EBUSY)
			return error;
		if (error == -EBUSY)
			usleep_range(20, 100);
		cond_resched();
	}
	return -ETIMEDOUT;
}

/* How many of the pages are physically adjacent, from the first on. */
static unsigned long ffa_contiguous(struct page **pages, unsigned long nr_pages)
{
	unsigned long first = page_to_pfn(pages[0]);
	unsigned long n = 1;

	while (n < nr_pages && page_to_pfn(pages[n]) == first + n)
		n++;
	return n;
}

/* Writes the descriptor of one transaction. Returns how many pages it holds. */
static unsigned long ffa_describe(struct ffa_lend *lend, u16 vm,
				  struct page **pages, unsigned long nr_pages,
				  u32 *ranges)
{
	u32 most = min_t(u64, FFA_LEND_RANGES, lh_hyp.max_ranges);
	unsigned long done = 0;
	u32 n;

	memset(lend, 0, FFA_PAGE_SIZE);
	for (n = 0; n < most && done < nr_pages; n++) {
		unsigned long count = ffa_contiguous(pages + done,
						     nr_pages - done);
		struct ffa_range *range = &lend->ranges[n];

		range->address = cpu_to_le64(page_to_phys(pages[done]));
		range->page_count = cpu_to_le32(count * FFA_PAGES_PER_PAGE);
		done += count;
	}
	lend->sender = cpu_to_le16(ffa.id);
	lend->access_size = cpu_to_le32(offsetof(struct ffa_lend, page_count) -
					offsetof(struct ffa_lend, receiver));
	lend->access_count = cpu_to_le32(1);
	lend->access_offset = cpu_to_le32(offsetof(struct ffa_lend, receiver));
	lend->receiver = cpu_to_le16(vm);
	lend->permissions = LH_FFA_PERMISSION_RW;
	lend->composite_offset =
		cpu_to_le32(offsetof(struct ffa_lend, page_count));
	lend->page_count = cpu_to_le32(done * FFA_PAGES_PER_PAGE);
	lend->range_count = cpu_to_le32(n);
	*ranges = n;
	return done;
}

/*
 * Lends what is described in tx, which the kernel does not map: Leasehold sees
 * to it that this is so.
 */
static int ffa_lend_unmapped(size_t length, struct page **pages,
			     unsigned long nr_pages, u64 *handle)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_LEND_UNMAPPED,
		.a1 = length,
		.a2 = (u64)page_address(pages[0]) - page_to_phys(pages[0]),
	};
	int error = lh_unmap(pages, nr_pages);

	if (error)
		return error;
	error = lh_call(&regs);
	if (error)
		lh_remap(pages, nr_pages);
	else
		*handle = regs.a1;
	return error;
}

/**
 * lh_ffa_lend - lend pages to a VM, as many as one transaction takes
 * @vm: the borrower
 * @pages: the pages; neighbours in physical memory become one range
 * @nr_pages: how many there are
 * @handle: where the lease's handle goes
 * @ranges: where the number of its ranges goes
 *
 * Return: how many pages were lent, from the first on, or an error.
 */
long lh_ffa_lend(u16 vm, struct page **pages, unsigned long nr_pages,
		 u64 *handle, u32 *ranges)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_FFA_MEM_LEND_32 };
	unsigned long lent;
	int error;

	if (lh_unmaps())
		nr_pages = min(nr_pages, FFA_UNMAPPED_PAGES);
	mutex_lock(&ffa.lock);
	lent = ffa_describe(ffa.tx, vm, pages, nr_pages, ranges);
	regs.a1 = offsetof(struct ffa_lend, ranges) +
		  *ranges * sizeof(struct ffa_range);
	regs.a2 = regs.a1;
	if (lh_unmaps()) {
		error = ffa_lend_unmapped(regs.a1, pages, lent, handle);
	} else {
		error = ffa_call_steps(&regs, lent + LH_SPARE_STEPS);
		*handle = (u32)regs.a2 | (u64)(u32)regs.a3 << 32;
	}
	mutex_unlock(&ffa.lock);
	return error ? error : lent;
}

/**
 * lh_ffa_reclaim - take a lease back, which its borrower has relinquished
 * @handle: the lease
 * @pages: its pages, of which scrubbing may be left to do
 * @nr_pages: how many
 *
 * Return: 0, or an error: then the memory is still not the kernel's to touch.
 */
int lh_ffa_reclaim(u64 handle, struct page **pages, unsigned long nr_pages)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_FFA_MEM_RECLAIM,
		.a1 = lower_32_bits(handle),
		.a2 = upper_32_bits(handle),
	};
	int error = ffa_call_steps(&regs, nr_pages + LH_SPARE_STEPS);

	if (!error && lh_unmaps())
		lh_remap(pages, nr_pages);
	return error;
}

u32 lh_ffa_version(void)
{
	return ffa.version;
}

u16 lh_ffa_endpoint(void)
{
	return ffa.id;
}

static int ffa_agree(void)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_FFA_VERSION, .a1 = LH_FFA_VERSION_1_2,
	};
	int error;

	lh_smccc(&regs);
	ffa.version = (u32)regs.a0;
	if ((s32)regs.a0 < (s32)LH_FFA_VERSION_1_2 ||
	    FFA_VERSION_MAJOR(ffa.version) !=
	    FFA_VERSION_MAJOR(LH_FFA_VERSION_1_2)) {
		pr_err("FFA_VERSION: asked for %#x, got %#x\n",
		       LH_FFA_VERSION_1_2, ffa.version);
		return -ENODEV;
	}

	regs = (struct arm_smccc_1_2_regs) { .a0 = LH_FFA_ID_GET };
	error = ffa_call(&regs);
	if (error) {
		pr_err("FFA_ID_GET: error %d\n", error);
		return error;
	}
	ffa.id = (u16)regs.a2;
	return 0;
}

static int ffa_map_buffers(void)
{
	struct arm_smccc_1_2_regs regs = {
		.a0 = LH_FFA_RXTX_MAP_64,
		.a1 = virt_to_phys(ffa.tx),
		.a2 = virt_to_phys(ffa.rx),
		.a3 = 1,
	};
	int error = ffa_call(&regs);

	if (error)
		pr_err("FFA_RXTX_MAP: error %d; does another driver speak FF-A?\n",
		       error);
	return error;
}

/**
 * lh_ffa_open - agree on a version, learn the own id, map the buffers
 *
 * Return: 0, or an error after which there is nothing to close.
 */
int lh_ffa_open(void)
{
	int error = ffa_agree();

	if (error)
		return error;
	ffa.tx = (void *)get_zeroed_page(GFP_KERNEL);
	ffa.rx = (void *)get_zeroed_page(GFP_KERNEL);
	error = -ENOMEM;
	if (ffa.tx && ffa.rx)
		error = ffa_map_buffers();
	if (error) {
		free_page((unsigned long)ffa.tx);
		free_page((unsigned long)ffa.rx);
	}
	return error;
}

/* Takes the buffers back. Those that do not come back stay allocated. */
void lh_ffa_close(void)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_FFA_RXTX_UNMAP };
	int error = ffa_call(&regs);

	if (error) {
		pr_err("FFA_RXTX_UNMAP: error %d; two pages are lost\n", error);
		return;
	}
	free_page((unsigned long)ffa.tx);
	free_page((unsigned long)ffa.rx);
}
