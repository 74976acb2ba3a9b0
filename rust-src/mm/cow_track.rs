// SPDX-License-Identifier: GPL-2.0

//! The copy-on-write fault tracker.
//!
//! Counts, for processes of certain names, the write faults that copied a page, by the address of
//! the page. What refers to what:
//!
//! ```text
//!   TRACKER                              one, with a mutex
//!      Name "redis-server"               at most 64
//!         Image 1 ... Image 7            an exec'd program, and what it forked under its name
//!                        |
//!                        +-- dead        Counters of the members that have ended
//!                        +-- members     Space <------- mm_struct::cow_track, the tag
//!                                          Counters     blocks of 2 MiB by address, see there
//! ```
//!
//! A tracked address space (mm) has a [`Space`], for as long as it has users, runs the same program
//! and its process has the same name. The space belongs to an [`Image`]; layouts within an image
//! agree, so that counts of all its members can be summed by address. When a member ends, its
//! counts are merged into those of the dead. Of each name, the images with live members and the
//! newest of the others are kept.
//!
//! Locks, outermost first:
//!
//! - [`SWITCH`]: turns the static key on and off with the first and the last name.
//! - [`TRACKER`]: names, their lists of images, and all writes of tags. So whether an mm is tagged
//!   is decided in one place, with the process's name read after the lock was taken.
//! - the mmap lock, for who reads a list of VMAs or unmaps. Nobody waits for one with `TRACKER`.
//! - [`Image::state`]: its members and all counts, but for what faults do.
//!
//! A fault takes no lock. It finds its counter under RCU; see [`counters`]. A tag is cleared long
//! before its space is freed: the reference that the mm had is kept for a grace period, in [`Tag`].
//!
//! A process and the call that names it must not miss each other. Both write first, then have a
//! full barrier, then read: the call publishes the name in [`FILTER`] and looks for processes; a
//! process can be found (fork), or has its new name (exec, rename), and looks for its name. At
//! least one of them sees the other. If both do, the second finds the mm tagged.

use kernel::{
    bindings,
    mm::{
        Mm,
        MmWithUser,
        MmWithUserAsync,
        MmapReadGuard, //
    },
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        barrier::{
            smp_mb,
            Full, //
        },
        global_lock,
        rcu::{
            self,
            GracePeriod, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    task::Task, //
};

use core::{
    mem::offset_of,
    ops::Deref, //
};

#[path = "cow_track/counters.rs"]
mod counters;
#[path = "cow_track/proc.rs"]
mod proc;
#[path = "cow_track/report.rs"]
mod report;
#[path = "cow_track/syscalls.rs"]
mod syscalls;

use counters::{
    gfp_track,
    Counted,
    Counters,
    Lacking,
    Range, //
};

global_lock! {
    // SAFETY: `cow_track_init()` initialises it before there are any programs, and only what
    // programs do locks it.
    unsafe(uninit) static SWITCH: Mutex<()> = ();
}

global_lock! {
    // SAFETY: As above.
    unsafe(uninit) static TRACKER: Mutex<Tracker> = Tracker::new();
}

/// The tracked names, each as a bit that some other names share; zero if and only if there are no
/// names. Written with [`TRACKER`] locked.
static FILTER: Atomic<usize> = Atomic::new(0);

/// How many names there may be.
const NAMES_MAX: usize = 64;
/// How many VMAs the memory is for that each space has ready for when it ends.
const SPARE: usize = bindings::MAX_SIZE as usize;

/// The name of a process: that of its thread group leader.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ProcessName {
    // Zero behind the name.
    bytes: [u8; Self::MAX],
}

impl ProcessName {
    /// How long a name can be.
    pub(crate) const MAX: usize = bindings::TASK_COMM_LEN as usize - 1;

