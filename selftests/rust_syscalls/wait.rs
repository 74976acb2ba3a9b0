// SPDX-License-Identifier: GPL-2.0

//! A program that tests execute: it waits to be killed.

#![no_std]
#![no_main]

use harness::*;

program!(|_: Args| loop {
    sys::sleep_ms(1000);
});
