// SPDX-License-Identifier: GPL-2.0

//! Counters of faults by the address of the page.
//!
//! An address space has an array of [`Block`]s, one for each [`BLOCK_SIZE`] bytes in which there
//! was a fault. A block has a counter for each page, and their sum, so that a report looks at
//! single pages only where a VMA begins or ends. The counters are small; a block in which one has
//! become full gets larger ones besides, to which that is added. In memory that is copied as a
//! whole all this makes 2 bytes a page, and some 80 a block; a page that is alone in its block
//! costs the block.
//!
//! Faults count under RCU and nothing else. They find the block in a small cache, which is written
//! only when it did not have the block: the array is too dear to be asked each time. While there is
//! no lack of memory, that is done in C, by `__cow_track_fault()`. Blocks are added by whichever
//! fault needs one. With the lock of their image held a full counter is emptied into its larger
//! one, so that who holds it, too, sees their sum right. With it, blocks are removed, emptied and
//! merged, and only where no fault can happen any more: where nothing is mapped, or in an address
//! space that has ended.

use kernel::{
    alloc::{
        flags::{
            __GFP_ACCOUNT,
            __GFP_NORETRY,
            __GFP_NOWARN,
            __GFP_ZERO, //
        },
        AllocError,
        Flags, //
    },
    bindings,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        rcu::{
            self,
            RcuBox, //
        },
        SetOnce, //
    },
    xarray::XArray, //
};

use core::mem::offset_of;

/// How the tracker allocates memory: charged, and without a process having to die for it.
pub(crate) fn gfp_track() -> Flags {
    GFP_KERNEL | __GFP_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN
}

/// The binary logarithm of [`BLOCK_SIZE`].
const BLOCK_SHIFT: usize = bindings::COW_TRACK_BLOCK_SHIFT as usize;
/// How many bytes of address space a block counts for.
pub(crate) const BLOCK_SIZE: usize = 1 << BLOCK_SHIFT;
/// How many pages these are.
const PAGES: usize = BLOCK_SIZE >> PAGE_SHIFT;
/// How many blocks the cache can hold: so many that those of 128 MiB in a row all fit.
const CACHED: usize = bindings::COW_TRACK_CACHED as usize;

/// How many blocks are looked at in one RCU critical section, which others may wait for.
const AT_ONCE: usize = 64;

/// What lies at the addresses from `start` to below `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A range and how many faults there were in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) range: Range,
    pub(crate) faults: u64,
}

impl From<Range> for Counted {
    fn from(range: Range) -> Self {
        Self { range, faults: 0 }
    }
}

/// The counters of [`BLOCK_SIZE`] bytes of address space.
///
/// A page's counter wraps after 2^32 faults.
///
/// C knows what it begins with as `struct cow_track_block`.
#[repr(C)]
pub(crate) struct Block {
    /// The lowest address divided by the size.
    index: usize,
    sum: Atomic<usize>,
    /// From 0 to [`FULL`] of each page's faults.
    pages: KBox<[Atomic<i16>; PAGES]>,
    /// The others, if there are any.
    more: SetOnce<KBox<[Atomic<u32>; PAGES]>>,
}

/// How far the small counter of a page goes.
const FULL: i16 = i16::MAX;

static_assert!(offset_of!(Block, index) == offset_of!(bindings::cow_track_block, index));
static_assert!(offset_of!(Block, sum) == offset_of!(bindings::cow_track_block, sum));
static_assert!(offset_of!(Block, pages) == offset_of!(bindings::cow_track_block, pages));

/// What a fault that is to be counted lacks.
#[derive(Debug, PartialEq)]
pub(crate) enum Lacking {
    Block,
    /// The block has no more room for the page.
    Room,
}

/// Returns memory for the counters of a block, all zero.
fn zeroed<T>(flags: Flags) -> Result<KBox<[Atomic<T>; PAGES]>, AllocError>
where
    T: kernel::sync::atomic::AtomicType,
{
    let counters = KBox::new_uninit(flags | __GFP_ZERO)?;
    // SAFETY: The memory is all zero, which is valid for the integers that there are counters of.
    Ok(unsafe { counters.assume_init() })
}

