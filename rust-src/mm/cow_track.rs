// SPDX-License-Identifier: GPL-2.0

//! The copy-on-write fault tracker.
//!
//! Counts write faults that copy a page, by address, in processes whose name is tracked. The data
//! structures:
//!
//! ```text
//!   TRACKER                            one, with a spinlock
//!      Name "redis-server"             at most 64
//!         spaces  ------------------>  Space  <-------- mm_struct::cow_track, the tag
//!         ended, past                    |  `-> PercpuCount   its faults
//!                                        v
//!                                      Image -> PercpuCount   the faults of all its members
//!                                           `-> Counters      blocks of counters, by address
//! ```
//!
//! - A *fault* finds the tag of its mm under RCU and adds to the two counts. It then looks for the
//!   block of its address, first in a small cache of the space and then in the array of the image,
//!   and increments the counter of the page. `__cow_track_fault()`, in C, does this.
//! - A *space* is created when a process has both a tracked name and its own mm, by whoever sees
//!   that first: fork, exec, a rename, or the system call that adds the name. It ends when the mm
//!   loses its last user, or when the process loses the name.
//! - An *image* holds all spaces of a name whose mms go back to one exec. It ends with the last of
//!   them. See [`image`].
//!
//! [`TRACKER`] protects the names, the lists of spaces and all writes of tags. How long it is held
//! does not depend on what processes have done, except for the depth of a tree. Nothing is
//! allocated, freed or waited for while it is held. It nests inside a task's `alloc_lock`.
//!
//! # Who is tracked
//!
//! In a quiet system, an mm is tagged if and only if its owner has a tracked name. There are two
//! exceptions: a process that was missed for lack of memory has no tag, and an mm that outlives its
//! owner keeps its tag. The name of a process can change at any time, and no lock prevents that. So
//! each of these writes first, executes a full barrier, and then reads what the others write:
//!
//! ```text
//!   settle()      writes the tag       then reads the name again
//!   a rename      writes the name      then reads the tag and FILTER
//!   fork, exec    write owner, name    then read FILTER
//!   track()       writes FILTER        then reads the names of all processes
//! ```
//!
//! When two of them race, at least one sees what the other wrote, and calls [`settle`].

use kernel::{
    alloc::{
        flags::{
            __GFP_NOMEMALLOC,
            __GFP_NORETRY,
            __GFP_NOWARN, //
        },
        Flags, //
    },
    bindings,
    mm::{
        Mm,
        MmWithUser,
        MmapReadGuard, //
    },
    percpu_count::PercpuCount,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        barrier::{
            smp_mb,
            Full, //
        },
        global_lock,
        rcu::synchronize_rcu,
        Arc,
        UniqueArc, //
    },
    task::Task, //
};

use core::{
    mem::MaybeUninit,
    ptr, //
};

#[path = "cow_track/counters.rs"]
mod counters;
#[path = "cow_track/image.rs"]
mod image;
#[path = "cow_track/proc.rs"]
mod proc;
#[path = "cow_track/report.rs"]
mod report;
#[path = "cow_track/syscalls.rs"]
mod syscalls;

use image::{
    list_vmas,
    Image,
    Key,
    Owner,
    Parent,
    Process,
    Space, //
};

global_lock! {
    // SAFETY: `cow_track_init()` initialises it before the first user process starts, and only what
    // user processes do locks it.
    unsafe(uninit) static TRACKER: SpinLock<Tracker> = Tracker::new();
}

/// A filter for tracked names: each sets one bit, which other names may share. Written with
/// [`TRACKER`] locked.
static FILTER: Atomic<usize> = Atomic::new(0);

/// The maximum number of blocks of counters.
static BLOCKS: Atomic<usize> = Atomic::new(0);

/// The maximum number of names.
const NAMES_MAX: usize = 64;
/// How many ended processes each name remembers.
const PAST: usize = 32;
/// How many VMAs of its last member an image keeps.
const KEPT: usize = bindings::MAX_SIZE as usize;

