// SPDX-License-Identifier: GPL-2.0

//! Checks that Rust calls C, and C Rust, with the arguments where the other expects them.
//!
//! It compares LLVM's view of both sides, which has the outcome of either compiler's rules. Each
//! call in a Rust object, and each function that it defines or points to, is compared with what C
//! makes of the function of that name. A call through a pointer, and a function that C does not
//! know, are compared with what C would make of the same types, if they are C's at all: `inreg` is
//! what tells a C function with arguments in registers from one of Rust.
//!
//! See `Documentation/rust/regparm.rst`.
//!
//! Usage: `check C-IR RUST-IR [FUNCTION]`
//!
//! Calls of `FUNCTION` are going to be redirected to one that takes its arguments from the stack.

use std::{
    collections::{
        BTreeSet,
        HashMap, //
    },
    process::ExitCode,
};

/// How many words of the arguments can be in registers.
const REGISTERS: usize = 3;

/// A function, as it is called, defined or declared in LLVM's language.
#[derive(Clone)]
struct Function {
    /// Empty for a call through a pointer.
    name: String,
    is_definition: bool,
    params: Vec<Param>,
    variadic: bool,
    /// Such as `x86_stdcallcc`, or LLVM's own, `fastcc`; empty for that of C.
    convention: String,
    /// The types of the result and the parameters.
    ty: String,
    /// The type of the result, and its size.
    result: (String, usize),
    /// Whether this is a call that a declaration changes.
    is_changed: bool,
}

#[derive(Clone)]
struct Param {
    words: usize,
    in_register: bool,
    kind: &'static str,
    /// Those of [`ATTRIBUTES`] that it has.
    attributes: String,
}

/// What LLVM does with an argument if either the call or the declaration says so.
const ATTRIBUTES: [&str; 4] = ["byval", "sret", "signext", "zeroext"];

/// What a parameter can be.
const WORD: &str = "a word";
const WIDE: &str = "a 64-bit integer";
const AGGREGATE: &str = "a structure or union";
const RESULT_PLACE: &str = "the place of the result";
/// It does not compete for the registers.
const FLOAT: &str = "floating point";

/// Where the words of the arguments are: `r` for a register, `s` for the stack.
type Places = String;

/// Whether Rust passes, or expects, what C expects, or passes, if the words are at these places.
///
/// A register that C does not use may have any contents.
fn agree(rust: &str, c: &str) -> bool {
    let (rest, rest_in_c) = (rust.trim_start_matches('r'), c.trim_start_matches('r'));
    let (registers, in_c) = (rust.len() - rest.len(), c.len() - rest_in_c.len());

    rest == rest_in_c && (registers == in_c || registers == REGISTERS && in_c < REGISTERS)
}

/// The types that are defined in a file.
#[derive(Default)]
struct Types(HashMap<String, String>);

/// Whether the text up to a character, given one after the other, has all brackets closed.
fn closed() -> impl FnMut(char) -> bool {
    let (mut depth, mut quoted) = (0, false);

    move |c| {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => (),
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => (),
        }
        depth == 0 && !quoted
    }
}

/// The text inside of the bracket that `text` starts with.
fn inside(text: &str) -> &str {
    text.find(closed()).map_or("", |end| &text[1..end])
}

/// Splits at the separators that are not inside of brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut closed = closed();
    let parts = text.split(|c| closed(c) && c == separator);

    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// The name of a function that LLVM writes as `@NAME` or `@"NAME"`.
fn unquoted(name: &str) -> String {
    let name = name.trim_start_matches('@').trim_matches('"');

    name.trim_start_matches("\\01").to_owned()
}

