/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What Leasehold, its hosts and its guests share.
 * Generated from the crate `abi` by `cargo xtask abi`: do not edit.
 */
#ifndef LEASEHOLD_ABI_H
#define LEASEHOLD_ABI_H

/* What the UID call returns in w0 to w3 */
#define LH_UID_0                        0xbd814a7fU
#define LH_UID_1                        0x3049b2c6U
#define LH_UID_2                        0x670bb89dU
#define LH_UID_3                        0x05430996U

/* The revision of the calls of our own */
#define LH_REVISION_MAJOR               0
#define LH_REVISION_MINOR               1

/* Calls of our own: x0 returns a status */
/* Tells what this hypervisor offers. */
#define LH_FEATURES                     0xc6000001U
/* Makes an empty VM. Memory is lent to the id that it returns. */
#define LH_VM_CREATE                    0xc6000010U
/* Retrieves a lease for a VM that has not started, at the IPA given. AGAIN: call again, it goes
 * on where it was. */
#define LH_VM_MAP                       0xc6000011U
/* Copies from a page that the host owns into the VM's memory. Neither side may cross a page.
 * Refused after start. */
#define LH_VM_LOAD                      0xc6000012U
/* Writes the guest's device tree at the IPA given and makes vCPU 0 ready to run. No load is
 * taken after it. */
#define LH_VM_START                     0xc6000013U
/* Runs a vCPU until the host is needed. Interrupts of the host end a run. */
#define LH_VM_RUN                       0xc6000014U
/* Stops a VM in any state, relinquishes for it and scrubs, in bounded steps. AGAIN: call again. */
#define LH_VM_DESTROY                   0xc6000015U
/* FFA_MEM_LEND of the descriptor in TX, refused (DENIED) while the calling CPU's stage 1 maps
 * any of the memory at its IPA plus the alias' offset. 64 MiB at most. For a host that unmaps
 * before it lends: it may map again. */
#define LH_LEND_UNMAPPED                0xc6000016U
/* Takes console output of a VM: bytes in x2 to x15, little-endian. */
#define LH_CONSOLE_READ                 0xc6000018U
/* Takes the oldest fault record: class, IPA, VA, PC, ESR_EL2, borrower, link, CPU, time in
 * counter ticks. */
#define LH_FAULT_READ                   0xc6000020U
/* Tells how often accesses of a class were answered by mechanisms of each kind, since boot: one
 * that could not answer counts too. */
#define LH_FAULT_COUNTS                 0xc6000022U
/* Tells the number of the SDEI event that accesses to lent memory raise, where the policy has
 * the mechanism sdei. */
#define LH_FAULT_EVENT                  0xc6000023U
/* Tells the record of the access that the event's handler on the calling CPU is running for: as
 * FAULT_READ, which still returns it too. DENIED outside of the handler. */
#define LH_FAULT_CURRENT                0xc6000024U

/* Status codes of the calls */
/* Done. */
#define LH_SUCCESS                      0
/* The call is not known here. */
#define LH_NOT_SUPPORTED                (-1)
/* An argument is not valid. */
#define LH_INVALID_PARAMETERS           (-2)
/* The caller may not do this, or not in this state. */
#define LH_DENIED                       (-3)
/* A table or pool is full. */
#define LH_NO_MEMORY                    (-4)
/* Another CPU is at it. */
#define LH_BUSY                         (-5)
/* A bounded step is done and more are left: call again. */
#define LH_AGAIN                        (-6)
/* There is nothing to return. */
#define LH_NO_DATA                      (-7)
/* The hardware did not confirm in time. What was asked for is not done; the memory is in
 * transit. */
#define LH_TIMED_OUT                    (-8)

/* Why VM_RUN returned */
/* An interrupt of the host's is pending: run again. Details: none. */
#define LH_EXIT_INTERRUPT               0
/* The guest waits for an interrupt. Details: none. */
#define LH_EXIT_WAIT                    1
/* The guest has written to its console: read it, run again. Details: none. */
#define LH_EXIT_CONSOLE                 2
/* The guest has switched itself off (PSCI SYSTEM_OFF). Details: none. */
#define LH_EXIT_OFF                     3
/* The guest asks for a reset (PSCI SYSTEM_RESET). Details: none. */
#define LH_EXIT_RESET                   4
/* The guest cannot go on. Details: ESR_EL2, IPA, PC. */
#define LH_EXIT_CRASHED                 5
/* The guest has touched a page that was taken from it (force-reclaim), and cannot go on.
 * Details: ESR_EL2, IPA, PC. */
#define LH_EXIT_TAKEN                   6

