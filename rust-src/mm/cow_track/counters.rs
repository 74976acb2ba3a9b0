// SPDX-License-Identifier: GPL-2.0

//! Counters of faults by page address, shared by all processes of an image.
//!
//! There is a [`Block`] for each [`BLOCK_SIZE`] bytes of address space in which a fault occurred,
//! with a counter for each page. The blocks are in an XArray, by address. A block stays until the
//! image ends, so a pointer to it may be kept as long as members may have faults.
//!
//! The lock of the array protects only the array. The counters are atomic and need no lock.

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
/// The number of pages in a block.
const PAGES: usize = BLOCK_SIZE >> PAGE_SHIFT;

/// How many insertions of blocks may fail for lack of memory before an image adds no more blocks.
/// Each may leave nodes in the array, which are freed when the image ends.
const FAILURES_MAX: usize = 256;

/// How many more blocks may be added.
pub(crate) static FREE: Atomic<usize> = Atomic::new(0);

/// A non-empty range of addresses, and the number of faults in it.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) faults: u64,
}

/// The number of faults in the part of a range that is in one block.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) faults: u64,
}

impl Counted {
    /// Returns whether there can be several parts.
    pub(crate) fn has_parts(&self) -> bool {
        self.start >> BLOCK_SHIFT != (self.end - 1) >> BLOCK_SHIFT
    }
}

/// The counters of [`BLOCK_SIZE`] bytes of address space. Each counter wraps after 2^32 faults.
///
/// Starts with what C knows as `struct cow_track_block`.
#[repr(C)]
pub(crate) struct Block {
    /// The lowest address divided by [`BLOCK_SIZE`].
    index: usize,
    pages: KBox<[Atomic<i32>; PAGES]>,
    credit: Credit,
}

static_assert!(offset_of!(Block, index) == offset_of!(bindings::cow_track_block, index));
static_assert!(offset_of!(Block, pages) == offset_of!(bindings::cow_track_block, pages));

/// The right to one block. Dropping it gives it back to [`FREE`].
struct Credit;

impl Credit {
    /// Takes a credit for an image that has `len` blocks, including the new one, if at least as
    /// many credits are free.
    ///
    /// So one image gets at most half of all blocks, the next one half of the rest, and so on.
    fn take(len: &Atomic<usize>) -> Option<Self> {
        loop {
            let free = FREE.load(Acquire);
            // Whoever took a credit that is missing from `free` had added to `len` before. Pairs
            // with the exchange below.
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

    /// Drops the block without giving its credit back.
    fn keep_credit(block: KBox<Self>) {
        core::mem::forget(KBox::into_inner(block).credit);
    }

    /// Returns the lowest address.
    fn start(&self) -> usize {
        self.index << BLOCK_SHIFT
    }

    /// Returns the highest address.
    fn last(&self) -> usize {
        self.start() | (BLOCK_SIZE - 1)
    }

    /// Returns the counters of the pages in both the block and the range, which must overlap.
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
    /// All blocks are marked, so that searches skip long gaps.
    blocks: XArray<KBox<Block>>,
    /// The number of blocks that were added, are being added, or failed to be inserted. Stays as it
    /// is when the image ends.
    len: Atomic<usize>,
    /// The number of insertions that failed. They keep their credits, for nodes of the array.
    failed: Atomic<usize>,
    /// Whether the image has ended, so that no blocks may be added. Set before the array is locked
    /// to remove them all.
    closed: AtomicFlag,
    /// The number of faults that have no counter.
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

    /// Returns the block with this index, or null. Valid until [`Self::close`] is called.
    #[inline]
    pub(crate) fn find(&self, index: usize) -> *const Block {
        // The pointer came from a `KBox`.
        self.blocks.load_raw(index).cast()
    }

    /// Counts a fault at `address`, for which there may be no block yet. May sleep.
    ///
    /// Memory is charged to the current task, like that for page tables. If there is no memory, or
    /// the image has used up its share, the fault has no counter.
    pub(crate) fn count(&self, address: usize) {
        let index = address >> BLOCK_SHIFT;
        if self.find(index).is_null() {
            let _ = self.add_block(index);
        }

        // The block may have been removed again.
        match self.blocks.lock().get(index) {
            Some(block) => block.pages[(address >> PAGE_SHIFT) % PAGES].add(1, Relaxed),
            None => self.unplaced.add(1, Relaxed),
        }
    }

    /// Adds a block, unless somebody else has added it.
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
            // `insert()` may have dropped the lock, but holds it on return. So either this sees
            // that the image has ended, or `close()` finds the block.
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
                // As above, so `close()` gives back all credits that are kept.
                if !self.closed.load(Relaxed) {
                    self.failed.add(1, Relaxed);
                    Block::keep_credit(error.value);
                }
                return Err(error.error);
            }
        }
        Ok(())
    }

    /// Calls `f` for each block that has addresses in `start..end`.
    ///
    /// The array is locked for one block at a time, because faults may wait for the lock.
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

    /// Clears the counts in `start..end`.
    pub(crate) fn clear(&self, start: usize, end: usize) {
        self.for_each(start, end, |block| {
            for page in block.pages_in(start, end) {
                // SAFETY: The pointer is to what `page` refers to. This is `WRITE_ONCE()`, without
                // a function call for each page.
                unsafe { page.as_ptr().write_volatile(0) };
            }
        });
    }

    /// Adds the counts in each of `ranges`, which must be sorted, to the faults of that range. Adds
    /// those of its parts to `parts`, as far as there is room.
    ///
    /// Faults may be counted concurrently. Returns whether the image has ended, so that some counts
    /// may be missing.
    pub(crate) fn add_to(&self, ranges: &mut [Counted], parts: &mut KVVec<Part>) -> bool {
        let mut first = 0;

        self.for_each(0, usize::MAX, |block| {
            first += ranges[first..].partition_point(|range| range.end <= block.start());
            for range in &mut ranges[first..] {
                if block.last() < range.start {
                    break;
                }
                let mut faults = 0;
                for page in block.pages_in(range.start, range.end) {
                    // SAFETY: As in `clear()`. This is `READ_ONCE()`.
                    faults += u64::from(unsafe { page.as_ptr().read_volatile() } as u32);
                }
                range.faults += faults;
                if faults != 0 && range.has_parts() {
                    let start = block.start().max(range.start);
                    let _ = parts.push_within_capacity(Part { start, faults });
                }
            }
        });
        self.closed.load(Relaxed)
    }

    /// Returns the number of blocks, or more.
    pub(crate) fn blocks(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Returns the number of faults that have no counter.
    pub(crate) fn unplaced(&self) -> usize {
        self.unplaced.load(Relaxed)
    }

    /// Removes all blocks, and prevents new ones.
    ///
    /// # Safety
    ///
    /// No pointer that [`Self::find`] returned may be used any more.
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

    /// An address at which a block starts.
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
        counters.add_to(&mut ranges, &mut KVVec::new());
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

        // Ranges that cross into another block, that share a block, and that have no block.
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

        // SAFETY: No such pointer is used.
        unsafe { counters.close() };
        assert_eq!(FREE.load(Relaxed), free);

        // No block is added any more.
        count(&counters, BASE, 1);
        assert_eq!(counters.unplaced(), 1);
        assert_eq!(FREE.load(Relaxed), free);
        Ok(())
    }
}
