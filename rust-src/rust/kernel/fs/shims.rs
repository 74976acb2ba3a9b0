// SPDX-License-Identifier: GPL-2.0

//! Shared callbacks of `struct file_operations`, for all kinds of drivers.
//!
//! Each function converts the arguments from C for the driver's function, and its result for C.

use crate::{
    bindings,
    error::from_result,
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

/// Calls `read` for `read_iter`.
///
/// # Safety
///
/// - `kiocb` must be valid, and the private data of its file must be that of `P`.
/// - `iter` must be valid for writing.
pub(crate) unsafe fn read_iter<P: ForeignOwnable>(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    read: impl FnOnce(Kiocb<'_, P>, &mut IovIterDest<'_>) -> Result<usize>,
) -> isize {
    // SAFETY: By the safety requirements of this function.
    let kiocb = unsafe { Kiocb::from_raw(kiocb) };
    // SAFETY: By the safety requirements of this function.
    let iov = unsafe { IovIterDest::from_raw(iter) };
    from_result(|| Ok(read(kiocb, iov)? as isize))
}

/// Calls `write` for `write_iter`.
///
/// # Safety
///
/// - `kiocb` must be valid, and the private data of its file must be that of `P`.
/// - `iter` must be valid for reading.
pub(crate) unsafe fn write_iter<P: ForeignOwnable>(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    write: impl FnOnce(Kiocb<'_, P>, &mut IovIterSource<'_>) -> Result<usize>,
) -> isize {
    // SAFETY: By the safety requirements of this function.
    let kiocb = unsafe { Kiocb::from_raw(kiocb) };
    // SAFETY: By the safety requirements of this function.
    let iov = unsafe { IovIterSource::from_raw(iter) };
    from_result(|| Ok(write(kiocb, iov)? as isize))
}

/// Calls `ioctl` for `unlocked_ioctl` and `compat_ioctl`.
///
/// # Safety
///
/// - `file` must be valid, and its private data must be that of `P`.
/// - There must not be an active `fdget_pos` of the file on this thread.
pub(crate) unsafe fn ioctl<P: ForeignOwnable>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
    ioctl: impl FnOnce(P::Borrowed<'_>, &File, u32, usize) -> Result<isize>,
) -> c_long {
    // SAFETY: By the safety requirements of this function. The file keeps its private data during
    // this call.
    let data = unsafe { P::borrow((*file).private_data) };
    // SAFETY: By the safety requirements of this function.
    let file = unsafe { File::from_raw_file(file) };
    from_result(|| ioctl(data, file, cmd, arg))
}
