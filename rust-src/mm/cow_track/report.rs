// SPDX-License-Identifier: GPL-2.0

//! What is known of an image: its VMAs, and the faults in each.

use super::{
    gfp_track,
    list_vmas,
    Counted,
    Image,
    Name,
    ProcessName,
    Space,
    State,
    TRACKER, //
};
use kernel::{
    cred::perfmon_capable,
    mm::MmWithUser,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::Relaxed,
        Arc, //
    },
    task::Pid,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// A tracked name with its images.
pub(crate) struct Listing {
    pub(crate) name: ProcessName,
    pub(crate) missed: usize,
    /// The oldest first.
    pub(crate) images: KVec<Arc<Image>>,
}

impl Listing {
    fn of(name: &Name) -> Result<Self> {
        let mut images = KVec::with_capacity(name.images.len(), gfp_track())?;
        for image in &name.images {
            images.push(Arc::clone(image), gfp_track())?;
        }
        Ok(Self {
            name: name.name,
            missed: name.missed,
            images,
        })
    }

    /// Lists all names.
    pub(crate) fn all() -> Result<KVec<Self>> {
        let tracker = TRACKER.lock();
        let mut all = KVec::with_capacity(tracker.names.len(), gfp_track())?;
        for name in &tracker.names {
            all.push(Self::of(name)?, gfp_track())?;
        }
        Ok(all)
    }
}

/// Returns the newest image of `name`, if there has been one.
///
/// Fails with [`EINVAL`] if the name is not tracked.
pub(crate) fn newest_image(name: &ProcessName) -> Result<Option<Arc<Image>>> {
    let mut tracker = TRACKER.lock();
    let name = tracker.find(name).ok_or(EINVAL)?;
    Ok(name.images.last().map(|image| Arc::clone(image)))
}

/// The VMAs of an image and what was counted.
pub(crate) struct Report {
    /// The VMAs of the member that was started last among those alive or, when all have ended, of
    /// the one that ended last; no more than were asked for. The faults are those of all members.
    pub(crate) vmas: KVVec<Counted>,
    /// How many faults there were.
    pub(crate) total: u64,
    /// How many could not be counted because there was no memory.
    pub(crate) lost: u64,
    /// How many members are alive.
    pub(crate) live: usize,
    /// The id of the process whose VMAs these are in the init pid namespace, or 0 if it has ended.
    pub(crate) pid: Pid,
}

/// Who may have a report.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Access {
    /// It has been checked.
    Granted,
    /// Who could trace the process for reading, or is `perfmon_capable()`.
    Ask,
}

impl Report {
    /// Reports what is known of `image`, with no more than `limit` VMAs.
    ///
    /// Fails with [`EPERM`] if the current task may not have it, with [`ENOMEM`], and with
    /// [`EINTR`] if the current task is being killed.
    pub(crate) fn of(image: &Image, limit: usize, access: Access) -> Result<Self> {
        loop {
            let report = match image.subject() {
                Subject::Live(space) => match space.mm_for(access)? {
                    Some(mm) => Some(Self::of_live(image, &space, &mm, limit)?),
                    None => None,
                },
                Subject::Dead(_) if access == Access::Ask && !perfmon_capable() => {
                    return Err(EPERM);
                }
                Subject::Dead(count) => Self::of_dead(image, count.min(limit))?,
                Subject::Dying => {
                    // It has no users and has yet to come to the hook in `__mmput()`.
                    fsleep(Delta::from_millis(1));
                    None
                }
            };
            if let Some(report) = report {
                return Ok(report);
            }
        }
    }

    fn of_live(image: &Image, space: &Space, mm: &MmWithUser, limit: usize) -> Result<Self> {
        let mut capacity = limit.min(mm.map_count());

        loop {
            let mut vmas = KVVec::with_capacity(capacity, gfp_track())?;

            // With the mmap lock held, the list stays as it is and nothing is unmapped there.
            let guard = mm.mmap_read_lock_killable()?;
            if list_vmas(&mut vmas, &guard) || vmas.len() >= limit {
                return Ok(Self::sum(&image.state.lock(), image, vmas, space));
            }
            drop(guard);
            capacity = limit.min(mm.map_count().max(capacity + 16));
        }
    }

    /// Returns [`None`] if that has become wrong.
    fn of_dead(image: &Image, count: usize) -> Result<Option<Self>> {
        let mut vmas = KVVec::with_capacity(count, gfp_track())?;

        let state = image.state.lock();
        if state.live().next().is_some() || state.last.len() < count {
            return Ok(None);
        }
        for range in &state.last[..count] {
            vmas.push((*range).into(), gfp_track())?;
        }
        Ok(Some(Self::sum(&state, image, vmas, None)))
    }

    fn sum<'a>(
        state: &State,
        image: &Image,
        mut vmas: KVVec<Counted>,
        subject: impl Into<Option<&'a Space>>,
    ) -> Self {
        let mut total = state.unmapped + image.dead.add_to(&mut vmas);
        let mut lost = state.lost;
        for member in &state.members {
            total += member.space.counters.add_to(&mut vmas);
            lost += member.space.lost.load(Relaxed) as u64;
        }

        Self {
            vmas,
            total,
            lost,
            live: state.live().count(),
            pid: subject.into().map_or(0, |space| space.leader.tgid()),
        }
    }
}

/// Whose VMAs a report lists.
enum Subject {
    /// A live member's, whose mm had users a moment ago.
    Live(Arc<Space>),
    /// Those that the last member had, so many.
    Dead(usize),
    /// It is about to become clear: there are live members, but none has users.
    Dying,
}

impl Image {
    fn subject(&self) -> Subject {
        let state = self.state.lock();
        let newest = state
            .live()
            .filter(|space| space.mm.users() > 0)
            .max_by_key(|space| space.leader.start_time());

        match newest {
            Some(space) => Subject::Live(space.clone()),
            None if state.live().next().is_none() => Subject::Dead(state.last.len()),
            None => Subject::Dying,
        }
    }
}

impl Space {
    /// Returns the address space if the current task may read it, or [`None`] if it has lost its
    /// users or its process meanwhile.
    fn mm_for(&self, access: Access) -> Result<Option<ARef<MmWithUser>>> {
        if access == Access::Granted {
            return Ok(self.mm.mmget_not_zero());
        }

        match self.leader.find_user_thread() {
            Some((thread, mm)) if mm.as_raw() == self.mm.as_raw() => {
                match thread.read_access_mm() {
                    // It may have called exec just now.
                    Ok(mm) => Ok((mm.as_raw() == self.mm.as_raw()).then_some(mm)),
                    Err(ESRCH) => Ok(None),
                    Err(EINTR) => Err(EINTR),
                    // To the caller all reasons are one.
                    Err(_) => Err(EPERM),
                }
            }
            // The process has exited, but others that it shared its mm with have not.
            _ if perfmon_capable() => Ok(self.mm.mmget_not_zero()),
            _ => Err(EPERM),
        }
    }
}