    /// Makes a name of up to [`Self::MAX`] bytes, none of which is NUL.
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);

        (!name.is_empty() && !name.contains(&0)).then_some(Self { bytes })
    }

    /// The name that `leader` has now.
    fn of(leader: &Task) -> Option<Self> {
        Self::new(leader.comm().to_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|&byte| byte == 0);
        &self.bytes[..len.unwrap_or(Self::MAX)]
    }

    /// The bit that stands for the name in [`FILTER`].
    fn bit(&self) -> usize {
        let hash = self
            .bytes
            .iter()
            .fold(0u32, |hash, &byte| hash.wrapping_mul(31) ^ u32::from(byte));
        1 << (hash % usize::BITS)
    }

    /// Whether this may be a tracked name. False only if it is not.
    ///
    /// The caller has written what the one who tracks a name reads.
    fn may_be_tracked(&self) -> bool {
        // Pairs with the one in `track()`.
        smp_mb(Full);
        FILTER.load(Relaxed) & self.bit() != 0
    }
}

/// What is tracked.
struct Tracker {
    names: KVec<Name>,
    last_image: u32,
}

/// A tracked name.
struct Name {
    name: ProcessName,
    /// The oldest first.
    images: KVec<ListedImage>,
    /// How many processes could not be tracked because there was no memory.
    missed: usize,
}

/// An exec'd program, or a process that took its name, and all that was forked from it under that
/// name.
#[pin_data]
pub(crate) struct Image {
    id: u32,
    name: ProcessName,
    /// The counts of members that have ended and are no longer in the list.
    #[pin]
    dead: Counters,
    #[pin]
    state: Mutex<State>,
}

/// An image that is in the list of its name, as each is that has members.
///
/// Its members refer to it. When it leaves the list it lets go of them, so that all can be freed.
struct ListedImage(Arc<Image>);

impl Deref for ListedImage {
    type Target = Arc<Image>;

    fn deref(&self) -> &Arc<Image> {
        &self.0
    }
}

impl Drop for ListedImage {
    /// Waits for the faults that may be counting in a member. Not to be called under a lock.
    fn drop(&mut self) {
        let members = core::mem::take(&mut self.state.lock().members);
        drop(members);
    }
}

/// What the lock of an [`Image`] protects.
struct State {
    members: KVec<Member>,
    /// How many faults were counted at addresses that have been unmapped since.
    unmapped: u64,
    /// How many faults were not counted because there was no memory, by members that have ended.
    lost: u64,
    /// The VMAs of the member that ended last.
    last: KVVec<Range>,
}

struct Member {
    space: Arc<Space>,
    /// Memory for the list of VMAs when the space ends.
    spare: KVVec<Range>,
    /// When the space has ended, what remains of its tag.
    ended: Option<Tag>,
}

/// A tracked address space.
///
/// It is live from when its mm is tagged until the tag is removed.
///
/// C knows what it begins with as `struct cow_track_space`.
#[pin_data]
#[repr(C)]
pub(crate) struct Space {
    image_id: u32,
    #[pin]
    counters: Counters,
    image: Arc<Image>,
    mm: ARef<Mm>,
    /// The process whose name was tracked. Others may share its mm.
    leader: ARef<Task>,
    layout: Layout,
    /// How many faults were not counted because there was no memory.
    lost: Atomic<usize>,
}

static_assert!(offset_of!(Space, image_id) == offset_of!(bindings::cow_track_space, image));
static_assert!(offset_of!(Space, counters) == offset_of!(bindings::cow_track_space, cache));

/// A reference to a space that its mm had as a tag. Faults that began when it had may still be
/// counting there: it is dropped only after a grace period, or when there can be no such faults.
struct Tag {
    // Nobody reads it; it is there to be dropped last.
    _space: Arc<Space>,
    period: Option<GracePeriod>,
}

impl Tag {
    /// Returns whether all faults that know the tag are over.
    fn is_quiet(&self) -> bool {
        self.period.is_none_or(GracePeriod::is_over)
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        if let Some(period) = self.period {
            period.wait();
        }
    }
}