/* Feature bits */
/* The host's devices are kept out of lent memory by an SMMU. */
#define LH_FEATURE_DMA_PROTECTED        0x1U
/* Masters that no SMMU contains are on this board, and it accepts them. */
#define LH_FEATURE_UNCONTAINED_MASTERS  0x2U

/* Classes of access in a fault record */
/* From EL0. */
#define LH_CLASS_EL0                    0
/* From EL1, at a user address. */
#define LH_CLASS_EL1_USER               1
/* From EL1, at a kernel address. */
#define LH_CLASS_EL1_KERNEL             2
/* By a stage-1 walk. */
#define LH_CLASS_WALK                   3
/* An instruction fetch from EL1. */
#define LH_CLASS_FETCH                  4
/* Cache maintenance by address. */
#define LH_CLASS_CACHE                  5
/* By a device, through the SMMU. */
#define LH_CLASS_DEVICE                 6

/* Mechanisms in a fault record */
/* An abort with a fault status code. */
#define LH_MECHANISM_ABORT              1
/* An abort that keeps the stage-2 syndrome and sets S1PTW. */
#define LH_MECHANISM_TAGGED_ABORT       2
/* The CPU stopped. */
#define LH_MECHANISM_HALT               3
/* An abort with a syndrome of the board's. */
#define LH_MECHANISM_NEW_SYNDROME       4
/* An SDEI event. */
#define LH_MECHANISM_SDEI               5
/* The access was served on other memory. */
#define LH_MECHANISM_DECOY              6
/* The page was taken from the borrower. */
#define LH_MECHANISM_FORCE_RECLAIM      7
/* None: the host was to have unmapped the memory, and there was no other link. */
#define LH_MECHANISM_UNMAPPED           8
/* Nothing was delivered: the access was a device's. */
#define LH_MECHANISM_NONE               0

/* Lengths */
/* The most bytes that CONSOLE_READ returns: fourteen registers. */
#define LH_MAX_CONSOLE_BYTES            112
/* The most bytes that VM_LOAD copies: a page. */
#define LH_MAX_LOAD_BYTES               4096
/* Bytes at the address given to VM_START that are the device tree's. */
#define LH_TREE_BYTES                   8192

/* SMCCC (Arm DEN0028): function ids */
/* SMCCC_VERSION, DEN0028 section 7.2. */
#define LH_SMCCC_VERSION                0x80000000U
/* SMCCC_ARCH_FEATURES, DEN0028 section 7.3. */
#define LH_SMCCC_ARCH_FEATURES          0x80000001U
/* Vendor-specific hypervisor service: call UID, DEN0028 section 6.2. */
#define LH_SMCCC_VENDOR_HYP_CALL_UID    0x8600ff01U
/* Vendor-specific hypervisor service: revision, DEN0028 section 6.2. */
#define LH_SMCCC_VENDOR_HYP_REVISION    0x8600ff03U

/* SMCCC: return codes */
/* The call succeeded. */
#define LH_SMCCC_SUCCESS                0
/* The call is not known here. */
#define LH_SMCCC_NOT_SUPPORTED          (-1)
/* The call is known but not required on this machine. */
#define LH_SMCCC_NOT_REQUIRED           (-2)
/* An argument is not valid. */
#define LH_SMCCC_INVALID_PARAMETER      (-3)

/* FF-A (Arm DEN0077A): function ids */
/* FFA_ERROR, section 12.1. */
#define LH_FFA_ERROR                    0x84000060U
/* FFA_SUCCESS, 32-bit, section 12.2. */
#define LH_FFA_SUCCESS_32               0x84000061U
/* FFA_SUCCESS, 64-bit. */
#define LH_FFA_SUCCESS_64               0xc4000061U
/* FFA_VERSION, section 13.2. */
#define LH_FFA_VERSION                  0x84000063U
/* FFA_FEATURES, section 13.3. */
#define LH_FFA_FEATURES                 0x84000064U
/* FFA_RX_RELEASE, section 13.5. */
#define LH_FFA_RX_RELEASE               0x84000065U
/* FFA_RXTX_MAP, 32-bit, section 13.6. */
#define LH_FFA_RXTX_MAP_32              0x84000066U
/* FFA_RXTX_MAP, 64-bit. */
#define LH_FFA_RXTX_MAP_64              0xc4000066U
/* FFA_RXTX_UNMAP, section 13.7. */
#define LH_FFA_RXTX_UNMAP               0x84000067U
/* FFA_ID_GET, section 13.10. */
#define LH_FFA_ID_GET                   0x84000069U
/* FFA_SPM_ID_GET, section 13.11. */
#define LH_FFA_SPM_ID_GET               0x84000085U
/* FFA_MEM_DONATE, 32-bit, section 16.1. */
#define LH_FFA_MEM_DONATE_32            0x84000071U
/* FFA_MEM_DONATE, 64-bit. */
#define LH_FFA_MEM_DONATE_64            0xc4000071U
/* FFA_MEM_LEND, 32-bit, section 16.2. */
#define LH_FFA_MEM_LEND_32              0x84000072U
/* FFA_MEM_LEND, 64-bit. */
#define LH_FFA_MEM_LEND_64              0xc4000072U
/* FFA_MEM_SHARE, 32-bit, section 16.3. */
#define LH_FFA_MEM_SHARE_32             0x84000073U
/* FFA_MEM_SHARE, 64-bit. */
#define LH_FFA_MEM_SHARE_64             0xc4000073U
/* FFA_MEM_RETRIEVE_REQ, 32-bit, section 16.4. */
#define LH_FFA_MEM_RETRIEVE_REQ_32      0x84000074U
/* FFA_MEM_RETRIEVE_REQ, 64-bit. */
#define LH_FFA_MEM_RETRIEVE_REQ_64      0xc4000074U
/* FFA_MEM_RETRIEVE_RESP, section 16.5. */
#define LH_FFA_MEM_RETRIEVE_RESP        0x84000075U
/* FFA_MEM_RELINQUISH, section 16.6. */
#define LH_FFA_MEM_RELINQUISH           0x84000076U
/* FFA_MEM_RECLAIM, section 16.7. */
#define LH_FFA_MEM_RECLAIM              0x84000077U

