// SPDX-License-Identifier: GPL-2.0

//! The `#[syscall]` attribute, the Rust counterpart of C's `SYSCALL_DEFINEn()`.

use std::ffi::CString;

use proc_macro2::TokenStream;
use quote::{
    format_ident,
    quote,
    quote_spanned,
    ToTokens, //
};
use syn::{
    ext::IdentExt,
    parse::{
        Parse,
        ParseStream, //
    },
    spanned::Spanned,
    Error,
    FnArg,
    Ident,
    ItemFn,
    LitCStr,
    Pat,
    Path,
    Result,
    ReturnType,
    Token,
    Type, //
};

/// What the registers of a system call hold at most: `SYSCALL_DEFINE_MAXARGS`.
const MAX_ARGS: usize = 6;

/// The options of the attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The function that serves 32-bit callers of a 64-bit kernel, when it is not the same one.
    compat: Option<Path>,
    /// The module that holds the prototypes of C, when it is not the generated one.
    prototypes: Option<Path>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();

        while !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            let option = if name == "compat" {
                &mut options.compat
            } else if name == "prototypes" {
                &mut options.prototypes
            } else {
                return Err(Error::new_spanned(
                    name,
                    "unknown option: `#[syscall]` takes `compat = path` and `prototypes = path`",
                ));
            };
            if option.is_some() {
                return Err(Error::new_spanned(name, "option given twice"));
            }
            input.parse::<Token![=]>()?;
            *option = Some(input.parse()?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// Please see [`crate::syscall`] for documentation.
pub(crate) fn syscall(options: Options, f: ItemFn) -> Result<TokenStream> {
    let args = check(&f)?;
    let types: Vec<_> = args.iter().map(|(_, ty)| *ty).collect();
    let ret = match &f.sig.output {
        ReturnType::Type(_, ty) => ty,
        ReturnType::Default => unreachable!("refused by `check()`"),
    };

    let name = &f.sig.ident;
    let plain = name.unraw();
    let span = name.span();
    let sys = format_ident!("sys_{plain}", span = span);
    let compat_sys = format_ident!("compat_sys_{plain}", span = span);
    let se_sys = format_ident!("__se_sys_{plain}", span = span);
    let se_compat_sys = format_ident!("__se_compat_sys_{plain}", span = span);

    let prototypes = match options.prototypes {
        Some(path) => path.into_token_stream(),
        None => quote_spanned!(span=> ::kernel::bindings::syscalls),
    };

    let regs: Vec<_> = (0..types.len()).map(|i| format_ident!("reg{i}")).collect();
    let vars: Vec<_> = (0..types.len()).map(|i| format_ident!("arg{i}")).collect();
    let generics: Vec<_> = (0..types.len()).map(|i| format_ident!("A{i}")).collect();

    // Every check below is at the place of what it is about.
    let arg_checks = types.iter().map(|ty| {
        quote_spanned! {ty.span()=>
            ::kernel::syscall::assert_arg::<#ty>();
        }
    });
    let ret_check = quote_spanned! {ret.span()=>
        ::kernel::syscall::assert_return::<#ret>();
    };
    let prototype_check = quote_spanned! {span=>
        let _: unsafe extern "C" fn(#(<#types as ::kernel::syscall::Arg>::C),*)
            -> ::kernel::ffi::c_long = #prototypes::#sys;
    };

    // One copy of the body, however many stubs lead to it; see `__SYSCALL_DEFINEx()`.
    // What it makes of the result is at the place of the result.
    let body = format_ident!("{name}", span = ret.span());
    let se = quote_spanned! {ret.span()=>
        fn #se_sys(#(#vars: #types),*) -> ::kernel::ffi::c_long {
            ::kernel::syscall::Return::into_long(#body(#(#vars),*))
        }
    };

    let type_names = types.iter().map(|ty| c_str(&c_type(ty)));
    let arg_names = args
        .iter()
        .map(|(ident, _)| c_str(&ident.unraw().to_string()));
    let event_names = ["sys_", "sys_enter_", "sys_exit_"].map(|s| c_str(&format!("{s}{plain}")));

    // What the dispatcher calls: takes the arguments from the caller's registers.
    let stub = |prefix: &str, getter: &str, call: &TokenStream| {
        let stub = format_ident!("{prefix}{plain}", span = span);
        let getter = format_ident!("{getter}");
        quote! {
            #[no_mangle]
            unsafe extern "C" fn #stub(
                regs: *const ::kernel::bindings::pt_regs,
            ) -> ::kernel::ffi::c_long {
                // SAFETY: The system call's dispatcher passes the registers of the caller.
                let [#(#regs,)* ..] = unsafe { ::kernel::syscall::#getter(regs) };

                #call
            }

            ::kernel::syscall_error_injection!(#stub);
        }
    };
    let x64_stub = stub(
        "__x64_sys_",
        "x64_regs",
        &quote!(#se_sys(#(<#types as ::kernel::syscall::Arg>::from_reg(#regs)),*)),
    );
    let ia32_stub = stub(
        "__ia32_sys_",
        "ia32_regs",
        &quote!(#se_sys(#(<#types as ::kernel::syscall::Arg>::from_ia32(#regs)),*)),
    );

    let compat = options.compat.map(|path| {
        let check = quote_spanned! {path.span()=>
            fn assert_prototype<#(#generics: ::kernel::syscall::Arg,)* R>(
                _: fn(#(#generics),*) -> R,
                _: unsafe extern "C" fn(#(<#generics as ::kernel::syscall::Arg>::C),*)
                    -> ::kernel::ffi::c_long,
            ) {}
            let _ = || assert_prototype(#path, #prototypes::#compat_sys);
        };
        let call = quote! {
            ::kernel::syscall::Return::into_long(
                #path(#(::kernel::syscall::Arg::from_ia32(#regs)),*),
            )
        };
        let stub = stub("__ia32_compat_sys_", "ia32_regs", &call);
        quote! {
            #[cfg(CONFIG_IA32_EMULATION)]
            const _: () = {
                #check

                #stub
            };
            // Where there are no 32-bit callers, the function for them is checked all the same.
            #[cfg(not(CONFIG_IA32_EMULATION))]
            const _: () = {
                fn #se_compat_sys(#(#regs: usize),*) -> ::kernel::ffi::c_long {
                    #call
                }
                let _ = #se_compat_sys;
            };
        }
    });

    Ok(quote! {
        // Inlined into `__se_sys_NAME()` only.
        #[inline(always)]
        #f

        const _: () = {
            #(#arg_checks)*
            #ret_check
            #prototype_check

            #se

            #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
            const _: () = {
                #x64_stub
            };

            #[cfg(all(
                CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
                any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
            ))]
            const _: () = {
                #ia32_stub
            };

            // User-mode Linux, and any architecture without a syscall wrapper.
            #[cfg(not(CONFIG_ARCH_HAS_SYSCALL_WRAPPER))]
            const _: () = {
                #[no_mangle]
                extern "C" fn #sys(#(#regs: usize),*) -> ::kernel::ffi::c_long {
                    #se_sys(#(<#types as ::kernel::syscall::Arg>::from_reg(#regs)),*)
                }

                ::kernel::syscall_error_injection!(#sys);
            };

            ::kernel::syscall_metadata!(
                #(#event_names,)*
                [#(#type_names),*],
                [#(#arg_names),*]
            );

            #compat
        };
    })
}

/// Refuses what cannot be a system call, and returns the arguments' names and types.
fn check(f: &ItemFn) -> Result<Vec<(&Ident, &Type)>> {
    let sig = &f.sig;

    if let Some(token) = &sig.constness {
        return Err(Error::new_spanned(token, "a system call cannot be `const`"));
    }
    if let Some(token) = &sig.asyncness {
        return Err(Error::new_spanned(token, "a system call cannot be `async`"));
    }
    if let Some(token) = &sig.unsafety {
        return Err(Error::new_spanned(
            token,
            "a system call cannot be `unsafe`: user space is its caller and promises nothing",
        ));
    }
    if let Some(abi) = &sig.abi {
        return Err(Error::new_spanned(
            abi,
            "the function itself has Rust's ABI: `#[syscall]` makes the entry points around it",
        ));
    }
    if !sig.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &sig.generics,
            "a system call cannot be generic",
        ));
    }
    if let Some(clause) = &sig.generics.where_clause {
        return Err(Error::new_spanned(
            clause,
            "a system call cannot be generic",
        ));
    }
    if let Some(token) = &sig.variadic {
        return Err(Error::new_spanned(
            token,
            "a system call cannot be variadic",
        ));
    }
    if let Some(arg) = sig.inputs.iter().nth(MAX_ARGS) {
        return Err(Error::new_spanned(
            arg,
            "a system call takes at most six arguments: there are six registers for them",
        ));
    }
    match &sig.output {
        ReturnType::Default => Err(Error::new_spanned(
            &sig.ident,
            "a system call returns `Result`, or `Result<T>` where `T` is an integer",
        )),
        ReturnType::Type(_, ty) => no_impl_trait(ty),
    }?;

    sig.inputs
        .iter()
        .map(|arg| match arg {
            FnArg::Receiver(receiver) => Err(Error::new_spanned(
                receiver,
                "a system call is a free function and has no `self`",
            )),
            FnArg::Typed(arg) => {
                no_impl_trait(&arg.ty)?;
                match &*arg.pat {
                    Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                        Ok((&pat.ident, &*arg.ty))
                    }
                    pat => Err(Error::new_spanned(
                        pat,
                        "an argument of a system call has a name, which tracing shows",
                    )),
                }
            }
        })
        .collect()
}

/// `impl Trait` makes a function generic, or its type unnameable.
fn no_impl_trait(ty: &Type) -> Result<()> {
    match ty {
        Type::ImplTrait(_) => Err(Error::new_spanned(ty, "a system call cannot be generic")),
        _ => Ok(()),
    }
}

/// The C name of a type, which the event's format file in tracefs shows.
fn c_type(ty: &Type) -> String {
    match ty {
        Type::Ptr(ptr) => {
            let qualifier = if ptr.const_token.is_some() {
                "const "
            } else {
                ""
            };
            format!("{qualifier}{} *", c_type(&ptr.elem))
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return ty.to_token_stream().to_string();
            };
            let name = last.ident.unraw().to_string();
            match name.as_str() {
                "c_char" => "char".into(),
                "c_schar" | "i8" => "signed char".into(),
                "c_uchar" | "u8" => "unsigned char".into(),
                "c_short" | "i16" => "short".into(),
                "c_ushort" | "u16" => "unsigned short".into(),
                "c_int" | "i32" => "int".into(),
                "c_uint" | "u32" => "unsigned int".into(),
                "c_long" | "isize" => "long".into(),
                "c_ulong" | "usize" => "unsigned long".into(),
                "c_void" => "void".into(),
                "Pid" => "pid_t".into(),
                "UserPtr" => "void *".into(),
                "User" => match &last.arguments {
                    syn::PathArguments::AngleBracketed(args) => match args.args.first() {
                        Some(syn::GenericArgument::Type(pointer)) => c_type(pointer),
                        _ => name,
                    },
                    _ => name,
                },
                _ => name,
            }
        }
        _ => ty.to_token_stream().to_string(),
    }
}

fn c_str(s: &str) -> LitCStr {
    let s = CString::new(s).expect("Rust tokens cannot contain NUL");
    LitCStr::new(&s, proc_macro2::Span::call_site())
}