/// What an address space has in common with one that was forked from it, but, address space
/// randomisation given, with no other.
#[derive(Clone, Copy, PartialEq)]
struct Layout {
    code: usize,
    brk: usize,
    stack: usize,
}

impl Layout {
    fn of(mm: &Mm) -> Self {
        // SAFETY: The mm is valid since this is a reference. Its owner may write these at any
        // time, by prctl(); the reads are volatile to correspond to `READ_ONCE()`.
        unsafe {
            let mm = &raw const (*mm.as_raw()).__bindgen_anon_1;
            Self {
                code: (&raw const (*mm).start_code).read_volatile(),
                brk: (&raw const (*mm).start_brk).read_volatile(),
                stack: (&raw const (*mm).start_stack).read_volatile(),
            }
        }
    }
}

static_assert!(
    offset_of!(bindings::mm_struct, __bindgen_anon_1.cow_track) == bindings::MM_STRUCT_COW_TRACK
);

/// Reads the tag of `mm`.
#[inline(always)]
fn tag_of(mm: &Mm) -> *const Space {
    // SAFETY: The mm is valid since this is a reference. The tag may be written at any time; the
    // read is volatile to correspond to `READ_ONCE()`.
    let tag = unsafe { (&raw const (*mm.as_raw()).__bindgen_anon_1.cow_track).read_volatile() };
    tag.cast()
}

impl Space {
    /// Returns the space that `mm` is tagged with.
    #[inline(always)]
    fn of<'a>(mm: &Mm, _guard: &'a rcu::Guard) -> Option<&'a Self> {
        // SAFETY: A tag is a reference to a `Space`, which is not given up before a grace period
        // is over that began after it could be read here.
        unsafe { tag_of(mm).as_ref() }
    }

    /// Takes a reference to the space that `mm` is tagged with.
    fn get(mm: &Mm) -> Option<Arc<Self>> {
        let guard = rcu::read_lock();
        let space = Self::of(mm, &guard)?;

        // SAFETY: This is what `Arc::into_raw()` returned in `Tracker::tag()`. As above, there is
        // at least one reference for as long as the critical section lasts.
        Some(unsafe { ArcBorrow::from_raw(space) }.into())
    }

    /// Counts a fault at `address`, for which memory is lacking. Returns false if there is none.
    fn count_with_memory(&self, address: usize) -> bool {
        use kernel::alloc::flags::__GFP_ACCOUNT;

        // The fault may be on behalf of another process.
        let _charge = self.mm.charge();
        loop {
            let guard = rcu::read_lock();
            // If the tag is gone meanwhile, this fault came too late.
            if Self::of(&self.mm, &guard).is_none_or(|space| !core::ptr::eq(space, self)) {
                return false;
            }
            let result = self.counters.count(address, &guard);
            drop(guard);

            let add = |flags| match &result {
                Ok(()) => Ok(()),
                Err(Lacking::Block) => self.counters.add_block(address, flags),
                Err(Lacking::Room) => {
                    let _state = self.image.state.lock();
                    self.counters.add_room(address, flags)
                }
            };

            if result.is_ok() {
                return true;
            }
            let added = add(GFP_NOWAIT | __GFP_ACCOUNT).or_else(|_| add(gfp_track()));
            if added.is_err() {
                self.lost.add(1, Relaxed);
                return false;
            }
        }
    }

    /// Moves what was counted in `range`, which has been unmapped, to where it belongs to no VMA.
    fn unmap(&self, range: Range, gap: Range) {
        let image = &self.image;
        let mut state = image.state.lock();

        let mut taken = self.counters.take(range, gap);
        // What members that are gone did there goes with the mapping of the last one that could
        // have had it in common with them. Other live members have theirs still.
        if state.live().count() <= 1 {
            taken += image.dead.take(range, gap);
            for member in state.members.iter().filter(|member| member.ended.is_some()) {
                taken += member.space.counters.take(range, gap);
            }
        }
        state.unmapped += taken;
    }
}

