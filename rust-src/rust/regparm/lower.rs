// SPDX-License-Identifier: GPL-2.0

//! Lowers the bindings for 32-bit x86 to what `rustc` passes correctly.
//!
//! The kernel is compiled with `-mregparm=3` there. `rustc -Zregparm=3` places arguments of at most
//! a word as C does, but not the wider ones; see `Documentation/rust/regparm.rst`. Both conventions
//! are simple, and C's can be expressed in terms of the other with words alone, at no cost. This
//! program reads the output of `bindgen` and rewrites every signature that the two place
//! differently:
//!
//! - A function becomes an inline function of the same type, which calls the lowered declaration.
//! - A function pointer becomes one of the lowered type, so that the compiler refuses any other.
//!
//! It also writes what the `#[c_callback]` and `#[export]` attributes need for the opposite
//! direction, and a C file which refers to all functions and from which the guard learns how C
//! passes their arguments.
//!
//! Usage: `lower BINDINGS HELPERS BINDINGS_OUT HELPERS_OUT REFERENCES_OUT`

mod words;

use std::collections::{
    BTreeMap,
    HashMap, //
};
use std::fmt::Write;

use proc_macro2::TokenStream;
use quote::{
    format_ident,
    quote,
    ToTokens, //
};
use syn::{
    parse_quote,
    visit_mut::{
        self,
        VisitMut, //
    },
    Fields,
    File,
    ForeignItem,
    ForeignItemFn,
    Item,
    ReturnType,
    Type,
    TypeBareFn, //
};

/// The registers that carry arguments.
const REGISTERS: usize = 3;

/// How an argument is passed, as far as the conventions care.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    /// Nothing is passed.
    Empty,
    /// An integer or a pointer of at most 32 bits.
    Word,
    /// A 64-bit integer.
    Wide,
    /// A structure or union of that many bytes.
    Aggregate(usize),
    /// Floating point, which the kernel does not use.
    Unsupported,
}

impl Class {
    fn words(self) -> usize {
        match self {
            Class::Empty => 0,
            Class::Word => 1,
            Class::Wide => 2,
            Class::Aggregate(size) => size.div_ceil(4),
            Class::Unsupported => unreachable!(),
        }
    }
}

/// Where an argument is passed: this many registers, or none and the stack.
#[derive(PartialEq)]
enum Place {
    Registers(usize),
    Stack,
}

/// Where C places arguments: as long as whole arguments fit, in registers.
fn places_in_c(args: &[Class], by_pointer: bool) -> Vec<Place> {
    let mut free = REGISTERS - usize::from(by_pointer);

    args.iter()
        .map(|class| {
            if class.words() <= free {
                free -= class.words();
                Place::Registers(class.words())
            } else {
                free = 0;
                Place::Stack
            }
        })
        .collect()
}

/// Where `rustc` places them: it counts registers for 64-bit integers, but does not use them, and
/// overlooks aggregates.
fn places_in_rust(args: &[Class]) -> Vec<Place> {
    let mut free = REGISTERS;

    args.iter()
        .map(|class| match class {
            Class::Empty => Place::Registers(0),
            Class::Aggregate(_) => Place::Stack,
            _ if class.words() > free => {
                free = 0;
                Place::Stack
            }
            Class::Wide => {
                free -= 2;
                Place::Stack
            }
            _ => {
                free -= 1;
                Place::Registers(1)
            }
        })
        .collect()
}

/// The types of the bindings, by name.
#[derive(Default)]
struct Types {
    aliases: HashMap<String, Type>,
    /// For aggregates, the fields, whether it is a union, the alignment asked for and the packing.
    aggregates: HashMap<String, Aggregate>,
}

struct Aggregate {
    fields: Vec<Type>,
    is_union: bool,
    transparent: bool,
    align: usize,
    pack: usize,
}

