// SPDX-License-Identifier: GPL-2.0

//! The driver's steps that change memory.

use crate::actor::slot;
use crate::actor::READ_BYTE;
use crate::actor::WRITE_BYTE;
use crate::driver::Driver;
use crate::driver::FILE;
use crate::memory::address;
use crate::memory::clip;
use crate::memory::span;
use crate::memory::Content;
use crate::memory::Kind;
use crate::memory::Page;
use crate::memory::HUGE;
use crate::memory::PAGES;
use crate::step::Op;
use core::ops::Range;
use harness::sys::nr;
use harness::sys::PAGE_SIZE;
use harness::*;

const READ_WRITE: usize = (sys::PROT_READ | sys::PROT_WRITE) as usize;
const FIXED: usize = sys::MAP_FIXED as usize;
const ANONYMOUS: usize = sys::MAP_ANONYMOUS as usize;

/// How long KSM may merge pages.
const MERGE_MS: u32 = 20;

impl Driver {
    /// Does a step that changes memory.
    pub fn step_memory(&mut self, who: usize, op: Op, (a, b, c): (usize, usize, usize)) -> bool {
        match op {
            Op::Map => self.map(who, clip(a, b + 1), c),
            Op::Unmap => self.unmap(who, clip(a, b + 1)),
            Op::Protect => self.protect(who, clip(a, b + 1), c),
            Op::Drop => self.drop_pages(who, clip(a, b + 1)),
            Op::Move => self.move_page(who, a, b, c),
            Op::Grow => self.grow(who, a),
            Op::MapHuge => self.map_huge(who),
            Op::Merge => self.merge(who, clip(a, b + 1)),
            Op::Uffd => self.uffd(who, a, b, c),
            Op::Read => self.read(who, clip(a, b + 1)),
            _ => self.write(who, clip(a, b + 1), c),
        }
    }

    fn page(&mut self, who: usize, page: usize) -> &mut Page {
        let mm = self.model.process(who).mm;
        &mut self.model.memory.pages[mm][page]
    }

    fn all(&mut self, who: usize, mut pages: Range<usize>, test: impl Fn(&Page) -> bool) -> bool {
        pages.all(|page| test(self.page(who, page)))
    }

    fn mapped(&mut self, who: usize, pages: Range<usize>, page: Page) {
        let mm = self.model.process(who).mm;
        self.model.memory.pages[mm][pages.clone()].fill(page);
        self.model.tracker.map(mm, pages);
    }

    fn map(&mut self, who: usize, pages: Range<usize>, what: usize) -> bool {
        let (private, shared) = (sys::MAP_PRIVATE as usize, sys::MAP_SHARED as usize);
        let (kind, flags) = match what {
            0 => (Kind::Anonymous, private | ANONYMOUS),
            1 => (Kind::Shared, shared | ANONYMOUS),
            2 => (Kind::File, private),
            _ => (Kind::Shared, shared),
        };
        let span = span(&pages);
        // On i386, this is mmap2(), with an offset in pages.
        let unit = if cfg!(target_arch = "x86") {
            1
        } else {
            PAGE_SIZE
        };
        let args = [
            span.start,
            span.len(),
            READ_WRITE,
            flags | FIXED,
            FILE as usize,
            pages.start * unit,
        ];
        self.must(who, nr::MMAP, &args, span.start);
        self.mapped(who, pages, Page::new(kind));
        true
    }

    fn unmap(&mut self, who: usize, pages: Range<usize>) -> bool {
        let span = span(&pages);
        self.must(who, nr::MUNMAP, &[span.start, span.len()], 0);
        let mm = self.model.process(who).mm;
        self.model.memory.pages[mm][pages].fill(Page::NONE);
        true
    }

    fn protect(&mut self, who: usize, pages: Range<usize>, what: usize) -> bool {
        if !self.all(who, pages.clone(), |page| page.kind != Kind::None) {
            return false;
        }
        let prot = [0, sys::PROT_READ as usize, READ_WRITE][what];
        let span = span(&pages);
        self.must(who, nr::MPROTECT, &[span.start, span.len(), prot], 0);
        for page in pages {
            let page = self.page(who, page);
            (page.readable, page.writable) = (what > 0, what > 1);
        }
        true
    }

    fn drop_pages(&mut self, who: usize, pages: Range<usize>) -> bool {
        let huge = pages.start >= HUGE;
        let pages = if huge { HUGE..PAGES } else { pages };
        let usable = |page: &Page| page.kind != Kind::None && (page.writable || !huge);
        if !self.all(who, pages.clone(), usable) {
            return false;
        }
        let span = span(&pages);
        let args = [span.start, span.len(), sys::MADV_DONTNEED as usize];
        self.must(who, nr::MADVISE, &args, 0);
        for page in pages {
            let page = self.page(who, page);
            if !page.moody {
                page.content = Page::empty(page.kind);
            }
        }
        if huge {
            self.fill_huge(who);
        }
        true
    }

