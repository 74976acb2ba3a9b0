// SPDX-License-Identifier: GPL-2.0

//! Images and their members.
//!
//! An [`Image`] is a program that was started by one exec, and all that was forked from it and has
//! the same name. Each member, an address space, has a [`Space`], which its mm is tagged with.
//!
//! A space is live from when its mm is tagged until the tag is removed, by exit, a rename or
//! `pf_cleanup()`. A fault that has found the tag before that may still be counting. So whoever
//! removes a tag keeps the tag's reference for a grace period, unless the mm has no users and hence
//! no faults. With its last live member an image ends: the VMAs of that member and their counts are
//! kept, and the blocks are freed, also after a grace period if any member is still in one.

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

/// An exec'd program, and all that was forked from it, under one name.
#[pin_data]
pub(crate) struct Image {
    /// The number of the exec.
    pub(crate) exec: u64,
    /// The faults of all members that there ever were.
    pub(crate) faults: PercpuCount,
    #[pin]
    pub(crate) counters: Counters,
    /// How many members have left that may still be in a fault. Added to with the tracker locked.
    pub(crate) leaving: Atomic<usize>,
    /// When the image has ended, the VMAs of the last member.
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

    /// Keeps the counts of the last member's VMAs and frees all others.
    ///
    /// # Safety
    ///
    /// The image must have no live members, and none that may still be in a fault.
    pub(crate) unsafe fn end(&self, mut vmas: KVVec<Counted>) {
        self.counters.add_to(&mut vmas);
        // SAFETY: Blocks are used by faults of members.
        unsafe { self.counters.close() };
        self.last.populate(vmas);
    }
}

/// Lists the first VMAs, no more than `limit`.
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
        // There is room for it.
        let _ = list.push_within_capacity(counted);
    }
    Ok(list)
}

/// A process that has an address space of its own, see `include/linux/cow_track.h`.
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
        // SAFETY: The mm is valid since this is a reference; others use the number atomically.
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

/// The process that a process was forked from, when that was tracked.
pub(crate) struct Parent {
    pid: Pid,
    faults: Arc<PercpuCount>,
    /// Its faults until the end of the fork.
    before: u64,
}

impl Parent {
    /// The current process, if it is tracked.
    pub(crate) fn current() -> Option<Self> {
        let space = Space::get(current!().mm()?)?;

        Some(Self {
            pid: space.pid,
            before: space.faults.sum(),
            faults: space.faults.clone(),
        })
    }
}

/// What tells a space from others of its name, and their order.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The number of the exec, which is that of the image.
    pub(crate) exec: u64,
    /// When the process was started, in nanoseconds of the monotonic clock.
    pub(crate) start: u64,
    /// The number of the tag. An exec leaves its process's old mm to others that share it, and
    /// tags a new one.
    pub(crate) tag: u64,
}

/// A tracked address space.
///
/// C knows what it begins with as `struct cow_track_space`.
#[repr(C)]
pub(crate) struct Space {
    head: Opaque<bindings::cow_track_space>,
    pub(crate) faults: Arc<PercpuCount>,
    pub(crate) image: Arc<Image>,
    /// The number of the tracked name.
    pub(crate) name: u64,
    pub(crate) key: Key,
    /// The address space while it is tagged, then null. The tracker's lock protects it.
    mm: Atomic<*mut bindings::mm_struct>,
    pub(crate) pid: Pid,
    uid: Kuid,
    /// Written by the fork, which may not be the first to tag the mm.
    pub(crate) parent: SetOnce<Parent>,
}