impl State {
    fn live(&self) -> impl Iterator<Item = &Arc<Space>> {
        self.members
            .iter()
            .filter(|member| member.ended.is_none())
            .map(|member| &member.space)
    }
}

impl Image {
    fn new(id: u32, name: ProcessName) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                id,
                name,
                dead <- Counters::new(),
                state <- new_mutex!(State {
                    members: KVec::new(),
                    unmapped: 0,
                    lost: 0,
                    last: KVVec::new(),
                }),
            }),
            gfp_track(),
        )
    }

    fn is_live(&self) -> bool {
        self.state.lock().live().next().is_some()
    }

    /// Notes that the space of `tag` has ended, when it had the VMAs `last`.
    fn end(&self, space: &Space, tag: Tag, last: KVVec<Range>) {
        let mut state = self.state.lock();

        for member in &mut state.members {
            if core::ptr::eq(&*member.space, space) {
                member.ended = Some(tag);
                break;
            }
        }
        if state.live().next().is_none() {
            state.last = last;
        }
        self.bury(&mut state);
    }

    /// Merges the members that have ended and in which no fault can be counting any more.
    fn bury(&self, state: &mut State) {
        let mut lost = 0;

        state.members.retain(|member| match &member.ended {
            Some(tag) if tag.is_quiet() => {
                // Where memory is lacking the member stays, with what is not merged yet.
                let buried = self.dead.absorb(&member.space.counters).is_ok();
                if buried {
                    lost += member.space.lost.load(Relaxed) as u64;
                }
                !buried
            }
            _ => true,
        });
        state.lost += lost;
    }
}

/// Returns memory for at least `capacity` VMAs.
fn ranges(capacity: usize) -> Result<KVVec<Range>> {
    Ok(KVVec::with_capacity(capacity, gfp_track())?)
}

/// Adds the VMAs to `list` until that has no more capacity. Returns whether all were added.
fn list_vmas<T: From<Range>>(list: &mut KVVec<T>, guard: &MmapReadGuard<'_>) -> bool {
    guard.vmas().all(|vma| {
        let range = Range {
            start: vma.start(),
            end: vma.end(),
        };
        list.push_within_capacity(range.into()).is_ok()
    })
}

/// Lists the VMAs of `space` when it is about to end. What does not fit is left out if there is no
/// memory but what was got beforehand.
///
/// `lock` takes the mmap lock.
fn last_vmas<'a>(space: &'a Space, lock: impl FnOnce(&'a Mm) -> MmapReadGuard<'a>) -> KVVec<Range> {
    let mut spare = KVVec::new();
    for member in &mut space.image.state.lock().members {
        if core::ptr::eq(&*member.space, space) {
            core::mem::swap(&mut spare, &mut member.spare);
        }
    }

    spare.clear();
    let count = space.mm.map_count();
    if count > spare.capacity() {
        spare = ranges(count).unwrap_or(spare);
    }
    list_vmas(&mut spare, &lock(&space.mm));
    spare
}

impl Tracker {
    const fn new() -> Self {
        Self {
            names: KVec::new(),
            last_image: 0,
        }
    }

    fn find(&mut self, name: &ProcessName) -> Option<&mut Name> {
        self.names.iter_mut().find(|tracked| tracked.name == *name)
    }

    fn update_filter(&self) {
        let bits = self.names.iter().map(|name| name.name.bit());
        FILTER.store(bits.fold(0, |filter, bit| filter | bit), Relaxed);
    }

    /// Tags `mm`, that of the process of `leader`, whose name is `name`: as a member of `image`, or
    /// of a new one.
    fn tag(
        &mut self,
        name: &ProcessName,
        leader: &Task,
        mm: &MmWithUser,
        image: Option<Arc<Image>>,
    ) -> Result {
        let Some(index) = self.names.iter().position(|tracked| tracked.name == *name) else {
            return Ok(());
        };
        let id = self.last_image + 1;

        let result = self.names[index].add(id, leader, mm, image);
        match result {
            Ok(is_new) => self.last_image += u32::from(is_new),
            Err(_) => self.names[index].missed += 1,
        }
        result.map(|_| ())
    }

