// SPDX-License-Identifier: GPL-2.0

//! cowstat shows what forks copy. See cowstat(8).

#![no_std]
#![no_main]
#![allow(clippy::disallowed_methods)]
// An explanation is stored in the error: there is no heap.
#![allow(clippy::result_large_err)]

mod buffer;
mod json;
mod map;
mod maps;
mod out;
mod report;
mod run;
mod signals;
mod since;
mod table;
mod term;
mod tracking;
mod view;

use core::ffi::CStr;
use core::panic::PanicInfo;
use maps::Maps;
use out::message;
use out::Out;
use out::Safe;
use rt::program;
use rt::sys;
use rt::Args;
use rt::Text;
use since::Since;
use tracking::Tracking;
use view::Source;
use view::NAMES_MAX;
use view::NAME_MAX;

/// The result of what may fail, with an explanation for the user.
pub type Fail<T> = Result<T, Text<512>>;

/// Returns with an explanation.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => {
        return Err(::rt::Text::cut(::core::format_args!($($arg)*)))
    };
}

const USAGE: &str = "\
usage: cowstat [OPTION]... -- COMMAND [ARGUMENT]...
       cowstat [OPTION]... -n NAME -- COMMAND [ARGUMENT]...
       cowstat [OPTION]... [NAME]...
       cowstat [OPTION]... map NAME
       cowstat start NAME...
       cowstat stop

Show copy-on-write faults: of a command, when it has ended; of servers that a
command tells to fork, when the forks have ended; of processes by their name,
in a table that is refreshed; of a process, as a map of its memory.
'start' makes the kernel count without a running cowstat, until 'stop'.

  -1, --once           print a report on what was counted so far, and exit
  -f, --file FILE      show a copy of /proc/cow_track
  -h, --help           print this help
  -i, --interval SEC   refresh every SEC seconds (1)
  -j, --json           print JSON
  -n, --name NAME      count for this name, and not for that of the command
  -o, --output FILE    write to FILE
  -s, --svg FILE       write the map to FILE, as a picture
  -w, --wait SEC       wait at most SEC seconds for forks of NAME (600)";

/// What the user asks for.
struct Options {
    file: Option<&'static CStr>,
    interval: Option<u32>,
    json: bool,
    name: Option<&'static CStr>,
    once: bool,
    output: Option<&'static CStr>,
    svg: Option<&'static CStr>,
    wait: Option<u32>,
}

impl Options {
    /// Fails if an option other than these is given that makes no sense with `mode`.
    fn only(&self, letters: &str, mode: &str) -> Fail<()> {
        for (letter, is_given) in [
            ('1', self.once),
            ('f', self.file.is_some()),
            ('i', self.interval.is_some()),
            ('j', self.json),
            ('n', self.name.is_some()),
            ('o', self.output.is_some()),
            ('s', self.svg.is_some()),
            ('w', self.wait.is_some()),
        ] {
            if is_given && !letters.contains(letter) {
                fail!("-{letter} cannot be used with {mode}: see 'cowstat --help'");
            }
        }
        Ok(())
    }

    /// The time between two looks, in milliseconds.
    fn interval(&self) -> u32 {
        self.interval.unwrap_or(1000)
    }

    /// How long to wait for forks, in milliseconds.
    fn wait(&self) -> u32 {
        self.wait.unwrap_or(600_000)
    }

    /// Opens the output: the file that was given, or `fd`.
    fn out(&self, fd: i32) -> Fail<Out> {
        match self.output {
            Some(path) => Out::create(path),
            None => Ok(Out::new(fd)),
        }
    }
}

program!(main);

fn main(args: Args) -> i32 {
    // Messages must not get into a file that is opened later, in the place of a closed one.
    while let Ok(fd) = sys::open(c"/dev/null", sys::O_RDWR) {
        if fd > 2 {
            let _ = sys::close(fd);
            break;
        }
    }
    match start(args) {
        Ok(status) => status,
        Err(why) => {
            message(format_args!("{}", why.as_str()));
            1
        }
    }
}

