// SPDX-License-Identifier: GPL-2.0

//! Slab allocations, and copies from and to user space, that fail on demand.

use crate::io;
use crate::skip;
use crate::sys;
use crate::text;

/// Makes slab allocations fail without logging: a single one, selected by `fail_nth`, or all those
/// of a task that asks for it. With `sleeping`, the latter include allocations that may sleep, and
/// otherwise only the others. Skips the test if the kernel does not support this.
pub fn need_failslab(sleeping: bool) {
    const DEBUGFS: &str = "/sys/kernel/debug";
    let set = |file, value: &str| {
        let path = text!("{DEBUGFS}/failslab/{file}");
        io::write_file(path.as_cstr(), value.as_bytes())
    };
    if set("verbose", "0").is_err() {
        let _ = sys::mount(c"debugfs", text!("{DEBUGFS}").as_cstr(), 0);
    }
    for (file, value) in [
        ("verbose", "0"),
        ("ignore-gfp-wait", if sleeping { "N" } else { "Y" }),
        ("task-filter", "Y"),
        ("times", "-1"),
        ("probability", "100"),
    ] {
        if let Err(err) = set(file, value) {
            skip!("no failslab: {err:?}");
        }
    }
    let _ = without_words();
}

/// Makes copies that fail log nothing.
fn without_words() -> sys::Result<()> {
    io::write_file(c"/sys/kernel/debug/fail_usercopy/verbose", b"0")
}

/// Does the same as [`need_failslab`], and skips the test if copies from and to user space cannot
/// fail. [`with_failure`] counts them like allocations.
pub fn need_fail_usercopy() {
    need_failslab(true);
    if let Err(err) = without_words() {
        skip!("no fail_usercopy: {err:?}");
    }
}

/// Calls `work` while those allocations of this thread fail that [`need_failslab`] selected.
pub fn without_memory(work: impl FnOnce()) {
    let fails = io::File::open(c"/proc/thread-self/make-it-fail", sys::O_WRONLY).unwrap();
    fails.write(b"1").unwrap();
    work();
    fails.write(b"0").unwrap();
}

/// Does `work` with one of its allocations failing: the first is number 1. Copies from and to user
/// space count, too, if the kernel can make them fail. Returns whether there was one with this
/// number.
pub fn with_failure(nth: u32, work: impl FnOnce()) -> bool {
    // Opened in advance, because opening it allocates, too.
    let fail_nth = io::File::open(c"/proc/thread-self/fail-nth", sys::O_RDWR).unwrap();
    fail_nth.write(text!("{nth}").as_bytes()).expect("fail-nth");
    work();
    let mut left = [0; 16];
    // If this is the copy that fails, there was nothing to fail before. So can the write.
    let hit = match fail_nth.read_all(&mut left) {
        Err(sys::EFAULT) => false,
        left => left.expect("fail-nth") == b"0\n",
    };
    let _ = fail_nth.write(b"0");
    hit
}

/// Repeats a call with each of its allocations, and copies as above, failing in turn. Returns their
/// number.
pub fn with_failures(mut call: impl FnMut()) -> u32 {
    let mut nth = 1;
    while with_failure(nth, &mut call) {
        nth += 1;
        assert!(nth < 10_000, "there is no end to allocations");
    }
    nth - 1
}
