// SPDX-License-Identifier: GPL-2.0-only
/* /dev/leasehold-matrix: see uapi/leasehold_matrix.h. */
#include "matrix.h"

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

static long lhm_ioctl(struct file *file, unsigned int command,
		      unsigned long address)
{
	struct leasehold_matrix_touch __user *user = (void __user *)address;
	struct leasehold_matrix_touch touch;
	int error;

	if (command != LEASEHOLD_MATRIX_IOC_TOUCH)
		return -ENOTTY;
	if (copy_from_user(&touch, user, sizeof(touch)))
		return -EFAULT;
	error = lhm_touch(&touch);
	if (!error && copy_to_user(user, &touch, sizeof(touch)))
		error = -EFAULT;
	return error;
}

static const struct file_operations lhm_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = lhm_ioctl,
};

static struct miscdevice lhm_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "leasehold-matrix",
	.fops = &lhm_fops,
	.mode = 0600,
};

static int __init lhm_init(void)
{
	int error = misc_register(&lhm_misc);

	if (!error)
		lhm_handlers_init();
	return error;
}
module_init(lhm_init);

static void __exit lhm_exit(void)
{
	lhm_handlers_exit();
	misc_deregister(&lhm_misc);
}
module_exit(lhm_exit);

MODULE_DESCRIPTION("Has the kernel touch memory that is lent");
MODULE_AUTHOR("The Leasehold authors");
MODULE_LICENSE("GPL");
