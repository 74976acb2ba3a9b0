// SPDX-License-Identifier: GPL-2.0

//! `/proc/cow_track`: all that is tracked, without the limits of `pf_get_info()`.
//!
//! Its format is in Documentation/ABI/testing/procfs-cow_track.

use super::{
    report::{
        Access,
        Listing,
        Report, //
    },
    Counted, //
};
use kernel::{
    bindings,
    cred::{
        CAP_PERFMON,
        CAP_SYS_ADMIN, //
    },
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::Escaped, //
};

/// Creates the file.
pub(crate) fn create() {
    // SAFETY: The name is a string that is copied, and `show` lives as long as the file.
    #[cfg(CONFIG_PROC_FS)]
    unsafe {
        bindings::proc_create_single_data(
            c"cow_track".as_char_ptr(),
            0o400,
            core::ptr::null_mut(),
            Some(show),
            core::ptr::null_mut(),
        );
    }
}

/// Fills the file for one who reads it.
///
/// # Safety
///
/// `m` must be valid, and not used by others meanwhile.
#[cfg_attr(not(CONFIG_PROC_FS), expect(dead_code))]
unsafe extern "C" fn show(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: By the safety requirements.
    let m = unsafe { SeqFile::from_raw(m) };

    // The mode alone would let in who is called root and may do nothing.
    if !m.opener_capable(CAP_PERFMON) && !m.opener_capable(CAP_SYS_ADMIN) {
        return EPERM.to_errno();
    }
    match show_all(m) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

fn show_all(m: &SeqFile) -> Result {
    for listing in Listing::all()? {
        seq_print!(
            m,
            "name {} {}\n",
            listing.missed,
            Escaped::new(listing.name.as_bytes())
        );

        for image in &listing.images {
            let report = Report::of(image, usize::MAX, Access::Granted)?;
            let mapped: u64 = report.vmas.iter().map(|vma| vma.faults).sum();

            seq_print!(
                m,
                "image {} pid {} live {} faults {} unmapped {} lost {}\n",
                image.id,
                report.pid,
                report.live,
                report.total,
                report.total - mapped,
                report.lost
            );
            for Counted { range, faults } in &report.vmas {
                seq_print!(m, "{:08x}-{:08x} {}\n", range.start, range.end, faults);
            }
        }
    }
    Ok(())
}
