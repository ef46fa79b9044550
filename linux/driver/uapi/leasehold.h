/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/leasehold: VMs that run in memory which a process lends to them.
 *
 * An open file stands for at most one VM. The order of calls is CREATE, LEND
 * and LOAD as often as needed, START, RUN as often as needed, DESTROY; then
 * CREATE again. The last close does what DESTROY does. read(2) and poll(2)
 * give the text that the guest writes on its console.
 *
 * Every structure has flags, which have to be 0, and every reserved field has
 * to be 0. Errors that are common to all calls:
 *
 *   EINVAL      an argument is not valid, or a flag is not known
 *   EBADFD      not in this state of the VM
 *   EBUSY       another thread runs this VM
 *   EPERM       the hypervisor does not allow it
 *   ENOSPC      a table or pool of the hypervisor is full
 *   ETIMEDOUT   the hardware did not confirm in time
 *   EIO         the hypervisor answered what it should not have
 */
#ifndef _UAPI_LEASEHOLD_H
#define _UAPI_LEASEHOLD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Version of this interface; it changes when a program has to change. */
#define LEASEHOLD_API_VERSION	1

#define LEASEHOLD_IOC_TYPE	0xBA

/**
 * struct leasehold_features - what there is
 * @flags: 0
 * @api_version: out: LEASEHOLD_API_VERSION of the driver
 * @revision_major: out: the hypervisor's revision, changes that break callers
 * @revision_minor: out: the hypervisor's revision, additions
 * @ffa_version: out: FF-A version, as FFA_VERSION returns it
 * @endpoint: out: the host's FF-A endpoint id
 * @features: out: feature bits of the hypervisor (LH_FEATURE_* of the ABI)
 * @max_vms: out: most VMs at a time
 * @max_leases: out: most leases at a time
 * @max_ranges: out: most ranges in a lease
 * @reserved: 0
 */
struct leasehold_features {
	__u32 flags;
	__u32 api_version;
	__u32 revision_major;
	__u32 revision_minor;
	__u32 ffa_version;
	__u32 endpoint;
	__u64 features;
	__u64 max_vms;
	__u64 max_leases;
	__u64 max_ranges;
	__u64 reserved[2];
};

/**
 * struct leasehold_create - make an empty VM
 * @flags: 0
 * @vm: out: its id, which is its FF-A endpoint id
 */
struct leasehold_create {
	__u32 flags;
	__u32 vm;
};

/**
 * struct leasehold_lend - lend memory to a VM that has not started
 * @flags: 0
 * @ranges: out: physically contiguous ranges that it came to
 * @leases: out: FF-A transactions that it took
 * @reserved: 0
 * @user_address: start of the range, page aligned: anonymous memory or a
 *		  memfd's, writable, mapped by the caller
 * @length: bytes, a multiple of the page size
 * @guest_ipa: where the VM has it, page aligned
 *
 * The memory is pinned (RLIMIT_MEMLOCK counts it) and stays mapped. Until it
 * has been given back, touching it is answered as the board's fault policy
 * says. What it holds is lost: it is zeroed on the way there and on the way
 * back. A fork copies pinned memory, and a core dump reads it: see
 * MADV_DONTFORK and MADV_DONTDUMP of madvise(2).
 *
 * A lend that fails lends nothing, unless it fails half way, with a part of
 * the memory in the VM already: then the VM is good for nothing but DESTROY,
 * and every other call gets EBADFD. ENOMEM: over RLIMIT_MEMLOCK, or the kernel
 * has no memory. EFAULT: not mapped, or not writable. EOPNOTSUPP: neither
 * anonymous memory nor a memfd's. EINTR: a fatal signal.
 */
struct leasehold_lend {
	__u32 flags;
	__u32 ranges;
	__u32 leases;
	__u32 reserved;
	__u64 user_address;
	__u64 length;
	__u64 guest_ipa;
};

/**
 * struct leasehold_load - copy into the memory of a VM that has not started
 * @flags: 0
 * @reserved: 0
 * @guest_ipa: where to
 * @user_address: where from
 * @length: bytes
 */
struct leasehold_load {
	__u32 flags;
	__u32 reserved;
	__u64 guest_ipa;
	__u64 user_address;
	__u64 length;
};

/**
 * struct leasehold_start - make a VM ready to run
 * @flags: 0
 * @reserved: 0
 * @entry: IPA of its first instruction
 * @device_tree: IPA for the device tree that the hypervisor writes, 8 KiB long,
 *		 8-byte aligned; the guest finds the address in x0
 */
struct leasehold_start {
	__u32 flags;
	__u32 reserved;
	__u64 entry;
	__u64 device_tree;
};

