// SPDX-License-Identifier: GPL-2.0

//! Functions that C calls, where `rustc` does not pass arguments as C does.
//!
//! See `Documentation/rust/regparm.rst`.

// `rust/regparm/lower.rs` prepares what is used here, and has to agree on what needs it.
#[path = "../regparm/words.rs"]
mod words;

use proc_macro2::TokenStream;
use quote::{
    format_ident,
    quote, //
};
use syn::{
    Error,
    FnArg,
    ItemFn,
    Result,
    ReturnType,
    Type, //
};

/// Whether the bindings are lowered: only there something has to be done.
const LOWERING: bool = cfg!(CONFIG_RUST_REGPARM_LOWERING);

/// Please see [`crate::c_callback`] for documentation.
pub(crate) fn c_callback(f: ItemFn) -> Result<TokenStream> {
    let sig = &f.sig;

    let abi_name = sig.abi.as_ref().and_then(|abi| abi.name.as_ref());
    if abi_name.is_none_or(|name| name.value() != "C") {
        return Err(Error::new_spanned(
            sig.fn_token,
            "a function that C calls must be `extern \"C\"`",
        ));
    }
    if !sig.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &sig.generics,
            "a function with `#[c_callback]` cannot be generic; put it into a generic `impl`",
        ));
    }
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        return Err(Error::new_spanned(receiver, "C cannot pass `self`"));
    }
    if let Some(variadic) = &sig.variadic {
        return Err(Error::new_spanned(
            variadic,
            "variadic functions are not supported",
        ));
    }

    if !LOWERING {
        return Ok(quote!(#f));
    }

    let pointer = pointer(&f);
    let (vis, ident, inputs, block) = (&f.vis, &sig.ident, &sig.inputs, &f.block);
    let output = output(&f);
    let attrs = f
        .attrs
        .iter()
        .filter(|attr| !attr.path().is_ident("inline"));

    // A closure can use `Self` and the parameters of the `impl`, unlike a nested function.
    Ok(quote! {
        #(#attrs)*
        #[allow(non_upper_case_globals)]
        #vis const #ident: <#pointer as ::kernel::bindings::regparm::Signature>::Lowered =
            ::kernel::bindings::regparm::entry::<#pointer, _>(|#inputs| -> #output #block);
    })
}

/// Whether the symbol of an exported function needs an entry point of its own.
pub(crate) fn needs_entry(f: &ItemFn) -> bool {
    LOWERING
        && !(f
            .sig
            .inputs
            .iter()
            .all(|arg| matches!(arg, FnArg::Typed(arg) if is_word(&arg.ty)))
            && match &f.sig.output {
                ReturnType::Default => true,
                ReturnType::Type(_, ty) => matches!(**ty, Type::Never(_)) || is_word(ty),
            })
}

/// The entry point for C of an exported function, by the name of the function.
pub(crate) fn entry(f: &ItemFn) -> TokenStream {
    let pointer = pointer(f);
    let (name, output) = (&f.sig.ident, output(f));
    let callee = format_ident!("__{name}_callee");
    let types: Vec<_> = types(f).collect();
    let args: Vec<_> = (0..types.len()).map(|i| format_ident!("a{i}")).collect();
    let (globl, set) = (format!(".globl {name}"), format!(".set {name}, {{}}"));

    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        struct #callee;

        impl ::kernel::bindings::regparm::Callee<#pointer> for #callee {
            #[allow(unused_unsafe)]
            #[inline(always)]
            unsafe fn call((#(#args,)*): (#(#types,)*)) -> #output {
                // SAFETY: As for the function itself, which is what C calls.
                unsafe { #name(#(#args),*) }
            }
        }

        ::core::arch::global_asm!(
            #globl,
            #set,
            sym ::kernel::bindings::regparm::Entry::<#pointer, #callee>::entry,
        );
    }
}

/// Whether a type is spelled such that it can only be a word, in any configuration.
fn is_word(ty: &Type) -> bool {
    match ty {
        Type::Ptr(_) => true,
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| words::is_word(&last.ident.to_string())),
        _ => false,
    }
}

fn types(f: &ItemFn) -> impl Iterator<Item = &Type> {
    f.sig.inputs.iter().filter_map(|arg| match arg {
        FnArg::Typed(arg) => Some(&*arg.ty),
        FnArg::Receiver(_) => None,
    })
}

fn output(f: &ItemFn) -> TokenStream {
    match &f.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    }
}

/// The type of a pointer to `f`.
fn pointer(f: &ItemFn) -> TokenStream {
    let (types, output) = (types(f), output(f));

    quote!(unsafe extern "C" fn(#(#types),*) -> #output)
}