// SAFETY: The pointers in `head` are to what `faults`, `image` and its counters own, which may be
// used from any thread.
unsafe impl Send for Space {}
// SAFETY: As above. Of `head`, C writes the cache alone, by `rcu_assign_pointer()`.
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

    /// The tag of `mm`.
    fn tag(mm: &Mm) -> &Atomic<*const Self> {
        // SAFETY: The mm is valid since this is a reference. Others use the tag atomically, but for
        // fork, which copies that of the parent with all else and then clears the copy, before
        // anybody can find it.
        unsafe { Atomic::from_ptr((&raw mut (*mm.as_raw()).__bindgen_anon_1.cow_track).cast()) }
    }

    /// Returns the space that `mm` is tagged with.
    fn of<'a>(mm: &MmWithUser, _guard: &'a rcu::Guard) -> Option<ArcBorrow<'a, Self>> {
        // What it points to is seen initialised, as with `rcu_dereference()`: by the dependency.
        let tag = Self::tag(mm).load(Relaxed);
        // SAFETY: A tag came from `Arc::into_raw()`. Since the mm has users, its reference is kept
        // for a grace period, and hence for as long as this critical section lasts.
        (!tag.is_null()).then(|| unsafe { ArcBorrow::from_raw(tag) })
    }

    /// Takes a reference to the space that `mm` is tagged with.
    pub(crate) fn get(mm: &MmWithUser) -> Option<Arc<Self>> {
        Self::of(mm, &rcu::read_lock()).map(Into::into)
    }

    /// Returns the number of the name that `mm` is tagged for.
    pub(crate) fn name_of(mm: &MmWithUser) -> Option<u64> {
        Self::of(mm, &rcu::read_lock()).map(|space| space.name)
    }

    /// Gives `mm` another tag, or none, and returns the space that the old one was a reference to.
    ///
    /// # Safety
    ///
    /// If `mm` has users, a reference to that space must be kept for a grace period from now on.
    pub(crate) unsafe fn replace(
        _locked: &Tracker,
        mm: &Mm,
        new: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        // Faults may find it right now: as by `rcu_assign_pointer()`, they see what it points to
        // initialised.
        let old = Self::tag(mm).xchg(new.map_or(ptr::null(), Arc::into_raw), Release);
        // SAFETY: It came from `Arc::into_raw()`, and was the reference of the mm.
        let old = (!old.is_null()).then(|| unsafe { Arc::from_raw(old) })?;

        old.mm.store(ptr::null_mut(), Relaxed);
        Some(old)
    }

    /// Returns the mm that is tagged with this space.
    pub(crate) fn mm<'a>(&'a self, _locked: &'a Tracker) -> Option<&'a Mm> {
        let mm = self.mm.load(Relaxed);
        // SAFETY: As long as the mm is tagged it is valid: `__mmput()` removes the tag, with the
        // tracker locked.
        (!mm.is_null()).then(|| unsafe { Mm::from_raw(mm) })
    }

    /// Returns the mm, with users, if there are any.
    pub(crate) fn mmget(&self, locked: &Tracker) -> Option<ARef<MmWithUser>> {
        self.mm(locked)?.mmget_not_zero()
    }

    /// Returns what there is to say about the process now.
    pub(crate) fn process(&self) -> Process {
        // SAFETY: It may always be called outside of NMI context.
        let now = unsafe { bindings::ktime_get() } as u64;
        let parent = self.parent.as_ref();
        // On 32-bit, the sum can have become less.
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

/// What a process had to do with faults.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) uid: Kuid,
    pub(crate) image: u64,
    pub(crate) faults: u64,
    /// The process that it was forked from, or 0.
    pub(crate) parent: Pid,
    /// The faults of that one since then.
    pub(crate) parent_faults: u64,
    /// Nanoseconds.
    pub(crate) age: u64,
}

/// Finds a block. Without one, it returns null and has taken a reference to the space.
///
/// # Safety
///
/// `space` must be a tag that was read in the RCU critical section that this is called in.
#[export]
unsafe extern "C" fn cow_track_find(
    space: *mut bindings::cow_track_space,
    index: c_ulong,
) -> *mut bindings::cow_track_block {
    let space = space.cast_const().cast::<Space>();
    // SAFETY: By the safety requirements this is a `Space` that stays valid.
    let block = unsafe { &(*space).image }.counters.find(index);

    if block.is_null() {
        // SAFETY: A tag came from `Arc::into_raw()`, and there is at least one reference for as
        // long as the critical section lasts.
        let _ = Arc::into_raw(unsafe { ArcBorrow::from_raw(space) }.into());
    }
    block.cast_mut().cast()
}

/// Counts a fault for its page, for which there was no block. May sleep.
///
/// # Safety
///
/// `space` must come with the reference that [`cow_track_find`] has taken.
#[export]
unsafe extern "C" fn cow_track_grow(space: *mut bindings::cow_track_space, address: c_ulong) {
    // SAFETY: By the safety requirements.
    let space = unsafe { Arc::from_raw(space.cast_const().cast::<Space>()) };
    space.image.counters.count(address);
}