impl Block {
    fn new(index: usize, flags: Flags) -> Result<RcuBox<Self>, AllocError> {
        RcuBox::new(
            Self {
                index,
                sum: Atomic::new(0),
                pages: zeroed(flags)?,
                more: SetOnce::new(),
            },
            flags,
        )
    }

    fn start(&self) -> usize {
        self.index << BLOCK_SHIFT
    }

    /// The last address that is in the block.
    fn last(&self) -> usize {
        self.start() | (BLOCK_SIZE - 1)
    }

    /// Counts a fault, unless the counter is full. This is what C does, too.
    fn count(&self, address: usize) -> bool {
        let page = &self.pages[(address >> PAGE_SHIFT) % PAGES];
        let mut count = page.load(Relaxed);

        loop {
            if count == FULL {
                return false;
            }
            match page.cmpxchg(count, count + 1, Relaxed) {
                Ok(_) => break,
                Err(now) => count = now,
            }
        }
        self.sum.add(1, Relaxed);
        true
    }

    /// How many faults page `i` had.
    fn count_of(&self, i: usize) -> u32 {
        let more = self.more.as_ref();

        // SAFETY: The pointer is valid, and others use it atomically. This is `READ_ONCE()`, as
        // `Atomic::load()` is, but not a call of it: a report looks at many pages.
        let count = unsafe { self.pages[i].as_ptr().read_volatile() } as u32;
        more.map_or(count, |more| more[i].load(Relaxed).wrapping_add(count))
    }

    /// Empties the counter of page `i` into the larger one, which there must be.
    fn spill(&self, i: usize) {
        if let Some(more) = self.more.as_ref() {
            more[i].add(self.pages[i].xchg(0, Relaxed) as u32, Relaxed);
        }
    }

    /// Which pages are in both the block and `range`, which must overlap.
    fn pages_in(&self, range: Range) -> core::ops::Range<usize> {
        let first = range.start.max(self.start());
        let last = (range.end - 1).min(self.last());

        (first >> PAGE_SHIFT) % PAGES..(last >> PAGE_SHIFT) % PAGES + 1
    }

    /// How many faults the pages had that are in both the block and `range`.
    fn count_in(&self, range: Range) -> u64 {
        if range.start <= self.start() && self.last() < range.end {
            return self.sum.load(Relaxed) as u64;
        }
        self.pages_in(range)
            .map(|i| u64::from(self.count_of(i)))
            .sum()
    }

    /// Sets the counters in `range` to zero, and returns what they held.
    fn take(&self, range: Range) -> usize {
        let mut taken = 0;
        for i in self.pages_in(range) {
            let count = self.count_of(i);
            if count != 0 {
                self.pages[i].store(0, Relaxed);
                if let Some(more) = self.more.as_ref() {
                    more[i].store(0, Relaxed);
                }
                taken += count as usize;
            }
        }
        // Other pages of the block may have faults right now.
        self.sum.fetch_sub(taken, Relaxed);
        taken
    }

    /// Adds what `other` has counted, or nothing if that takes larger counters.
    ///
    /// No fault may count in either.
    fn add(&self, other: &Self) -> bool {
        let more = self.more.as_ref();
        let fits = |i| self.count_of(i) as usize + other.count_of(i) as usize <= FULL as usize;
        if more.is_none() && !(0..PAGES).all(fits) {
            return false;
        }

        let mut sum = 0;
        for i in 0..PAGES {
            let count = other.count_of(i);
            if count == 0 {
                continue;
            }
            match more {
                Some(more) => more[i].add(count, Relaxed),
                // It fits.
                None => self.pages[i].store((self.count_of(i) + count) as i16, Relaxed),
            }
            sum += count as usize;
        }
        self.sum.add(sum, Relaxed);
        true
    }
}

/// The counters of an address space, or of those of an image that have ended.
///
/// # Invariants
///
/// What is in `cache` is null or an element of `blocks`, at the place given by its index.
#[pin_data]
#[repr(C)]
pub(crate) struct Counters {
    // In a `Space`, C reads this as `struct cow_track_space` has it.
    cache: [Atomic<*const Block>; CACHED],
    #[pin]
    blocks: XArray<RcuBox<Block>>,
}

// SAFETY: The pointers in the cache are to blocks, which may be used from any thread.
unsafe impl Send for Counters {}
// SAFETY: As above.
unsafe impl Sync for Counters {}

