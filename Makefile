# SPDX-License-Identifier: GPL-2.0
#
# The front door: every target is one script in scripts/, `make help` lists them.

ARCH   ?= x86_64
CONFIG ?= lean
JOBS   ?= $(shell nproc)
GOALS  := $(MAKECMDGOALS)

variables := ARCH AREA BENCH BREAK BUSYBOX CONFIG HANDOUT LTP PROG CMD ADD TESTS MODES MUTANT N SEED FUZZ_SECONDS STEPS \
	DEADLINE SPACE LINUX LINUX_TARBALL LLVM GCC PATCHES REPORT RUST_LIB_SRC TESTER LOCALVERSION SUFFIX BUILT IMAGE DISK ROOT \
	APPEND SHARE RESET GRUB VM KERNEL_ORG KVM RUNS SMP MEM JOBS V
given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v))
unknown := $(filter-out $(variables) GOALS,$(given))
ifneq ($(unknown),)
$(error No such variable: $(unknown). 'make help' lists them)
endif

comma := ,
space := $(subst ,, )
# What a variable is for, if not for all: elsewhere it would be ignored without a word.
for_TESTS := test debug-test bases grade-test suites
for_MODES := test debug-test bases fuzz vm-test
for_PROG := run gdb
for_CMD := run gdb
for_BREAK := gdb
for_ADD := shell
for_AREA := mutants
for_MUTANT := mutants
for_BENCH := bench
for_N := abi-fuzz
for_SEED := abi-fuzz fuzz
for_FUZZ_SECONDS := fuzz
for_STEPS := fuzz
for_PATCHES := grade
for_LTP := suites
for_TESTER := grade test
for_SPACE := grade test
for_VM := test bases
for_REPORT := submission
for_BUILT := deploy
for_SUFFIX := deploy undeploy
for_IMAGE := vm
for_DISK := vm
for_ROOT := vm
for_APPEND := vm
for_SHARE := vm
for_RESET := vm
for_GRUB := vm
$(foreach v,$(if $(MAKECMDGOALS),$(given)),$(if $(for_$v),$(if $(filter $(for_$v),$(MAKECMDGOALS)),,\
	$(error $v= is only for make $(subst $(space),$(comma) ,$(for_$v))))))

override .SHELLFLAGS := -c
override options := $(firstword -$(MAKEFLAGS))
ifneq ($(strip $(foreach o,e i t,$(findstring $o,$(options))) $(filter --eval%,$(MAKEFLAGS)) $(MAKEFILES)),)
$(error make -e, -i, -t, --eval= and MAKEFILES= can call a failure a success)
endif

ifneq ($(filter -h --help,$(PATCHES) $(TESTS)),)
$(error PATCHES= and TESTS= take no options)
endif

# A $ in CMD is for the guest's shell. LLVM and LOCALVERSION count only on the command
# line: in the environment they are meant for other kernels, RESET is often a color, and
# DISK a disk of this machine.
override CMD := $(value CMD)
$(foreach v,LLVM LOCALVERSION RESET DISK,$(if $(filter-out command line,$(origin $v)),$(eval override undefine $v)))

overridden := $(if $(filter vm vm-test deb deploy,$(GOALS)),CONFIG) $(if $(filter vm-test,$(GOALS)),HANDOUT)
inherited := $(strip $(foreach v,$(filter-out $(overridden),$(variables)),$(if $(filter environment,$(origin $v)),$v='$(value $v)')))
ifneq ($(inherited),)
$(warning From the environment: $(inherited))
endif

# Export only what is set: for the kernel's make, unset and empty differ.
export GOALS $(foreach v,$(variables),$(if $(filter undefined,$(origin $v)),,$v))

# HANDOUT=1 is the series at the handouts' numbers, HANDOUT=NAME an exercise.
exercise := $(filter-out 1,$(HANDOUT))
for_exercise := exercise shell grade grade-test deps test submission clean help
ifneq ($(and $(exercise),$(filter-out $(for_exercise),$(GOALS))),)
$(error HANDOUT=$(HANDOUT) is an exercise; for 'make $(GOALS)' there is only HANDOUT=1)
endif

# The kernel is made once, with the configuration of the first target that needs it.
building := $(filter-out deps tree series series-check bases clean help undeploy,$(GOALS))
ifneq ($(and $(filter vm vm-test deb deploy,$(building)),$(word 2,$(building))),)
$(error make vm, vm-test, deb and deploy are for another kernel than the rest: one command for each)
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:

##@ From a fresh machine to system calls in Rust

.PHONY: run
run: tree ## boot the kernel and show each system call, or run PROG= or CMD= in it
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

.PHONY: abi-fuzz
abi-fuzz: tree ## compare random calls between Rust and C on i386
	@ARCH=i386 scripts/build/kernel.sh
	@scripts/test/abi-fuzz.sh

.PHONY: fuzz
fuzz: tree ## compare random calls of random tasks with a model, for FUZZ_SECONDS=60
	@scripts/test/fuzz.sh

.PHONY: suites
suites: tree ## run others' test suites (kselftest, stress-ng, LTP=dir) without the series, with it, and while all is counted
	@scripts/test/suites.sh

