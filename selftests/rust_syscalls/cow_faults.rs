// SPDX-License-Identifier: GPL-2.0

//! Tests of what counts as a copy-on-write fault, and where.
//!
//! The expected number of faults follows from which pages are shared and written to. Where the
//! process itself writes and has only one thread, the sum must also match that of taskstats, which
//! counts independently.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::cow;
use harness::cow::Area;
use harness::cow::Stat;
use harness::cow::Stops;
use harness::cow::Subject;
use harness::maps::maps;
use harness::sys::MAP_FIXED;
use harness::sys::MAP_PRIVATE;
use harness::sys::MAP_SHARED;
use harness::sys::PAGE_SIZE;
use harness::taskstats::TaskStats;
use harness::vcpu::eventually;
use harness::*;

const NAME: &CStr = c"subject";

/// The trace event of a fault.
const EVENT: &str = "cow_track/cow_fault";

/// Returns the report on the subject.
#[track_caller]
fn report() -> Stat {
    cow::get(NAME).expect("a report")
}

/// Starts a subject that is tracked.
fn start(work: impl FnOnce(&Stops)) -> Subject {
    expect_eq!(cow::set(NAME), Ok(0));
    Subject::start(NAME, work)
}

/// A subject that taskstats counts, too.
struct Watched {
    subject: Subject,
    taskstats: TaskStats,
}

impl Watched {
    fn start(work: impl FnOnce(&Stops)) -> Watched {
        let taskstats = TaskStats::start();
        Watched {
            subject: start(work),
            taskstats,
        }
    }

    /// Lets the subject go on to its next stop. Expects this many more faults in the VMAs at these
    /// addresses, and as many more faults in total as taskstats counts.
    #[track_caller]
    fn expect(&mut self, more: &[(usize, isize)]) {
        let pid = self.subject.pid();
        let before = (report(), self.taskstats.wpcopy_count(pid));
        self.subject.step();
        let after = (report(), self.taskstats.wpcopy_count(pid));
        let at = |stat: &Stat, addr| stat.vma(addr).map_or(0, |vma| vma.faults);
        for (addr, faults) in more {
            let got = at(&after.0, *addr) - at(&before.0, *addr);
            expect_eq!(got, *faults, "more faults in the VMA of {addr:x}");
        }
        let (ours, theirs) = (after.0.total() - before.0.total(), after.1 - before.1);
        expect_eq!(
            ours,
            theirs as isize,
            "more faults in total, and in taskstats"
        );
        after.0.expect_maps(pid);
    }
}

/// Returns the contents of `/sys/kernel/mm/<file>`. Skips the test if there is no such file.
fn mm_setting<'a>(file: &str, buf: &'a mut [u8]) -> &'a str {
    let path = text!("/sys/kernel/mm/{file}");
    match io::read_file(path.as_cstr(), buf) {
        Ok(content) => content.trim(),
        Err(err) => skip!("{}: {err:?}", path.as_str()),
    }
}

/// Writes `/sys/kernel/mm/<file>`.
fn set_mm(file: &str, value: &str) {
    let path = text!("/sys/kernel/mm/{file}");
    if let Err(err) = io::write_file(path.as_cstr(), value.as_bytes()) {
        panic!("{}: {err:?}", path.as_str());
    }
}

/// Returns the number of pages in a huge page. Skips the test if there are no huge pages.
fn huge_page_pages() -> usize {
    let mut buf = [0; 128];
    let size = mm_setting("transparent_hugepage/hpage_pmd_size", &mut buf);
    let pages = size.parse::<usize>().unwrap() / PAGE_SIZE;
    let enabled = mm_setting("transparent_hugepage/enabled", &mut buf);
    if enabled.contains("[never]") {
        set_mm("transparent_hugepage/enabled", "madvise");
    }
    pages
}

/// Maps memory that has a huge page of so many pages when it is written to. Also returns the index
/// of the first page of that.
fn huge_area(pages: usize) -> (Area, usize) {
    let area = Area::anonymous(3 * pages, MAP_PRIVATE);
    // SAFETY: This changes no contents.
    unsafe { sys::madvise(area.start(), area.len(), sys::MADV_HUGEPAGE) }.unwrap();
    let first = area.start().next_multiple_of(pages * PAGE_SIZE) - area.start();
    (area, first / PAGE_SIZE)
}

/// Returns a field of the VMA that starts at `area` in `/proc/self/smaps`, in kilobytes.
fn smaps(area: &Area, key: &str) -> usize {
    let mut buf = Mapping::new(64, MAP_PRIVATE).unwrap();
    let file = io::read_file(c"/proc/self/smaps", buf.bytes()).unwrap();
    let head = text!("{:08x}-", area.start());
    let (_, rest) = file.split_once(head.as_str()).expect("the VMA in smaps");
    let value = io::field(rest, key).expect("a value in smaps");
    value.trim_end_matches("kB").trim().parse().unwrap()
}