    fn move_page(&mut self, who: usize, from: usize, to: usize, keep: usize) -> bool {
        let page = *self.page(who, from);
        let may = match keep {
            0 => page.kind != Kind::None,
            _ => page.kind == Kind::Anonymous,
        };
        if from == to || !may {
            return false;
        }
        let mut flags = sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED;
        if keep == 1 {
            flags |= sys::MREMAP_DONTUNMAP;
        }
        let (source, target) = (address(from), address(to));
        let args = [source, PAGE_SIZE, PAGE_SIZE, flags as usize, target];
        self.must(who, nr::MREMAP, &args, target);
        self.mapped(who, to..to + 1, page);
        let old = self.page(who, from);
        if keep == 0 {
            *old = Page::NONE;
        } else if !old.moody {
            old.content = Content::Empty;
        }
        true
    }

    /// Grows a mapping by the page after it: the first one where this is possible.
    fn grow(&mut self, who: usize, from: usize) -> bool {
        let found = (from..HUGE).find(|last| {
            let fits = clip(*last, 2).len() == 2 && self.page(who, last + 1).kind == Kind::None;
            fits && self.page(who, *last).kind == Kind::Anonymous
        });
        let Some(last) = found else { return false };
        let next = last + 1;
        let page = *self.page(who, last);
        let args = [address(last), PAGE_SIZE, 2 * PAGE_SIZE, 0];
        self.must(who, nr::MREMAP, &args, address(last));
        let content = match page.moody {
            true => Content::Unsure,
            false => Content::Empty,
        };
        self.mapped(who, next..next + 1, Page { content, ..page });
        true
    }

    /// Maps pages that may be huge, and writes to them.
    fn map_huge(&mut self, who: usize) -> bool {
        let span = span(&(HUGE..PAGES));
        let flags = sys::MAP_PRIVATE as usize | ANONYMOUS | FIXED;
        let args = [span.start, span.len(), READ_WRITE, flags, usize::MAX, 0];
        self.must(who, nr::MMAP, &args, span.start);
        let args = [span.start, span.len(), sys::MADV_HUGEPAGE as usize];
        // There may be no huge pages.
        let _ = self.call(who, nr::MADVISE, &args);
        let page = Page {
            moody: true,
            content: Content::Unsure,
            ..Page::new(Kind::Anonymous)
        };
        self.mapped(who, HUGE..PAGES, page);
        self.fill_huge(who);
        true
    }

    /// Writes where nothing is, so that the huge zero page never gets there.
    fn fill_huge(&mut self, who: usize) {
        for page in [HUGE, HUGE + 4] {
            self.must(who, WRITE_BYTE, &[address(page), 1], 0);
        }
    }

    fn merge(&mut self, who: usize, pages: Range<usize>) -> bool {
        let usable = |page: &Page| page.kind == Kind::Anonymous;
        let run = |on: &[u8]| io::write_file(c"/sys/kernel/mm/ksm/run", on);
        if !self.all(who, pages.clone(), usable) || run(b"0").is_err() {
            return false;
        }
        let span = span(&pages);
        let args = [span.start, span.len(), sys::MADV_MERGEABLE as usize];
        self.must(who, nr::MADVISE, &args, 0);
        let mm = self.model.process(who).mm;
        self.model.memory.merge(mm, pages);
        run(b"1").expect("KSM");
        sys::sleep_ms(MERGE_MS);
        run(b"0").expect("KSM");
        true
    }

    /// Lets a task fill a page through a userfaultfd, or move another page there.
    fn uffd(&mut self, who: usize, to: usize, from: usize, how: usize) -> bool {
        const USER_MODE_ONLY: usize = 1;
        const API: usize = 0xc018_aa3f;
        const REGISTER: usize = 0xc020_aa00;
        const COPY: usize = 0xc028_aa03;
        const ZEROPAGE: usize = 0xc020_aa04;
        const MOVE: usize = 0xc028_aa05;
        const FEATURE_MOVE: u64 = 1 << 16;

        let page = *self.page(who, to);
        let fresh = |page: Page| page.kind == Kind::Anonymous && page.writable && !page.moody;
        if !fresh(page) || page.content != Content::Empty {
            return false;
        }
        let source = *self.page(who, from);
        if how == 2 && (from == to || !fresh(source)) {
            return false;
        }
        let own = slot(who);
        let fd = self.call(who, nr::USERFAULTFD, &[USER_MODE_ONLY]);
        let Ok(fd) = fd else { return false };
        let ioctl = |request, words: &[u64]| {
            let place = own.put_numbers(1, words);
            self.call(who, nr::IOCTL, &[fd, request, place])
        };
        let feature = if how == 2 { FEATURE_MOVE } else { 0 };
        let size = PAGE_SIZE as u64;
        let target = address(to) as u64;
        if ioctl(API, &[0xaa, feature, 0]).is_err() {
            self.must(who, nr::CLOSE, &[fd], 0);
            return false;
        }
        expect_eq!(ioctl(REGISTER, &[target, size, 1, 0]), Ok(0));
        match how {
            0 => {
                let bytes = own.scratch(0) as u64;
                expect_eq!(ioctl(COPY, &[target, bytes, size, 0, 0]), Ok(0));
            }
            1 => expect_eq!(ioctl(ZEROPAGE, &[target, size, 0, 0]), Ok(0)),
            _ => {
                // Only a page that nobody else has can be moved.
                self.write(who, from..from + 1, 0);
                let bytes = address(from) as u64;
                let words = [target, bytes, size, 0, 0];
                let place = own.put_numbers(1, &words);
                expect_eq!(self.call(who, nr::IOCTL, &[fd, MOVE, place]), Ok(0));
            }
        }
        self.must(who, nr::CLOSE, &[fd], 0);
        let mm = self.model.process(who).mm;
        match how {
            0 => self.model.memory.write(mm, to, true, false),
            1 => self.page(who, to).content = Content::Zero,
            _ => {
                self.page(who, to).content = self.page(who, from).content;
                self.page(who, from).content = Content::Empty;
            }
        }
        true
    }

