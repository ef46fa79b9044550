// SPDX-License-Identifier: GPL-2.0-only
/* /dev/leasehold: what a process sees. See uapi/leasehold.h. */
#include "driver.h"

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

/* The largest of the structures, and the flags that each begins with. */
union lh_args {
	__u32 flags;
	struct leasehold_features features;
	struct leasehold_create create;
	struct leasehold_lend lend;
	struct leasehold_load load;
	struct leasehold_start start;
	struct leasehold_run run;
	struct leasehold_destroy destroy;
	struct leasehold_faults faults;
	struct leasehold_fault_counts fault_counts;
};

static int lh_features(struct leasehold_features *features)
{
	if (features->reserved[0] || features->reserved[1])
		return -EINVAL;
	*features = (struct leasehold_features) {
		.api_version = LEASEHOLD_API_VERSION,
		.revision_major = lh_hyp.major,
		.revision_minor = lh_hyp.minor,
		.ffa_version = lh_ffa_version(),
		.endpoint = lh_ffa_endpoint(),
		.features = lh_hyp.features,
		.max_vms = lh_hyp.max_vms,
		.max_leases = lh_hyp.max_leases,
		.max_ranges = lh_hyp.max_ranges,
	};
	return 0;
}

static int lh_dispatch(struct lh_vm *vm, unsigned int command,
		       union lh_args *args)
{
	switch (command) {
	case LEASEHOLD_IOC_FEATURES:
		return lh_features(&args->features);
	case LEASEHOLD_IOC_CREATE:
		return lh_vm_create(vm, &args->create);
	case LEASEHOLD_IOC_LEND:
		return lh_vm_lend(vm, &args->lend);
	case LEASEHOLD_IOC_LOAD:
		return lh_vm_load(vm, &args->load);
	case LEASEHOLD_IOC_START:
		return lh_vm_start(vm, &args->start);
	case LEASEHOLD_IOC_RUN:
		return lh_vm_run(vm, &args->run);
	case LEASEHOLD_IOC_DESTROY:
		return lh_vm_destroy(vm, &args->destroy);
	case LEASEHOLD_IOC_FAULTS:
		return lh_faults(&args->faults);
	case LEASEHOLD_IOC_FAULT_COUNTS:
		return lh_fault_counts(&args->fault_counts);
	default:
		return -ENOTTY;
	}
}

static long lh_ioctl(struct file *file, unsigned int command,
		     unsigned long address)
{
	void __user *user = (void __user *)address;
	size_t size = _IOC_SIZE(command);
	union lh_args args = {};
	int error;

	if (_IOC_TYPE(command) != LEASEHOLD_IOC_TYPE || size > sizeof(args))
		return -ENOTTY;
	if (copy_from_user(&args, user, size))
		return -EFAULT;
	if (args.flags)
		return -EINVAL;
	error = lh_dispatch(file->private_data, command, &args);
	if (!error && _IOC_DIR(command) & _IOC_READ &&
	    copy_to_user(user, &args, size))
		error = -EFAULT;
	return error;
}

static int lh_open(struct inode *inode, struct file *file)
{
	struct lh_vm *vm = lh_vm_new();

	if (!vm)
		return -ENOMEM;
	file->private_data = vm;
	return stream_open(inode, file);
}

static int lh_release(struct inode *inode, struct file *file)
{
	lh_vm_free(file->private_data);
	return 0;
}

static ssize_t lh_read(struct file *file, char __user *to, size_t length,
		       loff_t *offset)
{
	return lh_console_read(file->private_data, to, length,
			       !(file->f_flags & O_NONBLOCK));
}

static __poll_t lh_poll(struct file *file, struct poll_table_struct *table)
{
	return lh_console_poll(file->private_data, file, table);
}

static const struct file_operations lh_fops = {
	.owner = THIS_MODULE,
	.open = lh_open,
	.release = lh_release,
	.read = lh_read,
	.poll = lh_poll,
	.unlocked_ioctl = lh_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice lh_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "leasehold",
	.fops = &lh_fops,
	.mode = 0600,
};

int lh_chardev_register(void)
{
	return misc_register(&lh_misc);
}

void lh_chardev_unregister(void)
{
	misc_deregister(&lh_misc);
}