impl Types {
    /// Size and alignment.
    fn layout(&self, ty: &str) -> (usize, usize) {
        if let Some(bits) = ty.strip_prefix('i').and_then(|n| n.parse::<usize>().ok()) {
            let size = bits.div_ceil(8).next_power_of_two();
            return (size, size.min(4));
        }
        match ty.as_bytes().first() {
            Some(b'[') => {
                let (count, element) = inside(ty).split_once(" x ").unwrap();
                let (size, align) = self.layout(element);
                (count.parse::<usize>().unwrap() * size, align)
            }
            Some(b'<') if !ty.starts_with("<{") => {
                let (count, element) = inside(ty).split_once(" x ").unwrap();
                let bytes = count.parse::<usize>().unwrap() * self.layout(element).0;
                (bytes.next_power_of_two(), bytes.next_power_of_two())
            }
            Some(b'{' | b'<') => {
                let packed = ty.starts_with('<');
                let (mut size, mut align) = (0usize, 1);
                for field in split(inside(if packed { inside(ty) } else { ty }), ',') {
                    let (field_size, field_align) = self.layout(field);
                    let field_align = if packed { 1 } else { field_align };
                    size = size.next_multiple_of(field_align) + field_size;
                    align = align.max(field_align);
                }
                (size.next_multiple_of(align), align)
            }
            Some(b'%') => self.0.get(ty).map_or((0, 1), |ty| self.layout(ty)),
            _ => match ty {
                "ptr" | "float" => (4, 4),
                "double" => (8, 4),
                "x86_fp80" => (12, 4),
                // `void`, and what only LLVM's own functions take.
                _ => (0, 1),
            },
        }
    }

    fn param(&self, text: &str) -> Param {
        let parts = split(text, ' ');
        let ty = parts[0];
        let attribute = |name: &str| {
            parts.iter().find_map(|part| {
                let rest = part.strip_prefix(name)?;
                (rest.is_empty() || rest.starts_with('(')).then(|| inside(rest))
            })
        };
        let aggregate = attribute("byval");
        let words = self.layout(aggregate.unwrap_or(ty)).0.div_ceil(4);
        let is_in = |part: &&str| ATTRIBUTES.iter().any(|name| part.starts_with(name));

        Param {
            words,
            attributes: parts.iter().copied().filter(is_in).collect(),
            in_register: attribute("inreg").is_some(),
            kind: if aggregate.is_some() {
                AGGREGATE
            } else if attribute("sret").is_some() {
                RESULT_PLACE
            } else if matches!(ty, "float" | "double" | "x86_fp80") {
                FLOAT
            } else if words > 1 {
                WIDE
            } else {
                WORD
            },
        }
    }

    /// Reads what follows `define`, `declare`, `call` or `invoke`.
    fn function(&self, text: &str) -> Option<Function> {
        // A comma is what separates `NAME(PARAMETERS)` from metadata.
        let words: Vec<_> = split(text, ' ')
            .into_iter()
            .map(|word| word.trim_end_matches(','))
            .collect();
        // `NAME(PARAMETERS)` follows the type of the result, or that of the function. Instead of
        // `NAME`, there can be a constant, `OPERATION … (…)`.
        let (at, callee) = words.iter().enumerate().find(|(_, word)| {
            word.ends_with(')')
                && (word.starts_with(['@', '%'])
                    || word.starts_with('(') && word.len() > inside(word).len() + 2)
        })?;
        let open = if callee.starts_with('(') {
            inside(callee).len() + 2
        } else if callee[1..].starts_with('"') {
            callee[2..].find('"')? + 3
        } else {
            callee.find('(')?
        };
        let operation = |word: &&str| matches!(*word, "inttoptr" | "getelementptr");
        let at = words[..at].iter().position(operation).unwrap_or(at);
        let mut params = split(inside(&callee[open..]), ',');
        let function_type = words[..at].iter().rev().find(|word| word.starts_with('('));
        let variadic =
            params.last() == Some(&"...") || function_type.is_some_and(|ty| ty.contains("..."));
        let result = words[..at]
            .iter()
            .rev()
            .find(|word| !word.starts_with('('))?;

        params.retain(|param| *param != "...");
        // A call has the type of a function with variable arguments before its name.
        let types: Vec<_> = function_type
            .filter(|_| variadic)
            .map_or(params.clone(), |ty| split(inside(ty), ','))
            .iter()
            .map(|param| split(param, ' ')[0])
            .filter(|ty| *ty != "...")
            .collect();
        Some(Function {
            name: if callee.starts_with('@') {
                unquoted(&callee[..open])
            } else {
                String::new()
            },
            is_definition: false,
            params: params.iter().map(|param| self.param(param)).collect(),
            variadic,
            convention: words[..at]
                .iter()
                .find(|word| word.starts_with("x86_") || **word == "fastcc")
                .map(|word| word.to_string())
                .unwrap_or_default(),
            ty: format!("{result} {types:?} {variadic}"),
            result: (result.to_string(), self.layout(result).0),
            is_changed: false,
        })
    }