impl Types {
    fn add(&mut self, file: &File) {
        for item in &file.items {
            match item {
                Item::Type(item) => {
                    self.aliases
                        .insert(item.ident.to_string(), (*item.ty).clone());
                }
                // `pub use self::NAME as ALIAS;`
                Item::Use(item) => {
                    if let syn::UseTree::Path(path) = &item.tree {
                        if let syn::UseTree::Rename(rename) = &*path.tree {
                            let ident = &rename.ident;
                            self.aliases
                                .insert(rename.rename.to_string(), parse_quote!(#ident));
                        }
                    }
                }
                Item::Struct(item) => {
                    let fields = match &item.fields {
                        Fields::Unit => Vec::new(),
                        fields => fields.iter().map(|field| field.ty.clone()).collect(),
                    };
                    let aggregate = Aggregate::new(&item.attrs, fields, false);
                    self.aggregates.insert(item.ident.to_string(), aggregate);
                }
                Item::Union(item) => {
                    let fields = item.fields.named.iter().map(|f| f.ty.clone()).collect();
                    let aggregate = Aggregate::new(&item.attrs, fields, true);
                    self.aggregates.insert(item.ident.to_string(), aggregate);
                }
                _ => (),
            }
        }
    }

    /// Replaces all aliases in a type, removes what two spellings of it may differ in, and lowers
    /// the function pointers in it.
    fn canonical(&self, ty: &Type) -> Type {
        struct Resolve<'a>(&'a Types);

        impl VisitMut for Resolve<'_> {
            fn visit_type_mut(&mut self, ty: &mut Type) {
                while let Some(name) = name_of(ty) {
                    let Some(target) = self.0.aliases.get(&name) else {
                        if let Some(primitive) = primitive(&name) {
                            *ty = syn::parse_str(primitive).unwrap();
                        }
                        break;
                    };
                    *ty = target.clone();
                }
                visit_mut::visit_type_mut(self, ty);
            }

            fn visit_bare_fn_arg_mut(&mut self, arg: &mut syn::BareFnArg) {
                arg.name = None;
                self.visit_type_mut(&mut arg.ty);
            }

            fn visit_type_bare_fn_mut(&mut self, f: &mut TypeBareFn) {
                f.inputs.pop_punct();
                visit_mut::visit_type_bare_fn_mut(self, f);
            }
        }

        let mut ty = ty.clone();
        Resolve(self).visit_type_mut(&mut ty);
        Pointers::new(self, &mut BTreeMap::new()).visit_type_mut(&mut ty);
        ty
    }

    /// The size and alignment of a type.
    fn layout(&self, ty: &Type) -> (usize, usize) {
        match ty {
            Type::Ptr(_) | Type::BareFn(_) | Type::Reference(_) => (4, 4),
            Type::Tuple(tuple) if tuple.elems.is_empty() => (0, 1),
            Type::Array(array) => {
                let syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Int(len),
                    ..
                }) = &array.len
                else {
                    panic!("array length of `{}`", ty.to_token_stream());
                };
                let (size, align) = self.layout(&array.elem);
                (size * len.base10_parse::<usize>().unwrap(), align)
            }
            Type::Path(path) if path.path.segments[0].ident == "regparm" => (4, 4),
            Type::Path(path) => {
                let last = path.path.segments.last().unwrap();
                let name = last.ident.to_string();
                let argument = match &last.arguments {
                    syn::PathArguments::AngleBracketed(args) => match args.args.last() {
                        Some(syn::GenericArgument::Type(ty)) => Some(ty),
                        _ => None,
                    },
                    _ => None,
                };

                match (name.as_str(), argument) {
                    ("Option", Some(_)) => (4, 4),
                    ("PhantomData" | "__IncompleteArrayField", Some(ty)) => (0, self.layout(ty).1),
                    ("__BindgenUnionField" | "PhantomPinned", _) => (0, 1),
                    ("ManuallyDrop" | "__BindgenBitfieldUnit" | "MaybeUninit", Some(ty)) => {
                        self.layout(ty)
                    }
                    ("bool" | "i8" | "u8" | "c_void", _) => (1, 1),
                    ("i16" | "u16", _) => (2, 2),
                    ("i32" | "u32" | "isize" | "usize" | "f32", _) => (4, 4),
                    ("i64" | "u64" | "f64", _) => (8, 4),
                    ("i128" | "u128", _) => (16, 16),
                    _ => {
                        if let Some(target) = self.aliases.get(&name) {
                            self.layout(target)
                        } else if let Some(aggregate) = self.aggregates.get(&name) {
                            self.aggregate(aggregate)
                        } else if let Some(primitive) = primitive(&name) {
                            self.layout(&syn::parse_str(primitive).unwrap())
                        } else {
                            panic!("unknown type `{}`", ty.to_token_stream())
                        }
                    }
                }
            }
            _ => panic!("layout of `{}`", ty.to_token_stream()),
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> (usize, usize) {
        let mut size = 0;
        let mut align = 1;

        for field in &aggregate.fields {
            let (field_size, field_align) = self.layout(field);
            let field_align = field_align.min(aggregate.pack);

            align = align.max(field_align);
            if aggregate.is_union {
                size = size.max(field_size);
            } else {
                size = size.next_multiple_of(field_align) + field_size;
            }
        }

        align = align.max(aggregate.align);
        (size.next_multiple_of(align), align)
    }

