// SPDX-License-Identifier: GPL-2.0

//! Counts copy-on-write faults from a shell:
//!
//! ```text
//! pf set NAME
//! pf get NAME
//! pf cleanup
//! ```
//!
//! These call `pf_set_param`, `pf_get_info` or `pf_cleanup`. `pf get` prints the report.

#![no_std]
#![no_main]

use harness::*;

program!(|args: Args| {
    let name = args.c_strs().nth(1);
    let mut args = args.iter();
    let result = match (args.next(), name, args.nth(1)) {
        (Some("set"), Some(name), None) => cow::set(name).map(|_| ()),
        (Some("get"), Some(name), None) => cow::get(name).map(|stat| stat.print()),
        (Some("cleanup"), None, None) => calls::pf_cleanup().map(|_| ()),
        _ => {
            println!("usage: pf set NAME | pf get NAME | pf cleanup");
            return 2;
        }
    };
    match result {
        Ok(()) => 0,
        Err(err) => {
            println!("pf: {err:?}");
            1
        }
    }
});