    /// Reads the functions of a file: those that C knows, or the calls and definitions of Rust.
    fn read(&mut self, ir: &str, with_calls: bool) -> Vec<Function> {
        let mut functions: Vec<Function> = Vec::new();
        let mut declared = HashMap::new();
        let mut aliases = Vec::new();

        for line in ir.lines() {
            // The types come before all functions.
            if line.starts_with('%') {
                let (name, ty) = line.split_once(" = type ").unwrap();
                self.0.insert(name.to_string(), ty.to_string());
                continue;
            }
            // Of functions that are equal, LLVM may keep one: `@NAME = … alias TYPE, ptr @KEPT`.
            if line.starts_with('@') && line.contains(" alias ") {
                match &split(line, ' ')[..] {
                    words @ [name, .., kept] if words.contains(&"alias") => {
                        aliases.push((unquoted(name), unquoted(kept)));
                    }
                    _ => (),
                }
                continue;
            }
            // The instruction comes after the name of its result.
            let line = match line.split_once(" = ") {
                Some((name, instruction)) if name.starts_with("  %") => instruction,
                _ => line.trim_start(),
            };
            let instruction = ["tail ", "musttail ", "notail "]
                .iter()
                .find_map(|prefix| line.strip_prefix(prefix));
            let Some((what, rest)) = instruction.unwrap_or(line).split_once(' ') else {
                continue;
            };

            match what {
                "define" | "declare" => (),
                "call" | "invoke" if with_calls && !split(rest, ' ').contains(&"asm") => (),
                _ => continue,
            }
            match self.function(rest) {
                // LLVM's own. It may have made a call of it from one of a C function.
                Some(function) if function.name.starts_with("llvm.") => (),
                // One that is called in this file only, and is not pointed to.
                Some(function) if function.convention == "fastcc" => (),
                // What Clang makes of a function with a type that is not complete: it has no
                // attributes.
                Some(_) if !with_calls && what == "declare" && line.ends_with("()") => (),
                Some(function) if with_calls && what == "declare" => {
                    // `@NAME` and `@"\01NAME"` are the same for the linker.
                    let other = declared.insert(function.name.clone(), function);
                    assert!(other.is_none(), "declared twice: {line}");
                }
                Some(function) => functions.push(Function {
                    is_definition: what == "define",
                    ..function
                }),
                None => panic!("cannot read this: {line}"),
            }
        }
        // For LLVM, an attribute in the declaration of what is called is as good as in the call, if
        // both have the same type.
        for function in &mut functions {
            let declared = declared
                .get(&function.name)
                .filter(|declared| declared.ty == function.ty);
            let params = declared.into_iter().flat_map(|declared| &declared.params);
            for (param, declared) in function.params.iter_mut().zip(params) {
                param.in_register |= declared.in_register;
                function.is_changed |= param.attributes != declared.attributes;
            }
        }
        // What is declared may be pointed to. `bindings::for_c` declares its functions without
        // arguments or a result.
        functions.extend(
            declared
                .into_values()
                .filter(|function| !function.params.is_empty() || function.result.0 != "void"),
        );
        for (name, kept) in aliases {
            let kept = functions
                .iter()
                .find(|function| function.is_definition && function.name == kept);
            functions.extend(kept.cloned().map(|kept| Function { name, ..kept }));
        }
        functions
    }
}

