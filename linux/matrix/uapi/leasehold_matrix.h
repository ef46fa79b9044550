/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/leasehold-matrix: has the kernel itself touch memory. For test machines
 * only: it reads and writes whatever address it is told.
 */
#ifndef _UAPI_LEASEHOLD_MATRIX_H
#define _UAPI_LEASEHOLD_MATRIX_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What to do. The first two are about @user, the others about @physical. */
enum leasehold_matrix_access {
	LEASEHOLD_MATRIX_GET_USER = 0,	/* get_user of a word */
	LEASEHOLD_MATRIX_PUT_USER = 1,	/* put_user of a word */
	LEASEHOLD_MATRIX_NOFAULT = 2,	/* copy_from_kernel_nofault of a word */
	LEASEHOLD_MATRIX_ZEROPAD = 3,	/* load_unaligned_zeropad */
	LEASEHOLD_MATRIX_READ = 4,	/* a load of a word */
	LEASEHOLD_MATRIX_WRITE = 5,	/* a store of a word */
	LEASEHOLD_MATRIX_MEMCPY = 6,	/* memcpy of 64 bytes out of it */
	LEASEHOLD_MATRIX_ATOMIC = 7,	/* atomic64_inc */
	LEASEHOLD_MATRIX_EXCLUSIVE = 8,	/* an increment by LDXR and STXR */
	LEASEHOLD_MATRIX_DMA_READ = 9,	/* QEMU's edu device reads it */
	LEASEHOLD_MATRIX_DMA_WRITE = 10, /* QEMU's edu device writes it */
};

/* Where to do it. The first two and the last two accesses are for a task only. */
enum leasehold_matrix_context {
	LEASEHOLD_MATRIX_TASK = 0,		/* a task that can be preempted */
	LEASEHOLD_MATRIX_NO_PREEMPTION = 1,	/* a task, preemption off */
	LEASEHOLD_MATRIX_INTERRUPT = 2,		/* a hard interrupt's handler */
};

/**
 * struct leasehold_matrix_touch - one access
 * @access: enum leasehold_matrix_access
 * @context: enum leasehold_matrix_context
 * @user: an address of the caller's
 * @physical: an address of RAM, which is reached through the linear map
 * @value: in: what to write; out: what was read
 * @result: out: what the access returned: 0 or a negative error
 */
struct leasehold_matrix_touch {
	__u32 access;
	__u32 context;
	__u64 user;
	__u64 physical;
	__u64 value;
	__s64 result;
};

#define LEASEHOLD_MATRIX_IOC_TOUCH	_IOWR(0xBB, 0x00, struct leasehold_matrix_touch)

#endif