fn start(args: Args) -> Fail<i32> {
    let mut options = Options {
        file: None,
        interval: None,
        json: false,
        name: None,
        once: false,
        output: None,
        svg: None,
        wait: None,
    };
    let mut words: [&[u8]; NAMES_MAX + 1] = [&[]; NAMES_MAX + 1];
    let mut len = 0;
    let mut rest = args.c_strs();
    let mut used = 0;

    while let Some(arg) = rest.next() {
        used += 1;
        let mut value = || {
            used += 1;
            match rest.next() {
                Some(value) => Ok(value),
                None => fail!(
                    "{} needs a value: see 'cowstat --help'",
                    Safe(arg.to_bytes())
                ),
            }
        };
        match arg.to_bytes() {
            b"--" => {
                match options.name {
                    Some(_) => options.only("ijnow", "a command")?,
                    None => options.only("ijo", "a command without -n")?,
                }
                if len != 0 {
                    fail!("with a command, names go after -n: see 'cowstat --help'");
                }
                return run::run(&options, args.skip(used));
            }
            b"-1" | b"--once" => options.once = true,
            b"-f" | b"--file" => options.file = Some(value()?),
            b"-i" | b"--interval" => options.interval = Some(seconds(value()?, 1)?),
            b"-j" | b"--json" => options.json = true,
            b"-n" | b"--name" => {
                let name = value()?;
                check(&[name.to_bytes()])?;
                options.name = Some(name);
            }
            b"-o" | b"--output" => options.output = Some(value()?),
            b"-s" | b"--svg" => options.svg = Some(value()?),
            b"-w" | b"--wait" => options.wait = Some(seconds(value()?, 0)?),
            b"-h" | b"--help" => {
                rt::println!("{USAGE}");
                return Ok(0);
            }
            [b'-', ..] => fail!(
                "there is no option {}: see 'cowstat --help'",
                Safe(arg.to_bytes())
            ),
            _ if len == words.len() => fail!("the kernel tracks at most {NAMES_MAX} names"),
            word => {
                words[len] = word;
                len += 1;
            }
        }
    }
    match words[..len] {
        [b"map", name] => {
            options.only("fos", "'map'")?;
            if options.svg.is_some() && options.output.is_some() {
                fail!("-s and -o cannot be used together: see 'cowstat --help'");
            }
            check(&[name])?;
            map::run(&options, args, name)
        }
        [b"map", ..] => fail!("one name follows 'map'"),
        [b"start", ref names @ ..] if !names.is_empty() => {
            options.only("", "'start'")?;
            let mut source = Source::new(None)?;
            Tracking::start(&mut source, check(names)?)?.keep()?;
            Ok(0)
        }
        [b"start"] => fail!("names follow 'start'"),
        [b"stop"] => {
            options.only("", "'stop'")?;
            stop()
        }
        [b"stop", ..] => fail!("no name follows 'stop': the kernel can only forget all at once"),
        ref names if options.once => {
            options.only("1fjo", "a report")?;
            once(&options, check(names)?)
        }
        ref names => {
            options.only("fijo", "a table")?;
            table::run(&options, args, check(names)?)
        }
    }
}

/// Parses a number of seconds, such as 0.5, into milliseconds, of which there must be at least
/// `min`.
fn seconds(word: &CStr, min: u32) -> Fail<u32> {
    let parse = || {
        let word = word.to_str().ok()?;
        let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return None;
        }
        let part = &part[..part.len().min(3)];
        let ms = part.parse::<u32>().ok()? * 10u32.pow(3 - part.len() as u32);
        let ms = whole
            .parse::<u32>()
            .ok()?
            .checked_mul(1000)?
            .checked_add(ms)?;
        (ms >= min).then_some(ms)
    };
    match parse() {
        Some(ms) => Ok(ms),
        None => fail!(
            "{} is not a number of seconds, such as 0.5",
            Safe(word.to_bytes())
        ),
    }
}

/// Returns the names if processes can have them.
fn check<'a>(names: &'a [&'static [u8]]) -> Fail<&'a [&'static [u8]]> {
    for name in names {
        if name.len() > NAME_MAX {
            let cut = Safe(&name[..NAME_MAX]);
            fail!("a name has at most {NAME_MAX} bytes; the kernel cuts it: try {cut}");
        }
        if name.is_empty() {
            fail!("a name cannot be empty");
        }
    }
    Ok(names)
}

/// Makes the kernel forget all names.
fn stop() -> Fail<i32> {
    // The kernel logs an error if there are none.
    if Source::new(None)?.read_totals()?.names().next().is_none() {
        return Ok(0);
    }
    match rt::calls::pf_cleanup() {
        Ok(_) | Err(sys::EACCES) => Ok(0),
        Err(err) => fail!("the kernel does not forget its names: {err:?}"),
    }
}

/// Prints a report on what has been counted so far.
fn once(options: &Options, names: &[&'static [u8]]) -> Fail<i32> {
    let mut source = Source::new(options.file)?;
    let mut maps = Maps::new(source.is_live())?;
    let snapshot = source.read()?;
    let all = Since::default();

    if snapshot.names().next().is_none() && names.is_empty() {
        fail!("nothing is tracked: see 'cowstat start'");
    }
    for &name in names {
        snapshot.expect(name)?;
    }
    // Not before, as this empties a file.
    let mut out = options.out(1)?;
    if options.json {
        json::write(&mut out, &snapshot, names, &all, &mut maps, None);
    } else {
        for name in snapshot.wanted(names) {
            report::print(&mut out, &name, &all, &mut maps, snapshot.is_cut);
        }
    }
    out.finish()?;
    Ok(0)
}

/// A panic is a bug.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    message(format_args!("{info}"));
    sys::exit_group(1)
}