impl Counters {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            cache: [const { Atomic::new(core::ptr::null()) }; CACHED],
            blocks <- XArray::new_accounted(),
        })
    }

    /// Finds the block of `address`, and puts it into the cache.
    ///
    /// Nothing may be removed at that address meanwhile: it is mapped, and the mmap or VMA lock is
    /// held.
    #[inline]
    pub(crate) fn find<'a>(&self, address: usize, guard: &'a rcu::Guard) -> Option<&'a Block> {
        let index = address >> BLOCK_SHIFT;
        let block = self.blocks.load_rcu(index, guard)?;

        // INVARIANT: The block is in the array, and stays there, for `address` is mapped. What it
        // was initialised to is visible to whoever finds it here.
        self.cache[index % CACHED].store(block, Release);
        Some(block)
    }

    /// Counts a fault at `address`, under the conditions of [`Self::find`].
    pub(crate) fn count(&self, address: usize, guard: &rcu::Guard) -> Result<(), Lacking> {
        let block = self.find(address, guard).ok_or(Lacking::Block)?;

        if !block.count(address) {
            return Err(Lacking::Room);
        }
        Ok(())
    }

    /// Adds a block for `address`, if there is none.
    pub(crate) fn add_block(&self, address: usize, flags: Flags) -> Result {
        let index = address >> BLOCK_SHIFT;
        let block = Block::new(index, flags)?;

        match self.blocks.lock().insert_marked(index, block, flags) {
            // Another thread's fault needed it too.
            Err(error) if error.error == EBUSY => Ok(()),
            result => Ok(result?),
        }
    }

    /// Makes room for more faults at `address`, if there is a block.
    ///
    /// The lock of the image must be held.
    pub(crate) fn add_room(&self, address: usize, flags: Flags) -> Result {
        let more = zeroed(flags)?;

        let guard = rcu::read_lock();
        if let Some(block) = self.blocks.load_rcu(address >> BLOCK_SHIFT, &guard) {
            // If it has larger counters already, it keeps them.
            block.more.populate(more);
            block.spill((address >> PAGE_SHIFT) % PAGES);
        }
        Ok(())
    }

    /// Removes the block at `index`.
    fn remove(&self, index: usize) {
        let cached = &self.cache[index % CACHED];
        let block = self.blocks.lock().remove(index);

        if let Some(block) = block {
            // INVARIANT: What is no longer in the array must not be in the cache. No fault puts it
            // there again, as there are none at its addresses. Only now is it dropped; one that
            // has read the pointer in its critical section keeps the block for the rest of it.
            let _ = cached.cmpxchg(&raw const *block, core::ptr::null(), Relaxed);
        }
    }

    /// Takes away what was counted in `range`, and returns it.
    ///
    /// Blocks that lie in `gap`, where nothing is mapped, are freed.
    pub(crate) fn take(&self, range: Range, gap: Range) -> u64 {
        let mut taken = 0;
        let mut index = range.start >> BLOCK_SHIFT;
        let last = (range.end - 1) >> BLOCK_SHIFT;

        loop {
            let guard = rcu::read_lock();
            let Some((found, block)) = self.blocks.find_marked_rcu(index, &guard) else {
                break;
            };
            if found > last {
                break;
            }

            taken += block.take(range) as u64;
            // The end of the gap is zero when nothing is mapped above.
            if gap.start <= block.start() && block.last() <= gap.end.wrapping_sub(1) {
                self.remove(found);
            }
            index = found + 1;
        }
        taken
    }

    /// Takes over all that `other` has counted, and its blocks with it.
    ///
    /// No fault may count in `other` any more. Without memory a part may stay there.
    pub(crate) fn absorb(&self, other: &Self) -> Result {
        loop {
            let guard = rcu::read_lock();
            let Some((index, block)) = other.blocks.find_marked_rcu(0, &guard) else {
                return Ok(());
            };

            match self.blocks.load_rcu(index, &guard) {
                Some(own) if own.add(block) => other.remove(index),
                Some(_) => {
                    drop(guard);
                    self.add_room(index << BLOCK_SHIFT, gfp_track())?;
                }
                None => {
                    drop(guard);
                    self.add_block(index << BLOCK_SHIFT, gfp_track())?;
                }
            }
        }
    }

    /// Adds what was counted in each of `ranges`, which are in order, to its faults.
    ///
    /// Returns all that was counted, wherever that was. Faults may count meanwhile; the result
    /// and the ranges agree about whether one of these is in.
    pub(crate) fn add_to(&self, ranges: &mut [Counted]) -> u64 {
        let mut total = 0;
        let mut index = 0;
        let mut first = 0;

        // A block can have counts before it has its mark: see all that have some now.
        drop(self.blocks.lock());
        loop {
            let guard = rcu::read_lock();
            let mut seen = 0;

            for (found, block) in self.blocks.marked_rcu(index, &guard).take(AT_ONCE) {
                // A fault counts in its page first, and is looked for there last: more than the
                // sum is only one that is counting right now, and less what is in no range.
                let sum = block.sum.load(Relaxed) as u64;
                let mut in_ranges = 0;
                first += ranges[first..].partition_point(|row| row.range.end <= block.start());
                for Counted { range, faults } in &mut ranges[first..] {
                    if block.last() < range.start {
                        break;
                    }
                    let part = block.count_in(*range);
                    *faults += part;
                    in_ranges += part;
                }
                total += sum.max(in_ranges);
                index = found + 1;
                seen += 1;
            }
            if seen < AT_ONCE {
                return total;
            }
        }
    }
}