impl Function {
    /// Where the arguments are, or where C would pass them if it knew the function as Rust does.
    fn places(&self, by_rule: bool) -> Places {
        let mut free = if self.variadic { 0 } else { REGISTERS };
        let place = |param: &Param| {
            let in_register = match param.kind {
                _ if !by_rule => param.in_register && !self.variadic,
                FLOAT => false,
                _ if param.words <= free => {
                    free -= param.words;
                    true
                }
                _ => {
                    free = 0;
                    false
                }
            };
            if in_register { "r" } else { "s" }.repeat(param.words)
        };

        self.params.iter().map(place).collect()
    }

    /// Whether the name is not one that only Rust knows.
    fn is_shared(&self) -> bool {
        !self.name.is_empty()
            && !["_R", "_ZN", "rust_build_error"]
                .iter()
                .any(|prefix| self.name.starts_with(prefix))
    }

    /// Whether all arguments are on the stack although a word could be in a register: then this is
    /// `extern "efiapi"`, or not for C at all.
    fn is_on_stack(&self) -> bool {
        let params = || self.params.iter();
        let integers = params().filter(|param| matches!(param.kind, WORD | WIDE));

        self.convention.is_empty()
            && !params().any(|param| param.in_register)
            && !integers.take(2).all(|param| param.kind == WIDE)
    }

    /// Whether this can only be a function for C, although its name does not say so.
    fn is_c(&self) -> bool {
        let params = || self.params.iter();

        !self.convention.is_empty()
            || self.variadic
            || params().any(|param| param.in_register)
            || params().any(|param| param.kind == AGGREGATE)
                && (!self.is_on_stack() || self.has_128_bits())
    }

    /// Whether the function removes the place of the result from the stack.
    fn removes_place(&self) -> bool {
        let place = self.params.first();

        place.is_some_and(|place| place.kind == RESULT_PLACE && !place.in_register)
    }

    /// C does not have such integers.
    fn has_128_bits(&self) -> bool {
        let mut params = self.params.iter();

        self.result.1 > 8 || params.any(|param| param.kind == WIDE && param.words > 2)
    }

    /// C returns this in a register that Rust does not use.
    fn returns_float(&self) -> bool {
        matches!(&*self.result.0, "float" | "double" | "x86_fp80")
    }

    /// What Rust does not pass as C does; nothing if it does.
    fn error(&self, in_c: Option<&Function>, on_stack: bool) -> Option<String> {
        let rust = self.places(false);
        if !self.convention.is_empty() {
            return Some(format!("  Convention in Rust: {}\n", self.convention));
        }
        if let Some(in_c) = in_c.filter(|in_c| !in_c.convention.is_empty()) {
            return Some(format!("  Convention in C: {}\n", in_c.convention));
        }
        if self.is_changed {
            return Some("  A declaration by hand changes this call.\n".to_owned());
        }
        if self.has_128_bits() {
            return Some("  A 128-bit integer\n".to_owned());
        }
        // C passes each element as an argument, and returns some in memory.
        if in_c.is_some_and(|in_c| in_c.ty.contains('<')) {
            return Some("  A vector\n".to_owned());
        }
        // The place is on the stack, and only Rust has the callee remove it from there.
        if (self.variadic || in_c.is_some_and(|in_c| in_c.variadic))
            && self.params.iter().any(|param| param.kind == RESULT_PLACE)
        {
            return Some("  Variable arguments, and a result in memory\n".to_owned());
        }
        let c = match in_c {
            // What a variadic function takes after its parameters is on the stack, too.
            _ if on_stack || in_c.is_some_and(|in_c| in_c.variadic) => "s".repeat(rust.len()),
            Some(in_c) => in_c.places(false),
            None => self.places(true),
        };

        if !agree(&rust, &c) {
            let spell_out = |places: &str| {
                let words = places.replace('s', "stack, ").replace('r', "register, ");
                words.trim_end_matches(", ").to_owned()
            };
            let mut error = format!(
                "  Words in C:    {}\n  Words in Rust: {}\n",
                spell_out(&c),
                spell_out(&rust)
            );
            if on_stack {
                error += "  The compiler makes up calls of it, with all arguments on the stack.\n";
            } else if c.starts_with('s') {
                error += "  Perhaps it is `asmlinkage`, which is `extern \"efiapi\"` in Rust.\n";
            } else if let Some(param) = self.params.iter().find(|param| param.kind != WORD) {
                error += &format!("  The compiler does not pass {} as C does.\n", param.kind);
            }
            return Some(error);
        }

        if self.returns_float() || in_c.is_some_and(Function::returns_float) {
            return Some("  The compiler does not return floating point as C does.\n".to_owned());
        }

        let in_c = in_c?;
        // If the place is on the stack, the callee removes it, unlike an argument.
        if self.removes_place() != in_c.removes_place() {
            return Some("  A result in memory, or an argument that points to it\n".to_owned());
        }
        let (result, size) = &self.result;
        let (c, agrees) = match in_c.params.first() {
            // A pointer to the result is returned.
            Some(param) if param.kind == RESULT_PLACE => ("ptr", result == "ptr"),
            // Rust's pointer may be to a result in memory.
            _ => (
                &*in_c.result.0,
                *size == in_c.result.1 && (result != "ptr" || in_c.result.0 == "ptr"),
            ),
        };
        // Who calls may ignore a result.
        ((*size != 0 || self.is_definition) && !agrees)
            .then(|| format!("  Result in C:    {c}\n  Result in Rust: {result}\n"))
    }
}

