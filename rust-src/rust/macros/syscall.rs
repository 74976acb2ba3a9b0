// SPDX-License-Identifier: GPL-2.0

//! The `#[syscall]` attribute, the Rust counterpart of C's `SYSCALL_DEFINEn()`.

use std::ffi::CString;

use proc_macro2::{
    Span,
    TokenStream, //
};
use quote::{
    format_ident,
    quote,
    quote_spanned, //
};
use syn::{
    ext::IdentExt,
    parse::ParseStream,
    spanned::Spanned,
    Error,
    FnArg,
    Ident,
    ItemFn,
    LitCStr,
    Pat,
    Result,
    ReturnType,
    Token,
    Type, //
};

/// The maximum number of arguments: `SYSCALL_DEFINE_MAXARGS`.
const MAX_ARGS: usize = 6;

/// A kind of entry point: the configurations that have it, the beginning of its name, the function
/// of `Arg` that makes an argument of a register, and where `struct pt_regs` has the arguments.
type Entry = (&'static str, &'static str, &'static str, Registers);
type Registers = [&'static str; MAX_ARGS];

/// The entry points, as in `asm/syscall_wrapper.h` of architectures with a syscall wrapper.
#[rustfmt::skip]
mod table {
    use super::*;

    /// A field of an unnamed union, as bindgen names it.
    macro_rules! union {
        ($field:literal) => { concat!("__bindgen_anon_1.", $field) };
    }

    const X86_64: Registers = ["di", "si", "dx", "r10", "r8", "r9"];
    const IA32: Registers = ["bx", "cx", "dx", "si", "di", "bp"];
    const ARM64: Registers = [
        "orig_x0", union!("user_regs.regs[1]"), union!("user_regs.regs[2]"),
        union!("user_regs.regs[3]"), union!("user_regs.regs[4]"), union!("user_regs.regs[5]"),
    ];
    const ARM64_COMPAT: Registers = [
        union!("user_regs.regs[0]"), union!("user_regs.regs[1]"), union!("user_regs.regs[2]"),
        union!("user_regs.regs[3]"), union!("user_regs.regs[4]"), union!("user_regs.regs[5]"),
    ];
    const RISCV: Registers = [
        "orig_a0", union!("a_regs.a1"), union!("a_regs.a2"),
        union!("a_regs.a3"), union!("a_regs.a4"), union!("a_regs.a5"),
    ];
    const S390: Registers = [
        "__bindgen_anon_2.orig_gpr2", union!("user_regs.gprs[3]"), union!("user_regs.gprs[4]"),
        union!("user_regs.gprs[5]"), union!("user_regs.gprs[6]"), union!("user_regs.gprs[7]"),
    ];

    /// What `SYSCALL_DEFINEn()` makes.
    pub(super) const NATIVE: &[Entry] = &[
        ("CONFIG_X86_64", "__x64_sys_", "from_reg", X86_64),
        ("any(CONFIG_X86_32, CONFIG_IA32_EMULATION)", "__ia32_sys_", "from_ia32", IA32),
        ("CONFIG_ARM64", "__arm64_sys_", "from_reg", ARM64),
        ("CONFIG_RISCV", "__riscv_sys_", "from_reg", RISCV),
        ("CONFIG_S390", "__s390x_sys_", "from_reg", S390),
    ];

    /// What `COMPAT_SYSCALL_DEFINEn()` makes.
    pub(super) const COMPAT: &[Entry] = &[
        ("CONFIG_X86_X32_ABI", "__x64_compat_sys_", "from_reg", X86_64),
        ("CONFIG_IA32_EMULATION", "__ia32_compat_sys_", "from_ia32", IA32),
        ("CONFIG_ARM64", "__arm64_compat_sys_", "from_reg", ARM64_COMPAT),
        ("CONFIG_RISCV", "__riscv_compat_sys_", "from_reg", RISCV),
    ];
}

/// Parses the options of the attribute: nothing, or `compat = NAME`.
pub(crate) fn parse_compat(input: ParseStream<'_>) -> Result<Option<Ident>> {
    syn::custom_keyword!(compat);

    if input.is_empty() {
        return Ok(None);
    }
    input.parse::<compat>()?;
    input.parse::<Token![=]>()?;
    input.call(Ident::parse_any).map(Some)
}

/// Please see [`crate::syscall`] for documentation.
pub(crate) fn syscall(compat: Option<Ident>, f: ItemFn) -> Result<TokenStream> {
    if let Some(arg) = f.sig.inputs.iter().nth(MAX_ARGS) {
        return Err(Error::new_spanned(
            arg,
            "a system call takes at most six arguments: there are six registers for them",
        ));
    }
    let args: Vec<_> = f.sig.inputs.iter().map(arg).collect::<Result<_>>()?;
    let (names, types): (Vec<_>, Vec<_>) = args.into_iter().unzip();
    let count = types.len();
    // Names that cannot hide an item of the same name.
    let regs: Vec<_> = (0..count)
        .map(|i| format_ident!("reg{i}", span = Span::mixed_site()))
        .collect();

    // The compiler reports errors at the name, at the type of an argument or at the result.
    let span = f.sig.ident.span();
    let ret = match &f.sig.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => span,
    };
    let mut body = f.sig.ident.clone();
    body.set_span(ret);
    let (name, prefix, table) = match &compat {
        Some(name) => (name.unraw(), "compat_sys_", table::COMPAT),
        None => (f.sig.ident.unraw(), "sys_", table::NATIVE),
    };
    let sys = format_ident!("{prefix}{name}", span = span);
    let se_sys = format_ident!("__se_{sys}");

    // An entry point, to which the system call table points. It calls `__se_sys_NAME()`.
    let entry = |cfg: TokenStream, symbol: &Ident, params: TokenStream, decode, from: &str| {
        let decode: TokenStream = decode;
        let from = format_ident!("{from}");
        quote! {
            #[cfg(#cfg)]
            const _: () = {
                #[no_mangle]
                unsafe extern "C" fn #symbol(#params) -> ::kernel::ffi::c_long {
                    #decode
                    #se_sys(#(<#types as ::kernel::syscall::Arg>::#from(#regs)),*)
                }

                #[cfg(CONFIG_FUNCTION_ERROR_INJECTION)]
                #[used(compiler)]
                #[link_section = "_error_injection_whitelist"]
                static INJECTION: ::kernel::syscall::ErrorInjection =
                    ::kernel::syscall::ErrorInjection::errno(#symbol as *const _);
            };
        }
    };
    let mut cfgs = Vec::new();
    let mut entries = Vec::new();
    for (cfg, prefix, from, fields) in table {
        let cfg = tokens(cfg);
        let fields = fields[..count].iter().map(|field| tokens(field));
        entries.push(entry(
            quote!(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, #cfg)),
            &format_ident!("{prefix}{name}", span = span),
            quote!(regs: *const ::kernel::bindings::pt_regs),
            quote! {
                // SAFETY: The dispatcher passes the caller's registers. Nothing else changes them.
                let [#(#regs),*]: [usize; #count] = unsafe { [#((*regs).#fields as usize),*] };
            },
            from,
        ));
        cfgs.push(cfg);
    }

    let (exists, needs_entry) = if compat.is_some() {
        (quote!(CONFIG_COMPAT), quote!(all()))
    } else {
        // User-mode Linux, and any other architecture without a syscall wrapper.
        entries.push(entry(
            quote!(not(CONFIG_ARCH_HAS_SYSCALL_WRAPPER)),
            &sys,
            quote!(#(#regs: usize),*),
            TokenStream::new(),
            "from_reg",
        ));
        entries.push(metadata(&name, &names, &types));
        (quote!(all()), quote!(CONFIG_ARCH_HAS_SYSCALL_WRAPPER))
    };
    let checks = quote_spanned! {span=>
        let _: unsafe extern "C" fn(#(<#types as ::kernel::syscall::Arg>::C),*)
            -> ::kernel::ffi::c_long = ::kernel::bindings::syscalls::#sys;
        #[cfg(all(#needs_entry, not(any(#(#cfgs),*))))]
        ::core::compile_error!("`#[syscall]` has no entry point for this architecture");
        #[cfg(MODULE)]
        ::core::compile_error!("a system call cannot be in a module");
    };
    let se = quote_spanned! {ret=>
        fn #se_sys(#(#regs: #types),*) -> ::kernel::ffi::c_long {
            ::kernel::syscall::Return::into_long(#body(#(#regs),*))
        }
    };

    Ok(quote! {
        // Inlined into `__se_sys_NAME()` only.
        #[inline(always)]
        #[cfg_attr(not(#exists), allow(dead_code))]
        #f

        #[cfg(#exists)]
        #[allow(clippy::type_complexity)]
        const _: () = {
            #checks
            #se
            #(#entries)*
        };
    })
}

/// `SYSCALL_METADATA()`: what ftrace, perf and bpf know of a system call.
fn metadata(name: &Ident, names: &[&Ident], types: &[&Type]) -> TokenStream {
    let events = ["sys_", "sys_enter_", "sys_exit_"].map(|s| c_str(&format!("{s}{name}")));
    let names = names.iter().map(|name| c_str(&name.unraw().to_string()));
    let count = types.len();

    quote! {
        const ARGS: ::kernel::syscall::TracedArgs<#count> = ::kernel::syscall::TracedArgs::new(
            [#(#names),*],
            [#(<#types as ::kernel::syscall::Arg>::TRACED),*],
        );

        #[cfg(CONFIG_FTRACE_SYSCALLS)]
        const _: () = {
            static mut METADATA: ::kernel::syscall::Metadata<#count> =
                ::kernel::syscall::Metadata::new(&raw mut METADATA, [#(#events),*], ARGS);

            #[used(compiler)]
            #[link_section = "__syscalls_metadata"]
            static mut SYSCALL: *mut ::kernel::bindings::syscall_metadata =
                (&raw mut METADATA).cast();

            #[used(compiler)]
            #[link_section = "_ftrace_events"]
            static mut EVENTS: [*mut ::kernel::bindings::trace_event_call; 2] =
                ::kernel::syscall::Metadata::events(&raw mut METADATA);
        };
    }
}

/// The name and the type of an argument.
fn arg(arg: &FnArg) -> Result<(&Ident, &Type)> {
    if let FnArg::Typed(arg) = arg {
        if let Pat::Ident(pat) = &*arg.pat {
            return Ok((&pat.ident, &arg.ty));
        }
    }
    Err(Error::new_spanned(
        arg,
        "an argument of a system call has a name, which tracing shows",
    ))
}

fn tokens(s: &str) -> TokenStream {
    s.parse().expect("the table holds Rust")
}

fn c_str(s: &str) -> LitCStr {
    let s = CString::new(s).expect("Rust tokens cannot contain NUL");
    LitCStr::new(&s, Span::call_site())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::{
        parse::Parser,
        parse_quote, //
    };

    fn error(f: ItemFn) -> String {
        syscall(None, f).unwrap_err().to_string()
    }

    #[test]
    fn takes_six_arguments() {
        assert!(syscall(
            None,
            parse_quote!(
                fn name(a: i8, b: i8, c: i8, d: i8, e: i8, f: i8) -> Result {}
            )
        )
        .is_ok());
        assert!(error(parse_quote!(
            fn name(a: i8, b: i8, c: i8, d: i8, e: i8, f: i8, g: i8) -> Result {}
        ))
        .contains("at most six arguments"));
    }

    #[test]
    fn needs_names_of_arguments() {
        assert!(error(parse_quote!(
            fn name(_: i32) -> Result {}
        ))
        .contains("has a name"));
        assert!(error(parse_quote!(
            fn name((a, b): (i32, i32)) -> Result {}
        ))
        .contains("has a name"));
        assert!(error(parse_quote!(
            fn name(&self) -> Result {}
        ))
        .contains("has a name"));
    }

    #[test]
    fn knows_one_option() {
        assert!(parse_compat.parse_str("").unwrap().is_none());
        assert_eq!(
            parse_compat.parse_str("compat = name").unwrap().unwrap(),
            "name"
        );
        for wrong in ["compact = name", "compat", "compat = a, compat = b"] {
            assert!(parse_compat.parse_str(wrong).is_err(), "{wrong}");
        }
    }
}