/// How the tracker allocates memory: without the OOM killer and the emergency reserves.
fn gfp_track() -> Flags {
    GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | __GFP_NOMEMALLOC
}

/// Creates a count of zero.
///
/// Tries without sleeping first. A per-CPU allocation that may sleep fails if the task is being
/// killed, but such a task can still be forking a process that is not.
fn new_count() -> Result<PercpuCount> {
    PercpuCount::new(GFP_NOWAIT | __GFP_NOWARN)
        .or_else(|_| PercpuCount::new(gfp_track()))
        .map_err(Into::into)
}

/// The name of a process, which is that of its thread group leader.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ProcessName {
    // Padded with zeros.
    bytes: [u8; Self::MAX],
}

impl ProcessName {
    /// The maximum length of a name.
    pub(crate) const MAX: usize = bindings::TASK_COMM_LEN as usize - 1;

    /// Creates a name of 1 to [`Self::MAX`] bytes, none of which is NUL.
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);

        (!name.is_empty() && !name.contains(&0)).then_some(Self { bytes })
    }

    /// Returns the current name of `leader`.
    pub(crate) fn of(leader: &Task) -> Option<Self> {
        Self::new(leader.comm().to_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|&byte| byte == 0);
        &self.bytes[..len.unwrap_or(Self::MAX)]
    }

    /// Returns the bit of this name in [`FILTER`].
    fn bit(&self) -> usize {
        let hash = self
            .bytes
            .iter()
            .fold(0u32, |hash, &byte| hash.wrapping_mul(31) ^ u32::from(byte));
        1 << (hash % usize::BITS)
    }

    /// Returns false only if the name of `leader` is not tracked.
    fn may_be_tracked(leader: &Task) -> bool {
        Self::of(leader).is_some_and(|name| FILTER.load(Relaxed) & name.bit() != 0)
    }
}

/// The state of the tracker.
struct Tracker {
    names: [Option<KBox<Name>>; NAMES_MAX],
    last_name: u64,
    last_tag: u64,
}

/// A tracked name.
struct Name {
    /// Never reused, not even for the same name after `pf_cleanup()`.
    id: u64,
    name: ProcessName,
    /// How many times a process could not be tracked for lack of memory.
    missed: u64,
    /// The tagged address spaces.
    spaces: RBTree<Key, Arc<Space>>,
    /// The image that ended last.
    ended: Option<Arc<Image>>,
    /// The processes that ended last, at most [`PAST`]. When full, `oldest` is replaced next.
    past: KVec<Process>,
    oldest: usize,
}

impl Name {
    fn new(name: ProcessName) -> Result<KBox<Self>> {
        let name = Self {
            id: 0,
            name,
            missed: 0,
            spaces: RBTree::new(),
            ended: None,
            past: KVec::with_capacity(PAST, gfp_track())?,
            oldest: 0,
        };
        Ok(KBox::new(name, gfp_track())?)
    }

    /// Returns the image of this exec, if it has live members.
    fn live_image(&self, exec: u64) -> Option<Arc<Image>> {
        let first = Key {
            exec,
            start: 0,
            tag: 0,
        };
        let cursor = self.spaces.cursor_lower_bound(&first)?;
        let (key, space) = cursor.current();
        (key.exec == exec).then(|| space.image.clone())
    }

    /// Creates a space from `memory`. Also returns the image that came with `memory`, which may be
    /// unused: the caller must drop it without holding the lock.
    fn add_space(
        &mut self,
        tag: u64,
        owner: &Owner,
        mm: &Mm,
        memory: Memory,
        parent: Option<Parent>,
    ) -> (Arc<Space>, Arc<Image>) {
        let spare = memory.image;
        let image = self.live_image(owner.exec).unwrap_or_else(|| spare.clone());
        let space = Space::new(owner, mm, memory.faults, image, (self.id, tag));
        if let Some(parent) = parent {
            space.parent.populate(parent);
        }
        let space: Arc<Space> = memory.space.write(space).into();

        self.spaces
            .insert(memory.node.into_node(space.key, space.clone()));
        (space, spare)
    }