.PHONY: debug-test
debug-test: tree ## all tests, with longer races, on a kernel built to find bugs
	@scripts/test/all.sh --debug

.PHONY: mutants
mutants: tree ## test the tests: build plausible mistakes, and see whether a test fails
	@scripts/test/mutants.sh

.PHONY: bench
bench: tree ## count the instructions of calls and page faults, against budgets
	@scripts/bench/bench.sh

.PHONY: shell
ifneq ($(exercise),)
shell: deps
	@scripts/grade/shell.sh
else
shell: tree ## the same kernel with an interactive shell (ADD=path puts files into it); that of an exercise by HANDOUT=NAME
	@scripts/guest/shell.sh
endif

.PHONY: gdb
gdb: tree ## the same guest, stopped in the system call BREAK (hello), with gdb attached
	@scripts/guest/run.sh --gdb

##@ On a disk

# Unless the command line has another one.
vm vm-test deb: CONFIG = vm
vm-test: HANDOUT = 1
deploy: CONFIG = running

.PHONY: vm
vm: $(if $(GRUB),deps,kernel) ## boot the kernel with Debian on a disk, or another disk, IMAGE=
	@scripts/vm/start.sh

.PHONY: vm-test
vm-test: tree ## test on such disks: boot, compile, load modules, install kernels
	@scripts/vm/test.sh

.PHONY: deb
deb: kernel ## Debian packages of the kernel, its headers and linux-libc-dev
	@scripts/vm/deb.sh

.PHONY: deploy
deploy: ## as root: install a kernel SUFFIX=-NAME on this machine, beside the running one
	@scripts/vm/deploy.sh

.PHONY: undeploy
undeploy: ## as root: remove it
	@scripts/vm/undeploy.sh

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

.PHONY: series-check
series-check: tree ## build what each patch leaves, on ARCH
	@scripts/series/each.sh

.PHONY: bases
bases: deps ## make test (or TESTS= of it) on other kernels: Linux 7.2
	@scripts/series/bases.sh

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
grade-test: deps ## grade our own solutions and planted faults (or TESTS=) of the exercise HANDOUT=NAME
	@set -f; scripts/grade/self-test.sh $$TESTS

##@ Other

.PHONY: clean
clean: ## remove what was built; the tree build/linux and the cache stay
	@scripts/setup/clean.sh

.PHONY: help
help: ## this list
	@awk -f scripts/setup/help.awk Makefile

##@ Variables

## ARCH=x86_64|i386     CONFIG=lean|defconfig|running|NAME|FILE     JOBS=N
## PROG=file.c|file.rs  run, gdb: your program, as /program in the guest
## CMD='command'        run, gdb: this in the guest, with PROG= or without
## BREAK=call           gdb: stop in this system call
## ADD='path...'        shell: put files and folders into the guest
## TESTS='pattern...'   test, debug-test, bases: these programs or tests only, as in 'cow_* make_vcpu.*';
##                      grade-test: these, as in 'handout log.*'; suites: kselftest, stress-ng or ltp
## MODES='mode...'      test, debug-test, bases, fuzz: x86_64/x86_64, x86_64/i386, i386/i386; vm-test: x86_64, i386
## N=60 SEED=number     abi-fuzz: how many random functions, and which
## FUZZ_SECONDS=60 SEED=number STEPS='step...'  fuzz: how long, which sequences, or only this one
## AREA=name MUTANT='pattern'  mutants: these only, as in AREA=tracker MUTANT='parent-*'
## LTP=dir              suites: the folder that an LTP was installed in
## BENCH=time           bench: compare times, of RUNS=7 guests each, rather than count instructions
## VM=1                 test: also boot Debian on a disk
## HANDOUT=1            the numbers and programs of the handouts (run, test, shell, vm)
## HANDOUT=NAME         tp4, info0940, xxxhal, modules or new-syscall as an exercise
## PATCHES=path         grade: these   TESTER=file.c  with a course's own tester
## SPACE=MIB            grade: at most this much for a built kernel   GCC=gcc-11  build with this one, for an older kernel (LINUX=dir)
## REPORT=file          submission: with this report
## LOCALVERSION=-name   what the kernel's release ends in   SUFFIX=-name  deploy: the same
## IMAGE=disk           vm: boot this disk of a distribution instead; it is not changed
## DISK=file            vm: what is written goes there; a second disk for a second machine
## ROOT=/dev/sda1       vm: with IMAGE=, the partition to boot from
## APPEND='text'        vm: for the kernel's command line
## SHARE=dir            vm: this folder is /host there   RESET=1  begin with a new disk
## GRUB=1               vm: boot by the disk's own GRUB
## BUILT=dir            deploy: the kernel in this folder, which was built before
## LINUX=dir            build on a tree of your own (never modified)
## LINUX_TARBALL=file   build on a kernel tarball of your own
## KERNEL_ORG=url       a mirror of kernel.org, if there is no Debian package
## BUSYBOX=file         a static busybox for the guest, where Debian's cannot be had
## LLVM=-N|1            which LLVM   RUST_LIB_SRC=dir  the source of Rust's library
## KVM=on|off           use KVM or not, without probing
## SMP=N MEM=size       the guest's CPUs and memory   DEADLINE=s  the guest's time limit
## V=1                  show all output
