// SPDX-License-Identifier: GPL-2.0

//! Making names tracked, for as long as this program wants to see them.

use crate::fail;
use crate::out::message;
use crate::out::Safe;
use crate::view::is_name;
use crate::view::open_lock;
use crate::view::Source;
use crate::view::NAMES_MAX;
use crate::Fail;
use rt::calls;
use rt::sys;
use rt::File;

/// The names that this program has made tracked. Forgotten when dropped.
pub struct Tracking {
    names: [&'static [u8]; NAMES_MAX + 1],
    count: usize,
    /// Each cowstat that counts shares this lock. One that forgets has it alone.
    lock: File,
}

impl Tracking {
    /// Makes these names tracked, until this is dropped.
    pub fn start(source: &mut Source, names: &[&'static [u8]]) -> Fail<Self> {
        let mut tracking = Tracking {
            names: [&[]; NAMES_MAX + 1],
            count: 0,
            lock: open_lock()?,
        };
        if let Err(err) = sys::flock(tracking.lock.fd, sys::LOCK_SH) {
            fail!("the names cannot be locked: {err:?}");
        }
        let snapshot = source.read_totals()?;
        let count = snapshot.names().count();
        for &name in names {
            let is_ours = tracking.names[..tracking.count].contains(&name);
            if is_ours || snapshot.find(name).is_some() {
                continue;
            }
            match calls::pf_set_param(name.as_ptr() as usize, name.len()) {
                Ok(_) => {
                    tracking.names[tracking.count] = name;
                    tracking.count += 1;
                }
                Err(sys::ENOMEM) if count + tracking.count >= NAMES_MAX => {
                    fail!("{NAMES_MAX} names are tracked, which is the limit: see 'cowstat stop'")
                }
                Err(err) => fail!("{} cannot be tracked: {err:?}", Safe(name)),
            }
        }
        Ok(tracking)
    }

    /// Leaves the names tracked.
    pub fn keep(mut self) -> Fail<()> {
        // Another cowstat that has made them all tracked forgets them, unless there is a new one.
        let is_new = self.count != 0;
        if !is_new && sys::flock(self.lock.fd, sys::LOCK_EX | sys::LOCK_NB).is_err() {
            fail!("another cowstat is running: the kernel may forget the names when it ends");
        }
        self.count = 0;
        Ok(())
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        let ours = &self.names[..self.count];
        if ours.is_empty() {
            return;
        }
        let is_alone = sys::flock(self.lock.fd, sys::LOCK_EX | sys::LOCK_NB).is_ok();
        let only_ours = Source::new(None).is_ok_and(|mut source| {
            source.read_totals().is_ok_and(|snapshot| {
                let is_ours = |name: &[u8]| ours.iter().any(|ours| is_name(name, ours));
                snapshot.names().all(|name| is_ours(name.name))
            })
        });
        let others = match (is_alone, only_ours) {
            (true, true) => {
                let _ = calls::pf_cleanup();
                return;
            }
            (false, _) => "another cowstat is running",
            (true, false) => "other names are tracked, too",
        };
        message(format_args!(
            "{others}, and the kernel can only forget all at once: \
             nothing is forgotten; see 'cowstat stop'"
        ));
    }
}