    /// Records a process that has ended.
    fn note(&mut self, process: Process) {
        if self.past.len() < PAST {
            // This cannot fail: there is room.
            let _ = self.past.push_within_capacity(process);
        } else {
            self.past[self.oldest] = process;
            self.oldest = (self.oldest + 1) % PAST;
        }
    }

    /// Returns the processes that ended last, oldest first.
    fn past(&self) -> impl Iterator<Item = &Process> {
        let (newer, older) = self.past.split_at(self.oldest);
        [older, newer].into_iter().flatten()
    }
}

/// The memory needed to track a process.
struct Memory {
    space: UniqueArc<MaybeUninit<Space>>,
    node: RBTreeNodeReservation<Key, Arc<Space>>,
    faults: Arc<PercpuCount>,
    image: Arc<Image>,
}

impl Memory {
    fn new(exec: u64) -> Result<Self> {
        Ok(Self {
            space: UniqueArc::new_uninit(gfp_track())?,
            node: RBTreeNodeReservation::new(gfp_track())?,
            faults: Arc::new(new_count()?, gfp_track())?,
            image: Image::new(exec)?,
        })
    }
}

/// A space that has lost its tag. [`Left::finish`] does the rest, without the lock.
struct Left {
    space: Arc<Space>,
    /// Whether faults may still use the tag.
    has_faults: bool,
    /// Whether this was the last member of its image.
    is_last: bool,
    // To be dropped without holding the lock.
    _node: Option<RBTreeNode<Key, Arc<Space>>>,
    _ended: Option<Arc<Image>>,
}

impl Tracker {
    const fn new() -> Self {
        Self {
            names: [const { None }; NAMES_MAX],
            last_name: 0,
            last_tag: 0,
        }
    }

    fn names(&mut self) -> impl Iterator<Item = &mut Name> {
        self.names.iter_mut().flatten().map(|name| &mut **name)
    }

    fn by_name(&mut self, name: &ProcessName) -> Option<&mut Name> {
        self.names().find(|tracked| tracked.name == *name)
    }

    fn by_id(&mut self, id: u64) -> Option<&mut Name> {
        self.names().find(|tracked| tracked.id == id)
    }

    /// Adds `name`, if there is one and it is not tracked yet. Returns whether it was added.
    ///
    /// Fails with [`ENOMEM`] if there are too many names.
    fn add(&mut self, name: &mut Option<KBox<Name>>) -> Result<bool> {
        let Some(new) = name else { return Ok(false) };
        if self.by_name(&new.name).is_some() {
            return Ok(false);
        }
        let slot = self
            .names
            .iter_mut()
            .find(|slot| slot.is_none())
            .ok_or(ENOMEM)?;

        self.last_name += 1;
        new.id = self.last_name;
        FILTER.store(FILTER.load(Relaxed) | new.name.bit(), Relaxed);
        *slot = name.take();
        Ok(true)
    }

    /// Replaces or removes the tag of `mm`. An mm without users has no faults to wait for.
    ///
    /// # Safety
    ///
    /// `has_users` must be true if `mm` has users. [`Left::finish`] must be called on the result.
    unsafe fn replace_tag(
        &mut self,
        mm: &Mm,
        has_users: bool,
        new: Option<Arc<Space>>,
    ) -> Option<Left> {
        // SAFETY: If the mm has users, `Left::finish()` keeps a reference for a grace period.
        let space = unsafe { Space::replace(self, mm, new) }?;
        if has_users {
            space.image.leaving.add(1, Relaxed);
        }
        let mut left = Left {
            space,
            has_faults: has_users,
            is_last: false,
            _node: None,
            _ended: None,
        };

        // The name may have been forgotten in the meantime.
        if let Some(name) = self.by_id(left.space.name) {
            left._node = name.spaces.remove_node(&left.space.key);
            left.is_last = name.live_image(left.space.key.exec).is_none();
            if left.is_last {
                left._ended = name.ended.replace(left.space.image.clone());
            }
        }
        Some(left)
    }
}

