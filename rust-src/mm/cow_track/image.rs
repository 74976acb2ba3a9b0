// SPDX-License-Identifier: GPL-2.0

//! Images and their members.
//!
//! An [`Image`] is a program that one exec started, together with all processes forked from it that
//! have the same name. Each member is an address space and has a [`Space`], with which its mm is
//! tagged.
//!
//! A space is live from when its mm is tagged until the tag is removed, by exit, a rename or
//! `pf_cleanup()`. A fault that found the tag before that may still be counting. So whoever removes
//! a tag keeps the tag's reference for a grace period, unless the mm has no users and hence no
//! faults: a kernel thread that uses the mm becomes a user while it counts one.
//!
//! An image ends with its last live member. The VMAs of that member and their counts are kept, and
//! the blocks are freed. If any member is still in a grace period, this waits for one, too.

use super::{
    bindings,
    counters::{
        Counted,
        Counters, //
    },
    gfp_track,
    new_count,
    Atomic,
    ProcessName,
    Relaxed,
    Release,
    Tracker, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::{
    alloc::Flags,
    mm::{
        Mm,
        MmWithUser,
        MmapReadGuard, //
    },
    percpu_count::PercpuCount,
    prelude::*,
    sync::{
        aref::ARef,
        rcu,
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    task::{
        Kuid,
        Pid,
        UserThreadGuard, //
    },
    types::Opaque, //
};

/// A program that one exec started, and all processes forked from it that have the same name.
#[pin_data]
pub(crate) struct Image {
    /// The number of the exec.
    pub(crate) exec: u64,
    /// The faults of all members, past and present.
    pub(crate) faults: PercpuCount,
    #[pin]
    pub(crate) counters: Counters,
    /// How many members have lost their tags but may still have faults. Incremented with the
    /// tracker locked.
    pub(crate) leaving: Atomic<usize>,
    /// The VMAs of the last member, once the image has ended.
    pub(crate) last: SetOnce<KVVec<Counted>>,
}

impl Image {
    pub(crate) fn new(exec: u64) -> Result<Arc<Self>> {
        let faults = new_count()?;
        let image = pin_init!(Self {
            exec,
            faults,
            counters <- Counters::new(),
            leaving: Atomic::new(0),
            last: SetOnce::new(),
        });
        Arc::pin_init(image, gfp_track())
    }

    /// Keeps the counts of the VMAs of the last member, and frees all others.
    ///
    /// # Safety
    ///
    /// The image must have no live members, and no members that may still have faults.
    pub(crate) unsafe fn end(&self, mut vmas: KVVec<Counted>) {
        self.counters.add_to(&mut vmas, &mut KVVec::new());
        // SAFETY: Only faults of members use blocks.
        unsafe { self.counters.close() };
        self.last.populate(vmas);
    }
}

/// Lists the first VMAs, at most `limit`.
pub(crate) fn list_vmas(
    guard: &MmapReadGuard<'_>,
    limit: usize,
    flags: Flags,
) -> Result<KVVec<Counted>> {
    let count = guard.mm().map_count().min(limit);
    let mut list = KVVec::with_capacity(count, flags)?;

    for vma in guard.vmas().take(count) {
        let counted = Counted {
            start: vma.start(),
            end: vma.end(),
            faults: 0,
        };
        // This cannot fail: there is room.
        let _ = list.push_within_capacity(counted);
    }
    Ok(list)
}

/// A process that owns its address space, see `include/linux/cow_track.h`.
pub(crate) struct Owner {
    pub(crate) name: Option<ProcessName>,
    pub(crate) exec: u64,
    pub(crate) start: u64,
    pid: Pid,
    uid: Kuid,
}

static_assert!(offset_of!(bindings::signal_struct, cow_owner) == bindings::SIGNAL_STRUCT_COW_OWNER);
static_assert!(
    offset_of!(bindings::mm_struct, __bindgen_anon_1.cow_exec) == bindings::MM_STRUCT_COW_EXEC
);

impl Owner {
    /// Returns the owner of `mm` if that is the process of `thread`. Does not sleep.
    pub(crate) fn of(thread: &UserThreadGuard, mm: &Mm) -> Option<Self> {
        // SAFETY: The mm is valid since this is a reference. All accesses to the number are atomic.
        let exec =
            unsafe { Atomic::from_ptr(&raw mut (*mm.as_raw()).__bindgen_anon_1.cow_exec.counter) };
        let exec = exec.load(Relaxed) as u64;
        // SAFETY: A thread that has an mm has a `signal`. This is `READ_ONCE()`.
        let owns = unsafe { (&raw const (*(*thread.as_ptr()).signal).cow_owner).read_volatile() };

        (ptr::eq(thread.mm(), mm) && exec != 0 && owns).then(|| {
            thread.with_group_leader(|leader| Self {
                name: ProcessName::of(leader),
                exec,
                start: leader.start_time(),
                pid: thread.tgid(),
                uid: thread.uid(),
            })
        })
    }
}

/// The parent of a process, if it was tracked at the fork.
pub(crate) struct Parent {
    pid: Pid,
    faults: Arc<PercpuCount>,
    /// The faults of the parent before the end of the fork.
    before: u64,
}

impl Parent {
    /// Returns the current process as a parent, if it is tracked.
    pub(crate) fn current() -> Option<Self> {
        let space = Space::get(current!().mm()?)?;

        Some(Self {
            pid: space.pid,
            before: space.faults.sum(),
            faults: space.faults.clone(),
        })
    }
}

/// Identifies a space among those of a name, and orders them.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The number of the exec, which is also that of the image.
    pub(crate) exec: u64,
    /// When the process started, in nanoseconds of the monotonic clock.
    pub(crate) start: u64,
    /// The number of the tag. It is needed because exec may leave the old mm of the process to
    /// others that share it, and tags a new one.
    pub(crate) tag: u64,
}

/// A tracked address space.
///
/// Starts with what C knows as `struct cow_track_space`.
#[repr(C)]
pub(crate) struct Space {
    head: Opaque<bindings::cow_track_space>,
    pub(crate) faults: Arc<PercpuCount>,
    pub(crate) image: Arc<Image>,
    /// The id of the tracked name.
    pub(crate) name: u64,
    pub(crate) key: Key,
    /// The address space while it is tagged, otherwise null. The tracker's lock protects it.
    mm: Atomic<*mut bindings::mm_struct>,
    pub(crate) pid: Pid,
    uid: Kuid,
    /// Set by the fork, which may not be the first to tag the mm.
    pub(crate) parent: SetOnce<Parent>,
}

// SAFETY: The pointers in `head` point to what `faults`, `image` and the counters of the image own,
// which may be used from any thread.
unsafe impl Send for Space {}
// SAFETY: As above. In `head`, C writes only the cache, with `rcu_assign_pointer()`.
unsafe impl Sync for Space {}

static_assert!(offset_of!(Space, head) == 0);
static_assert!(
    offset_of!(bindings::mm_struct, __bindgen_anon_1.cow_track) == bindings::MM_STRUCT_COW_TRACK
);

impl Space {
    pub(crate) fn new(
        owner: &Owner,
        mm: &Mm,
        faults: Arc<PercpuCount>,
        image: Arc<Image>,
        (name, tag): (u64, u64),
    ) -> Self {
        Self {
            head: Opaque::new(bindings::cow_track_space {
                faults: faults.as_ptr(),
                image_faults: image.faults.as_ptr(),
                image: owner.exec,
                cache: [ptr::null_mut(); _],
            }),
            faults,
            image,
            name,
            key: Key {
                exec: owner.exec,
                start: owner.start,
                tag,
            },
            mm: Atomic::new(mm.as_raw()),
            pid: owner.pid,
            uid: owner.uid,
            parent: SetOnce::new(),
        }
    }

    /// Returns the tag of `mm`.
    fn tag(mm: &Mm) -> &Atomic<*const Self> {
        // SAFETY: The mm is valid since this is a reference. All accesses to the tag are atomic,
        // except in fork, which copies the parent's tag with the rest of the mm and then clears the
        // copy, before anybody can find it.
        unsafe { Atomic::from_ptr((&raw mut (*mm.as_raw()).__bindgen_anon_1.cow_track).cast()) }
    }

    /// Returns the space that `mm` is tagged with.
    fn of<'a>(mm: &MmWithUser, _guard: &'a rcu::Guard) -> Option<ArcBorrow<'a, Self>> {
        // The address dependency orders this load before reads of the space, as in
        // `rcu_dereference()`.
        let tag = Self::tag(mm).load(Relaxed);
        // SAFETY: A tag comes from `Arc::into_raw()`. Since the mm has users, its reference is kept
        // for a grace period, and hence at least until the end of this critical section.
        (!tag.is_null()).then(|| unsafe { ArcBorrow::from_raw(tag) })
    }

    /// Takes a reference to the space that `mm` is tagged with.
    pub(crate) fn get(mm: &MmWithUser) -> Option<Arc<Self>> {
        Self::of(mm, &rcu::read_lock()).map(Into::into)
    }

    /// Returns the id of the name that `mm` is tagged for.
    pub(crate) fn name_of(mm: &MmWithUser) -> Option<u64> {
        Self::of(mm, &rcu::read_lock()).map(|space| space.name)
    }

    /// Replaces or removes the tag of `mm`. Returns the space that the old tag was a reference to.
    ///
    /// # Safety
    ///
    /// If `mm` has users, a reference to that space must be kept for a grace period from then on.
    pub(crate) unsafe fn replace(
        _locked: &Tracker,
        mm: &Mm,
        new: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        // Faults may find the new tag immediately. Like `rcu_assign_pointer()`, the release makes
        // them see the space initialised.
        let old = Self::tag(mm).xchg(new.map_or(ptr::null(), Arc::into_raw), Release);
        // SAFETY: The old tag came from `Arc::into_raw()`, and was the mm's reference.
        let old = (!old.is_null()).then(|| unsafe { Arc::from_raw(old) })?;

        old.mm.store(ptr::null_mut(), Relaxed);
        Some(old)
    }

    /// Returns the mm that is tagged with this space.
    pub(crate) fn mm<'a>(&'a self, _locked: &'a Tracker) -> Option<&'a Mm> {
        let mm = self.mm.load(Relaxed);
        // SAFETY: As long as an mm is tagged it is valid: `__mmput()` removes the tag, with the
        // tracker locked.
        (!mm.is_null()).then(|| unsafe { Mm::from_raw(mm) })
    }

    /// Takes a reference to the mm that is tagged with this space, if that has users.
    pub(crate) fn mmget(&self, locked: &Tracker) -> Option<ARef<MmWithUser>> {
        self.mm(locked)?.mmget_not_zero()
    }

    /// Returns what is known of the process now.
    pub(crate) fn process(&self) -> Process {
        // SAFETY: `ktime_get()` may be called in any context but NMI.
        let now = unsafe { bindings::ktime_get() } as u64;
        let parent = self.parent.as_ref();
        // On 32-bit, the sum may have wrapped.
        let since = |parent: &Parent| parent.faults.sum().saturating_sub(parent.before);

        Process {
            pid: self.pid,
            uid: self.uid,
            image: self.key.exec,
            faults: self.faults.sum(),
            parent: parent.map_or(0, |parent| parent.pid),
            parent_faults: parent.map_or(0, since),
            age: now.saturating_sub(self.key.start),
        }
    }
}

