// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SDEI event by which Leasehold tells of touches of lent memory, where its
 * fault policy has the link `sdei`. The handler runs as an NMI does. It reads
 * what was touched, and leaves the rest to an irq_work: the kernel resumes
 * where interrupts were enabled as if by an interrupt, so the work is done
 * before the touch is made again.
 *
 * A process gets what the kernel makes of an external abort: SIGBUS,
 * BUS_OBJERR, with the address. What the kernel has touched itself is logged,
 * and left to the next link of the policy's chain.
 *
 * The kernel's client functions are not exported: they are looked for by name.
 */
#include "driver.h"

#include <linux/arm_sdei.h>
#include <linux/errno.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include <asm/irq_regs.h>
#include <asm/ptrace.h>

static bool sdei = true;
module_param(sdei, bool, 0444);
MODULE_PARM_DESC(sdei, "be told of touches of lent memory by an SDEI event, where Leasehold's policy has them");

static typeof(&sdei_event_register) event_register;
static typeof(&sdei_event_unregister) event_unregister;
static typeof(&sdei_event_enable) event_enable;
static typeof(&sdei_event_disable) event_disable;
static typeof(&force_sig_fault) force_fault;

static u32 event_number;

/**
 * struct touch - what a CPU was told, until it is dealt with
 * @work: deals with it; while it is queued or runs, the rest is its own
 * @fault: the record
 * @pid: who touched
 * @comm: its name
 * @user: whether that was at EL0
 */
struct touch {
	struct irq_work work;
	struct leasehold_fault fault;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	bool user;
};

static DEFINE_PER_CPU(struct touch, touches);

/*
 * Only a process that is about to make the very same access is sent a signal:
 * if the work comes later than that, the chain's next link has dealt with it.
 */
static void touch_signal(const struct touch *touch)
{
	const struct pt_regs *regs = get_irq_regs();

	if (!regs || !user_mode(regs) || regs->pc != touch->fault.pc ||
	    current->pid != touch->pid)
		return;
	/* No exception of EL1's has told the kernel of a syndrome. */
	current->thread.fault_address = 0;
	current->thread.fault_code = 0;
	force_fault(SIGBUS, BUS_OBJERR,
		    (void __user *)untagged_addr(touch->fault.va));
}

static void touch_work(struct irq_work *work)
{
	struct touch *touch = container_of(work, struct touch, work);
	const struct leasehold_fault *fault = &touch->fault;

	if (touch->user) {
		pr_warn_ratelimited("%s[%d] touched %#llx, lent to VM %llu: address %#llx, PC %#llx\n",
				    touch->comm, touch->pid, fault->ipa,
				    fault->borrower, fault->va, fault->pc);
		touch_signal(touch);
	} else {
		pr_warn_ratelimited("the kernel, for %s[%d], touched %#llx, lent to VM %llu: address %#llx, PC %pS\n",
				    touch->comm, touch->pid, fault->ipa,
				    fault->borrower, fault->va,
				    (void *)fault->pc);
	}
}

/* As in an NMI: nothing here may lock, print much, or touch lent memory. */
static int touch_event(u32 number, struct pt_regs *regs, void *unused)
{
	struct touch *touch = this_cpu_ptr(&touches);
	struct arm_smccc_1_2_regs call = { .a0 = LH_FAULT_CURRENT };
	int error;

	/* One that comes while another is dealt with is for the next link. */
	if (irq_work_is_busy(&touch->work))
		return 0;
	error = lh_call(&call);
	if (error)
		return error;
	lh_fault_unpack(&touch->fault, &call.a1);
	touch->pid = current->pid;
	memcpy(touch->comm, current->comm, sizeof(touch->comm));
	touch->user = user_mode(regs);
	irq_work_queue(&touch->work);
	return 0;
}
NOKPROBE_SYMBOL(touch_event);

static bool find_functions(void)
{
	event_register = lh_find("sdei_event_register");
	event_unregister = lh_find("sdei_event_unregister");
	event_enable = lh_find("sdei_event_enable");
	event_disable = lh_find("sdei_event_disable");
	force_fault = lh_find("force_sig_fault");
	return event_register && event_unregister && event_enable &&
	       event_disable && force_fault;
}

static int begin(void)
{
	int cpu, error;

	for_each_possible_cpu(cpu)
		init_irq_work(&per_cpu(touches, cpu).work, touch_work);
	error = event_register(event_number, touch_event, NULL);
	if (error)
		return error;
	error = event_enable(event_number);
	if (error)
		event_unregister(event_number);
	return error;
}

/**
 * lh_sdei_init - be told of touches by an event, if that is wanted and there is one
 */
void lh_sdei_init(void)
{
	struct arm_smccc_1_2_regs regs = { .a0 = LH_FAULT_EVENT };
	int error;

	if (!sdei)
		return;
	sdei = false;
	/* A policy without the link is no fault of anybody's. */
	if (lh_call(&regs))
		return;
	event_number = regs.a1;
	if (!find_functions()) {
		pr_warn("this kernel has no SDEI client that can be found: touches are told by the policy's next link\n");
		return;
	}
	error = begin();
	if (error) {
		pr_warn("SDEI event %#x cannot be had (%d): touches are told by the policy's next link\n",
			event_number, error);
		return;
	}
	sdei = true;
	pr_info("touches are told by SDEI event %#x\n", event_number);
}

/**
 * lh_sdei_exit - no more events
 *
 * The calls are made by interrupts on each CPU, and a handler runs with these
 * masked: none is running where its event is unregistered.
 */
void lh_sdei_exit(void)
{
	int cpu;

	if (!sdei)
		return;
	WARN_ON(event_disable(event_number));
	WARN_ON(event_unregister(event_number));
	for_each_possible_cpu(cpu)
		irq_work_sync(&per_cpu(touches, cpu).work);
	pr_info("touches are not told by SDEI event %#x any more\n",
		event_number);
}