impl Left {
    /// Records the process, and its image if that has ended.
    ///
    /// `guard` holds the mmap lock, to list the VMAs of the last member of an image. May sleep.
    /// Waits for a grace period if the mm has users, or if the image has ended while another member
    /// is waiting for one.
    fn finish(self, guard: Option<MmapReadGuard<'_>>) {
        let image = &self.space.image;
        // Not with the tracker locked: the sums read what all CPUs have counted.
        let mut process = self.space.process();
        // Do not wait for memory: the process may be exiting because there is none. If this fails,
        // only the total is recorded.
        let at_once = GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC;
        let vmas = guard.and_then(|guard| list_vmas(&guard, KEPT, at_once).ok());
        delay(bindings::COW_TRACK_LEAVE);

        // Pairs with the release below: at zero, all faults of members that have left are over.
        if self.has_faults || (self.is_last && image.leaving.load(Acquire) != 0) {
            synchronize_rcu();
        }
        if self.has_faults {
            image.leaving.fetch_sub(1, Release);
            process.faults = self.space.faults.sum();
        }
        if self.is_last {
            // SAFETY: There was no live member when this one lost its tag. Those that lost their
            // tags before have waited for a grace period, or this one has.
            unsafe { image.end(vmas.unwrap_or(KVVec::new())) };
        }
        if let Some(name) = TRACKER.lock().by_id(self.space.name) {
            name.note(process);
        }
    }
}

/// Makes the tag of `mm` match the name of `task`'s process, if that process owns `mm`.
///
/// `parent` is recorded for a new process, even if somebody else has already tagged it.
///
/// If there is no memory, `mm` gets no tag, and the process is counted as missed.
fn settle(task: &Task, mm: &MmWithUser, mut parent: Option<Parent>) {
    let mut memory = None;

    loop {
        // While a thread that uses the mm is locked, no exec can give the process another mm and
        // the name that goes with it.
        let Some(thread) = task.lock_user_thread() else {
            return;
        };
        let mut tracker = TRACKER.lock();
        let Some(owner) = Owner::of(&thread, mm) else {
            return;
        };
        tracker.last_tag += 1;
        let tag = tracker.last_tag;
        let name = owner.name.and_then(|name| tracker.by_name(&name));
        if Space::name_of(mm) == name.as_ref().map(|name| name.id) {
            drop(tracker);
            drop(thread);
            if let (Some(space), Some(parent)) = (Space::get(mm), parent) {
                space.parent.populate(parent);
            }
            return;
        }

        let mut is_missed = false;
        let (new, _spare) = match name.map(|name| (name, memory.take())) {
            None => (None, None),
            Some((_, None)) => {
                drop(tracker);
                drop(thread);
                memory = Some(Memory::new(owner.exec));
                continue;
            }
            Some((name, Some(Ok(memory)))) => {
                let (new, spare) = name.add_space(tag, &owner, mm, memory, parent.take());
                (Some(new), Some(spare))
            }
            Some((name, Some(Err(_)))) => {
                is_missed = true;
                name.missed += 1;
                (None, None)
            }
        };
        // SAFETY: `left` is finished below.
        let left = unsafe { tracker.replace_tag(mm, true, new) };
        drop(tracker);
        drop(thread);

        delay(bindings::COW_TRACK_TAG);
        // Orders the write of the tag before the next read of the name. Pairs with the barrier in
        // `__cow_track_named()`.
        smp_mb(Full);
        if let Some(left) = left {
            // Wait for our own mm even if we are being killed: our other threads will release the
            // lock.
            let guard = left.is_last.then(|| match current!().mm() {
                Some(own) if ptr::eq(own, mm) => Some(mm.mmap_read_lock()),
                _ => mm.mmap_read_lock_killable().ok(),
            });
            left.finish(guard.flatten());
        }
        if is_missed {
            return;
        }
    }
}

