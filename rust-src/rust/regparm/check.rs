// SPDX-License-Identifier: GPL-2.0

//! Checks that Rust and C agree on how arguments are passed on 32-bit x86.
//!
//! It compares LLVM's view of both sides, which has the outcome of either compiler's rules: each
//! function that a Rust object calls or offers by its C name is looked up in what C makes of the
//! same declaration. A function that C does not know, because it is declared by hand, must have no
//! argument that `rustc` passes differently.
//!
//! The calls that `rustc` itself makes up are not subject to its rules: those of `memcmp()` pass
//! everything on the stack. This program prints the options with which `objcopy` redirects them to
//! a function that expects them there.
//!
//! Usage: `check C-IR RUST-IR`

use std::{
    collections::HashMap,
    fs::File,
    io::{
        BufRead,
        BufReader, //
    },
    process::ExitCode,
};

/// Calls that `rustc` makes up with all arguments on the stack, and where they go instead.
const REDIRECTED: [(&str, &str); 1] = [("memcmp", "rust_helper_regparm_memcmp")];

/// What is not passed by value in Rust's own calls.
const AGGREGATE: &str = "a structure or union by value";

/// Functions whose names Rust does not mangle, but which have nothing to do with C.
const RUST_ONLY: [&str; 1] = ["rust_build_error"];

/// Where one word of the arguments is passed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Register,
    Stack,
}

/// A function, as declared or defined in LLVM's language.
struct Function {
    name: String,
    params: Vec<Param>,
    variadic: bool,
}

struct Param {
    words: usize,
    in_register: bool,
    /// Floating point does not compete for the registers.
    float: bool,
    /// More than a word, or the pointer to the place of the result: what `rustc` may get wrong.
    special: Option<&'static str>,
}

/// The types that are defined in a file.
#[derive(Default)]
struct Types(HashMap<String, String>);

/// Splits at the commas that are not inside of brackets.
fn split(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0;
    let mut start = 0;

    for (i, c) in list.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..i].trim());
                start = i + 1;
            }
            _ => (),
        }
    }
    if !list[start..].trim().is_empty() {
        parts.push(list[start..].trim());
    }
    parts
}

/// The text inside of the bracket that `text` starts with.
fn inside(text: &str) -> Option<&str> {
    let mut depth = 0;

    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[1..i]);
                }
            }
            _ => (),
        }
    }
    None
}

impl Types {
    /// Size and alignment.
    fn layout(&self, ty: &str) -> (usize, usize) {
        let ty = ty.trim();

        if let Some(bits) = ty.strip_prefix('i').and_then(|n| n.parse::<usize>().ok()) {
            let size = bits.div_ceil(8).next_power_of_two();
            return (size, size.min(4));
        }
        match ty.as_bytes().first() {
            Some(b'[') => {
                let (count, element) = inside(ty).unwrap().split_once(" x ").unwrap();
                let (size, align) = self.layout(element);
                (count.parse::<usize>().unwrap() * size, align)
            }
            Some(b'<') => {
                // A packed structure.
                let fields = inside(inside(ty).unwrap()).unwrap();
                (split(fields).iter().map(|f| self.layout(f).0).sum(), 1)
            }
            Some(b'{') => {
                let (mut size, mut align) = (0usize, 1);
                for field in split(inside(ty).unwrap()) {
                    let (field_size, field_align) = self.layout(field);
                    size = size.next_multiple_of(field_align) + field_size;
                    align = align.max(field_align);
                }
                (size.next_multiple_of(align), align)
            }
            Some(b'%') => match self.0.get(ty) {
                Some(ty) => self.layout(ty),
                None => (0, 1),
            },
            _ => match ty {
                "ptr" | "float" => (4, 4),
                "double" => (8, 4),
                "x86_fp80" => (12, 4),
                _ => panic!("unknown type `{ty}`"),
            },
        }
    }

    fn words(&self, ty: &str) -> usize {
        self.layout(ty).0.div_ceil(4)
    }

    fn param(&self, text: &str) -> Param {
        let end = match text.as_bytes()[0] {
            b'[' | b'{' | b'<' => inside(text).unwrap().len() + 2,
            _ => text.find(' ').unwrap_or(text.len()),
        };
        let (ty, attributes) = text.split_at(end);
        let in_register = attributes.split(' ').any(|attribute| attribute == "inreg");

        if let Some(at) = attributes.find("byval(") {
            return Param {
                words: self.words(inside(&attributes[at + 5..]).unwrap()),
                in_register,
                float: false,
                special: Some(AGGREGATE),
            };
        }
        Param {
            words: self.words(ty),
            in_register,
            float: matches!(ty, "float" | "double" | "x86_fp80"),
            special: if attributes.contains("sret(") {
                Some("the place of the result")
            } else if self.words(ty) > 1 {
                Some("a 64-bit integer")
            } else {
                None
            },
        }
    }

    /// Reads the lines of a file; returns the functions that another object may know by name.
    fn read(&mut self, path: &str) -> Vec<Function> {
        let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines: Vec<_> = BufReader::new(file)
            .split(b'\n')
            .map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned())
            .filter(|line| {
                line.starts_with('%') || line.starts_with("declare ") || line.starts_with("define ")
            })
            .collect();

