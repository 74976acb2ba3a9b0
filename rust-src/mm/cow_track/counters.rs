// SPDX-License-Identifier: GPL-2.0

//! Counters of faults by the address of the page, which all processes of an image share.
//!
//! There is a [`Block`] for each [`BLOCK_SIZE`] bytes of address space in which there was a fault,
//! with a counter for each page. They are in an XArray, by address. A block stays until the image
//! ends, so a pointer to it may be kept for as long as there are members that can have faults.
//!
//! The lock of the array protects the array. The counters are atomic and need no lock.

use super::{
    bindings,
    delay,
    gfp_track,
    Atomic,
    Relaxed, //
};
use core::mem::offset_of;
use kernel::{
    alloc::{
        flags::{
            __GFP_ACCOUNT,
            __GFP_ZERO, //
        },
        Flags, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::{
        Acquire,
        AtomicFlag,
        Full, //
    },
    xarray::XArray, //
};

/// The binary logarithm of [`BLOCK_SIZE`].
const BLOCK_SHIFT: usize = bindings::COW_TRACK_BLOCK_SHIFT as usize;
/// How many bytes of address space a block counts for.
const BLOCK_SIZE: usize = 1 << BLOCK_SHIFT;
/// Pages per block.
const PAGES: usize = BLOCK_SIZE >> PAGE_SHIFT;

/// In how many places an image may fail to add a block for lack of memory, before it adds no more.
/// Each can leave nodes in the array, which all go at once in the end.
const FAILURES_MAX: usize = 256;

/// How many more blocks there may be.
pub(crate) static FREE: Atomic<usize> = Atomic::new(0);

/// A range of addresses, which is not empty, and how many faults there were in it.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) faults: u64,
}

/// The counters of [`BLOCK_SIZE`] bytes of address space. Each wraps after 2^32 faults.
///
/// C knows what it begins with as `struct cow_track_block`.
#[repr(C)]
pub(crate) struct Block {
    /// The lowest address divided by the size.
    index: usize,
    pages: KBox<[Atomic<i32>; PAGES]>,
    credit: Credit,
}

static_assert!(offset_of!(Block, index) == offset_of!(bindings::cow_track_block, index));
static_assert!(offset_of!(Block, pages) == offset_of!(bindings::cow_track_block, pages));

/// The right to one block, given back to [`FREE`] when it is dropped.
struct Credit;

impl Credit {
    /// Takes one for an image that has `len` blocks with the new one, if no fewer are free.
    ///
    /// So one image gets at most half of all, the next one half of the rest, and so on.
    fn take(len: &Atomic<usize>) -> Option<Self> {
        loop {
            let free = FREE.load(Acquire);
            // Whoever has taken one that is missing in `free` has added to `len` before. Pairs with
            // the exchange below.
            if len.load(Relaxed) > free {
                return None;
            }
            if FREE.cmpxchg(free, free - 1, Full).is_ok() {
                return Some(Self);
            }
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        FREE.add(1, Relaxed);
    }
}

impl Block {
    fn new(index: usize, credit: Credit, flags: Flags) -> Result<KBox<Self>> {
        let pages = KBox::<[Atomic<i32>; PAGES]>::new_uninit(flags | __GFP_ZERO)?;
        let block = Self {
            index,
            // SAFETY: The memory is all zero, which is valid for integers.
            pages: unsafe { pages.assume_init() },
            credit,
        };
        Ok(KBox::new(block, flags)?)
    }

    /// Drops the block, without giving the credit back.
    fn keep_credit(block: KBox<Self>) {
        core::mem::forget(KBox::into_inner(block).credit);
    }

    /// The lowest address.
    fn start(&self) -> usize {
        self.index << BLOCK_SHIFT
    }

    /// The highest address.
    fn last(&self) -> usize {
        self.start() | (BLOCK_SIZE - 1)
    }

