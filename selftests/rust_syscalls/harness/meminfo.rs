// SPDX-License-Identifier: GPL-2.0

//! What `/proc/meminfo` says of the kernel's own memory.

use crate::io;
use crate::sys;
use crate::Mapping;

/// The sum of some fields of `/proc/meminfo`, in kilobytes.
pub fn meminfo(keys: &[&str]) -> usize {
    let mut buf = [0; 8192];
    let file = io::read_file(c"/proc/meminfo", &mut buf).unwrap();
    let value = |value: &str| {
        value
            .trim_end_matches("kB")
            .trim()
            .parse::<usize>()
            .unwrap()
    };
    keys.iter()
        .filter_map(|key| io::field(file, key).map(value))
        .sum()
}

/// Memory that the kernel has for itself, in kilobytes.
pub fn kernel_memory() -> usize {
    meminfo(&["SUnreclaim", "SReclaimable", "VmallocUsed", "Percpu"])
}

/// Memory that has been freed and that KASAN keeps all the same, at most, in kilobytes.
pub fn quarantine() -> usize {
    let mut symbols = Mapping::new(16 << 20 >> 12, sys::MAP_PRIVATE).unwrap();
    let symbols = io::read_file(c"/proc/kallsyms", symbols.bytes()).unwrap();
    match symbols.contains(" kasan_quarantine_put") {
        true => meminfo(&["MemTotal"]) / 32,
        false => 0,
    }
}
