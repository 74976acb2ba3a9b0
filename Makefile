# SPDX-License-Identifier: GPL-2.0
#
# The front door: every target is one script in scripts/, `make help` lists them.

ARCH   ?= x86_64
CONFIG ?= lean
JOBS   ?= $(shell nproc)
GOALS  := $(MAKECMDGOALS)

variables := ARCH BUSYBOX CONFIG HANDOUT PROG CMD ADD TESTS MODES DEADLINE LINUX LINUX_TARBALL LLVM RUST_LIB_SRC \
	KERNEL_ORG KVM SMP MEM JOBS V PATCHES REPORT ALL
given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v))
unknown := $(filter-out $(variables) GOALS,$(given))
ifneq ($(unknown),)
$(error No such variable: $(unknown). 'make help' lists them)
endif

# A $ in CMD is for the guest's shell. LLVM counts only on the command line: in the
# environment it is meant for other kernels.
override CMD := $(value CMD)
ifneq ($(origin LLVM),command line)
override undefine LLVM
endif

# Export only what is set: for the kernel's make, unset and empty differ.
export GOALS $(foreach v,$(variables),$(if $(filter undefined,$(origin $v)),,$v))

# HANDOUT=1 is the series at the handouts' numbers, HANDOUT=NAME an exercise.
exercise := $(filter-out 1,$(HANDOUT))
for_exercise := exercise grade grade-test deps test submission clean help
ifneq ($(and $(exercise),$(filter-out $(for_exercise),$(GOALS))),)
$(error HANDOUT=$(HANDOUT) is an exercise; for 'make $(GOALS)' there is only HANDOUT=1)
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:

##@ From a fresh machine to system calls in Rust

.PHONY: run
run: kernel ## boot the kernel and show each system call, or run PROG= or CMD= in it
	@scripts/guest/run.sh

.PHONY: test
ifneq ($(exercise),)
test: deps
	@scripts/grade/hand-in.sh test
else
test: tree ## run all tests (or TESTS=), or grade the exercise HANDOUT=NAME; the last line is 'N passed, N failed'
	@scripts/test/all.sh
endif

.PHONY: kunit
kunit: tree ## run the kernel's own tests of Rust; for ARCH=i386 compare them with x86_64's
	@scripts/test/kunit.sh

.PHONY: debug-test
debug-test: tree ## all tests, with longer races, on a kernel built to find bugs
	@scripts/test/debug.sh

.PHONY: bench
bench: tree ## count the instructions of calls and page faults, against budgets
	@scripts/bench/bench.sh

.PHONY: shell
shell: kernel ## the same kernel with an interactive shell (ADD=path puts files into it)
	@scripts/guest/shell.sh

.PHONY: gdb
gdb: tree ## QEMU stopped at a breakpoint in a Rust system call, with gdb attached
	@scripts/guest/gdb.sh

##@ The steps one by one

.PHONY: deps
deps: ## find or install the tools, and get the kernel source
	@scripts/setup/deps.sh

.PHONY: tree
tree: deps ## make the git tree build/linux: the base and one commit per patch
	@scripts/series/tree.sh

.PHONY: kernel
kernel: tree ## build the kernel (CONFIG=lean|defconfig|running|FILE)
	@scripts/build/kernel.sh

.PHONY: menuconfig
menuconfig: tree ## change the configuration by hand
	@scripts/build/kernel.sh menuconfig

##@ The series

.PHONY: series
series: ## write patches/ and its mirrors back from build/linux
	@scripts/series/write.sh

.PHONY: check
check: kernel ## check that patches and mirrors agree and follow the kernel's style
	@scripts/series/check.sh

.PHONY: submission
ifneq ($(exercise),)
submission: deps
	@scripts/grade/hand-in.sh
else
submission: tree ## a copy of the series to hand in, with your Signed-off-by, in build/submission
	@scripts/series/submission.sh
endif

##@ A handout's exercise

.PHONY: exercise
exercise: deps ## a tree to do HANDOUT=NAME in, build/exercise-NAME; then `make test` and `make submission` with HANDOUT=NAME
	@scripts/grade/exercise.sh

.PHONY: grade
grade: deps ## grade PATCHES=archive, folder, or folder of such, of the exercise HANDOUT=NAME
	@scripts/grade/grade.sh "$$PATCHES"

.PHONY: grade-test
grade-test: deps ## grade a solution and a planted fault of ours (ALL=1: all of them), of HANDOUT=NAME
	@scripts/grade/self-test.sh

##@ Other

.PHONY: clean
clean: ## remove what was built; the tree build/linux and the cache stay
	@scripts/setup/clean.sh

.PHONY: help
help: ## this list
	@awk -f scripts/setup/help.awk Makefile