    fn read(&mut self, who: usize, pages: Range<usize>) -> bool {
        for page in pages {
            if self.page(who, page).readable {
                let got = self.call(who, READ_BYTE, &[address(page)]);
                expect!(got.is_ok(), "a byte");
                let mm = self.model.process(who).mm;
                self.model.memory.read(mm, page);
            }
        }
        true
    }

    /// Writes to pages, and compares what it did to them: by the model, and by which page is
    /// mapped there before and after.
    fn write(&mut self, who: usize, pages: Range<usize>, how: usize) -> bool {
        let pagemap = text!("/proc/{}/pagemap", self.model.tasks[who].tid);
        for page in pages {
            let found = *self.page(who, page);
            let may = match how {
                // A debugger can write to what the task cannot. A thread that is not the leader is
                // written to in another way.
                5 if self.model.process(who).leader == who => {
                    found.kind != Kind::None && (found.writable || found.kind != Kind::Shared)
                }
                _ => found.writable,
            };
            if !may {
                continue;
            }
            let place = address(page);
            let before = frame(&pagemap, place);
            self.write_byte(who, place, how);
            let after = frame(&pagemap, place);
            let copied = found.kind != Kind::Shared && before.is_some() && before != after;
            let mm = self.model.process(who).mm;
            let want = self.model.memory.copies(mm, page).unwrap_or(copied);
            expect_eq!(
                copied,
                want,
                "whether a write to {place:x} copied {found:?}"
            );
            self.model.fault(who, page, want);
            let is_new = copied || before.is_none();
            self.model.memory.write(mm, page, is_new, how > 2);
        }
        true
    }

    fn write_byte(&mut self, who: usize, place: usize, how: usize) {
        let tid = self.model.tasks[who].tid;
        match how {
            3 => {
                // SAFETY: The pages are there to be written to.
                let written = unsafe { sys::process_vm_writev(tid, place, b"w") };
                expect_eq!(written, Ok(1), "process_vm_writev()");
            }
            4 => {
                let path = text!("/proc/{tid}/mem");
                let file = io::File::open(path.as_cstr(), sys::O_RDWR).expect("mem");
                expect_eq!(sys::pwrite(file.fd, b"m", place as u64), Ok(1), "{place:x}");
            }
            5 if tid == self.model.tgid(who) => {
                let ptrace = |request, data| sys::ptrace(request, tid, place, data);
                expect_eq!(sys::ptrace(sys::PTRACE_ATTACH, tid, 0, 0), Ok(0));
                let status = sys::wait(tid, sys::WSTOPPED);
                expect_eq!(status, Ok(sys::Status::Stopped));
                expect_eq!(
                    ptrace(sys::PTRACE_POKEDATA, 7),
                    Ok(0),
                    "ptrace at {place:x}"
                );
                expect_eq!(sys::ptrace(sys::PTRACE_DETACH, tid, 0, 0), Ok(0));
            }
            // Another thread cannot be waited for: do it the other way.
            5 => self.write_byte(who, place, 4),
            _ => self.must(who, WRITE_BYTE, &[place, 1], 0),
        }
    }
}

/// Returns the number of the page that is mapped at an address.
fn frame(pagemap: &Text, place: usize) -> Option<u64> {
    const PRESENT: u64 = 1 << 63;
    const NUMBER: u64 = (1 << 55) - 1;
    let file = io::File::open(pagemap.as_cstr(), sys::O_RDONLY).expect("a pagemap");
    let mut entry = [0; 8];
    let pos = (place / PAGE_SIZE * 8) as u64;
    assert_eq!(sys::pread(file.fd, &mut entry, pos), Ok(8));
    let entry = u64::from_ne_bytes(entry);
    (entry & PRESENT != 0).then_some(entry & NUMBER)
}