    /// Removes the tag of `mm`, which had the VMAs `last`. `period` is over when no fault can know
    /// the tag any more.
    ///
    /// Returns what is to be dropped when the tracker is not locked.
    fn untag(
        &mut self,
        mm: &Mm,
        period: impl FnOnce() -> Option<GracePeriod>,
        last: KVVec<Range>,
    ) -> Option<ListedImage> {
        let space = Space::get(mm)?;

        space.image.end(&space, take_tag(mm, period)?, last);
        self.find(&space.image.name)?.prune()
    }
}

/// Removes the tag of `mm`, with [`TRACKER`] locked.
fn take_tag(mm: &Mm, period: impl FnOnce() -> Option<GracePeriod>) -> Option<Tag> {
    let tag = tag_of(mm);
    if tag.is_null() {
        return None;
    }

    // SAFETY: The mm is valid since this is a reference, and with the tracker locked nobody else
    // writes the tag. The write is volatile to correspond to `WRITE_ONCE()`.
    unsafe {
        (&raw mut (*mm.as_raw()).__bindgen_anon_1.cow_track).write_volatile(core::ptr::null_mut());
    }

    Some(Tag {
        // SAFETY: The tag came from `Arc::into_raw()` in `Name::add()`, and was the mm's reference.
        _space: unsafe { Arc::from_raw(tag) },
        period: period(),
    })
}

impl Name {
    /// Adds `mm` to `image` or to a new one of number `id`, and tags it. Returns whether the image
    /// is new.
    fn add(
        &mut self,
        id: u32,
        leader: &Task,
        mm: &MmWithUser,
        image: Option<Arc<Image>>,
    ) -> Result<bool> {
        let _charge = mm.charge();
        let is_new = image.is_none();
        let image = match image {
            Some(image) => image,
            None => {
                self.images.reserve(1, gfp_track())?;
                Image::new(id, self.name)?
            }
        };

        let member_of = image.clone();
        let space = Arc::pin_init(
            pin_init!(Space {
                image_id: member_of.id,
                counters <- Counters::new(),
                image: member_of,
                mm: ARef::from(&**mm),
                leader: ARef::from(leader),
                layout: Layout::of(mm),
                lost: Atomic::new(0),
            }),
            gfp_track(),
        )?;
        let spare = ranges(SPARE)?;

        image.state.lock().members.push(
            Member {
                space: space.clone(),
                spare,
                ended: None,
            },
            gfp_track(),
        )?;
        if is_new {
            // There is room for it.
            self.images.push(ListedImage(image), gfp_track())?;
        }

        let tag: *const Space = space.into_raw();
        // SAFETY: The mm is valid since this is a reference, and the caller, who has the tracker
        // locked, has seen that there is no tag. Faults may find it right now: as by
        // `rcu_assign_pointer()`, they see what it points to initialised.
        unsafe {
            let slot = (&raw mut (*mm.as_raw()).__bindgen_anon_1.cow_track).cast::<*const Space>();
            Atomic::from_ptr(slot).store(tag, kernel::sync::atomic::Release);
        }
        Ok(is_new)
    }

    /// Removes the images that have no live member, but for the newest of them.
    ///
    /// It is called for each that becomes so, hence there is one at most. It is returned, to be
    /// dropped without the tracker's lock.
    fn prune(&mut self) -> Option<ListedImage> {
        let oldest = {
            let mut dead = self.images.iter().enumerate();
            let mut next = || dead.find(|(_, image)| !image.is_live());

            let (oldest, _) = next()?;
            next()?;
            oldest
        };

        self.images.remove(oldest).ok()
    }