/// What is known of a process.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) uid: Kuid,
    pub(crate) image: u64,
    pub(crate) faults: u64,
    /// The process it was forked from, or 0.
    pub(crate) parent: Pid,
    /// The faults of the parent since the fork.
    pub(crate) parent_faults: u64,
    /// In nanoseconds.
    pub(crate) age: u64,
}

/// Finds a block. If there is none, takes a reference to the space and returns null.
///
/// # Safety
///
/// `space` must be a tag that the caller read in the current RCU critical section.
#[export]
unsafe extern "C" fn cow_track_find(
    space: *mut bindings::cow_track_space,
    index: c_ulong,
) -> *mut bindings::cow_track_block {
    let space = space.cast_const().cast::<Space>();
    // SAFETY: By the safety requirements, this is a `Space` that stays valid.
    let block = unsafe { &(*space).image }.counters.find(index);

    if block.is_null() {
        // SAFETY: A tag comes from `Arc::into_raw()`, and there is at least one reference until the
        // end of the critical section.
        let _ = Arc::into_raw(unsafe { ArcBorrow::from_raw(space) }.into());
    }
    block.cast_mut().cast()
}

/// Counts a fault in a page that has no block yet. May sleep.
///
/// # Safety
///
/// The caller must pass on the reference to `space` that [`cow_track_find`] took.
#[export]
unsafe extern "C" fn cow_track_grow(space: *mut bindings::cow_track_space, address: c_ulong) {
    // SAFETY: By the safety requirements.
    let space = unsafe { Arc::from_raw(space.cast_const().cast::<Space>()) };
    space.image.counters.count(address);
}