/// Whether a file has a pointer to a function: its name, neither called nor declared.
fn has_pointer(ir: &str, name: &str) -> bool {
    let name = format!("@{name}");
    let no_pointer = |c: char| c.is_alphanumeric() || "_.$-(".contains(c);

    ir.split(&name)
        .skip(1)
        .any(|rest| !rest.starts_with(no_pointer))
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let load = |path: &String| {
        let ir = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        String::from_utf8_lossy(&ir).into_owned()
    };
    let (c, rust, on_stack) = match &args[..] {
        [c, rust] => (load(c), load(rust), None),
        [c, rust, function] => (load(c), load(rust), Some(function)),
        _ => panic!("usage: check C-IR RUST-IR [FUNCTION]"),
    };
    let c: HashMap<_, _> = Types::default()
        .read(&c, false)
        .into_iter()
        .map(|function| (function.name.clone(), function))
        .collect();
    let functions = Types::default().read(&rust, true);
    // `#[export_name]` does not make a function one for C.
    let own: BTreeSet<_> = functions
        .iter()
        .filter(|function| function.is_definition && function.is_on_stack())
        .filter(|function| !function.has_128_bits())
        .map(|function| &function.name)
        .filter(|name| !c.contains_key(*name))
        .collect();
    let is_own = |function: &&Function| own.contains(&function.name) && function.is_on_stack();
    let mut errors = BTreeSet::new();

    for function in functions.iter().filter(|function| !is_own(function)) {
        let name = &function.name;
        let error = if function.is_shared() || c.contains_key(name) {
            function.error(c.get(name), on_stack == Some(name))
        } else if function.is_c() {
            function.error(None, false)
        } else {
            None
        };

        if let Some(error) = error {
            let name = if name.is_empty() {
                "a function pointer"
            } else {
                &format!("`{name}`")
            };
            errors.insert(format!(
                "error: C and Rust disagree on the arguments or the result of {name}.\n{error}"
            ));
        }
    }

    if let Some(name) = on_stack.filter(|name| has_pointer(&rust, name)) {
        errors.insert(format!(
            "error: A pointer to `{name}` beside calls that the compiler makes up.\n"
        ));
    }

    if errors.is_empty() {
        return ExitCode::SUCCESS;
    }
    for error in errors {
        eprint!("{error}");
    }
    eprintln!("note: See Documentation/rust/regparm.rst.");
    ExitCode::FAILURE
}