    /// Whether C returns an aggregate, or one with such a member, in registers.
    fn is_returned_in_registers(&self, ty: &Type) -> bool {
        let ty = self.canonical(ty);

        match self.layout(&ty).0 {
            0 => true,
            1 | 2 | 4 | 8 => match (
                &ty,
                name_of(&ty).and_then(|name| self.aggregates.get(&name)),
            ) {
                (Type::Array(array), _) => self.is_returned_in_registers(&array.elem),
                (_, Some(aggregate)) => aggregate
                    .fields
                    .iter()
                    .all(|field| self.is_returned_in_registers(field)),
                _ => true,
            },
            _ => is_bitfield(&ty),
        }
    }

    fn class(&self, ty: &Type) -> Class {
        let ty = self.canonical(ty);

        if let Some(aggregate) = name_of(&ty).and_then(|name| self.aggregates.get(&name)) {
            if aggregate.transparent {
                return self.class(&aggregate.fields[0]);
            }
            return match self.aggregate(aggregate).0 {
                0 => Class::Empty,
                size => Class::Aggregate(size),
            };
        }

        match name_of(&ty).as_deref() {
            Some("i64" | "u64") => Class::Wide,
            Some("f32" | "f64" | "i128" | "u128") => Class::Unsupported,
            _ if self.layout(&ty).0 == 0 => Class::Empty,
            _ => Class::Word,
        }
    }
}

impl Aggregate {
    fn new(attrs: &[syn::Attribute], fields: Vec<Type>, is_union: bool) -> Self {
        let mut aggregate = Aggregate {
            fields,
            is_union,
            transparent: false,
            align: 1,
            pack: usize::MAX,
        };

        for attr in attrs.iter().filter(|attr| attr.path().is_ident("repr")) {
            attr.parse_nested_meta(|meta| {
                let number = || -> syn::Result<usize> {
                    if !meta.input.peek(syn::token::Paren) {
                        return Ok(1);
                    }
                    let content;
                    syn::parenthesized!(content in meta.input);
                    content.parse::<syn::LitInt>()?.base10_parse()
                };

                if meta.path.is_ident("align") {
                    aggregate.align = number()?;
                } else if meta.path.is_ident("packed") {
                    aggregate.pack = number()?;
                } else if meta.path.is_ident("transparent") {
                    aggregate.transparent = true;
                }
                Ok(())
            })
            .unwrap();
        }

        aggregate
    }
}

/// The name of a type that is a path without arguments.
fn name_of(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;

    last.arguments.is_none().then(|| last.ident.to_string())
}

/// The type of a field is what `bindgen` makes of bit-fields. Only their own type counts for C.
fn is_bitfield(ty: &Type) -> bool {
    matches!(ty, Type::Path(path)
        if path.path.segments.last().unwrap().ident == "__BindgenBitfieldUnit")
}

/// The types in `rust/ffi.rs`, and those that `bindings` defines itself.
fn primitive(name: &str) -> Option<&'static str> {
    Some(match name {
        "c_char" | "c_uchar" => "u8",
        "c_schar" => "i8",
        "c_short" => "i16",
        "c_ushort" => "u16",
        "c_int" => "i32",
        "c_uint" => "u32",
        "c_long" | "__kernel_ssize_t" | "__kernel_ptrdiff_t" => "isize",
        "c_ulong" | "__kernel_size_t" => "usize",
        "c_longlong" => "i64",
        "c_ulonglong" => "u64",
        _ => return None,
    })
}