/* FF-A: error codes */
/* The function is not implemented. */
#define LH_FFA_NOT_SUPPORTED            (-1)
/* An argument is not valid. */
#define LH_FFA_INVALID_PARAMETERS       (-2)
/* There is no memory for it. */
#define LH_FFA_NO_MEMORY                (-3)
/* The callee is busy. */
#define LH_FFA_BUSY                     (-4)
/* An interrupt came in between. */
#define LH_FFA_INTERRUPTED              (-5)
/* The caller may not do this, or not in this state. */
#define LH_FFA_DENIED                   (-6)
/* Call again. */
#define LH_FFA_RETRY                    (-7)
/* The operation was aborted. */
#define LH_FFA_ABORTED                  (-8)
/* There is no data. */
#define LH_FFA_NO_DATA                  (-9)

/* FF-A: memory access permissions */
/* Bits 1:0 = 0b10: read-write. */
#define LH_FFA_PERMISSION_RW            0x2U
/* Bits 1:0 = 0b01: read-only. */
#define LH_FFA_PERMISSION_RO            0x1U
/* Bits 3:2 = 0b10: executable. */
#define LH_FFA_PERMISSION_EXEC          0x8U
/* Bits 3:2 = 0b01: not executable. */
#define LH_FFA_PERMISSION_NOEXEC        0x4U

/* PSCI (Arm DEN0022): function ids */
/* PSCI_VERSION. */
#define LH_PSCI_VERSION                 0x84000000U
/* CPU_SUSPEND, 32-bit. */
#define LH_PSCI_CPU_SUSPEND_32          0x84000001U
/* CPU_SUSPEND, 64-bit. */
#define LH_PSCI_CPU_SUSPEND_64          0xc4000001U
/* CPU_OFF. */
#define LH_PSCI_CPU_OFF                 0x84000002U
/* CPU_ON, 32-bit. */
#define LH_PSCI_CPU_ON_32               0x84000003U
/* CPU_ON, 64-bit. */
#define LH_PSCI_CPU_ON_64               0xc4000003U
/* AFFINITY_INFO, 32-bit. */
#define LH_PSCI_AFFINITY_INFO_32        0x84000004U
/* AFFINITY_INFO, 64-bit. */
#define LH_PSCI_AFFINITY_INFO_64        0xc4000004U
/* MIGRATE_INFO_TYPE. */
#define LH_PSCI_MIGRATE_INFO_TYPE       0x84000006U
/* SYSTEM_OFF. */
#define LH_PSCI_SYSTEM_OFF              0x84000008U
/* SYSTEM_RESET. */
#define LH_PSCI_SYSTEM_RESET            0x84000009U
/* PSCI_FEATURES. */
#define LH_PSCI_FEATURES                0x8400000aU
/* SYSTEM_RESET2, 32-bit. */
#define LH_PSCI_SYSTEM_RESET2_32        0x84000012U
/* SYSTEM_RESET2, 64-bit. */
#define LH_PSCI_SYSTEM_RESET2_64        0xc4000012U

