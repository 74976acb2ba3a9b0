// SPDX-License-Identifier: GPL-2.0

//! Makes the bindings for 32-bit x86 pass arguments as C does.
//!
//! `rustc` passes integers of up to 32 bits and pointers as C does, but not other arguments. This
//! program reads the output of `bindgen` and rewrites what has such an argument, or a structure or
//! union as the result:
//!
//! - A function becomes an inline function of the same type, which calls that of C by means of
//!   `rust/bindings/regparm.rs`.
//! - A pointer to a function becomes a `CFn`, so that the compiler refuses any other.
//!
//! It knows no sizes: the compiler computes from them what is passed where.
//!
//! Usage: `lower BINDINGS HELPERS BINDINGS_OUT HELPERS_OUT`

use std::{
    collections::{
        BTreeMap,
        BTreeSet,
        HashMap, //
    },
    fmt::Write,
    fs,
};

use proc_macro2::{
    Ident,
    TokenStream, //
};
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
    Abi,
    FnArg,
    ForeignItem,
    ForeignItemFn,
    GenericArgument,
    Item,
    PathArguments,
    ReturnType,
    Type,
    UsePath,
    UseRename,
    UseTree, //
};

/// Fields that are not members: what `bindgen` makes of bit-fields and padding, or repeats.
const NO_MEMBERS: [&str; 4] = [
    "_bitfield_align_",
    "__bindgen_padding_",
    "_bindgen_align",
    "bindgen_union_field",
];

/// The field of a type whose members `bindgen` does not know.
const OPAQUE: &str = "_bindgen_opaque_blob";

/// What is passed in one word.
const WORDS: &str = "Option bool u8 i8 u16 i16 u32 i32 usize isize c_char c_schar c_uchar c_short \
    c_ushort c_int c_uint c_long c_ulong __kernel_size_t __kernel_ssize_t __kernel_ptrdiff_t";

/// What is passed in two.
const WIDE: &str = "u64 i64 c_longlong c_ulonglong";

/// What `rust/bindings/regparm.rs` cannot handle: C passes structures of a floating-point number as
/// that number, and returns types with a flexible array in memory.
const SPECIAL: [&str; 3] = ["f32", "f64", "__IncompleteArrayField"];

/// The arguments that `rust/bindings/regparm.rs` can handle.
const MAX_ARGS: usize = 16;

/// How a type is passed, and returned.
#[derive(PartialEq)]
enum Class {
    Word,
    Wide,
    Aggregate,
    /// A function that has this is left alone, for the guard to see. A pointer cannot be called.
    Unknown,
}

/// The types of the bindings.
#[derive(Default)]
struct Types {
    /// What other names stand for.
    aliases: HashMap<String, Type>,
    /// The names and types of the fields of structures and unions.
    fields: HashMap<String, Vec<(String, Type)>>,
    /// What is passed by value and is not an integer: it shall be a `regparm::Value`.
    values: BTreeSet<String>,
}

/// The name of a type, without a path and parameters.
fn name_of(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
    .unwrap_or_default()
}

/// The name of a type that may be of the bindings. One with a path, such as `ffi::c_int`, is not.
fn own_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

/// Whether a type has parameters, as has what `bindgen` makes of a `_BitInt`.
fn is_generic(ty: &Type) -> bool {
    matches!(ty, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| !last.arguments.is_none()))
}

/// What `bindgen` wraps up since it is a member of a union and not `Copy`.
fn unwrap(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;

    match &last.arguments {
        PathArguments::AngleBracketed(args) if last.ident == "__BindgenUnionField" => {
            match args.args.first()? {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            }
        }
        _ => None,
    }
}

