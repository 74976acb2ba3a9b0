// SPDX-License-Identifier: GPL-2.0

//! What is known of a name: its images, their VMAs, and the faults in each.

use super::{
    counters::Counted,
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
    mm::MmWithUser,
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

/// How many spaces are looked at with the tracker locked.
const AT_ONCE: usize = 64;

/// Lists the spaces of a name, in order.
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
            // There is room for it.
            let _ = keys.push_within_capacity(key);
        }
    }
}

/// Of these spaces of a name, finds the one whose process was started last.
///
/// Returns it with its mm. Those that have no users any more are passed over.
pub(crate) fn newest(id: u64, keys: &[Key]) -> Option<(Arc<Space>, ARef<MmWithUser>)> {
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
                return Some((space, mm));
            }
        }
        before = started(&key);
    }
    None
}

/// Returns the image of a name that ended last. Fails with [`EINVAL`] if the name is forgotten.
pub(crate) fn ended(id: u64) -> Result<Option<Arc<Image>>> {
    Ok(TRACKER.lock().by_id(id).ok_or(EINVAL)?.ended.clone())
}

/// An image, and what was counted in it.
pub(crate) struct Report {
    /// The VMAs of the member that was started last among those alive or, when all have ended, of
    /// the one that ended last; no more than were asked for. The faults are those of all members.
    pub(crate) vmas: KVVec<Counted>,
    /// How many faults there were.
    pub(crate) total: u64,
    /// How many of them have no counter.
    pub(crate) unplaced: usize,
}

impl Report {
    /// Reports on the image of a name whose live process was started last or, without any, that
    /// ended last. [`None`] if there has been none.
    ///
    /// Lists no more than `limit` VMAs. Fails with [`ENOMEM`], with [`EINVAL`] if the name has been
    /// forgotten, and with [`EINTR`] if the current task is being killed.
    pub(crate) fn of_name(id: u64, limit: usize) -> Result<Option<Self>> {
        loop {
            let keys = keys(id)?;
            let report = match newest(id, &keys) {
                Some((space, mm)) => Self::of_live(&space.image, &mm, limit)?,
                None if !keys.is_empty() => None,
                None => match ended(id)? {
                    Some(image) => Self::of_ended(&image, limit)?,
                    None => return Ok(None),
                },
            };
            if report.is_some() {
                return Ok(report);
            }

            // The last process is on its way out, and has yet to sum up.
            if current!().fatal_signal_pending() {
                return Err(EINTR);
            }
            fsleep(Delta::from_millis(1));
        }
    }

    /// Reports on an image that has a live member with this mm. [`None`] if it has ended meanwhile.
    pub(crate) fn of_live(image: &Image, mm: &MmWithUser, limit: usize) -> Result<Option<Self>> {
        let mut vmas = list_vmas(&mm.mmap_read_lock_killable()?, limit, gfp_track())?;
        let has_ended = image.counters.add_to(&mut vmas);

        Ok((!has_ended).then(|| Self::sum(image, vmas)))
    }

    /// Reports on an image that has no live members. [`None`] if it is not known yet what its last
    /// one had.
    pub(crate) fn of_ended(image: &Image, limit: usize) -> Result<Option<Self>> {
        let Some(last) = image.last.as_ref() else {
            return Ok(None);
        };
        let mut vmas = KVVec::new();
        vmas.extend_from_slice(&last[..last.len().min(limit)], gfp_track())?;
        Ok(Some(Self::sum(image, vmas)))
    }

    fn sum(image: &Image, vmas: KVVec<Counted>) -> Self {
        let unplaced = image.counters.unplaced();
        // The pages before the total, to which a fault is added first. Pairs with the barrier in
        // `__cow_track_fault()`.
        smp_mb(Read);
        Self {
            vmas,
            total: image.faults.sum(),
            unplaced,
        }
    }
}
