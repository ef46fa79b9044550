// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel has, and does not export to modules. */
#include "driver.h"

#include <linux/kprobes.h>

/**
 * lh_find - find a function that is not exported, by way of a probe on it
 * @name: its name
 *
 * Return: its address, or NULL.
 */
void *lh_find(const char *name)
{
	struct kprobe probe = { .symbol_name = name };

	if (register_kprobe(&probe))
		return NULL;
	unregister_kprobe(&probe);
	return probe.addr;
}