/* PSCI: return codes */
/* The call succeeded. */
#define LH_PSCI_SUCCESS                 0
/* The function is not implemented. */
#define LH_PSCI_NOT_SUPPORTED           (-1)
/* An argument is not valid. */
#define LH_PSCI_INVALID_PARAMETERS      (-2)
/* The caller may not do this. */
#define LH_PSCI_DENIED                  (-3)
/* The CPU is on already. */
#define LH_PSCI_ALREADY_ON              (-4)
/* A CPU_ON for it is under way. */
#define LH_PSCI_ON_PENDING              (-5)
/* The firmware failed. */
#define LH_PSCI_INTERNAL_FAILURE        (-6)
/* The CPU is not there. */
#define LH_PSCI_NOT_PRESENT             (-7)
/* The CPU is disabled. */
#define LH_PSCI_DISABLED                (-8)
/* The entry address is not valid. */
#define LH_PSCI_INVALID_ADDRESS         (-9)

/* SDEI (Arm DEN0054): function ids */
/* SDEI_VERSION. */
#define LH_SDEI_VERSION                 0xc4000020U
/* SDEI_EVENT_REGISTER. */
#define LH_SDEI_EVENT_REGISTER          0xc4000021U
/* SDEI_EVENT_ENABLE. */
#define LH_SDEI_EVENT_ENABLE            0xc4000022U
/* SDEI_EVENT_DISABLE. */
#define LH_SDEI_EVENT_DISABLE           0xc4000023U
/* SDEI_EVENT_CONTEXT. */
#define LH_SDEI_EVENT_CONTEXT           0xc4000024U
/* SDEI_EVENT_COMPLETE. */
#define LH_SDEI_EVENT_COMPLETE          0xc4000025U
/* SDEI_EVENT_COMPLETE_AND_RESUME. */
#define LH_SDEI_EVENT_COMPLETE_AND_RESUME 0xc4000026U
/* SDEI_EVENT_UNREGISTER. */
#define LH_SDEI_EVENT_UNREGISTER        0xc4000027U
/* SDEI_EVENT_STATUS. */
#define LH_SDEI_EVENT_STATUS            0xc4000028U
/* SDEI_EVENT_GET_INFO. */
#define LH_SDEI_EVENT_GET_INFO          0xc4000029U
/* SDEI_EVENT_ROUTING_SET. */
#define LH_SDEI_EVENT_ROUTING_SET       0xc400002aU
/* SDEI_PE_MASK. */
#define LH_SDEI_PE_MASK                 0xc400002bU
/* SDEI_PE_UNMASK. */
#define LH_SDEI_PE_UNMASK               0xc400002cU
/* SDEI_INTERRUPT_BIND. */
#define LH_SDEI_INTERRUPT_BIND          0xc400002dU
/* SDEI_INTERRUPT_RELEASE. */
#define LH_SDEI_INTERRUPT_RELEASE       0xc400002eU
/* SDEI_EVENT_SIGNAL. */
#define LH_SDEI_EVENT_SIGNAL            0xc400002fU
/* SDEI_FEATURES. */
#define LH_SDEI_FEATURES                0xc4000030U
/* SDEI_PRIVATE_RESET. */
#define LH_SDEI_PRIVATE_RESET           0xc4000031U
/* SDEI_SHARED_RESET. */
#define LH_SDEI_SHARED_RESET            0xc4000032U

/* SDEI: return codes */
/* Done. */
#define LH_SDEI_SUCCESS                 0
/* The call is not implemented. */
#define LH_SDEI_NOT_SUPPORTED           (-1)
/* An argument is not valid. */
#define LH_SDEI_INVALID_PARAMETERS      (-2)
/* Not in this state, or not from here. */
#define LH_SDEI_DENIED                  (-3)
/* The event's handler is running: it is unregistered when that completes. */
#define LH_SDEI_PENDING                 (-5)
/* There are no slots left to bind interrupts with. */
#define LH_SDEI_OUT_OF_RESOURCE         (-10)

/* SDEI: events */
/* The software-signalled event: private, of normal priority. */
#define LH_SDEI_EVENT_SOFTWARE          0x0U
/* An access of the host's to memory that is not its own: private, of critical priority.
 * FAULT_EVENT tells it. */
#define LH_SDEI_EVENT_FAULT             0x40004c48U

/* Versions, ids, attributes */
/* The version of SMCCC that is answered. */
#define LH_SMCCC_VERSION_1_2            0x10002U
/* The version of FF-A that is answered. */
#define LH_FFA_VERSION_1_2              0x10002U
/* The hypervisor's endpoint id. */
#define LH_FFA_HYPERVISOR_ID            0x0U
/* The host's endpoint id; guests have those that follow. */
#define LH_FFA_HOST_ID                  0x1U
/* Normal, Write-Back, Inner Shareable. */
#define LH_FFA_ATTRIBUTES_NORMAL_WB_ISH 0x2fU
/* The version of PSCI that is answered. */
#define LH_PSCI_VERSION_1_1             0x10001U

#endif /* LEASEHOLD_ABI_H */