impl Types {
    fn add(&mut self, item: &Item) {
        let (ident, attrs, fields): (_, _, Vec<_>) = match item {
            Item::Struct(item) => (&item.ident, &item.attrs, item.fields.iter().collect()),
            Item::Union(item) => (&item.ident, &item.attrs, item.fields.named.iter().collect()),
            Item::Type(item) => {
                self.aliases
                    .insert(item.ident.to_string(), (*item.ty).clone());
                return;
            }
            // `pub use self::NAME as ALIAS;`
            Item::Use(item) => {
                if let UseTree::Path(UsePath { tree, .. }) = &item.tree {
                    if let UseTree::Rename(UseRename { ident, rename, .. }) = &**tree {
                        self.aliases
                            .insert(rename.to_string(), parse_quote!(#ident));
                    }
                }
                return;
            }
            _ => return,
        };
        let name = ident.to_string();

        // `bindgen` makes this of some enumerations.
        if attrs
            .iter()
            .any(|attr| attr.to_token_stream().to_string().contains("transparent"))
        {
            self.aliases.insert(name.clone(), fields[0].ty.clone());
            self.values.insert(name);
            return;
        }
        let fields = fields
            .iter()
            .map(|field| {
                let name = field.ident.as_ref().map(|ident| ident.to_string());
                (name.unwrap_or_default(), field.ty.clone())
            })
            .collect();
        self.fields.insert(name, fields);
    }

    fn resolve<'a>(&'a self, mut ty: &'a Type) -> &'a Type {
        // What stands for itself is an error of the compiler, later.
        for _ in 0..=self.aliases.len() {
            let Some(target) = self.alias(ty).or_else(|| unwrap(ty)) else {
                break;
            };
            ty = target;
        }
        ty
    }

    fn alias(&self, ty: &Type) -> Option<&Type> {
        self.aliases.get(&own_name(ty)?)
    }

    fn class(&mut self, ty: &Type) -> Class {
        let ty = self.resolve(ty);
        let name = name_of(ty);
        // It may have the name of one of the words.
        let is_own = own_name(ty).is_some_and(|name| self.fields.contains_key(&name));
        let is_in = |list: &str| !is_own && list.split(' ').any(|entry| entry == name);

        if matches!(ty, Type::Ptr(_)) || is_in(WORDS) {
            Class::Word
        } else if is_in(WIDE) {
            Class::Wide
        } else if is_own && !self.is_special(ty) {
            self.values.insert(name);
            Class::Aggregate
        } else {
            Class::Unknown
        }
    }

    /// The names and types of the members of a structure or union.
    fn members(&self, ty: &Type) -> impl Iterator<Item = &(String, Type)> {
        let fields = own_name(ty).and_then(|name| self.fields.get(&name));

        fields.into_iter().flatten().filter(|(name, ty)| {
            name_of(ty) != "__BindgenBitfieldUnit"
                && !NO_MEMBERS.iter().any(|prefix| name.starts_with(prefix))
        })
    }

    fn is_special(&self, ty: &Type) -> bool {
        let ty = self.resolve(ty);
        let name = name_of(ty);

        if let Type::Array(array) = ty {
            // In unions, flexible arrays have no elements.
            return array.len.to_token_stream().to_string() == "0usize"
                || self.is_special(&array.elem);
        }
        let is_pointer = matches!(&*name, "Option" | "CFn");
        let mut members = self.members(ty);

        SPECIAL.contains(&&*name)
            || is_generic(ty) && !is_pointer
            || members.any(|(name, ty)| name == OPAQUE || self.is_special(ty))
    }

    /// The classes of the arguments, and of the result, for which a 64-bit integer is a word.
    fn classes<'a>(
        &mut self,
        args: impl Iterator<Item = &'a Type>,
        output: &ReturnType,
    ) -> Vec<Class> {
        let mut classes: Vec<_> = args.map(|ty| self.class(ty)).collect();

        if let ReturnType::Type(_, ty) = output {
            if !matches!(**ty, Type::Never(_)) {
                classes.push(match self.class(ty) {
                    Class::Wide => Class::Word,
                    class => class,
                });
            }
        }
        classes
    }

    /// Lists the sizes of a type, of its members, and of theirs: they decide where C returns it.
    fn sizes(&self, ty: &Type, sizes: &mut Vec<TokenStream>) {
        let ty = self.resolve(ty);

        sizes.push(quote!(size_of::<#ty>()));
        if let Type::Array(array) = ty {
            self.sizes(&array.elem, sizes);
        }
        for (_, ty) in self.members(ty) {
            self.sizes(ty, sizes);
        }
    }

    /// Lets the types that are passed by value be passed.
    fn values(&self) -> TokenStream {
        let values = self.values.iter().map(|name| {
            let ty: Type = syn::parse_str(name).unwrap();
            let mut sizes = Vec::new();

            if let Some(integer) = self.aliases.get(name) {
                return quote!(regparm::enumeration!(#ty: #integer););
            }
            self.sizes(&ty, &mut sizes);
            quote!(regparm::value!(#ty: #(#sizes),*);)
        });

        quote!(#(#values)*)
    }
}

/// `!` is not a type yet. A function that does not return returns nothing, too.
fn output(output: &ReturnType) -> Type {
    match output {
        ReturnType::Type(_, ty) if !matches!(**ty, Type::Never(_)) => (**ty).clone(),
        _ => parse_quote!(()),
    }
}

fn is_c(abi: &Abi) -> bool {
    abi.name.as_ref().is_some_and(|name| name.value() == "C")
}

impl VisitMut for Types {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        visit_mut::visit_type_mut(self, ty);

        let Type::BareFn(f) = ty else { return };
        let (Some(abi), variadic) = (&f.abi, &f.variadic) else {
            return;
        };
        // If all arguments are on the stack, only the result can be wrong. Nothing can call that.
        let on_stack = variadic.is_some() || !is_c(abi);
        let in_question = if on_stack { 0 } else { f.inputs.len() };
        let args = f.inputs.iter().map(|arg| &arg.ty);
        let classes = self.classes(args.clone().take(in_question), &f.output);

        if classes.iter().any(|class| *class != Class::Word) {
            let output = output(&f.output);
            *ty = parse_quote!(regparm::CFn<unsafe #abi fn(#(#args,)* #variadic) -> #output>);
        }
    }
}

/// Describes a function to `regparm::functions!`; nothing if it shall stay as it is.
fn function(types: &mut Types, f: &ForeignItemFn) -> Option<TokenStream> {
    let args = f.sig.inputs.iter().filter_map(|arg| match arg {
        FnArg::Typed(arg) => Some(&*arg.ty),
        FnArg::Receiver(_) => None,
    });

    let classes = types.classes(args.clone(), &f.sig.output);
    // `regparm::functions!` makes functions that return.
    if f.sig.variadic.is_some()
        || matches!(&f.sig.output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)))
        || f.sig.inputs.len() > MAX_ARGS
        || classes.contains(&Class::Unknown)
        || classes.iter().all(|class| *class == Class::Word)
    {
        return None;
    }

    // Unlike a declaration, a function must not have an argument with the name of a constant.
    let inputs = args.enumerate().map(|(i, ty)| {
        let arg = format_ident!("arg_{i}");
        quote!(#arg: #ty)
    });
    let (ident, output) = (&f.sig.ident, output(&f.sig.output));
    let attribute = |name: &str| f.attrs.iter().find(|attr| attr.path().is_ident(name));
    let (must_use, name) = (attribute("must_use"), ident.to_string());
    let link_name = match attribute("link_name") {
        Some(attr) => quote!(#attr),
        None => quote!(#[link_name = #name]),
    };
    Some(quote!(#must_use fn #ident #link_name (#(#inputs),*) -> #output;))
}

/// The functions that have been rewritten.
type Functions = BTreeMap<Ident, TokenStream>;

/// Rewrites one file of bindings, to which the given helpers belong.
fn lower(types: &mut Types, items: Vec<Item>, helpers: &Functions) -> (String, Functions) {
    let mut text = String::new();
    let mut functions = Functions::new();

    for mut item in items {
        types.visit_item_mut(&mut item);
        if let Item::ForeignMod(block) = &mut item {
            let block_is_c = is_c(&block.abi);
            block.items.retain(|item| match item {
                ForeignItem::Fn(f) if block_is_c => {
                    let function = function(types, f);
                    let kept = function.is_none();
                    functions.extend(function.map(|function| (f.sig.ident.clone(), function)));
                    kept
                }
                _ => true,
            });
        }
        writeln!(text, "{}", item.to_token_stream()).unwrap();
    }

    // Where there are both, the function hides the helper.
    let helpers = helpers.keys().filter(|name| !functions.contains_key(name));
    let all = functions.values();
    text += &quote!(regparm::functions! { #(use #helpers;)* #(#all)* }).to_string();
    (text, functions)
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [bindings, helpers, bindings_out, helpers_out] = &args[..] else {
        panic!("usage: lower BINDINGS HELPERS BINDINGS_OUT HELPERS_OUT");
    };
    let read = |path: &String| {
        let source = fs::read_to_string(path).expect("cannot read the bindings");
        syn::parse_file(&source)
            .expect("cannot parse the bindings")
            .items
    };
    let (bindings, helpers) = (read(bindings), read(helpers));
    let mut types = Types::default();

    bindings.iter().for_each(|item| types.add(item));
    let (helpers, functions) = lower(&mut types, helpers, &Functions::new());
    let (bindings, _) = lower(&mut types, bindings, &functions);
    let bindings = bindings + &types.values().to_string();

    fs::write(bindings_out, bindings).expect("cannot write the bindings");
    fs::write(helpers_out, helpers).expect("cannot write the bindings");
}
