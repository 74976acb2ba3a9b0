// SPDX-License-Identifier: GPL-2.0

//! Reports on a name: its images, their VMAs, and the faults in each.

use super::{
    counters::{
        Counted,
        Part, //
    },
    gfp_track,
    image::{
        list_vmas,
        Image,
        Key,
        Space, //
    },
    Arc,
    TRACKER, //
};
use kernel::{
    mm::{
        MmWithUser,
        MmWithUserAsync, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        barrier::{
            smp_mb,
            Read, //
        }, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// How many spaces to look at before the tracker is unlocked.
const AT_ONCE: usize = 64;

/// Lists the spaces of a name, sorted.
pub(crate) fn keys(id: u64) -> Result<KVVec<Key>> {
    let mut keys = KVVec::new();
    let mut next = Key::default();

    loop {
        keys.reserve(AT_ONCE, gfp_track())?;
        let mut tracker = TRACKER.lock();
        let Some(name) = tracker.by_id(id) else {
            return Ok(keys);
        };
        for _ in 0..AT_ONCE {
            let Some(cursor) = name.spaces.cursor_lower_bound(&next) else {
                return Ok(keys);
            };
            let key = *cursor.current().0;
            next = Key {
                tag: key.tag + 1,
                ..key
            };
            // This cannot fail: there is room.
            let _ = keys.push_within_capacity(key);
        }
    }
}

/// Among these spaces of a name, finds the one whose process started last.
///
/// Returns the space and its mm. Spaces whose mm has no users any more are skipped. If the process
/// exits meanwhile, its mm is torn down elsewhere: whoever reads must not wait for that.
pub(crate) fn newest(id: u64, keys: &[Key]) -> Option<(Arc<Space>, ARef<MmWithUserAsync>)> {
    let started = |key: &&Key| (key.start, key.tag);
    let mut before = (u64::MAX, u64::MAX);

    while !current!().fatal_signal_pending() {
        let key = keys
            .iter()
            .filter(|key| started(key) < before)
            .max_by_key(started)?;
        let mut tracker = TRACKER.lock();
        if let Some(space) = tracker.by_id(id)?.spaces.get(key).cloned() {
            if let Some(mm) = space.mmget(&tracker) {
                return Some((space, MmWithUser::into_mmput_async(mm)));
            }
        }
        before = started(&key);
    }
    None
}

/// Returns the image of a name that ended last. Fails with [`EINVAL`] if the name was forgotten.
pub(crate) fn ended(id: u64) -> Result<Option<Arc<Image>>> {
    Ok(TRACKER.lock().by_id(id).ok_or(EINVAL)?.ended.clone())
}

/// What a report lists.
#[derive(Clone, Copy)]
pub(crate) enum Detail {
    /// The total, which needs no lock of the mm.
    Total,
    /// At most so many VMAs.
    Vmas(usize),
    /// All VMAs, and in which parts of them the faults were.
    Parts,
}

impl Detail {
    fn vmas(self) -> usize {
        match self {
            Self::Total => 0,
            Self::Vmas(limit) => limit,
            Self::Parts => usize::MAX,
        }
    }
}

/// An image and its counts.
pub(crate) struct Report {
    /// The VMAs of the live member that started last or, if there is none, of the member that ended
    /// last, up to the limit asked for. The faults are those of all members.
    pub(crate) vmas: KVVec<Counted>,
    /// In which parts of these VMAs the faults are, if all VMAs of a live member are listed.
    pub(crate) parts: KVVec<Part>,
    /// The number of faults.
    pub(crate) total: u64,
    /// How many of these have no counter.
    pub(crate) unplaced: usize,
}

impl Report {
    /// Reports on the image of a name whose live process started last or, if there is none, on the
    /// image that ended last. Returns [`None`] if there has been no image.
    ///
    /// Fails with [`ENOMEM`], with [`EINVAL`] if the name was forgotten, and with [`EINTR`] if the
    /// current task is being killed.
    pub(crate) fn of_name(id: u64, detail: Detail) -> Result<Option<Self>> {
        loop {
            let keys = keys(id)?;
            let report = match newest(id, &keys) {
                Some((space, mm)) => Self::of_live(&space.image, &mm, detail)?,
                None if !keys.is_empty() => None,
                None => match ended(id)? {
                    Some(image) => Self::of_ended(&image, detail)?,
                    None => return Ok(None),
                },
            };
            if report.is_some() {
                return Ok(report);
            }

            // The last process is ending and has not been recorded yet.
            if current!().fatal_signal_pending() {
                return Err(EINTR);
            }
            fsleep(Delta::from_millis(1));
        }
    }

    /// Reports on an image with a live member that has this mm. Returns [`None`] if the image has
    /// ended in the meantime.
    pub(crate) fn of_live(image: &Image, mm: &MmWithUser, detail: Detail) -> Result<Option<Self>> {
        if let Detail::Total = detail {
            return Ok(Some(Self::sum(image, KVVec::new(), KVVec::new())));
        }
        let mut vmas = list_vmas(&mm.mmap_read_lock_killable()?, detail.vmas(), gfp_track())?;
        let mut parts = KVVec::new();
        if let Detail::Parts = detail {
            // Where VMAs meet in a block, there are two parts. Blocks may be added meanwhile.
            let count = image.counters.blocks() + vmas.len() + AT_ONCE;
            parts.reserve(count, gfp_track())?;
        }
        let has_ended = image.counters.add_to(&mut vmas, &mut parts);

        Ok((!has_ended).then(|| Self::sum(image, vmas, parts)))
    }

    /// Reports on an image without live members. Returns [`None`] if its last member has not been
    /// recorded yet.
    pub(crate) fn of_ended(image: &Image, detail: Detail) -> Result<Option<Self>> {
        let Some(last) = image.last.as_ref() else {
            return Ok(None);
        };
        let mut vmas = KVVec::new();
        vmas.extend_from_slice(&last[..last.len().min(detail.vmas())], gfp_track())?;
        Ok(Some(Self::sum(image, vmas, KVVec::new())))
    }

    fn sum(image: &Image, vmas: KVVec<Counted>, parts: KVVec<Part>) -> Self {
        let unplaced = image.counters.unplaced();
        // Reads the pages before the total: a fault is added to the total first. Pairs with the
        // barrier in `__cow_track_fault()`.
        smp_mb(Read);
        Self {
            vmas,
            parts,
            total: image.faults.sum(),
            unplaced,
        }
    }
}
