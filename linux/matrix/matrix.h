/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LEASEHOLD_MATRIX_H
#define LEASEHOLD_MATRIX_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "uapi/leasehold_matrix.h"

#include <linux/types.h>

int lhm_dma(void *address, bool to_memory);
int lhm_touch(struct leasehold_matrix_touch *touch);
void lhm_handlers_init(void);
void lhm_handlers_exit(void);

#endif