    /// Removes the tags of all live members.
    fn untag_all(&self) {
        for image in &self.images {
            for member in &mut image.state.lock().members {
                if member.ended.is_none() {
                    member.ended = take_tag(&member.space.mm, || Some(GracePeriod::start()));
                }
            }
        }
    }

    /// The image whose live member `leader` is, if it is.
    fn image_of(&self, leader: &Task, layout: Layout) -> Option<Arc<Image>> {
        let is_it = |space: &Arc<Space>| *space.leader == *leader && space.layout == layout;

        self.images
            .iter()
            .find(|image| image.state.lock().live().any(is_it))
            .map(|image| image.0.clone())
    }
}

/// Starts to track processes of the name `name`.
pub(crate) fn track(name: ProcessName) -> Result {
    let _switch = SWITCH.lock();
    // SAFETY: The switch is locked.
    unsafe { bindings::cow_track_switch(true) };

    let mut garbage = None;
    let mut tracker = TRACKER.lock();
    let result = tracker.track(name, &mut garbage);
    let is_idle = tracker.names.is_empty();
    drop(tracker);
    drop(garbage);

    if is_idle {
        // SAFETY: The switch is locked.
        unsafe { bindings::cow_track_switch(false) };
    }
    result
}

impl Tracker {
    fn track(&mut self, name: ProcessName, garbage: &mut Option<Name>) -> Result {
        if self.find(&name).is_some() {
            return Ok(());
        }
        if self.names.len() >= NAMES_MAX {
            return Err(ENOMEM);
        }
        self.names.push(
            Name {
                name,
                images: KVec::new(),
                missed: 0,
            },
            gfp_track(),
        )?;
        self.update_filter();

        // Pairs with the one in `may_be_tracked()`. A fork that took place before the static key
        // was on is in the list of processes: all CPUs have seen the key change since.
        smp_mb(Full);

        let mut next = 1;
        while let Some(leader) = Task::find_process_from(next) {
            if let Err(error) = self.track_process(&name, &leader) {
                // It was the last to be added.
                if let Some(name) = self.names.pop() {
                    name.untag_all();
                    *garbage = Some(name);
                }
                self.update_filter();
                return Err(error);
            }
            next = leader.tgid() + 1;
        }
        Ok(())
    }

    /// Tracks the process of `leader` if that is its name.
    ///
    /// A child that was forked under the name is in the image of its parent, which may come later
    /// in the list. So of its ancestors that are in question the oldest is tagged first.
    fn track_process(&mut self, name: &ProcessName, leader: &Task) -> Result {
        while self.wants(name, leader) {
            let mut oldest: ARef<Task> = leader.into();
            while oldest.is_fork_without_exec() {
                let parent = oldest.parent_process();
                if parent == oldest || !self.wants(name, &parent) {
                    break;
                }
                oldest = parent;
            }
            self.track_one(name, &oldest)?;
        }
        Ok(())
    }

    /// Whether `leader`'s process has the name and an mm of its own that is not tagged.
    ///
    /// One into which a program is being loaded, and where a stack can be at addresses that are
    /// not the program's, is left to the hook at the end of exec. That looks for the name after
    /// what is read here was written, so by the rule for names it is not missed.
    fn wants(&self, name: &ProcessName, leader: &Task) -> bool {
        let is_wanted = |mm: &Mm| {
            tag_of(mm).is_null() && mm.users() > 0 && Layout::of(mm).stack != 0 && owns(leader, mm)
        };

        ProcessName::of(leader) == Some(*name)
            && leader
                .find_user_thread()
                .is_some_and(|(_, mm)| is_wanted(&mm))
    }

    fn track_one(&mut self, name: &ProcessName, leader: &Task) -> Result {
        let Some((_, mm)) = leader.find_user_thread() else {
            return Ok(());
        };
        let Some(mm) = mm.mmget_not_zero() else {
            return Ok(());
        };
        // The last user's `mmput()` would lock the tracker.
        let mm: ARef<MmWithUserAsync> = MmWithUser::into_mmput_async(mm);

        let image = if leader.is_fork_without_exec() {
            let parent = leader.parent_process();
            self.find(name)
                .and_then(|name| name.image_of(&parent, Layout::of(&mm)))
        } else {
            None
        };
        self.tag(name, leader, &mm, image)
    }
}