/// Starts tracking processes with this name.
///
/// Fails with [`ENOMEM`] if there is no memory for the name, or if there are too many names. Does
/// not fail if a process cannot be tracked.
pub(crate) fn track(name: ProcessName) -> Result {
    let is_tracked = TRACKER.lock().by_name(&name).is_some();
    let mut new = match is_tracked {
        true => None,
        false => Some(Name::new(name)?),
    };

    // SAFETY: This is process context. There is one such call for each name.
    unsafe { bindings::cow_track_enable() };
    let added = TRACKER.lock().add(&mut new);
    if added.is_ok() {
        // Orders the write of `FILTER` before the reads of names. Pairs with the barrier in
        // `__cow_track_named()`.
        smp_mb(Full);
        settle_all(&name);
    }
    if added != Ok(true) {
        // SAFETY: The call above is not needed for a name: none was added.
        unsafe { bindings::cow_track_disable() };
    }
    added.map(|_| ())
}

/// Settles all processes with this name.
fn settle_all(name: &ProcessName) {
    let mut next = Some(1);

    while let Some(leader) = next.and_then(Task::find_process_from) {
        next = leader.tgid().checked_add(1);
        if ProcessName::of(&leader) != Some(*name) {
            continue;
        }
        let mm: Option<ARef<Mm>> = leader.lock_user_thread().map(|thread| thread.mm().into());
        if let Some(mm) = mm.and_then(|mm| mm.mmget_not_zero()) {
            // If the process exits meanwhile, its mm is not torn down here.
            let mm = MmWithUser::into_mmput_async(mm);
            delay(bindings::COW_TRACK_SCAN);
            settle(&leader, &mm, None);
        }
    }
}

/// Forgets all names and all counts.
///
/// Fails with [`EACCES`] if there are no names.
pub(crate) fn cleanup() -> Result {
    let mut names = [const { None }; NAMES_MAX];
    let mut tracker = TRACKER.lock();
    core::mem::swap(&mut names, &mut tracker.names);
    FILTER.store(0, Relaxed);
    drop(tracker);

    let names = || names.iter().flatten();
    if names().next().is_none() {
        return Err(EACCES);
    }
    // Nobody else can reach these lists any more. They keep the spaces until all faults are over.
    for space in names().flat_map(|name| name.spaces.values()) {
        let tracker = TRACKER.lock();
        if let Some(mm) = space.mm(&tracker) {
            // SAFETY: The list holds another reference until after a grace period.
            drop(unsafe { Space::replace(&tracker, mm, None) });
        }
    }
    synchronize_rcu();
    for space in names().flat_map(|name| name.spaces.values()) {
        // SAFETY: All faults of members that have lost their tags are over, and new ones find no
        // tag.
        unsafe { space.image.counters.close() };
    }
    for _ in names() {
        // SAFETY: There was one call of `cow_track_enable()` for this name.
        unsafe { bindings::cow_track_disable() };
    }
    Ok(())
}

/// Returns whether any name is tracked.
pub(crate) fn is_active() -> bool {
    FILTER.load(Relaxed) != 0
}

/// Sleeps if a test has set a delay for this point. Must not be called in atomic context.
#[inline]
fn delay(_point: c_uint) {
    #[cfg(CONFIG_COW_TRACK_DELAYS)]
    // SAFETY: The callers may sleep.
    unsafe {
        bindings::cow_track_delay(_point)
    };
}

/// Clears the counts of a range in which the current process has created a mapping.
///
/// # Safety
///
/// `mm` must be valid and have users, and `start` must be less than `end`.
#[export]
unsafe extern "C" fn __cow_track_map(mm: *mut bindings::mm_struct, start: c_ulong, end: c_ulong) {
    // SAFETY: By the safety requirements, `mm` is valid and has users.
    let mm = unsafe { MmWithUser::from_raw(mm) };

    if let Some(space) = Space::get(mm) {
        space.image.counters.clear(start, end);
    }
}

