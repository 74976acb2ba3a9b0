// SPDX-License-Identifier: GPL-2.0

//! The system calls of the copy-on-write fault tracker.
//!
//! C header: [`include/uapi/linux/pf_stat.h`](srctree/include/uapi/linux/pf_stat.h)
//!
//! Documentation: Documentation/userspace-api/cow_track.rst

use super::{
    bindings,
    report::{
        Detail,
        Report, //
    },
    ProcessName,
    TRACKER, //
};
use kernel::{
    cred::perfmon_capable,
    prelude::*,
    printk,
    ratelimit::user_may_log,
    syscall::User,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// How many VMAs fit in a `struct pf_stat`.
const MAX_SIZE: usize = bindings::MAX_SIZE as usize;

/// Starts counting the copy-on-write faults of all processes with a name, present and future.
///
/// The name has `len` bytes, which may include a trailing NUL. A name that is already tracked keeps
/// its counts; processes that were missed are looked for again.
///
/// Returns 0 or one of these errors, checked in this order:
///
/// - `EPERM`: the caller is not `perfmon_capable()`.
/// - `EINVAL`: `name` is `NULL`, or `len` is 0 or greater than 16.
/// - `EFAULT`: the name cannot be read.
/// - `EINVAL`: the name is empty or longer than 15 bytes, or there is a NUL inside it.
/// - `ENOMEM`: out of memory, or 64 names are already tracked.
#[syscall]
fn pf_set_param(name: User<str>, len: usize) -> Result {
    let set = || -> Result {
        if !perfmon_capable() {
            return Err(EPERM);
        }
        super::track(read_name(name, len)?)
    };

    set().inspect_err(|error| log("pf_set_param", *error))
}

/// Reports the VMAs of a process and the number of copy-on-write faults counted in each.
///
/// The name is as for [`pf_set_param`]. The report is about one image of that name: the one whose
/// live process started last or, if no process is alive, the one that ended last.
///
/// Returns 0 or one of these errors, checked in this order:
///
/// - `EPERM`: the caller is not `perfmon_capable()`.
/// - `EACCES`: no name is tracked.
/// - `EINVAL`: `name` or `pf` is `NULL`, or `len` is 0 or greater than 16.
/// - `EFAULT`: the name cannot be read.
/// - `EINVAL`: the name is invalid, as for [`pf_set_param`], or is not tracked.
/// - `ENOMEM`: out of memory.
/// - `EINTR`: the caller is being killed.
/// - `EOVERFLOW`: the caller is a 32-bit program, and an address or a count does not fit.
/// - `EFAULT`: `pf` cannot be written.
#[syscall]
fn pf_get_info(name: User<str>, len: usize, pf: User<*mut bindings::pf_stat>) -> Result {
    get_info::<c_ulong>(name, len, pf.as_user_ptr())
}

/// The same for 32-bit programs.
#[syscall(compat = pf_get_info)]
fn pf_get_info_compat(name: User<str>, len: u32, pf: User<*mut bindings::pf_stat>) -> Result {
    get_info::<u32>(name, len as usize, pf.as_user_ptr())
}

/// Forgets all names and all counts.
///
/// Returns 0 or one of these errors, checked in this order:
///
/// - `EPERM`: the caller is not `perfmon_capable()`.
/// - `EACCES`: no name is tracked.
#[syscall]
fn pf_cleanup() -> Result {
    let clean = || -> Result {
        if !perfmon_capable() {
            return Err(EPERM);
        }
        super::cleanup()
    };

    clean().inspect_err(|error| log("pf_cleanup", *error))
}

/// Logs why a call failed. The line contains nothing that the caller passed.
fn log(call: &str, error: Error) {
    /// The maximum length of the line.
    const LINE_MAX: usize = 80;

    let reason = match error {
        EPERM => "not permitted",
        EACCES => "data structure not initialised",
        EINVAL => "invalid argument",
        EFAULT => "bad address",
        ENOMEM => "out of memory, or too many names",
        EOVERFLOW => "a value does not fit",
        _ => "interrupted",
    };
    if user_may_log(LINE_MAX) {
        printk!(Err, "[INFO940] [ERROR] {call}: {reason}\n");
    }
}

/// Reads the name of a process from user space.
fn read_name(name: User<str>, len: usize) -> Result<ProcessName> {
    // One byte more than the longest name, for the NUL.
    let mut buf = [0; ProcessName::MAX + 1];

    if name.is_null() || len == 0 {
        return Err(EINVAL);
    }
    let buf = buf.get_mut(..len).ok_or(EINVAL)?;
    UserSlice::new(name.as_user_ptr(), len)
        .reader()
        .read_slice(buf)?;

    let name = match buf {
        [name @ .., 0] => name,
        name => name,
    };
    ProcessName::new(name).ok_or(EINVAL)
}

fn get_info<Word: UserWord>(name: User<str>, len: usize, pf: UserPtr) -> Result {
    let is_null = pf.as_const_ptr().is_null();
    let get = || -> Result {
        if !perfmon_capable() {
            return Err(EPERM);
        }
        if !super::is_active() {
            return Err(EACCES);
        }
        if is_null {
            return Err(EINVAL);
        }
        let name = read_name(name, len)?;
        let tracked = TRACKER.lock().by_name(&name).map(|name| name.id);
        let id = tracked.ok_or(EINVAL)?;

        let mut stat = PfStat::<Word>::new()?;
        if let Some(report) = Report::of_name(id, Detail::Vmas(MAX_SIZE))? {
            stat.fill(&report)?;
        }
        UserSlice::new(pf, size_of::<PfStat<Word>>())
            .writer()
            .write(&*stat)
    };

    get().inspect_err(|error| {
        // This may be a registration of restartable sequences, which otherwise has this number on
        // 32-bit. Programs that attempt it have made no mistake.
        if !(is_null && len > ProcessName::MAX + 1) {
            log("pf_get_info", *error);
        }
    })
}

/// An `unsigned long` in user space.
trait UserWord: Copy + Zeroable + TryFrom<u64> + TryFrom<usize> {
    /// The padding in `struct pf_stat` between `nb_vma` and the next field.
    type Padding: Copy + Zeroable;

    /// The greatest value of a `long`.
    const LONG_MAX: u64;
}

impl UserWord for u32 {
    type Padding = [u32; 0];

    const LONG_MAX: u64 = i32::MAX as u64;
}

impl UserWord for c_ulong {
    type Padding = [u32; size_of::<Self>() / size_of::<u32>() - 1];

    const LONG_MAX: u64 = c_long::MAX as u64;
}

/// `struct pf_stat` with words of a given size, and its padding as a field.
#[derive(Zeroable)]
#[repr(C)]
struct PfStat<Word: UserWord> {
    nb_vma: u32,
    padding: Word::Padding,
    cow_page_faults: Word,
    vma_fault: [Word; MAX_SIZE],
    vma_list_start: [Word; MAX_SIZE],
    vma_list_end: [Word; MAX_SIZE],
}

// SAFETY: All fields are integers or arrays of integers. The only padding is before the words, and
// `Padding` fills it.
unsafe impl<Word: UserWord> AsBytes for PfStat<Word> {}

static_assert!(size_of::<PfStat<c_ulong>>() == size_of::<bindings::pf_stat>());
static_assert!(
    core::mem::offset_of!(PfStat<c_ulong>, vma_list_end)
        == core::mem::offset_of!(bindings::pf_stat, vma_list_end)
);
static_assert!(size_of::<PfStat<u32>>() == 8 + 3 * 4 * MAX_SIZE);

impl<Word: UserWord> PfStat<Word> {
    /// Creates a `struct pf_stat` that is all zero.
    fn new() -> Result<KBox<Self>> {
        KBox::init(pin_init::init_zeroed(), GFP_KERNEL)
    }

    /// Fills in `report`, which has at most [`MAX_SIZE`] VMAs.
    fn fill(&mut self, report: &Report) -> Result {
        self.cow_page_faults = Self::count(report.total)?;

        for (i, vma) in report.vmas.iter().enumerate().take(MAX_SIZE) {
            self.vma_fault[i] = Self::count(vma.faults)?;
            self.vma_list_start[i] = Self::address(vma.start)?;
            self.vma_list_end[i] = Self::address(vma.end)?;
        }
        self.nb_vma = report.vmas.len().min(MAX_SIZE) as u32;
        Ok(())
    }

    #[inline(always)]
    fn count(count: u64) -> Result<Word> {
        if count > Word::LONG_MAX {
            return Err(EOVERFLOW);
        }
        count.try_into().map_err(|_| EOVERFLOW)
    }

    #[inline(always)]
    fn address(address: usize) -> Result<Word> {
        address.try_into().map_err(|_| EOVERFLOW)
    }
}

#[kunit_tests(rust_cow_track_report)]
mod tests {
    use super::super::counters::Counted;
    use super::*;

    fn report(faults: u64, end: usize) -> Result<Report> {
        let mut vmas = KVVec::new();
        let vma = Counted {
            start: 0,
            end,
            faults,
        };
        vmas.push(vma, GFP_KERNEL)?;
        Ok(Report {
            vmas,
            parts: KVVec::new(),
            total: faults,
            unplaced: 0,
        })
    }

    fn fill<Word: UserWord>(count: u64, end: usize) -> Result<u32> {
        let mut stat = PfStat::<Word>::new()?;
        stat.fill(&report(count, end)?)?;
        Ok(stat.nb_vma)
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(fill::<u32>(0x7fff_ffff, 0xffff_f000), Ok(1));
        assert_eq!(fill::<u32>(0x8000_0000, 0), Err(EOVERFLOW));
        assert_eq!(fill::<u32>(u64::MAX, 0), Err(EOVERFLOW));
        #[cfg(CONFIG_64BIT)]
        assert_eq!(fill::<u32>(0, 1 << 32), Err(EOVERFLOW));
        assert_eq!(fill::<c_ulong>(c_long::MAX as u64, usize::MAX), Ok(1));
        assert_eq!(fill::<c_ulong>(c_long::MAX as u64 + 1, 0), Err(EOVERFLOW));
    }

    #[test]
    fn an_empty_report_is_all_zero() -> Result {
        let stat = PfStat::<c_ulong>::new()?;
        assert!(stat.as_bytes().iter().all(|&byte| byte == 0));
        Ok(())
    }
}
