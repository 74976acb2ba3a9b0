// SPDX-License-Identifier: GPL-2.0

//! The kernel's own memory, according to `/proc/meminfo`.

use crate::io;
use crate::skip;
use crate::sys;
use crate::Mapping;

/// Returns the sum of some fields of `/proc/meminfo`, in kilobytes.
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

/// Returns the memory that the kernel uses for itself, in kilobytes.
pub fn kernel_memory() -> usize {
    meminfo(&["SUnreclaim", "SReclaimable", "VmallocUsed", "Percpu"])
}

/// Returns the maximum of freed memory that KASAN keeps in quarantine, in kilobytes.
pub fn quarantine() -> usize {
    let mut symbols = Mapping::new(16 << 20 >> 12, sys::MAP_PRIVATE).unwrap();
    let symbols = io::read_file(c"/proc/kallsyms", symbols.bytes()).unwrap();
    match symbols.contains(" kasan_quarantine_put") {
        true => meminfo(&["MemTotal"]) / 32,
        false => 0,
    }
}

/// Returns the number of XArray nodes in use. Skips the test if the kernel does not report it.
pub fn xarray_nodes() -> usize {
    // This empties KASAN's quarantine, so that freed nodes are not counted.
    let _ = io::write_file(c"/sys/kernel/slab/radix_tree_node/shrink", b"1");
    let mut slabs = Mapping::new(16, sys::MAP_PRIVATE).unwrap();
    let Ok(slabs) = io::read_file(c"/proc/slabinfo", slabs.bytes()) else {
        skip!("no slabinfo");
    };
    let nodes = slabs
        .lines()
        .find_map(|line| line.strip_prefix("radix_tree_node "));
    let nodes = nodes.and_then(|nodes| nodes.split_whitespace().next());
    nodes.and_then(|nodes| nodes.parse().ok()).expect("nodes")
}