/// Settles a process that has a new name or a new mm. `point` tells which hook calls.
///
/// # Safety
///
/// `leader` must be the leader of the current process or, after a fork, of a new process that can
/// be found but has not run yet. `mm` must be the mm of that process, or null for a kernel thread.
#[export]
unsafe extern "C" fn __cow_track_named(
    point: c_uint,
    leader: *mut bindings::task_struct,
    mm: *mut bindings::mm_struct,
) {
    if mm.is_null() {
        return;
    }
    // SAFETY: By the safety requirements, the leader is valid and its process is a user of the mm.
    // It stays one: it is the current process or has not run yet.
    let (leader, mm) = unsafe { (&*leader.cast::<Task>(), MmWithUser::from_raw(mm)) };

    delay(point);
    // Orders the writes of the name and the owner before the reads of the tag and `FILTER`. Pairs
    // with the barriers in `settle()` and `track()`.
    smp_mb(Full);
    if Space::name_of(mm).is_some() || ProcessName::may_be_tracked(leader) {
        let parent = (point == bindings::COW_TRACK_FORK).then(Parent::current);
        settle(leader, mm, parent.flatten());
    }
}

/// Records the counts of an address space that is about to be torn down.
///
/// # Safety
///
/// `mm` must be valid, have no users, and still have its VMAs.
#[export]
unsafe extern "C" fn __cow_track_exit(mm: *mut bindings::mm_struct) {
    // SAFETY: By the safety requirements, `mm` is valid.
    let mm = unsafe { Mm::from_raw(mm) };
    // SAFETY: By the safety requirements, `mm` has no users. `left` is finished below.
    let left = unsafe { TRACKER.lock().replace_tag(mm, false, None) };

    if let Some(left) = left {
        // SAFETY: By the safety requirements, `mm` has not been torn down. `Left::finish()` only
        // reads the VMAs' addresses.
        let guard = left.is_last.then(|| unsafe { mm.mmap_read_lock_dying() });
        left.finish(guard);
    }
}

/// Initialises the tracker. There may be at most `blocks` blocks of counters.
///
/// # Safety
///
/// Must be called once, before the first user process starts.
#[export]
unsafe extern "C" fn cow_track_init(blocks: c_ulong) {
    // SAFETY: This is called once, before anything else here.
    unsafe { TRACKER.init() };
    counters::FREE.store(blocks, Relaxed);
    BLOCKS.store(blocks, Relaxed);
}

#[kunit_tests(rust_cow_track)]
mod tests {
    use super::*;

    #[test]
    fn names_have_up_to_15_bytes_and_no_nul() {
        assert!(ProcessName::new(b"").is_none());
        assert!(ProcessName::new(b"a\0b").is_none());
        assert!(ProcessName::new(b"0123456789abcdef").is_none());
        for name in [&b"a"[..], b"0123456789abcde", b"\xff \n"] {
            assert_eq!(
                ProcessName::new(name).map(|new| new.as_bytes() == name),
                Some(true)
            );
        }
    }

    #[test]
    fn each_name_is_one_bit_of_the_filter() {
        for name in [&b"a"[..], b"b", b"0123456789abcde"] {
            let bit = ProcessName::new(name).map(|name| name.bit().count_ones());
            assert_eq!(bit, Some(1));
        }
    }

    #[test]
    fn the_last_processes_are_kept() -> Result {
        let mut name = Name::new(ProcessName::new(b"name").ok_or(EINVAL)?)?;
        let process = Process {
            pid: 0,
            uid: current!().uid(),
            image: 1,
            faults: 0,
            parent: 0,
            parent_faults: 0,
            age: 0,
        };
        for pid in 0..PAST as i32 + 3 {
            name.note(Process { pid, ..process });
        }
        let mut next = 3;
        for process in name.past() {
            assert_eq!(process.pid, next);
            next += 1;
        }
        assert_eq!(next, PAST as i32 + 3);
        Ok(())
    }
}
