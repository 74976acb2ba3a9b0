// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/grade-shared: a file of 8 pages that can be mapped, and that is told of the first
 * write to each page. Such writes are faults on pages that are there, and no copies.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/proc_fs.h>

#define PAGES 8

static struct page *pages[PAGES];

static vm_fault_t shared_fault(struct vm_fault *vmf)
{
	if (vmf->pgoff >= PAGES)
		return VM_FAULT_SIGBUS;
	get_page(pages[vmf->pgoff]);
	vmf->page = pages[vmf->pgoff];
	return 0;
}

static vm_fault_t shared_mkwrite(struct vm_fault *vmf)
{
	lock_page(vmf->page);
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct shared_vm_ops = {
	.fault = shared_fault,
	.page_mkwrite = shared_mkwrite,
};

static int shared_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &shared_vm_ops;
	return 0;
}

static const struct proc_ops shared_ops = {
	.proc_mmap = shared_mmap,
};

static int __init shared_init(void)
{
	int i;

	for (i = 0; i < PAGES; i++) {
		pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!pages[i])
			return -ENOMEM;
	}
	return proc_create("grade-shared", 0600, NULL, &shared_ops) ? 0 : -ENOMEM;
}
module_init(shared_init);

MODULE_DESCRIPTION("A shared mapping that is told of writes");
MODULE_LICENSE("GPL");