tests! {
    setup {
        cow::reset();
    }

    /// Forking and reading alone count nothing.
    fn reading() {
        let area = Area::written(32);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.read(0..32);
            stops.stop();
        });
        expect_eq!(report().faults(&area), 0);
        watched.expect(&[(area.start(), 0)]);
    }

    /// Some of the pages that a process shares with its parent, once each.
    fn anonymous() {
        let area = Area::written(64);
        let other = Area::written(64);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write((0..64).step_by(3));
            stops.stop();
            area.write((0..64).step_by(3));
            stops.stop();
            area.write(0..64);
            other.write(63..64);
            stops.stop();
        });
        watched.expect(&[(area.start(), 22), (other.start(), 0)]);
        watched.expect(&[(area.start(), 0), (other.start(), 0)]);
        watched.expect(&[(area.start(), 42), (other.start(), 1)]);
        expect_eq!(report().faults(&area), 64);
        expect_eq!(report().faults(&other), 1);
    }

    /// The first and last page of a VMA count in that VMA, wherever it is.
    fn edges() {
        let area = Area::written(1024);
        let mut watched = Watched::start(|stops| {
            for page in [0, 1, 511, 512, 513, 1022, 1023] {
                stops.stop();
                area.write([page]);
            }
            stops.stop();
        });
        for _ in 0..7 {
            watched.expect(&[
                (area.start(), 1),
                (area.start() - PAGE_SIZE, 0),
                (area.end(), 0),
            ]);
        }
    }

    /// More pages than a page table holds, forwards and backwards.
    fn many_pages() {
        const PAGES: usize = 5000;
        let area = Area::written(PAGES);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write((0..PAGES).step_by(2));
            stops.stop();
            area.write((0..PAGES).rev());
            stops.stop();
        });
        watched.expect(&[(area.start(), PAGES as isize / 2)]);
        watched.expect(&[(area.start(), PAGES as isize / 2)]);
    }

    /// Pages far from each other, one after the other.
    fn distant_pages() {
        const AREAS: usize = 16;
        const PAGES: usize = 3000;
        let areas = [0; AREAS].map(|_| Area::written(1));
        let gaps = [0; AREAS].map(|_| {
            let area = Area::anonymous(PAGES, MAP_PRIVATE);
            area.write([PAGES / 2]);
            area
        });
        let mut watched = Watched::start(|stops| {
            stops.stop();
            for i in 0..AREAS {
                areas[i].write([0]);
                gaps[AREAS - 1 - i].write([PAGES / 2]);
            }
            stops.stop();
        });
        watched.expect(&[]);
        for area in areas.iter().chain(&gaps) {
            expect_eq!(report().faults(area), 1);
        }
    }

    /// A page of a file is copied if it has been read. The first write to a page that was never
    /// mapped does not copy a mapped page.
    fn private_file() {
        let file = cow::memory_file(64);
        let read = Area::of_file(&file, 64, MAP_PRIVATE);
        let fresh = Area::of_file(&file, 64, MAP_PRIVATE);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            read.read(0..64);
            stops.stop();
            read.write(0..20);
            stops.stop();
            fresh.write(0..30);
            stops.stop();
            fresh.write(0..30);
            read.write(0..64);
            stops.stop();
        });
        watched.expect(&[(read.start(), 0), (fresh.start(), 0)]);
        watched.expect(&[(read.start(), 20), (fresh.start(), 0)]);
        watched.expect(&[(read.start(), 0), (fresh.start(), 0)]);
        watched.expect(&[(read.start(), 44), (fresh.start(), 0)]);
    }

    /// A page that was read before it was written to was the zero page.
    fn zero_page() {
        let read = Area::anonymous(64, MAP_PRIVATE);
        let fresh = Area::anonymous(64, MAP_PRIVATE);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            read.read(0..64);
            stops.stop();
            read.write(0..10);
            fresh.write(0..64);
            stops.stop();
            read.write(0..64);
            stops.stop();
        });
        watched.expect(&[(read.start(), 0), (fresh.start(), 0)]);
        watched.expect(&[(read.start(), 10), (fresh.start(), 0)]);
        watched.expect(&[(read.start(), 54), (fresh.start(), 0)]);
    }

    fn stack() {
        let mut pages = [1u8; 24 * PAGE_SIZE];
        let start = core::hint::black_box(pages.as_mut_ptr()) as usize;
        // SAFETY: These are whole pages of the array, which nobody else uses.
        let area = unsafe { Area::at(start.next_multiple_of(PAGE_SIZE), 23) };
        area.write(0..23);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write(5..16);
            stops.stop();
            area.write(0..23);
            stops.stop();
        });
        watched.expect(&[(area.start(), 11)]);
        watched.expect(&[(area.start(), 12)]);

        let vma = report().vma(area.start()).expect("a stack");
        let mut buf = [0; 8192];
        let mut listed = maps(watched.subject.pid(), &mut buf).unwrap();
        let stack = listed.find(|vma| vma.name == "[stack]").unwrap();
        expect_eq!(vma.range, (stack.start, stack.end));
    }

    /// The heap shrinks and grows again. Its counts start again, like its memory.
    fn heap() {
        const LEN: usize = 40 * PAGE_SIZE;
        // SAFETY: Nothing else uses the heap.
        let brk = |end: usize| unsafe { sys::brk(end) }.expect("brk");
        let start = brk(0).next_multiple_of(PAGE_SIZE);
        expect_eq!(brk(start + LEN), start + LEN);
        // SAFETY: As above.
        let area = unsafe { Area::at(start, 40) };
        area.write(0..40);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write(3..20);
            stops.stop();
            brk(start);
            stops.stop();
            brk(start + LEN);
            area.read(0..5);
            area.write(0..5);
            stops.stop();
        });
        watched.expect(&[(area.start(), 17)]);
        let mut buf = [0; 8192];
        let mut listed = maps(watched.subject.pid(), &mut buf).unwrap();
        let heap = listed.find(|vma| vma.name == "[heap]").unwrap();
        let vma = report().vma(area.start()).unwrap();
        expect_eq!(vma.range, (heap.start, heap.end));

        let total = report().total();
        watched.expect(&[]);
        expect_eq!(report().vma(area.start()), None);
        expect!(report().total() >= total);
        watched.expect(&[(area.start(), 5)]);
    }

    /// Pages mapped `MAP_SHARED` are never copied.
    fn shared_mapping() {
        let file = cow::memory_file(32);
        let areas = [
            Area::anonymous(32, MAP_SHARED),
            Area::of_file(&file, 32, MAP_SHARED),
        ];
        areas[0].write(0..32);
        areas[1].read(0..32);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            for area in areas {
                area.read(0..32);
                area.write(0..32);
            }
            stops.stop();
            for area in areas {
                for prot in [sys::PROT_READ, sys::PROT_READ | sys::PROT_WRITE] {
                    // SAFETY: Nobody uses the area at the same time.
                    unsafe { sys::mprotect(area.start(), area.len(), prot) }.unwrap();
                }
                area.write(0..32);
            }
            stops.stop();
        });
        for _ in 0..2 {
            watched.expect(&[(areas[0].start(), 0), (areas[1].start(), 0)]);
        }
    }

    /// A page that nobody else has any more is reused: after a child has exited, and after a child
    /// has made its own copies.
    fn reuse() {
        let area = Area::anonymous(32, MAP_PRIVATE);
        let mut subject = start(|stops| {
            // The kernel cannot tell that a page is only ours as long as another CPU has yet to put
            // it on the list of pages.
            sys::pin_to_cpu(0).unwrap();
            area.write(0..32);
            stops.stop();
            let child = Child::fork(|| area.read(0..32));
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            area.write(0..32);
            stops.stop();
            let child = Child::fork(|| {
                sys::set_name(c"another").unwrap();
                area.write(0..32);
            });
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            area.write(0..32);
            stops.stop();
        });
        for _ in 0..2 {
            subject.step();
            expect_eq!(report().faults(&area), 0);
        }
    }

    /// Pinning a shared page for reading copies it, so that its contents stay the same. This is not
    /// a write and does not count. The copy belongs to the process alone, and its next write reuses
    /// it.
    fn unshare() {
        let taskstats = TaskStats::start();
        let area = Area::written(16);
        let shared = Area::anonymous(1, MAP_SHARED);
        shared.write([0]);
        let mut subject = start(|stops| {
            shared.read([0]);
            stops.stop();
            area.write(0..16);
            stops.stop();
        });
        let pid = subject.pid();
        let mut reader = Subject::fork(|stops| {
            let read = |addr| expect_eq!(sys::process_vm_readv(pid, addr, &mut [0]), Ok(1));
            // This copies our own pages before anyone looks at us.
            read(shared.start());
            stops.stop();
            for page in 0..16 {
                read(area.page(page));
            }
            stops.stop();
        });
        let before = (report(), taskstats.wpcopy_count(reader.pid()));
        reader.step();
        let after = (report(), taskstats.wpcopy_count(reader.pid()));
        expect_eq!(after.1 - before.1, 16, "pages unshared");
        expect_eq!(after.0.total(), before.0.total());
        expect_eq!(after.0.faults(&area), 0);
        subject.step();
        expect_eq!(report().faults(&area), 0);
    }

    /// Writes by another process count in the process that is written to.
    fn process_vm_writev() {
        let area = Area::written(16);
        let subject = start(|stops| stops.stop());
        let before = report();
        for round in 0..2 {
            for page in 3..13 {
                let (pid, place) = (subject.pid(), area.page(page));
                // SAFETY: The memory is there to be written to.
                let written = unsafe { sys::process_vm_writev(pid, place, b"x") };
                expect_eq!(written, Ok(1));
            }
            expect_eq!(report().faults(&area), 10, "in round {round}");
        }
        expect_eq!(report().total() - before.total(), 10);
    }

    fn proc_mem() {
        let area = Area::written(16);
        let subject = start(|stops| stops.stop());
        let before = report();
        let path = text!("/proc/{}/mem", subject.pid());
        let mem = io::File::open(path.as_cstr(), sys::O_RDWR).unwrap();
        // Across a page boundary.
        let written = sys::pwrite(mem.fd, b"abcd", (area.page(5) - 2) as u64);
        expect_eq!(written, Ok(4));
        expect_eq!(report().faults(&area), 2);
        expect_eq!(report().total() - before.total(), 2);
    }

    /// Writes by a debugger: to data, and a breakpoint in the program's text, which nobody else may
    /// write to.
    fn ptrace_poke() {
        let area = Area::written(16);
        let text = sys::now as *const () as usize & !(size_of::<usize>() - 1);
        // SAFETY: This is part of the program.
        let read_text = move || unsafe { (text as *const usize).read_volatile() };
        let subject = start(|stops| {
            read_text();
            stops.stop();
        });
        let pid = subject.pid();
        let before = report();

        sys::ptrace(sys::PTRACE_ATTACH, pid, 0, 0).unwrap();
        expect_eq!(sys::wait(pid, sys::WSTOPPED), Ok(Status::Stopped));
        let poke = |addr, value| sys::ptrace(sys::PTRACE_POKEDATA, pid, addr, value);
        for page in [1, 2, 1, 15] {
            expect_eq!(poke(area.page(page), 7), Ok(0));
        }
        for _ in 0..2 {
            expect_eq!(poke(text, read_text()), Ok(0));
        }
        sys::ptrace(sys::PTRACE_DETACH, pid, 0, 0).unwrap();

        let after = report();
        expect_eq!(after.faults(&area), 3);
        let at = |stat: &Stat| stat.vma(text).expect("text").faults;
        expect_eq!(at(&after) - at(&before), 1);
    }

    /// Two threads write to the same page at the same time: one copy is discarded, or never made.
    fn threads_on_the_same_page() {
        const PAGES: usize = 1000;
        static ARRIVED: AtomicU32 = AtomicU32::new(0);
        let area = Area::written(PAGES);
        let mut subject = start(|stops| {
            stops.stop();
            let threads = [0, 1].map(|_| {
                Thread::spawn(move || {
                    for page in 0..PAGES {
                        ARRIVED.fetch_add(1, Ordering::AcqRel);
                        while (ARRIVED.load(Ordering::Acquire) as usize) < 2 * (page + 1) {
                            core::hint::spin_loop();
                        }
                        area.write([page]);
                    }
                })
                .unwrap()
            });
            drop(threads);
            stops.stop();
        });
        subject.step();
        expect_eq!(report().faults(&area), PAGES as isize);
    }

    /// Counts belong to addresses: splitting or merging a VMA loses none. They only end with the
    /// memory itself, except that the total keeps them.
    fn mappings_change() {
        // The kernel does not merge VMAs with pages from the parent. These start as zero pages, and
        // then belong to the process alone.
        let area = Area::anonymous(48, MAP_PRIVATE);
        let place = Area::anonymous(16, MAP_PRIVATE);
        let third = |i: usize| area.part(i * 16..(i + 1) * 16);
        let rw = sys::PROT_READ | sys::PROT_WRITE;
        let protect = |area: Area, prot| {
            // SAFETY: Nobody writes where this forbids it.
            unsafe { sys::mprotect(area.start(), area.len(), prot) }.unwrap();
        };
        let mut subject = start(|stops| {
            area.read(0..48);
            stops.stop();
            area.write((0..48).step_by(2));
            stops.stop();
            protect(third(1), sys::PROT_READ);
            stops.stop();
            area.write(0..16);
            area.write(32..48);
            stops.stop();
            protect(third(1), rw);
            stops.stop();
            let (old, len) = (third(2).start(), third(2).len());
            let flags = sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED;
            // SAFETY: Nobody else uses either place.
            unsafe { sys::mremap(old, len, len, flags, place.start()) }.unwrap();
            stops.stop();
            // SAFETY: As above.
            unsafe { sys::munmap(third(1).start(), third(1).len()) }.unwrap();
            stops.stop();
            let new = Mapping::at(third(1).start(), 32, MAP_PRIVATE);
            core::mem::forget(new.unwrap());
            stops.stop();
            area.write(16..48);
            stops.stop();
        });
        let pid = subject.pid();
        // Lets the subject go on. Expects this many faults in these pages of the area, and this
        // many that belong to nothing that is mapped.
        let mut step = |parts: &[(Area, isize)], gone: isize| {
            subject.step();
            let stat = report();
            stat.expect_maps(pid);
            for (part, faults) in parts {
                expect_eq!(stat.faults(part), *faults);
            }
            expect_eq!(stat.total() - stat.sum(), gone);
        };
        step(&[(area, 24)], 0);
        step(&[(third(0), 8), (third(1), 8), (third(2), 8)], 0);
        step(&[(third(0), 16), (third(1), 8), (third(2), 16)], 0);
        step(&[(area, 40)], 0);
        step(&[(area.part(0..32), 24), (place, 0)], 16);
        step(&[(third(0), 16), (place, 0)], 24);
        step(&[(area, 16)], 24);
        step(&[(area, 16)], 24);
    }

    /// A new mapping shows no older counts, whichever process of the image caused them: here, a
    /// child that has ended.
    fn new_mapping_after_child() {
        let place = Area::anonymous(16, MAP_PRIVATE);
        let map = || {
            let prot = sys::PROT_READ | sys::PROT_WRITE;
            let flags = MAP_PRIVATE | MAP_FIXED;
            // SAFETY: Nobody else uses the place.
            let addr = unsafe { sys::mmap(place.start(), place.len(), prot, flags) };
            expect_eq!(addr, Ok(place.start()));
        };
        let unmap = || {
            // SAFETY: Nobody uses the place.
            unsafe { sys::munmap(place.start(), place.len()) }.unwrap();
        };
        let mut subject = start(|stops| {
            unmap();
            stops.stop();
            // The child creates a mapping where its parent has none, and copies the zero page.
            let child = Child::fork(|| {
                map();
                place.read(0..16);
                place.write(0..16);
                expect_eq!(report().faults(&place), 16);
            });
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            map();
            stops.stop();
            // The parent unmaps what its child has written to, while the child still exists.
            let mut child = Subject::fork(|stops| {
                place.read(0..16);
                place.write(0..10);
                stops.stop();
                stops.stop();
            });
            expect_eq!(report().faults(&place), 10);
            unmap();
            expect_eq!(report().faults(&place), 10);
            child.step();
            child.end();
            map();
            stops.stop();
        });
        let before = report().total();
        subject.step();
        expect_eq!(report().faults(&place), 0);
        subject.step();
        let stat = report();
        expect_eq!(stat.faults(&place), 0);
        expect!(stat.total() >= before + 26);
        stat.expect_maps(subject.pid());
    }

    /// A mapping that replaces another one is new.
    fn mapping_replaced() {
        let area = Area::written(8);
        let mut subject = start(|stops| {
            area.write(0..8);
            stops.stop();
            // SAFETY: Nobody uses the middle of the area.
            let addr = unsafe {
                sys::mmap(
                    area.page(2),
                    4 * PAGE_SIZE,
                    sys::PROT_READ | sys::PROT_WRITE,
                    MAP_PRIVATE | MAP_FIXED,
                )
            };
            expect_eq!(addr, Ok(area.page(2)));
            area.read(2..3);
            area.write(2..3);
            stops.stop();
        });
        expect_eq!(report().faults(&area), 8);
        let total = report().total();
        subject.step();
        let stat = report();
        let rest = stat
            .vmas()
            .filter(|vma| area.start() <= vma.range.0 && vma.range.1 <= area.end());
        expect_eq!(rest.map(|vma| vma.faults).sum::<isize>(), 4 + 1);
        expect_eq!(stat.total() - stat.sum(), 4);
        expect!(stat.total() > total);
    }

    /// A mapping created by any process of the image resets the counts there, for all processes.
    fn mapping_of_another_process() {
        let area = Area::written(16);
        let mut subject = start(|stops| {
            area.write(0..10);
            let mut child = Subject::fork(|stops| {
                area.write(0..5);
                stops.stop();
                // SAFETY: Nobody uses these pages here.
                let addr = unsafe {
                    let prot = sys::PROT_READ | sys::PROT_WRITE;
                    sys::mmap(area.page(8), 4 * PAGE_SIZE, prot, MAP_PRIVATE | MAP_FIXED)
                };
                expect_eq!(addr, Ok(area.page(8)));
                stops.stop();
                stops.stop();
            });
            stops.stop();
            child.step();
            stops.stop();
            // Three pages that it shares with the child, and six that it shares with its own
            // parent.
            area.write((5..8).chain(10..16));
            stops.stop();
            child.step();
            child.end();
            stops.stop();
        });
        expect_eq!(report().faults(&area), 15);
        subject.step();
        let rest = |stat: &Stat| -> isize {
            let inside = stat
                .vmas()
                .filter(|vma| area.start() <= vma.range.0 && vma.range.1 <= area.end());
            inside.map(|vma| vma.faults).sum()
        };
        // Without the faults in pages 8 and 9.
        expect_eq!(rest(&report()), 13);
        subject.step();
        expect_eq!(rest(&report()), 13 + 9);
        subject.step();
        expect_eq!(report().faults(&area), 13 + 9);
    }

    /// With `mremap()`, the place that memory moves to and the tail by which it grows are new.
    /// Memory that stays in place is not.
    fn remapped() {
        let area = Area::written(16);
        let place = Area::written(16);
        let old = Area::written(8);
        let (head, tail) = (area.part(0..8), area.part(8..16));
        let mut subject = start(|stops| {
            area.write(0..16);
            place.write(0..16);
            old.write(0..8);
            // SAFETY: Nobody uses the tail.
            unsafe { sys::munmap(tail.start(), tail.len()) }.unwrap();
            stops.stop();
            // SAFETY: Nothing is moved.
            let grown = unsafe { sys::mremap(head.start(), head.len(), area.len(), 0, 0) };
            expect_eq!(grown, Ok(area.start()));
            stops.stop();
            let flags = sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED;
            // SAFETY: Nobody else uses either place.
            let moved = unsafe {
                let to = place.start();
                sys::mremap(old.start(), old.len(), old.len(), flags | sys::MREMAP_DONTUNMAP, to)
            };
            expect_eq!(moved, Ok(place.start()));
            stops.stop();
            // SAFETY: As above.
            let moved = unsafe {
                sys::mremap(place.start(), 4 * PAGE_SIZE, 4 * PAGE_SIZE, flags, tail.start())
            };
            expect_eq!(moved, Ok(tail.start()));
            stops.stop();
        });
        let pid = subject.pid();
        let counts = |parts: &[(Area, isize)]| {
            let stat = report();
            stat.expect_maps(pid);
            for (part, faults) in parts {
                let inside = stat
                    .vmas()
                    .filter(|vma| part.start() <= vma.range.0 && vma.range.1 <= part.end());
                let got: isize = inside.map(|vma| vma.faults).sum();
                expect_eq!(got, *faults, "{part:x?}");
            }
        };
        counts(&[(head, 8), (tail, 0), (place, 16), (old, 8)]);
        subject.step();
        counts(&[(area, 8), (place, 16), (old, 8)]);
        subject.step();
        // The old place is still mapped, and no mapping was created there.
        counts(&[(area, 8), (place.part(0..8), 0), (place.part(8..16), 8), (old, 8)]);
        subject.step();
        counts(&[(head, 8), (tail, 0), (old, 8)]);
    }

    /// Changing a mapping or its memory does not create one: protection, advice, fork, and a
    /// growing stack. Attaching shared memory does.
    fn mapping_kept() {
        let area = Area::written(16);
        let shared = Area::written(4);
        let rw = sys::PROT_READ | sys::PROT_WRITE;
        let mut subject = start(|stops| {
            area.write(0..16);
            shared.write(0..4);
            stops.stop();
            for prot in [sys::PROT_NONE, sys::PROT_READ, rw] {
                // SAFETY: Nobody uses the area at the same time.
                unsafe { sys::mprotect(area.start(), area.len(), prot) }.unwrap();
            }
            for advice in [sys::MADV_DONTNEED, sys::MADV_MERGEABLE, sys::MADV_HUGEPAGE] {
                // SAFETY: The contents do not matter. Some kernels lack some kinds of advice.
                let _ = unsafe { sys::madvise(area.start(), area.len(), advice) };
            }
            expect_eq!(Child::fork(|| ()).unwrap().wait(), Ok(Status::Exited(0)));
            stops.stop();
            let stack = report().vma(&raw const area as usize).expect("a stack").range;
            // SAFETY: The stack grows down to there, where nothing is mapped.
            let below = unsafe { Area::at(stack.0 - 20 * PAGE_SIZE, 1) };
            below.write([0]);
            expect!(report().vma(below.start()).is_some_and(|vma| vma.range.1 == stack.1));
            stops.stop();
            // SAFETY: Nobody uses the place.
            match unsafe { sys::shmat(shared.start(), shared.len()) } {
                Err(sys::ENOSYS) => diag!("no System V shared memory"),
                attached => {
                    expect_eq!(attached, Ok(shared.start()));
                    expect_eq!(report().faults(&shared), 0);
                }
            }
            stops.stop();
        });
        for _ in 0..3 {
            expect_eq!(report().faults(&area), 16);
            expect_eq!(report().faults(&shared), 4);
            subject.step();
        }
    }

    /// Memory that is discarded stays mapped, and keeps its counts.
    fn dontneed() {
        let area = Area::written(8);
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write(0..8);
            stops.stop();
            // SAFETY: The contents do not matter.
            unsafe { sys::madvise(area.start(), area.len(), sys::MADV_DONTNEED) }.unwrap();
            area.write(0..4);
            area.read(4..8);
            area.write(4..8);
            stops.stop();
        });
        watched.expect(&[(area.start(), 8)]);
        watched.expect(&[(area.start(), 4)]);
    }

    /// A report has at most 128 VMAs, and nothing is written after it.
    fn vmas_300() {
        let area = Area::written(300);
        let mut subject = start(|stops| {
            for page in (1..300).step_by(2) {
                // SAFETY: Nobody writes to these pages.
                unsafe { sys::mprotect(area.page(page), PAGE_SIZE, sys::PROT_READ) }.unwrap();
            }
            stops.stop();
            area.write((0..300).step_by(2));
            stops.stop();
        });
        let before = report();
        subject.step();

        let mut edge = Mapping::with_guard(2).unwrap();
        edge.bytes().fill(0x5a);
        let place = edge.end() - size_of::<Stat>();
        // SAFETY: There is room for a `Stat`.
        let result = unsafe { calls::pf_get_info(sys::addr(NAME), NAME.count_bytes(), place) };
        expect_eq!(result, Ok(0));
        let around = place - edge.start();
        expect!(edge.bytes()[..around].iter().all(|byte| *byte == 0x5a));

        let stat = report();
        expect_eq!(stat.len(), 128);
        stat.expect_maps(subject.pid());
        expect_eq!(stat.total() - before.total(), 150);
    }

    /// Tracing shows each fault: where it was, and of what kind.
    fn trace_event() {
        let file = cow::memory_file(4);
        let areas = [
            (Area::written(4), "anon"),
            (Area::anonymous(4, MAP_PRIVATE), "zero"),
            (Area::of_file(&file, 4, MAP_PRIVATE), "file"),
        ];
        let mut subject = start(|stops| {
            stops.stop();
            for (area, _) in areas {
                area.read(0..4);
                area.write([3, 1]);
            }
            stops.stop();
        });
        let trace = Trace::start_of(subject.pid(), &[EVENT]);
        let mut buf = [0; 16384];
        let format = trace.read(text!("events/{EVENT}/format").as_str(), &mut buf);
        for field in [
            "name: cow_fault\n",
            "field:unsigned long address;",
            "field:unsigned long vma_start;",
            "field:u64 image;",
            "field:unsigned int kind;",
        ] {
            expect!(format.contains(field), "{field} in {format}");
        }

        let before = report().total();
        subject.step();
        let more = report().total() - before;
        let events = trace.read("trace", &mut buf);
        let mut count = 0;
        let mut ours = 0;
        let mut image = None;
        for (_, event) in events
            .lines()
            .filter_map(|line| line.split_once(": cow_fault: "))
        {
            count += 1;
            let (event, id) = event.rsplit_once(" image=").expect("an image");
            expect!(image.is_none_or(|image| image == id), "{event}");
            image = Some(id);
            for (area, kind) in areas {
                for page in [3, 1] {
                    let want = text!(
                        "address={:#x} kind={kind} vma={:#x}",
                        area.page(page),
                        area.start()
                    );
                    ours += usize::from(event == want.as_str());
                }
            }
        }
        expect_eq!(count, more, "events and faults: {events}");
        expect_eq!(ours, 6, "events in the areas: {events}");

        let mut buf = [0; 16384];
        let listed = cow::images(&mut buf).next().expect("an image");
        expect_eq!(image, Some(text!("{}", listed.id).as_str()));
    }

    /// perf counts the same faults.
    fn perf_event() {
        let area = Area::written(16);
        let mut subject = start(|stops| {
            stops.stop();
            area.write((0..16).step_by(2));
            stops.stop();
            area.write(0..16);
            stops.stop();
        });
        let trace = Trace::start_of(subject.pid(), &[EVENT]);
        let perf = trace.perf(EVENT, subject.pid());
        let before = report();
        for pages in [8, 16] {
            subject.step();
            let after = report();
            expect_eq!(after.faults(&area), pages);
            expect_eq!(perf.count() as isize, after.total() - before.total());
        }
    }

    /// A shared huge page is split, and then each page counts as if it had always been small. The
    /// huge zero page is replaced by a huge page, which is not a copy of a page.
    fn huge_page() {
        let pages = huge_page_pages();
        let (area, first) = huge_area(pages);
        let (zero, zero_first) = huge_area(pages);
        area.write([first]);
        expect_eq!(smaps(&area, "AnonHugePages"), pages * 4, "a huge page");

        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write(first..first + 10);
            stops.stop();
            zero.read([zero_first]);
            zero.write([zero_first + 1]);
            expect_eq!(smaps(&zero, "AnonHugePages"), pages * 4, "a huge page");
            zero.write(zero_first..zero_first + 10);
            stops.stop();
        });
        watched.expect(&[(area.start(), 10)]);
        watched.expect(&[(zero.start(), 0)]);
    }

    /// A page of a large folio is copied as long as somebody else maps any page of the folio: here
    /// by both processes that shared it.
    fn large_folio() {
        let pages = huge_page_pages();
        let (large, first) = huge_area(pages);
        let mut subject = start(|stops| {
            large.write([first]);
            expect_eq!(smaps(&large, "AnonHugePages"), pages * 4, "a huge page");
            stops.stop();
            let [wait, go] = io::pipe().unwrap();
            let child = Child::fork(|| {
                wait.read_all(&mut [0]).unwrap();
                large.write([first]);
            });
            large.write([first]);
            go.write(b"g").unwrap();
            expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
            stops.stop();
        });
        subject.step();
        expect_eq!(report().faults(&large), 2, "by both");
    }

    /// Each write to a page that KSM has merged is a copy. KSM itself unmerging it is not.
    fn ksm(timeout: 120) {
        mm_setting("ksm/run", &mut [0; 128]);
        let area = Area::anonymous(32, MAP_PRIVATE);
        let mut watched = Watched::start(|stops| {
            area.write(0..32);
            // SAFETY: Merging changes no contents.
            unsafe { sys::madvise(area.start(), area.len(), sys::MADV_MERGEABLE) }.unwrap();
            stops.stop();
            area.write(0..20);
            stops.stop();
        });
        set_mm("ksm/pages_to_scan", "1000");
        set_mm("ksm/sleep_millisecs", "10");
        set_mm("ksm/run", "1");
        let merged = eventually(|| {
            mm_setting("ksm/pages_sharing", &mut [0; 128])
                .parse::<usize>()
                .unwrap()
                >= 31
        });
        set_mm("ksm/run", "0");
        expect!(merged, "KSM has not merged the pages");
        expect_eq!(report().faults(&area), 0);
        watched.expect(&[(area.start(), 20)]);
        set_mm("ksm/run", "2");
        expect_eq!(report().faults(&area), 20);
        set_mm("ksm/run", "0");
    }

    /// A page is copied if it is swapped in while another process still has it in swap.
    fn swapped_page() {
        const DEVICE: &CStr = c"/dev/ram0";
        const PAGES: u32 = 1024;
        let device = match io::File::open(DEVICE, sys::O_RDWR) {
            Ok(device) => device,
            Err(err) => skip!("/dev/ram0: {err:?}"),
        };
        let mut header = [0u8; PAGE_SIZE];
        header[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
        header[1028..1032].copy_from_slice(&(PAGES - 1).to_ne_bytes());
        header[PAGE_SIZE - 10..].copy_from_slice(b"SWAPSPACE2");
        device.write(&header).unwrap();
        drop(device);
        if let Err(err) = sys::swapon(DEVICE) {
            skip!("no swap: {err:?}");
        }

        let area = Area::written(32);
        // Pages that the kernel uses for something else at the moment are not swapped out.
        let page_out = || {
            // SAFETY: The pages come back unchanged.
            unsafe { sys::madvise(area.start(), area.len(), sys::MADV_PAGEOUT) }.unwrap();
            smaps(&area, "Swap") == 32 * 4
        };
        expect!(eventually(page_out), "{} kB in swap", smaps(&area, "Swap"));
        let mut watched = Watched::start(|stops| {
            stops.stop();
            area.write(0..20);
            stops.stop();
            area.read(20..32);
            stops.stop();
        });
        watched.expect(&[(area.start(), 20)]);
        watched.expect(&[(area.start(), 0)]);
        drop(watched);
        expect_eq!(sys::swapoff(DEVICE), Ok(0));
    }
}