        for line in &lines {
            if let Some((name, ty)) = line.split_once(" = type ") {
                self.0.insert(name.to_string(), ty.to_string());
            }
        }
        lines
            .iter()
            .filter_map(|line| self.function(line))
            .collect()
    }

    fn function(&self, line: &str) -> Option<Function> {
        if line.starts_with('%') {
            return None;
        }

        let rest = &line[line.find('@')? + 1..];
        let open = if let Some(quoted) = rest.strip_prefix('"') {
            quoted.find('"')? + 2
        } else {
            rest.find('(')?
        };
        let name = rest[..open].trim_matches('"').to_string();
        let params = split(inside(&rest[open..])?);
        let variadic = params.last() == Some(&"...");
        let params = params
            .iter()
            .filter(|param| **param != "...")
            // Intrinsics of LLVM take other things, too.
            .filter(|_| !name.starts_with("llvm."))
            .map(|param| self.param(param))
            .collect();

        Some(Function {
            name,
            params,
            variadic,
        })
    }
}

impl Function {
    /// Where the arguments are passed, word by word.
    fn places(&self) -> Vec<Place> {
        let place = |param: &Param| {
            if param.in_register && !self.variadic {
                Place::Register
            } else {
                Place::Stack
            }
        };

        self.params
            .iter()
            .flat_map(|param| std::iter::repeat_n(place(param), param.words))
            .collect()
    }

    /// Where C would pass the arguments if it knew the function as Rust does.
    fn places_by_rule(&self) -> Vec<Place> {
        let mut free = 3;

        self.params
            .iter()
            .flat_map(|param| {
                let place = if param.float {
                    Place::Stack
                } else if param.words <= free && !self.variadic {
                    free -= param.words;
                    Place::Register
                } else {
                    free = 0;
                    Place::Stack
                };
                std::iter::repeat_n(place, param.words)
            })
            .collect()
    }

    /// Neither of LLVM nor with a name that only Rust knows.
    fn is_shared(&self) -> bool {
        !["llvm.", "_R", "_ZN"]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
            && !RUST_ONLY.contains(&&*self.name)
    }
}

/// Whether Rust passes the arguments where C expects them. A register that C does not use because
/// the next argument did not fit may have any contents.
fn agree(rust: &[Place], c: &[Place]) -> bool {
    let registers = |places: &[Place]| places.iter().take_while(|p| **p == Place::Register).count();
    let (in_rust, in_c) = (registers(rust), registers(c));

    rust[in_rust..] == c[in_c..] && (in_rust == in_c || in_rust == 3 && in_c < 3 && in_c < c.len())
}

fn describe(places: &[Place]) -> String {
    let words: Vec<_> = places
        .iter()
        .map(|place| match place {
            Place::Register => "register",
            Place::Stack => "stack",
        })
        .collect();

    words.join(", ")
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [c, rust] = &args[..] else {
        panic!("usage: check C-IR RUST-IR");
    };

    let c: HashMap<_, _> = Types::default()
        .read(c)
        .into_iter()
        .map(|function| (function.name.clone(), function))
        .collect();
    let mut failed = false;

    for function in Types::default().read(rust) {
        let places = function.places();

        if !function.is_shared() {
            // Only functions for C take aggregates in this way. One with an argument of 64 bits
            // cannot be told from others, but the types of the bindings do not accept it.
            if function
                .params
                .iter()
                .any(|param| param.special == Some(AGGREGATE))
                && !agree(&places, &function.places_by_rule())
            {
                failed = true;
                eprintln!(
                    "error: `{}` takes a structure or union by value.",
                    function.name
                );
                eprintln!("  C would pass it in registers. See `#[c_callback]`.");
            }
            continue;
        }

        if let Some((from, to)) = REDIRECTED.iter().find(|(from, _)| *from == function.name) {
            if places.iter().all(|place| *place == Place::Stack) {
                println!("--redefine-sym={from}={to}");
                continue;
            }
        }

        match c.get(&function.name) {
            Some(in_c) if !agree(&places, &in_c.places()) => {
                failed = true;
                eprintln!(
                    "error: C and Rust disagree on the arguments of `{}`.",
                    function.name
                );
                eprintln!("  Words in C:    {}", describe(&in_c.places()));
                eprintln!("  Words in Rust: {}", describe(&places));
                if in_c.places().iter().all(|place| *place == Place::Stack) {
                    eprintln!("  Perhaps it is `asmlinkage`, which the bindings do not know.");
                }
            }
            None if !agree(&places, &function.places_by_rule()) => {
                failed = true;
                let special = function.params.iter().find_map(|param| param.special);
                eprintln!(
                    "error: `{}` passes {}.",
                    function.name,
                    special.unwrap_or("too much")
                );
                eprintln!("  The compiler does not do this as C does, and the bindings, where");
                eprintln!("  it is taken care of, do not have this function.");
            }
            _ => (),
        }
    }

    if failed {
        eprintln!("note: See Documentation/rust/regparm.rst.");
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
