// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is lent, out of the kernel's own map of it. A kernel does not
 * touch what it does not map, and Leasehold refuses a lend of what it maps
 * still. What processes map stays as it is: their touches are refused one by
 * one.
 *
 * No kernel lets a module do it: the functions are not exported, and they do
 * nothing where the map is made of blocks (CONFIG_RODATA_FULL_DEFAULT_ENABLED
 * or rodata=full). So it is asked for, and tried out first.
 */
#include "driver.h"

#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/set_memory.h>
#include <linux/uaccess.h>

#include <asm/tlbflush.h>

static bool unmap;
module_param(unmap, bool, 0444);
MODULE_PARM_DESC(unmap, "take memory out of the kernel's map before it is lent; off where the kernel cannot");

typedef int (*set_direct_map_fn)(struct page *page);

static_assert(__same_type(&set_direct_map_invalid_noflush, set_direct_map_fn));
static_assert(__same_type(&set_direct_map_default_noflush, set_direct_map_fn));

static set_direct_map_fn set_invalid;
static set_direct_map_fn set_default;

/**
 * lh_remap - put pages back into the kernel's map
 * @pages: pages that are the kernel's again
 * @nr_pages: how many
 */
void lh_remap(struct page **pages, unsigned long nr_pages)
{
	unsigned long n;

	for (n = 0; n < nr_pages; n++)
		WARN_ON_ONCE(set_default(pages[n]));
}

/**
 * lh_unmap - take pages out of the kernel's map
 * @pages: pages that are about to be lent
 * @nr_pages: how many
 *
 * Return: 0, or an error: then all are mapped.
 */
int lh_unmap(struct page **pages, unsigned long nr_pages)
{
	unsigned long n;

	for (n = 0; n < nr_pages; n++) {
		unsigned long address = (unsigned long)page_address(pages[n]);
		int error = set_invalid(pages[n]);

		if (error) {
			lh_remap(pages, n);
			return error;
		}
		flush_tlb_kernel_range(address, address + PAGE_SIZE);
	}
	return 0;
}

/* Whether a page goes out of the map, and comes back. */
static bool tried_out(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	bool gone, back;
	u8 byte;

	if (!page)
		return false;
	if (lh_unmap(&page, 1)) {
		__free_page(page);
		return false;
	}
	gone = copy_from_kernel_nofault(&byte, page_address(page), 1);
	lh_remap(&page, 1);
	back = !copy_from_kernel_nofault(&byte, page_address(page), 1);
	if (back)
		__free_page(page);
	return gone && back;
}

/**
 * lh_unmap_init - find out whether memory can be unmapped, if that is wanted
 */
void lh_unmap_init(void)
{
	if (!unmap)
		return;
	set_invalid = lh_find("set_direct_map_invalid_noflush");
	set_default = lh_find("set_direct_map_default_noflush");
	unmap = set_invalid && set_default && tried_out();
	if (unmap)
		pr_info("memory is taken out of the kernel's map before it is lent\n");
	else
		pr_warn("this kernel does not let a module change its map: lent memory stays in it\n");
}

/**
 * lh_unmaps - whether memory is unmapped before it is lent
 */
bool lh_unmaps(void)
{
	return unmap;
}
