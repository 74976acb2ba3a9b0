// SPDX-License-Identifier: GPL-2.0

//! `/proc/<pid>/maps`: the VMAs of a process.

use crate::io;
use crate::sys::Result;
use crate::text;

/// A VMA, as shown by a line of `/proc/<pid>/maps`.
#[derive(Clone, Copy, Debug)]
pub struct Vma<'a> {
    /// The first address.
    pub start: usize,
    /// The address after the last byte.
    pub end: usize,
    /// The permissions, and whether it is shared: `rw-p`.
    pub flags: &'a str,
    /// The mapped file, or a name in brackets, or nothing.
    pub name: &'a str,
}

impl<'a> Vma<'a> {
    /// Parses `start-end flags offset device inode name`.
    fn parse(line: &'a str) -> Option<Vma<'a>> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        Some(Vma {
            start: usize::from_str_radix(start, 16).ok()?,
            end: usize::from_str_radix(end, 16).ok()?,
            flags: words.next()?,
            name: words.nth(3).unwrap_or("").trim(),
        })
    }
}

/// Returns the VMAs of a process in address order. `buf` must have room for the whole file.
///
/// Leaves out `[vsyscall]`, which the kernel lists although it is not a VMA.
pub fn maps(pid: i32, buf: &mut [u8]) -> Result<impl Iterator<Item = Vma<'_>> + Clone> {
    let room = buf.len();
    let file = io::read_file(text!("/proc/{pid}/maps").as_cstr(), buf)?;
    assert!(file.len() < room, "/proc/{pid}/maps is too long");
    let vmas = file
        .lines()
        .map(move |line| Vma::parse(line).unwrap_or_else(|| panic!("in /proc/{pid}/maps: {line}")));
    Ok(vmas.filter(|vma| vma.name != "[vsyscall]"))
}