    /// The counters of the pages that are in both the block and the range, which must overlap.
    fn pages_in(&self, start: usize, end: usize) -> &[Atomic<i32>] {
        let first = (start.max(self.start()) >> PAGE_SHIFT) % PAGES;
        let last = ((end - 1).min(self.last()) >> PAGE_SHIFT) % PAGES;

        &self.pages[first..=last]
    }
}

/// The counters of an image.
#[pin_data]
pub(crate) struct Counters {
    #[pin]
    /// All are marked, to be found across long gaps.
    blocks: XArray<KBox<Block>>,
    /// How many there are, are just being added, or failed to be added; or were before the image
    /// ended.
    len: Atomic<usize>,
    /// How many failed to be added. They keep their credits, for nodes of the array.
    failed: Atomic<usize>,
    /// Whether the image has ended, so that no blocks are to be added. Written before the array is
    /// locked to remove them all.
    closed: AtomicFlag,
    /// How many faults there were that have no counter.
    unplaced: Atomic<usize>,
}

impl Counters {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            blocks <- XArray::new_accounted(),
            len: Atomic::new(0),
            failed: Atomic::new(0),
            closed: AtomicFlag::new(false),
            unplaced: Atomic::new(0),
        })
    }

    /// Returns the block with this index, or null. It is valid until [`Self::close`] is called.
    #[inline]
    pub(crate) fn find(&self, index: usize) -> *const Block {
        // What it points to came from a `KBox`.
        self.blocks.load_raw(index).cast()
    }

    /// Counts a fault at `address`, for which there may be no block yet. May sleep.
    ///
    /// Memory is charged to the current task, as that for page tables is. Where it cannot be had,
    /// or the image has had its share, the fault has no counter.
    pub(crate) fn count(&self, address: usize) {
        let index = address >> BLOCK_SHIFT;
        if self.find(index).is_null() {
            let _ = self.add_block(index);
        }

        // It may have been removed again.
        match self.blocks.lock().get(index) {
            Some(block) => block.pages[(address >> PAGE_SHIFT) % PAGES].add(1, Relaxed),
            None => self.unplaced.add(1, Relaxed),
        }
    }

    /// Adds a block, unless somebody else has.
    fn add_block(&self, index: usize) -> Result {
        if self.failed.load(Relaxed) >= FAILURES_MAX {
            return Err(ENOMEM);
        }
        let flags = gfp_track() | __GFP_ACCOUNT;
        self.len.add(1, Relaxed);
        let block = Credit::take(&self.len)
            .ok_or(ENOMEM)
            .and_then(|credit| Block::new(index, credit, flags))
            .inspect_err(|_| {
                self.len.fetch_sub(1, Relaxed);
            })?;
        delay(bindings::COW_TRACK_GROW);

        let mut guard = self.blocks.lock();
        match guard.insert(index, block, flags) {
            // This may have dropped the lock, but has it in the end. So either it sees here that
            // the image has ended, or `close()` finds the block.
            Ok(()) if self.closed.load(Relaxed) => {
                let block = guard.remove(index);
                drop(guard);
                drop(block);
            }
            Ok(()) => guard.mark(index),
            Err(error) if error.error == EBUSY => {
                self.len.fetch_sub(1, Relaxed);
            }
            Err(error) => {
                // As above, so that `close()` gives all such credits back.
                if !self.closed.load(Relaxed) {
                    self.failed.add(1, Relaxed);
                    Block::keep_credit(error.value);
                }
                return Err(error.error);
            }
        }
        Ok(())
    }

    /// Calls `f` for each block that has addresses from `start` to below `end`.
    ///
    /// The array is locked for one block at a time: faults may have to wait for it.
    fn for_each(&self, start: usize, end: usize, mut f: impl FnMut(&Block)) {
        let mut index = start >> BLOCK_SHIFT;
        let last = (end - 1) >> BLOCK_SHIFT;

        loop {
            let guard = self.blocks.lock();
            match guard.find_marked(index) {
                Some((found, block)) if found <= last => {
                    f(block);
                    index = found + 1;
                }
                _ => return,
            }
        }
    }

    /// Forgets what was counted at the addresses from `start` to below `end`.
    pub(crate) fn clear(&self, start: usize, end: usize) {
        self.for_each(start, end, |block| {
            for page in block.pages_in(start, end) {
                // SAFETY: The pointer is to what `page` refers to. This is `WRITE_ONCE()`, without
                // a call for each page.
                unsafe { page.as_ptr().write_volatile(0) };
            }
        });
    }

    /// Adds what was counted in each of `ranges`, which are in order, to its faults.
    ///
    /// Faults may be counted meanwhile. Returns whether the image has ended, so that some may be
    /// missing.
    pub(crate) fn add_to(&self, ranges: &mut [Counted]) -> bool {
        let mut first = 0;

        self.for_each(0, usize::MAX, |block| {
            first += ranges[first..].partition_point(|range| range.end <= block.start());
            for range in &mut ranges[first..] {
                if block.last() < range.start {
                    break;
                }
                for page in block.pages_in(range.start, range.end) {
                    // SAFETY: As in `clear()`; this is `READ_ONCE()`.
                    range.faults += u64::from(unsafe { page.as_ptr().read_volatile() } as u32);
                }
            }
        });
        self.closed.load(Relaxed)
    }

    /// Returns how many faults there were that have no counter.
    pub(crate) fn unplaced(&self) -> usize {
        self.unplaced.load(Relaxed)
    }

    /// Removes all blocks, and lets none be added.
    ///
    /// # Safety
    ///
    /// Nobody may use what [`Self::find`] returned.
    pub(crate) unsafe fn close(&self) {
        self.closed.store(true, Relaxed);
        loop {
            let mut guard = self.blocks.lock();
            let Some((index, _)) = guard.find_marked(0) else {
                break;
            };
            let block = guard.remove(index);
            drop(guard);
            drop(block);
        }
        self.blocks.free_nodes();
        FREE.add(self.failed.xchg(0, Relaxed), Relaxed);
    }
}