/* Why a run ended. */
#define LEASEHOLD_EXIT_WAIT	1	/* the guest waits for an interrupt */
#define LEASEHOLD_EXIT_CONSOLE	2	/* the console buffer is full: read it */
#define LEASEHOLD_EXIT_OFF	3	/* the guest has switched itself off */
#define LEASEHOLD_EXIT_RESET	4	/* the guest asks for a reset */
#define LEASEHOLD_EXIT_CRASHED	5	/* details: ESR_EL2, IPA, PC */
#define LEASEHOLD_EXIT_TAKEN	6	/* its memory was taken: ESR_EL2, IPA, PC */

/**
 * struct leasehold_run - run a VM until it needs its owner
 * @flags: 0
 * @vcpu: 0
 * @reason: out: LEASEHOLD_EXIT_*
 * @details: out: what the reason says
 *
 * EINTR: a signal; run again. ECANCELED: another thread destroys the VM.
 */
struct leasehold_run {
	__u32 flags;
	__u32 vcpu;
	__u64 reason;
	__u64 details[3];
};

/**
 * struct leasehold_destroy - stop a VM in any state, take all memory back
 * @flags: 0
 * @leases: out: leases that were taken back
 * @pages_back: out: pages that the process has again, zeroed
 * @pages_lost: out: pages that the hypervisor did not give back. They stay
 *		pinned for good and are not to be touched.
 */
struct leasehold_destroy {
	__u32 flags;
	__u32 leases;
	__u64 pages_back;
	__u64 pages_lost;
};

/**
 * struct leasehold_fault - one refused access
 * @access: class of access (LH_CLASS_* of the ABI)
 * @ipa: what was touched; all ones where that is not known
 * @va: the address that the program used
 * @pc: the instruction
 * @esr: ESR_EL2
 * @borrower: id of the VM that has it, 0 where that is not known
 * @mechanism: how it was delivered (LH_MECHANISM_* of the ABI), with an abort's
 *	       fault status code in bits 15:8
 * @cpu: on which CPU; for a device, its StreamID
 * @counter: when, in ticks of the generic timer
 */
struct leasehold_fault {
	__u64 access;
	__u64 ipa;
	__u64 va;
	__u64 pc;
	__u64 esr;
	__u64 borrower;
	__u64 mechanism;
	__u64 cpu;
	__u64 counter;
};

/**
 * struct leasehold_faults - take fault records, of all VMs, oldest first
 * @flags: 0
 * @capacity: how many &struct leasehold_fault @records has room for
 * @count: out: how many were taken
 * @reserved: 0
 * @records: user address of an array
 * @lost: out: records that were lost before and between those taken, since the
 *	  hypervisor's room for them was full
 */
struct leasehold_faults {
	__u32 flags;
	__u32 capacity;
	__u32 count;
	__u32 reserved;
	__u64 records;
	__u64 lost;
};

/**
 * struct leasehold_fault_counts - how often what has answered touches
 * @flags: 0
 * @access: class of the touches (LH_CLASS_* of the ABI, those of CPUs)
 * @counts: out: answers by each kind of mechanism, in the order of the ABI's
 *	    FAULT_COUNTS, since the hypervisor has started
 */
struct leasehold_fault_counts {
	__u32 flags;
	__u32 access;
	__u64 counts[8];
};

#define LEASEHOLD_IOC_FEATURES	_IOWR(LEASEHOLD_IOC_TYPE, 0x00, struct leasehold_features)
#define LEASEHOLD_IOC_CREATE	_IOWR(LEASEHOLD_IOC_TYPE, 0x01, struct leasehold_create)
#define LEASEHOLD_IOC_LEND	_IOWR(LEASEHOLD_IOC_TYPE, 0x02, struct leasehold_lend)
#define LEASEHOLD_IOC_LOAD	_IOW(LEASEHOLD_IOC_TYPE, 0x03, struct leasehold_load)
#define LEASEHOLD_IOC_START	_IOW(LEASEHOLD_IOC_TYPE, 0x04, struct leasehold_start)
#define LEASEHOLD_IOC_RUN	_IOWR(LEASEHOLD_IOC_TYPE, 0x05, struct leasehold_run)
#define LEASEHOLD_IOC_DESTROY	_IOWR(LEASEHOLD_IOC_TYPE, 0x06, struct leasehold_destroy)
#define LEASEHOLD_IOC_FAULTS	_IOWR(LEASEHOLD_IOC_TYPE, 0x10, struct leasehold_faults)
#define LEASEHOLD_IOC_FAULT_COUNTS \
	_IOWR(LEASEHOLD_IOC_TYPE, 0x11, struct leasehold_fault_counts)

#endif
