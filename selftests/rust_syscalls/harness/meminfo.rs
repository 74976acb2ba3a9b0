// SPDX-License-Identifier: GPL-2.0

//! How much memory the kernel has for itself.

use crate::io;
use crate::skip;
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

/// How many nodes of XArrays there are. Skips the test when the kernel does not tell.
pub fn xarray_nodes() -> usize {
    // So that KASAN keeps none that has been freed.
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