/// Whether `mm` is that of the process of `leader`, and not one that it shares with a process which
/// was there before it, as a child of `vfork()` does.
fn owns(leader: &Task, mm: &Mm) -> bool {
    // A process with one thread, and nobody else.
    if mm.users() <= 1 {
        return true;
    }

    let mut next = 1;
    while let Some(other) = Task::find_process_from(next) {
        next = other.tgid() + 1;
        if *other != *leader
            && other.start_time() <= leader.start_time()
            && other
                .find_user_thread()
                .is_some_and(|(_, other)| other.as_raw() == mm.as_raw())
        {
            return false;
        }
    }
    true
}

/// Forgets all names and all that was counted.
pub(crate) fn cleanup() -> Result {
    let _switch = SWITCH.lock();

    let mut tracker = TRACKER.lock();
    if tracker.names.is_empty() {
        return Err(EACCES);
    }
    let names = core::mem::take(&mut tracker.names);
    tracker.update_filter();
    names.iter().for_each(Name::untag_all);
    drop(tracker);

    // Waits for the faults that are going on.
    drop(names);
    // SAFETY: The switch is locked.
    unsafe { bindings::cow_track_switch(false) };
    Ok(())
}

/// Whether any name is tracked.
pub(crate) fn is_active() -> bool {
    FILTER.load(Relaxed) != 0
}

/// Finds the block of `address`, which the cache of `space` does not have, and puts it there.
/// Returns null if there is none.
///
/// # Safety
///
/// `space` must be a tag that was read in the RCU critical section that this is called in, and
/// `address` be mapped in its mm, with the mmap or VMA lock held.
#[export]
unsafe extern "C" fn cow_track_find(
    space: *mut bindings::cow_track_space,
    address: c_ulong,
) -> *mut bindings::cow_track_block {
    // SAFETY: By the safety requirements this is a tag, which is a `Space` that stays valid.
    let space = unsafe { &*space.cast::<Space>() };

    let guard = rcu::read_lock();
    let block = space.counters.find(address, &guard);
    block
        .map_or(core::ptr::null(), core::ptr::from_ref)
        .cast_mut()
        .cast()
}

/// Counts a fault for which memory is lacking. Returns false if it is not counted.
///
/// # Safety
///
/// `mm` must be valid and `address` be mapped in it, with the mmap or VMA lock held.
#[export]
unsafe extern "C" fn cow_track_grow(mm: *mut bindings::mm_struct, address: c_ulong) -> bool {
    // SAFETY: By the safety requirements it is valid.
    let mm = unsafe { Mm::from_raw(mm) };

    Space::get(mm).is_some_and(|space| space.count_with_memory(address))
}

/// Forgets where the faults of a range were that has been unmapped.
///
/// # Safety
///
/// `mm` must be valid and its mmap lock held for writing; nothing is mapped from `floor` to
/// `ceiling`, where 0 is the end of all addresses, but what has been since the lock was taken.
#[export]
unsafe extern "C" fn __cow_track_unmap(
    mm: *mut bindings::mm_struct,
    start: c_ulong,
    end: c_ulong,
    floor: c_ulong,
    ceiling: c_ulong,
) {
    // SAFETY: By the safety requirements it is valid.
    let mm = unsafe { Mm::from_raw(mm) };

    if let Some(space) = Space::get(mm) {
        space.unmap(
            Range { start, end },
            Range {
                start: floor,
                end: ceiling,
            },
        );
    }
}

