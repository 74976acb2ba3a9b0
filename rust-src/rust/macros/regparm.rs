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
        .map(|i| format_ident!("a{i}"))
        .collect();
    let place = quote! {
        regparm::Place<{ <#output as regparm::Value>::IN_REGISTERS }>
    };

    quote! {
        const _: () = {
            use ::kernel::bindings::regparm;

            #[export_name = #symbol]
            unsafe extern "C" fn #entry(
                a: regparm::Word,
                b: regparm::Word,
                c: regparm::Word,
                stack: regparm::Stack<{ <#pointer as regparm::Signature>::STACK }>,
            ) -> <#place as regparm::Return<#output>>::Return {
                // SAFETY: C calls a function of this type, and meets the requirements of `#name`.
                unsafe {
                    regparm::enter::<#pointer, #place, _, _>(
                        |#(#args),*| #name(#(#args),*),
                        [a, b, c],
                        stack,
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