#[kunit_tests(rust_cow_track_counters)]
mod tests {
    use super::*;
    use kernel::page::PAGE_SIZE;

    /// An address at which a block begins.
    const BASE: usize = 16 * BLOCK_SIZE;

    fn counters() -> Result<Pin<KBox<Counters>>> {
        KBox::pin_init(Counters::new(), GFP_KERNEL)
    }

    fn count(counters: &Counters, address: usize, times: usize) {
        (0..times).for_each(|_| counters.count(address));
    }

    fn faults<const N: usize>(counters: &Counters, ranges: [(usize, usize); N]) -> [u64; N] {
        let mut ranges = ranges.map(|(start, end)| Counted {
            start,
            end,
            faults: 0,
        });
        counters.add_to(&mut ranges);
        ranges.map(|range| range.faults)
    }

    #[test]
    fn counts_by_address() -> Result {
        let counters = counters()?;
        count(&counters, BASE - 1, 1);
        count(&counters, BASE, 2);
        count(&counters, BASE + PAGE_SIZE, 3);
        count(&counters, BASE + BLOCK_SIZE - 1, 4);
        count(&counters, BASE + BLOCK_SIZE, 5);

        // A block that lies in a range, one in which some begin and end, and one in none.
        let ranges = [
            (BASE - PAGE_SIZE, BASE + PAGE_SIZE),
            (BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE),
            (BASE + 3 * PAGE_SIZE, BASE + BLOCK_SIZE),
            (BASE + 9 * BLOCK_SIZE, BASE + 10 * BLOCK_SIZE),
        ];
        assert_eq!(faults(&counters, ranges), [3, 3, 4, 0]);
        assert_eq!(faults(&counters, [(0, usize::MAX)]), [15]);
        assert_eq!(counters.unplaced(), 0);
        Ok(())
    }

    #[test]
    fn clears_what_is_in_the_range() -> Result {
        let counters = counters()?;
        for page in 0..4 {
            count(&counters, BASE + page * PAGE_SIZE, page);
        }
        count(&counters, BASE + BLOCK_SIZE, 7);

        counters.clear(BASE + PAGE_SIZE, BASE + 3 * PAGE_SIZE);
        assert_eq!(faults(&counters, [(0, usize::MAX)]), [10]);
        counters.clear(BASE + 3 * PAGE_SIZE, BASE + BLOCK_SIZE + PAGE_SIZE);
        assert_eq!(faults(&counters, [(0, usize::MAX)]), [0]);
        Ok(())
    }

    #[test]
    fn blocks_are_given_back() -> Result {
        let counters = counters()?;
        let free = FREE.load(Relaxed);
        (0..3).for_each(|block| count(&counters, BASE + block * BLOCK_SIZE, 2));
        assert_eq!(FREE.load(Relaxed), free - 3);

        // SAFETY: Nobody does.
        unsafe { counters.close() };
        assert_eq!(FREE.load(Relaxed), free);

        // None is added any more.
        count(&counters, BASE, 1);
        assert_eq!(counters.unplaced(), 1);
        assert_eq!(FREE.load(Relaxed), free);
        Ok(())
    }
}
