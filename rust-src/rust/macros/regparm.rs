// SPDX-License-Identifier: GPL-2.0

//! Functions that C calls, where `rustc` does not pass arguments as C does.
//!
//! See `Documentation/rust/regparm.rst`.

use proc_macro2::TokenStream;
use quote::{
    format_ident,
    quote, //
};
use syn::{
    Abi,
    Error,
    FnArg,
    ItemFn,
    Result,
    ReturnType, //
};

/// Whether the bindings are lowered: only there something has to be done.
pub(crate) const LOWERING: bool = cfg!(CONFIG_RUST_REGPARM_LOWERING);

/// Please see [`crate::c_callback`] for documentation.
pub(crate) fn c_callback(f: ItemFn) -> Result<TokenStream> {
    let sig = &f.sig;

    let is_c = |abi: &Abi| abi.name.as_ref().is_none_or(|name| name.value() == "C");
    if !sig.abi.as_ref().is_some_and(is_c) {
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
        #vis const #ident: <#pointer as ::kernel::bindings::regparm::Signature>::Pointer =
            ::kernel::bindings::regparm::callback::<#pointer, _>(|#inputs| -> #output #block);
    })
}

/// What C calls by the name of an exported function.
pub(crate) fn entry(f: &ItemFn) -> TokenStream {
    let (pointer, output, name) = (pointer(f), output(f), &f.sig.ident);
    let entry = format_ident!("__{name}_entry");
    let symbol = name.to_string();
    let args: Vec<_> = (0..f.sig.inputs.len())
        .map(|i| format_ident!("__arg_{i}"))
        .collect();
    let place = quote! {
        __regparm::Place<{ <#output as __regparm::Value>::IN_REGISTERS }>
    };

    // A parameter with the name of a constant, or of a callback, would be a pattern.
    quote! {
        const _: () = {
            use ::kernel::bindings::regparm as __regparm;

            #[export_name = #symbol]
            unsafe extern "C" fn #entry(
                __a: __regparm::Word,
                __b: __regparm::Word,
                __c: __regparm::Word,
                __stack: __regparm::Stack<{ <#pointer as __regparm::Signature>::STACK }>,
            ) -> <#place as __regparm::Return<#output>>::Return {
                // SAFETY: C calls a function of this type, and meets the requirements of `#name`.
                unsafe {
                    __regparm::enter::<#pointer, #place, _, _>(
                        |#(#args),*| #name(#(#args),*),
                        [__a, __b, __c],
                        __stack,
                    )
                }
            }
        };
    }
}

fn output(f: &ItemFn) -> TokenStream {
    match &f.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    }
}

/// The type of a pointer to `f`.
fn pointer(f: &ItemFn) -> TokenStream {
    let output = output(f);
    let types = f.sig.inputs.iter().filter_map(|arg| match arg {
        FnArg::Typed(arg) => Some(&*arg.ty),
        FnArg::Receiver(_) => None,
    });

    quote!(unsafe extern "C" fn(#(#types),*) -> #output)
}