#[kunit_tests(rust_cow_track_counters)]
mod tests {
    use super::*;
    use kernel::page::PAGE_SIZE;

    /// An address at which a block begins.
    const BASE: usize = 16 * BLOCK_SIZE;
    const EVERYTHING: Range = Range {
        start: 0,
        end: usize::MAX,
    };
    const NOWHERE: Range = Range { start: 1, end: 1 };

    fn counters() -> Result<Pin<KBox<Counters>>> {
        KBox::pin_init(Counters::new(), GFP_KERNEL)
    }

    /// Counts `times` faults.
    fn count(counters: &Counters, address: usize, times: usize) -> Result {
        counters.add_block(address, gfp_track())?;
        for _ in 0..times {
            let result = counters.count(address, &rcu::read_lock());
            if result == Err(Lacking::Room) {
                counters.add_room(address, gfp_track())?;
                assert!(has_counted(counters, address));
            } else {
                assert_eq!(result, Ok(()));
            }
        }
        Ok(())
    }

    fn has_counted(counters: &Counters, address: usize) -> bool {
        counters.count(address, &rcu::read_lock()).is_ok()
    }

    fn total(counters: &Counters) -> u64 {
        counters.add_to(&mut [])
    }

    fn in_range(counters: &Counters, start: usize, end: usize) -> u64 {
        let mut ranges = [Range { start, end }.into()];
        counters.add_to(&mut ranges);
        ranges[0].faults
    }

    #[test]
    fn counts_nothing_without_a_block() -> Result {
        let counters = counters()?;
        assert!(!has_counted(&counters, BASE));
        assert_eq!(total(&counters), 0);

        count(&counters, BASE, 1)?;
        assert!(!has_counted(&counters, BASE + BLOCK_SIZE));
        assert!(!has_counted(&counters, BASE + CACHED * BLOCK_SIZE));
        assert_eq!(total(&counters), 1);
        Ok(())
    }

    #[test]
    fn adding_a_block_twice_keeps_its_counts() -> Result {
        let counters = counters()?;
        count(&counters, BASE, 3)?;
        count(&counters, BASE + 1, 2)?;
        assert_eq!(total(&counters), 5);
        Ok(())
    }

    #[test]
    fn reports_by_address() -> Result {
        let counters = counters()?;
        count(&counters, BASE - 1, 1)?;
        count(&counters, BASE, 2)?;
        count(&counters, BASE + PAGE_SIZE, 3)?;
        count(&counters, BASE + BLOCK_SIZE - 1, 4)?;
        count(&counters, BASE + BLOCK_SIZE, 5)?;

        // A block that lies in a range, one in which some begin and end, and one in none.
        let range = |start, end| Counted::from(Range { start, end });
        let mut ranges = [
            range(BASE - PAGE_SIZE, BASE + PAGE_SIZE),
            range(BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE),
            range(BASE + 3 * PAGE_SIZE, BASE + BLOCK_SIZE),
            range(BASE + 9 * BLOCK_SIZE, BASE + 10 * BLOCK_SIZE),
        ];
        assert_eq!(counters.add_to(&mut ranges), 15);
        assert_eq!(ranges.map(|range| range.faults), [3, 3, 4, 0]);
        assert_eq!(in_range(&counters, 0, usize::MAX), 15);
        assert_eq!(in_range(&counters, BASE, BASE + BLOCK_SIZE), 9);
        Ok(())
    }

