// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leasehold's driver for a Linux host: finds the hypervisor and offers
 * /dev/leasehold, through which a process lends memory to VMs.
 */
#include "driver.h"

#include <linux/init.h>
#include <linux/module.h>

static int __init leasehold_init(void)
{
	int error = lh_hyp_find();

	if (error)
		return error;
	error = lh_ffa_open();
	if (error)
		return error;
	lh_unmap_init();
	error = lh_chardev_register();
	if (error) {
		lh_ffa_close();
		return error;
	}
	lh_sdei_init();
	pr_info("Leasehold %u.%u, features %#llx, FF-A %u.%u, endpoint %u; at most %llu VMs, %llu leases of %llu ranges\n",
		lh_hyp.major, lh_hyp.minor, lh_hyp.features,
		lh_ffa_version() >> 16, lh_ffa_version() & 0xffff,
		lh_ffa_endpoint(), lh_hyp.max_vms, lh_hyp.max_leases,
		lh_hyp.max_ranges);
	return 0;
}

static void __exit leasehold_exit(void)
{
	lh_sdei_exit();
	lh_chardev_unregister();
	lh_ffa_close();
}

module_init(leasehold_init);
module_exit(leasehold_exit);

MODULE_AUTHOR("The Leasehold authors");
MODULE_DESCRIPTION("Lends memory to VMs of the Leasehold hypervisor");
MODULE_LICENSE("GPL");