/// Tracks a new process if it has a tracked name.
///
/// # Safety
///
/// `child` must be a leader that can be found and has not run.
#[export]
unsafe extern "C" fn __cow_track_fork(child: *mut bindings::task_struct) {
    // SAFETY: By the safety requirements it is valid. It does not change its mm before it runs.
    let (child, mm) = unsafe { (&*child.cast::<Task>(), (*child).mm) };
    if mm.is_null() {
        return;
    }
    // SAFETY: The child is a user, and stays one until it runs.
    let mm = unsafe { MmWithUser::from_raw(mm) };

    let Some(name) = ProcessName::of(child).filter(ProcessName::may_be_tracked) else {
        return;
    };

    let mut tracker = TRACKER.lock();
    // The call that named it may have been first.
    if tag_of(mm).is_null() {
        let parent = current!().mm().and_then(|mm| Space::get(mm));
        let image = parent
            .filter(|space| space.image.name == name)
            .map(|space| space.image.clone());
        // Without memory it is not tracked, which is counted.
        let _ = tracker.tag(&name, child, mm, image);
    }
}

/// Tracks the current process under its new name, and no longer under its old one.
///
/// # Safety
///
/// `leader` must be the leader of the current process.
#[export]
unsafe extern "C" fn __cow_track_rename(leader: *mut bindings::task_struct) {
    // SAFETY: By the safety requirements it is valid.
    let leader = unsafe { &*leader.cast::<Task>() };
    let current = current!();
    let Some(mm) = current.mm() else {
        return;
    };

    loop {
        let space = Space::get(mm);
        let name = ProcessName::of(leader);
        let mut last = None;
        match &space {
            // The mm belongs to another process.
            Some(space) if *space.leader != *leader => return,
            Some(space) if Some(space.image.name) == name => return,
            Some(space) => last = Some(last_vmas(space, |_| mm.mmap_read_lock())),
            None if name.is_some_and(|name| name.may_be_tracked()) => {}
            None => return,
        }

        let mut tracker = TRACKER.lock();
        // Someone else may have tagged or renamed the process meanwhile.
        let name = ProcessName::of(leader);
        if tag_of(mm)
            != space
                .as_deref()
                .map_or(core::ptr::null(), core::ptr::from_ref)
            || space.as_ref().map(|space| space.image.name) == name
        {
            continue;
        }

        let mut garbage = None;
        if let Some(last) = last {
            garbage = tracker.untag(mm, || Some(GracePeriod::start()), last);
        }
        if let Some(name) = name.filter(|name| tracker.find(name).is_some()) {
            if owns(leader, mm) {
                // Without memory it is not tracked, which is counted.
                let _ = tracker.tag(&name, leader, mm, None);
            }
        }
        drop(tracker);
        drop(garbage);
        return;
    }
}

/// Keeps what was counted in an address space that is about to be torn down.
///
/// # Safety
///
/// `mm` must be valid, without users, and still have its VMAs.
#[export]
unsafe extern "C" fn __cow_track_exit(mm: *mut bindings::mm_struct) {
    // SAFETY: By the safety requirements it is valid.
    let mm = unsafe { Mm::from_raw(mm) };
    let Some(space) = Space::get(mm) else {
        return;
    };

    // SAFETY: By the safety requirements it has not been torn down.
    let last = last_vmas(&space, |mm| unsafe { mm.mmap_read_lock_dying() });
    // Nobody has faults without users.
    let garbage = TRACKER.lock().untag(mm, || None, last);
    drop(garbage);
}

/// Prepares all that must be there before the first program.
///
/// # Safety
///
/// Must be called once, before there are programs.
#[export]
unsafe extern "C" fn cow_track_init() {
    // SAFETY: This is called once, and before anything else here.
    unsafe {
        SWITCH.init();
        TRACKER.init();
    }
    proc::create();
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
    fn kernel_threads_are_not_tracked() -> Result {
        let mut tracker = Tracker::new();
        let name = ProcessName::of(current!()).ok_or(EINVAL)?;
        assert!(!tracker.wants(&name, current!()));
        tracker.track_process(&name, current!())
    }
}
