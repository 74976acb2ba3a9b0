// SPDX-License-Identifier: GPL-2.0

//! A model of the memory of processes, as far as copy-on-write goes.
//!
//! There are pages in four regions. The first one lies in two blocks of counters. The next two have
//! blocks that share a place in the tracker's cache with the first one. The last one is for huge
//! pages, of which only some pages are used.

use core::ops::Range;
use harness::sys::PAGE_SIZE;

/// The number of pages.
pub const PAGES: usize = 40;
/// The first page in the region for huge pages.
pub const HUGE: usize = 32;

const BASE: usize = 0x5000_0000;
const BLOCK: usize = 2 << 20;
/// The first pages of the regions, and their addresses.
const REGIONS: [(usize, usize); 3] = [
    (0, BASE + BLOCK - 8 * PAGE_SIZE),
    (16, BASE + 17 * BLOCK),
    (24, BASE + 33 * BLOCK),
];
const HUGE_START: usize = BASE + 64 * BLOCK;
const HUGE_END: usize = HUGE_START + 2 * BLOCK;

/// Returns the address of a page.
pub fn address(page: usize) -> usize {
    if page >= HUGE {
        let (block, i) = ((page - HUGE) / 4, (page - HUGE) % 4);
        return HUGE_START + block * BLOCK + [0, 1, 300, 511][i] * PAGE_SIZE;
    }
    let regions = REGIONS.iter().rev();
    let (first, start) = regions.clone().find(|(first, _)| *first <= page).unwrap();
    start + (page - first) * PAGE_SIZE
}

/// Returns the number of the block of counters of a page.
pub fn block(page: usize) -> usize {
    address(page) / BLOCK
}

/// Returns as many of these pages as are in the region of the first one.
pub fn clip(first: usize, count: usize) -> Range<usize> {
    let ends = [16, 24, HUGE, PAGES];
    let end = ends.into_iter().find(|end| first < *end).unwrap();
    first..end.min(first + count)
}

/// Returns the address range of pages. In the region for huge pages, it is the whole region.
pub fn span(pages: &Range<usize>) -> Range<usize> {
    if pages.start >= HUGE {
        HUGE_START..HUGE_END
    } else {
        address(pages.start)..address(pages.end - 1) + PAGE_SIZE
    }
}

/// What is mapped in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    None,
    Anonymous,
    File,
    Shared,
}

/// What is in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing. The next access fills it.
    Empty,
    /// The zero page, read-only.
    Zero,
    /// A page with this number.
    Frame(u32),
    /// What depends on decisions that the kernel is free to make.
    Unsure,
}

/// A page of an address space.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub kind: Kind,
    pub readable: bool,
    pub writable: bool,
    /// KSM may merge it, or it may be part of a huge page: what is in it is always unsure.
    pub moody: bool,
    pub content: Content,
}

impl Page {
    pub const NONE: Page = Page {
        kind: Kind::None,
        readable: false,
        writable: false,
        moody: false,
        content: Content::Empty,
    };

    /// Returns a page that has just been mapped.
    pub fn new(kind: Kind) -> Page {
        Page {
            kind,
            readable: true,
            writable: true,
            moody: false,
            content: Page::empty(kind),
        }
    }

    /// Returns the content after a mapping was made or its pages were dropped. A read of a file
    /// also maps pages nearby.
    pub fn empty(kind: Kind) -> Content {
        match kind {
            Kind::File => Content::Unsure,
            _ => Content::Empty,
        }
    }
}

/// The pages of all address spaces.
pub struct Memory<const MMS: usize> {
    pub pages: [[Page; PAGES]; MMS],
    last_frame: u32,
}

impl<const MMS: usize> Memory<MMS> {
    pub const fn new() -> Self {
        Memory {
            pages: [[Page::NONE; PAGES]; MMS],
            last_frame: 0,
        }
    }

    /// Returns in how many address spaces a page is.
    fn users(&self, content: Content) -> usize {
        let pages = self.pages.iter().flatten();
        pages.filter(|page| page.content == content).count()
    }

    /// A page is read.
    pub fn read(&mut self, mm: usize, page: usize) {
        let page = &mut self.pages[mm][page];
        if page.kind == Kind::Anonymous && page.content == Content::Empty {
            page.content = Content::Zero;
        }
    }

    /// Returns whether a write copies a page, if that is certain.
    pub fn copies(&self, mm: usize, page: usize) -> Option<bool> {
        let page = self.pages[mm][page];
        match (page.kind, page.content) {
            (Kind::None | Kind::Shared, _) => Some(false),
            _ if page.moody => None,
            (_, Content::Empty) => Some(false),
            (_, Content::Zero) => Some(true),
            (_, Content::Frame(_)) => Some(self.users(page.content) > 1),
            (_, Content::Unsure) => None,
        }
    }

    /// A page has been written to, so it is in no other address space. `is_new` tells whether it
    /// was not there before. The kernel may keep a reference to what other processes have
    /// `touched`, for a while, so that a later write copies it although nobody else has it.
    pub fn write(&mut self, mm: usize, page: usize, is_new: bool, touched: bool) {
        self.last_frame += 1;
        let page = &mut self.pages[mm][page];
        if page.kind == Kind::Shared || page.moody {
            return;
        }
        page.content = match page.content {
            _ if touched => Content::Unsure,
            Content::Unsure if !is_new => Content::Unsure,
            _ => Content::Frame(self.last_frame),
        };
    }

    /// An address space is copied by fork. Whether this copies the mapping of a zero page depends
    /// on whether other pages nearby have been written to.
    pub fn fork(&mut self, from: usize, to: usize) {
        self.pages[to] = self.pages[from];
        for page in &mut self.pages[to] {
            if page.content == Content::Zero {
                page.content = Content::Unsure;
            }
        }
    }

    /// KSM merges pages.
    pub fn merge(&mut self, mm: usize, pages: Range<usize>) {
        for i in pages {
            let content = self.pages[mm][i].content;
            let all = self.pages.iter_mut().flatten();
            if matches!(content, Content::Frame(_)) {
                all.filter(|page| page.content == content)
                    .for_each(|page| page.content = Content::Unsure);
            }
            let page = &mut self.pages[mm][i];
            (page.moody, page.content) = (true, Content::Unsure);
        }
    }
}