/// A signature, and how its arguments and result travel.
struct Signature {
    args: Vec<Type>,
    classes: Vec<Class>,
    output: Type,
    /// The caller passes a pointer to the place of the result.
    by_pointer: bool,
}

/// Tokens of a lowered signature.
#[derive(Default)]
struct Lowered {
    /// The types of the parameters.
    types: Vec<TokenStream>,
    /// The parameters' names.
    names: Vec<syn::Ident>,
    /// For a call: the arguments made from those of the signature, which are `a0`, `a1` and so on.
    split: Vec<TokenStream>,
    /// For a definition: the signature's arguments made from the parameters.
    joined: Vec<TokenStream>,
}

impl Signature {
    fn new<'a>(types: &Types, args: impl Iterator<Item = &'a Type>, output: &ReturnType) -> Self {
        let args: Vec<_> = args.map(|ty| types.canonical(ty)).collect();
        let classes = args.iter().map(|ty| types.class(ty)).collect();
        let (output, by_pointer) = match output {
            ReturnType::Default => (parse_quote!(()), false),
            ReturnType::Type(_, ty) => match &**ty {
                Type::Never(_) => ((**ty).clone(), false),
                ty => {
                    let ty = types.canonical(ty);
                    let by_pointer = matches!(types.class(&ty), Class::Aggregate(_))
                        && !types.is_returned_in_registers(&ty);
                    (ty, by_pointer)
                }
            },
        };

        Signature {
            args,
            classes,
            output,
            by_pointer,
        }
    }

    /// Whether `rustc` passes the arguments where C expects them.
    fn is_right(&self) -> bool {
        self.is_unsupported()
            || !self.by_pointer
                && places_in_rust(&self.classes) == places_in_c(&self.classes, false)
    }

    /// Whether there is something in it that no rule here covers. It is left alone, and the guard
    /// reports it if it is used.
    fn is_unsupported(&self) -> bool {
        self.classes.contains(&Class::Unsupported)
    }

    /// Whether the type of the bindings may be another one in another configuration, or is wide.
    /// An attribute may then be asked to lower it, even if there is nothing to do here.
    fn may_vary(&self, written: &[Type]) -> bool {
        !self.is_unsupported()
            && !matches!(self.output, Type::Never(_))
            && (!self.is_right()
                || written
                    .iter()
                    .any(|ty| name_of(ty).is_some_and(|name| !words::is_word(&name))))
    }

    fn lower(&self) -> Lowered {
        let mut lowered = Lowered::default();
        let mut free = REGISTERS;

        if self.is_right() {
            lowered.types = self.args.iter().map(|ty| ty.to_token_stream()).collect();
            lowered.names = (0..self.args.len())
                .map(|i| format_ident!("a{i}"))
                .collect();
            lowered.joined = lowered
                .names
                .iter()
                .map(|name| name.to_token_stream())
                .collect();
            return lowered;
        }

        if self.by_pointer {
            free -= 1;
        }

        for (i, (ty, class)) in self.args.iter().zip(&self.classes).enumerate() {
            let name = format_ident!("a{i}");
            let words = class.words();

            if words > free {
                // C leaves the remaining registers alone, from here on. `rustc` does the same once
                // there is nothing left in them to leave.
                for n in 0..free {
                    lowered.types.push(quote!(regparm::Unused));
                    lowered.names.push(format_ident!("_unused{n}"));
                    lowered.split.push(quote!(regparm::Unused::NEW));
                }
                free = 0;
            } else {
                free -= words;
                if matches!(class, Class::Wide | Class::Aggregate(_)) {
                    let mut parts = Vec::new();
                    for n in 0..words {
                        let part = format_ident!("a{i}_{n}");
                        lowered.types.push(quote!(regparm::Word<#ty, #n>));
                        lowered.split.push(quote!(regparm::Word::new(&#name)));
                        lowered.names.push(part.clone());
                        parts.push(part);
                    }
                    let join = format_ident!("join{words}");
                    lowered.joined.push(quote!(regparm::#join(#(#parts),*)));
                    continue;
                }
            }

            lowered.types.push(ty.to_token_stream());
            lowered.split.push(name.to_token_stream());
            lowered.joined.push(name.to_token_stream());
            lowered.names.push(name);
        }

        lowered
    }

    /// The type of a pointer to a function of this signature, as Rust has it.
    fn pointer(&self) -> TokenStream {
        let (args, output) = (&self.args, &self.output);

        quote!(unsafe extern "C" fn(#(#args),*) -> #output)
    }

    /// The type of a pointer that C can call.
    fn lowered_pointer(&self) -> TokenStream {
        let (types, output) = (self.lower().types, &self.output);

        if self.by_pointer {
            quote!(unsafe extern "C" fn(*mut #output, #(#types),*) -> *mut #output)
        } else {
            quote!(unsafe extern "C" fn(#(#types),*) -> #output)
        }
    }

    /// What the attributes need to have a function of this signature called by C.
    fn entry(&self) -> TokenStream {
        let Lowered {
            types,
            names,
            joined,
            ..
        } = self.lower();
        let (pointer, lowered, output) = (self.pointer(), self.lowered_pointer(), &self.output);
        let args = &self.args;
        let params = (0..args.len()).map(|i| format_ident!("a{i}"));
        let kind = if self.by_pointer {
            quote!(by_pointer)
        } else {
            quote!(by_value)
        };

        quote! {
            regparm::signature!(#kind {#pointer} {#lowered} (#(#params: #args),*) {#output}
                (#(#names: #types),*) (#(#joined),*));
        }
    }

    /// The lowered declaration of a function.
    fn declaration(&self, f: &ForeignItemFn) -> TokenStream {
        let Lowered { types, names, .. } = self.lower();
        let (vis, ident, output) = (&f.vis, &f.sig.ident, &self.output);
        let link_name = link_name(f);

        let signature = if self.by_pointer {
            quote!((result: *mut #output, #(#names: #types),*) -> *mut #output)
        } else {
            quote!((#(#names: #types),*) -> #output)
        };
        quote!(#[link_name = #link_name] #vis fn #ident #signature;)
    }

    /// The function of the bindings, which calls the lowered one.
    fn wrapper(&self, f: &ForeignItemFn) -> TokenStream {
        let split = self.lower().split;
        let (vis, ident) = (&f.vis, &f.sig.ident);
        let (args, output) = (&self.args, &self.output);
        let params = (0..args.len()).map(|i| format_ident!("a{i}"));
        let attrs = f
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("must_use"));

        let call = if self.by_pointer {
            quote! {
                let mut result = ::core::mem::MaybeUninit::<#output>::uninit();
                for_c::#ident(result.as_mut_ptr(), #(#split),*);
                result.assume_init()
            }
        } else {
            quote!(for_c::#ident(#(#split),*))
        };

        quote! {
            #(#attrs)*
            #[inline(always)]
            #vis unsafe extern "C" fn #ident(#(#params: #args),*) -> #output {
                #call
            }
        }
    }
}

/// Lowers the function pointers in whatever is visited, and notes the signatures.
struct Pointers<'a> {
    types: &'a Types,
    entries: &'a mut BTreeMap<String, TokenStream>,
}

impl<'a> Pointers<'a> {
    fn new(types: &'a Types, entries: &'a mut BTreeMap<String, TokenStream>) -> Self {
        Pointers { types, entries }
    }

    fn note(&mut self, signature: &Signature, written: &[Type]) {
        if signature.may_vary(written) {
            self.entries
                .entry(signature.pointer().to_string())
                .or_insert_with(|| signature.entry());
        }
    }
}

impl VisitMut for Pointers<'_> {
    fn visit_type_bare_fn_mut(&mut self, f: &mut TypeBareFn) {
        // The pointers in the arguments first.
        visit_mut::visit_type_bare_fn_mut(self, f);

        if f.variadic.is_some() || f.abi.is_none() {
            return;
        }

        let written: Vec<_> = f.inputs.iter().map(|arg| arg.ty.clone()).collect();
        let signature = Signature::new(self.types, written.iter(), &f.output);
        self.note(&signature, &written);
        if !signature.is_right() {
            *f = syn::parse2(signature.lowered_pointer()).unwrap();
        }
    }
}

/// Lowers one file of bindings. Returns the names of the functions in it, as linked.
fn lower(
    file: &mut File,
    types: &Types,
    entries: &mut BTreeMap<String, TokenStream>,
    output: &mut String,
) -> Vec<String> {
    let mut functions = Vec::new();
    let mut declarations = Vec::new();

    for item in &mut file.items {
        let Item::ForeignMod(block) = item else {
            Pointers::new(types, entries).visit_item_mut(item);
            writeln!(output, "{}", item.to_token_stream()).unwrap();
            continue;
        };

        let mut kept = Vec::new();
        for mut item in block.items.drain(..) {
            Pointers::new(types, entries).visit_foreign_item_mut(&mut item);

            if let ForeignItem::Fn(f) = &item {
                functions.push(link_name(f));

                if f.sig.variadic.is_none() {
                    let written: Vec<_> = f
                        .sig
                        .inputs
                        .iter()
                        .map(|arg| match arg {
                            syn::FnArg::Typed(arg) => (*arg.ty).clone(),
                            syn::FnArg::Receiver(_) => unreachable!(),
                        })
                        .collect();
                    let signature = Signature::new(types, written.iter(), &f.sig.output);
                    Pointers::new(types, entries).note(&signature, &written);
                    if !signature.is_right() {
                        declarations.push(signature.declaration(f));
                        writeln!(output, "{}", signature.wrapper(f)).unwrap();
                        continue;
                    }
                }
            }
            kept.push(item);
        }

        if !kept.is_empty() {
            block.items = kept;
            writeln!(output, "{}", block.to_token_stream()).unwrap();
        }
    }

    let for_c = quote! {
        pub mod for_c {
            pub use super::*;
            unsafe extern "C" {
                #(#declarations)*
            }
        }
    };
    writeln!(output, "{for_c}").unwrap();

    functions
}

fn link_name(f: &ForeignItemFn) -> String {
    f.attrs
        .iter()
        .filter(|attr| attr.path().is_ident("link_name"))
        .find_map(|attr| match &attr.meta.require_name_value().ok()?.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(name),
                ..
            }) => Some(name.value()),
            _ => None,
        })
        .unwrap_or_else(|| f.sig.ident.to_string())
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [bindings_in, helpers_in, bindings_out, helpers_out, references_out] = &args[..] else {
        panic!("usage: lower BINDINGS HELPERS BINDINGS_OUT HELPERS_OUT REFERENCES_OUT");
    };

    let read = |path: &String| -> File {
        let source = std::fs::read_to_string(path).expect("cannot read the bindings");
        syn::parse_file(&source).expect("cannot parse the bindings")
    };
    let mut bindings = read(bindings_in);
    let mut helpers = read(helpers_in);

    let mut types = Types::default();
    types.add(&bindings);

    let mut entries = BTreeMap::new();
    let mut bindings_text = String::new();
    let mut helpers_text = String::new();
    let mut functions = lower(&mut bindings, &types, &mut entries, &mut bindings_text);
    functions.extend(lower(&mut helpers, &types, &mut entries, &mut helpers_text));

    for entry in entries.values() {
        writeln!(bindings_text, "{entry}").unwrap();
    }

    // `bindgen` tells LLVM with the character to take the rest of the name as it is.
    functions
        .iter_mut()
        .for_each(|name| *name = name.trim_start_matches('\u{1}').to_string());
    functions.retain(|name| !name.starts_with("__builtin_"));

    let mut references = String::new();
    for function in &functions {
        writeln!(references, "#undef {function}").unwrap();
    }
    references.push_str("const void *const rust_references[] = {\n");
    for function in &functions {
        writeln!(references, "\t{function},").unwrap();
    }
    references.push_str("};\n");

    std::fs::write(bindings_out, bindings_text).expect("cannot write the bindings");
    std::fs::write(helpers_out, helpers_text).expect("cannot write the bindings");
    std::fs::write(references_out, references).expect("cannot write the references");
}
