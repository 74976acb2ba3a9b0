// SPDX-License-Identifier: GPL-2.0

//! A program that tests execute: see `harness::cow::TARGET_AREA`.

#![no_std]
#![no_main]

use harness::cow::TARGET;
use harness::cow::TARGET_AREA;
use harness::*;

program!(|args: Args| {
    let next = args.c_strs().nth(1);
    let Some(Ok(pages)) = args.iter().next().map(str::parse) else {
        println!("usage: cow_target PAGES [PAGES]");
        return 2;
    };

    let pages: usize = pages;
    let mapping = Mapping::at(
        TARGET_AREA.start(),
        TARGET_AREA.len() / sys::PAGE_SIZE,
        sys::MAP_PRIVATE,
    );
    core::mem::forget(mapping.expect("a mapping"));
    TARGET_AREA.read(0..TARGET_AREA.len() / sys::PAGE_SIZE);
    TARGET_AREA.write(0..pages);

    sys::write(1, b"r").expect("standard output");
    let _ = sys::read(0, &mut [0]);
    if let Some(next) = next {
        let err = sys::execve(c"./cow_target", &[TARGET, next]);
        panic!("./cow_target: {err:?}");
    }
    0
});
