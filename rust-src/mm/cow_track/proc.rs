// SPDX-License-Identifier: GPL-2.0

//! `/proc/cow_track`: everything that is tracked, without the limits of `pf_get_info()`. And
//! `/proc/cow_track_totals`: the same without VMAs.
//!
//! The format is described in Documentation/ABI/testing/procfs-cow_track. The text is created when
//! the file is opened, so it does not change while it is read.

use super::{
    bindings,
    counters::{
        Counted,
        FREE, //
    },
    delay,
    gfp_track,
    image::{
        Key,
        Process, //
    },
    report::{
        ended,
        keys,
        newest,
        Detail,
        Report, //
    },
    ProcessName,
    Relaxed,
    BLOCKS,
    PAST,
    TRACKER, //
};
use kernel::{
    alloc::flags::__GFP_ACCOUNT,
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::Escaped, //
};

// The text can be long, so it is charged to the reader.
struct Text(KVVec<u8>);

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0
            .extend_from_slice(part.as_bytes(), gfp_track() | __GFP_ACCOUNT)
            .map_err(|_| fmt::Error)
    }
}

/// Appends a line. Fails only for lack of memory.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => {
        $text.write_fmt(fmt!("{}\n", fmt!($($arg)*))).map_err(|_| ENOMEM)
    };
}

impl Text {
    /// Lists all names, and each image with this detail.
    fn new(detail: Detail) -> Result<Self> {
        let mut text = Self(KVVec::new());
        line!(text, "version 1")?;
        line!(
            text,
            "blocks {} {}",
            FREE.load(Relaxed),
            BLOCKS.load(Relaxed)
        )?;

        // Names in the order in which they were added.
        let mut last = 0;
        loop {
            let mut next: Option<(u64, ProcessName, u64)> = None;
            for name in TRACKER.lock().names() {
                if name.id > last && next.is_none_or(|next| name.id < next.0) {
                    next = Some((name.id, name.name, name.missed));
                }
            }
            let Some((id, name, missed)) = next else {
                return Ok(text);
            };

            let name = Escaped::new(name.as_bytes());
            line!(text, "name {missed} {name}")?;
            let keys = keys(id)?;
            text.images(id, &keys, detail)?;
            text.processes(id, &keys)?;
            last = id;
        }
    }

    fn images(&mut self, id: u64, keys: &[Key], detail: Detail) -> Result {
        // First, so that an image that ends meanwhile is left out, and not listed twice.
        let last = ended(id);
        for members in keys.chunk_by(|a, b| a.exec == b.exec) {
            // Skip images whose members are all ending and have not been recorded yet.
            if let Some((space, mm)) = newest(id, members) {
                if let Some(report) = Report::of_live(&space.image, &mm, detail)? {
                    self.image(space.key.exec, space.pid, members.len(), &report)?;
                }
            }
        }
        delay(bindings::COW_TRACK_LIST);
        if let Ok(Some(image)) = last {
            if let Some(report) = Report::of_ended(&image, detail)? {
                self.image(image.exec, 0, 0, &report)?;
            }
        }
        Ok(())
    }

    fn image(&mut self, exec: u64, pid: i32, live: usize, report: &Report) -> Result {
        let mapped: u64 = report.vmas.iter().map(|vma| vma.faults).sum();

        line!(
            self,
            "image {exec} pid {pid} live {live} faults {} mapped {mapped} unplaced {}",
            report.total,
            report.unplaced
        )?;
        let mut parts = report.parts.iter().peekable();
        for &Counted { start, end, faults } in &report.vmas {
            line!(self, "{start:08x}-{end:08x} {faults}")?;
            while let Some(part) = parts.next_if(|part| part.start < end) {
                line!(self, "at {:08x} {}", part.start, part.faults)?;
            }
        }
        Ok(())
    }

    fn processes(&mut self, id: u64, keys: &[Key]) -> Result {
        // First, so that a process that ends meanwhile is left out, and not listed twice.
        let mut past = KVec::with_capacity(PAST, gfp_track())?;
        if let Some(name) = TRACKER.lock().by_id(id) {
            for process in name.past() {
                // This cannot fail: there is room.
                let _ = past.push_within_capacity(*process);
            }
        }

        for key in keys {
            let space = TRACKER
                .lock()
                .by_id(id)
                .and_then(|name| name.spaces.get(key).cloned());
            if let Some(space) = space {
                self.process(&space.process(), "live")?;
            }
        }
        delay(bindings::COW_TRACK_LIST);
        past.iter()
            .try_for_each(|process| self.process(process, "ended"))
    }

    fn process(&mut self, process: &Process, state: &str) -> Result {
        line!(
            self,
            "process {} uid {} image {} faults {} parent {} {} ns {} {state}",
            process.pid,
            // Only tasks in the init user namespace can open the file.
            process.uid.into_uid_in_current_ns(),
            process.image,
            process.faults,
            process.parent,
            process.parent_faults,
            process.age
        )
    }
}

/// Creates the text of the file, with or without VMAs. Returns 0, or `-ENOMEM`, or `-EINTR` if the
/// current task is being killed.
///
/// # Safety
///
/// `out` must be valid for writing. The caller must free the text in it with `kvfree()`.
#[export]
unsafe extern "C" fn cow_track_text(out: *mut bindings::cow_track_text, has_vmas: bool) -> c_int {
    let detail = if has_vmas {
        Detail::Parts
    } else {
        Detail::Total
    };
    match Text::new(detail) {
        Ok(Text(text)) => {
            let (text, len, _) = text.into_raw_parts();
            let text = text.cast();
            // SAFETY: By the safety requirements, `out` is valid for writing.
            unsafe { out.write(bindings::cow_track_text { text, len }) };
            0
        }
        Err(error) => error.to_errno(),
    }
}

#[kunit_tests(rust_cow_track_proc)]
mod tests {
    use super::*;

    #[test]
    fn prints_all_numbers() -> Result {
        let mut text = Text(KVVec::new());
        for number in [0, u32::MAX.into(), 5_000_000_007, u64::MAX] {
            line!(text, "{number}")?;
        }
        assert!(*text.0 == *b"0\n4294967295\n5000000007\n18446744073709551615\n");
        Ok(())
    }
}
