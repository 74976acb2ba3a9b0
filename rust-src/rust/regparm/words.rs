// SPDX-License-Identifier: GPL-2.0

//! What is passed in one word on 32-bit x86, however the kernel is configured.

/// Whether a type of this name is an integer of at most 32 bits there.
///
/// Other names may stand for a wider one in some configurations, or for a structure.
pub(crate) fn is_word(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "u8"
            | "i8"
            | "u16"
            | "i16"
            | "u32"
            | "i32"
            | "usize"
            | "isize"
            | "c_char"
            | "c_int"
            | "c_uint"
            | "c_long"
            | "c_ulong"
    )
}