    #[test]
    fn blocks_that_share_a_place_in_the_cache_do_not_mix() -> Result {
        let counters = counters()?;
        let other = BASE + CACHED * BLOCK_SIZE;
        for _ in 0..3 {
            count(&counters, BASE, 1)?;
            count(&counters, other, 2)?;
        }
        assert_eq!(in_range(&counters, BASE, BASE + 1), 3);
        assert_eq!(in_range(&counters, other, other + 1), 6);
        Ok(())
    }

    #[test]
    fn counts_beyond_small_counters() -> Result {
        const MANY: usize = 3 * FULL as usize + 5;
        let (counters, other) = (counters()?, counters()?);
        let next = BASE + PAGE_SIZE;
        count(&counters, BASE, FULL as usize)?;
        assert_eq!(counters.count(BASE, &rcu::read_lock()), Err(Lacking::Room));
        assert_eq!(total(&counters), FULL as u64);
        count(&counters, BASE, MANY - FULL as usize)?;
        count(&counters, next, 7)?;
        assert_eq!(total(&counters), MANY as u64 + 7);
        assert_eq!(in_range(&counters, BASE, next), MANY as u64);

        // Into a block without large counters, by what was too much only together.
        count(&other, next, FULL as usize - 6)?;
        other.absorb(&counters)?;
        assert_eq!(in_range(&other, BASE, next), MANY as u64);
        assert_eq!(in_range(&other, next, next + PAGE_SIZE), FULL as u64 + 1);

        let range = Range {
            start: BASE,
            end: next,
        };
        assert_eq!(other.take(range, NOWHERE), MANY as u64);
        assert_eq!(total(&other), FULL as u64 + 1);
        Ok(())
    }

    #[test]
    fn takes_what_is_unmapped() -> Result {
        let counters = counters()?;
        for page in 0..4 {
            count(&counters, BASE + page * PAGE_SIZE, page)?;
        }
        let range = Range {
            start: BASE + PAGE_SIZE,
            end: BASE + 3 * PAGE_SIZE,
        };

        assert_eq!(counters.take(range, NOWHERE), 3);
        assert_eq!(total(&counters), 3);
        assert_eq!(counters.take(range, NOWHERE), 0);
        // The block is still there.
        assert!(has_counted(&counters, BASE));
        Ok(())
    }

    #[test]
    fn frees_blocks_where_nothing_is_mapped() -> Result {
        let counters = counters()?;
        count(&counters, BASE, 1)?;
        count(&counters, BASE + BLOCK_SIZE, 1)?;
        let range = Range {
            start: BASE,
            end: BASE + BLOCK_SIZE + PAGE_SIZE,
        };

        // Something is mapped behind the range in the second block.
        assert_eq!(counters.take(range, range), 2);
        assert!(!has_counted(&counters, BASE));
        assert!(has_counted(&counters, BASE + BLOCK_SIZE));

        // Nothing is mapped above.
        let gap = Range {
            start: BASE,
            end: 0,
        };
        assert_eq!(counters.take(range, gap), 1);
        assert!(!has_counted(&counters, BASE + BLOCK_SIZE));
        assert_eq!(total(&counters), 0);
        Ok(())
    }

    #[test]
    fn absorbs_all() -> Result {
        let (counters, other) = (counters()?, counters()?);
        count(&counters, BASE, 1)?;
        count(&other, BASE, 2)?;
        count(&other, BASE + PAGE_SIZE, 3)?;
        count(&other, BASE + 7 * BLOCK_SIZE, 4)?;

        counters.absorb(&other)?;
        assert_eq!(total(&counters), 10);
        assert_eq!(total(&other), 0);
        assert_eq!(in_range(&counters, BASE, BASE + PAGE_SIZE), 3);
        assert_eq!(in_range(&counters, BASE, BASE + BLOCK_SIZE), 6);
        assert_eq!(counters.take(EVERYTHING, EVERYTHING), 10);
        Ok(())
    }
}
