// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's access that the kernel has set up: QEMU's edu device (QEMU,
 * docs/specs/edu.rst) copies between memory and a buffer of its own.
 */
#include "matrix.h"

#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/pci.h>

#define EDU_VENDOR		0x1234
#define EDU_DEVICE		0x11e8

#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_START		BIT_ULL(0)
#define EDU_TO_MEMORY		BIT_ULL(1)

/* Where the device has its buffer, as its DMA engine sees it. */
#define EDU_BUFFER		0x40000

/* QEMU's SMMU reports an event for every four bytes. */
#define LHM_DMA_BYTES		16

/* One copy takes 100 ms of the machine's time. */
#define LHM_POLL_US		5000
#define LHM_PATIENCE_US		(3 * USEC_PER_SEC)

static int lhm_copy(void __iomem *edu, u64 from, u64 to, u64 direction)
{
	u64 command;

	writeq(from, edu + EDU_DMA_SOURCE);
	writeq(to, edu + EDU_DMA_DESTINATION);
	writeq(LHM_DMA_BYTES, edu + EDU_DMA_COUNT);
	writeq(direction | EDU_START, edu + EDU_DMA_COMMAND);
	return readq_poll_timeout(edu + EDU_DMA_COMMAND, command,
				  !(command & EDU_START), LHM_POLL_US,
				  LHM_PATIENCE_US);
}

/*
 * Maps the whole page: less than what kmalloc aligns to is bounced for some
 * devices (dma_kmalloc_needs_bounce), and then it is the CPU that copies.
 */
static int lhm_map_and_copy(struct pci_dev *device, void __iomem *edu,
			    void *address, bool to_memory)
{
	enum dma_data_direction direction = to_memory ? DMA_FROM_DEVICE :
							DMA_TO_DEVICE;
	dma_addr_t mapped = dma_map_single(&device->dev, address, PAGE_SIZE,
					   direction);
	int error;

	if (dma_mapping_error(&device->dev, mapped))
		return -EIO;
	if (to_memory)
		error = lhm_copy(edu, EDU_BUFFER, mapped, EDU_TO_MEMORY);
	else
		error = lhm_copy(edu, mapped, EDU_BUFFER, 0);
	dma_unmap_single(&device->dev, mapped, PAGE_SIZE, direction);
	return error;
}

static int lhm_with(struct pci_dev *device, void *address, bool to_memory)
{
	void __iomem *edu;
	int error;

	error = pci_enable_device(device);
	if (error)
		return error;
	pci_set_master(device);
	error = dma_set_mask(&device->dev, DMA_BIT_MASK(64));
	if (error)
		goto disable;
	edu = pci_iomap(device, 0, 0);
	if (!edu) {
		error = -ENOMEM;
		goto disable;
	}
	error = lhm_map_and_copy(device, edu, address, to_memory);
	pci_iounmap(device, edu);
disable:
	pci_disable_device(device);
	return error;
}

/**
 * lhm_dma - have a device access memory
 * @address: a page, in the linear map
 * @to_memory: whether it writes
 *
 * Return: 0 once the device says that it is done. It says nothing of whether
 * it could reach the memory.
 */
int lhm_dma(void *address, bool to_memory)
{
	struct pci_dev *device = pci_get_device(EDU_VENDOR, EDU_DEVICE, NULL);
	int error;

	if (!device)
		return -ENODEV;
	error = lhm_with(device, address, to_memory);
	pci_dev_put(device);
	return error;
}
