// SPDX-License-Identifier: GPL-2.0

//! Tests of `tools/mm/cowstat`: what it reports, on what, to whom, and what it leaves behind.
//!
//! The numbers must be those of `/proc/cow_track`, which the harness parses independently.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::str;
use harness::cow;
use harness::cow::Area;
use harness::cow::Subject;
use harness::cow::View;
use harness::sys::MAP_PRIVATE;
use harness::task::become_user;
use harness::*;

const NAME: &CStr = c"subject";
const TARGET: &CStr = c"./cow_target";
const TARGET_NAME: &CStr = c"cow_target";

/// A running cowstat.
struct Run {
    child: Child,
    input: File,
    /// Its output and its messages.
    output: File,
}

impl Run {
    fn start(args: &[&CStr]) -> Run {
        Run::prepared(|| (), args)
    }

    /// Starts it from a process that has called `prepare`.
    fn prepared(prepare: impl FnOnce(), args: &[&CStr]) -> Run {
        let [stdin, input] = io::pipe().expect("pipe");
        let [output, stdout] = io::pipe().expect("pipe");
        let child = Child::fork(|| {
            // Nobody but us may keep these open.
            let _ = sys::close(input.fd);
            let _ = sys::close(output.fd);
            prepare();
            exec(args, &stdin, &stdout)
        });
        Run {
            child: child.expect("fork"),
            input,
            output,
        }
    }

    /// Waits for the end. Returns the status, and the output up to what fits in `buf`.
    fn end(self, buf: &mut [u8]) -> (&str, Status) {
        drop(self.input);
        let output = self.output.read_all(buf).expect("output");
        let output = str::from_utf8(output).expect("UTF-8");
        (output, self.child.wait().expect("wait"))
    }
}

/// Executes cowstat, on a terminal that knows colours.
fn exec(args: &[&CStr], stdin: &File, stdout: &File) {
    for (from, to) in [(stdin, 0), (stdout, 1), (stdout, 2)] {
        sys::dup2(from.fd, to).expect("dup2");
    }
    let mut argv = [sys::addr(c"cowstat"); 80];
    argv[args.len() + 1] = 0;
    for (to, arg) in argv[1..].iter_mut().zip(args) {
        *to = sys::addr(arg);
    }
    // A folder whose name is not UTF-8 must not hide the next one.
    let envp = [sys::addr(c"TERM=xterm"), sys::addr(c"PATH=/\xff:."), 0];
    // SAFETY: The kernel only reads memory.
    let ret = unsafe {
        let path = sys::addr(c"./cowstat");
        syscall!(sys::nr::EXECVE, path, argv.as_ptr(), envp.as_ptr())
    };
    panic!("./cowstat: {:?}", sys::check(ret));
}

/// Runs cowstat to its end, and calls `look` with its output and its status.
fn cowstat(args: &[&CStr], look: impl FnOnce(&str, Status)) {
    let mut buf = Mapping::new(64, MAP_PRIVATE).expect("memory");
    let (output, status) = Run::start(args).end(buf.bytes());
    look(output, status);
}

/// Runs cowstat, which must succeed, or fail, with each of `parts` in its output.
#[track_caller]
fn expect_output(args: &[&CStr], status: i32, parts: &[&str]) {
    cowstat(args, |output, ended| {
        expect_eq!(ended, Status::Exited(status), "{output}");
        for part in parts {
            expect!(output.contains(part), "no {part} in {output}");
        }
    });
}

/// Calls `look` with the contents of `/proc/cow_track`.
fn view<T>(look: impl FnOnce(&View<'_>) -> T) -> T {
    let mut buf = Mapping::new(64, MAP_PRIVATE).expect("memory");
    look(&View::read(buf.bytes()))
}

fn is_tracked(name: &str) -> bool {
    view(|view| view.missed(name)).is_some()
}

/// A process with a tracked name that has forked: the child has written to 5 pages, and the process
/// to 3.
fn subject() -> Subject {
    cow::set(NAME).expect("a name");
    Subject::start(NAME, |stops| {
        let area = Area::written(8);
        let stop = mem::shared::<Turnstile>().expect("memory");
        let child = Child::fork(|| {
            area.write(0..5);
            stop.wait_for(1);
        });
        let child = child.expect("fork");
        area.write(5..8);
        stop.pass();
        expect_eq!(child.wait(), Ok(Status::Exited(0)));
        stops.stop();
    })
}

/// A process with a tracked name that has forked as above. It forks again when told to, so that
/// three more pages are copied, and lets the child end when told to.
fn server() -> Subject {
    Subject::start(NAME, |stops| {
        let area = Area::written(8);
        let stop = mem::shared::<Turnstile>().expect("memory");
        for (i, written) in [5, 1].into_iter().enumerate() {
            let child = Child::fork(|| {
                area.write(0..written);
                stop.wait_for(i as u32 + 1);
            });
            let child = child.expect("fork");
            area.write(5..7);
            if i == 1 {
                stops.stop();
            }
            stop.pass();
            expect_eq!(child.wait(), Ok(Status::Exited(0)));
            stops.stop();
        }
    })
}

/// A command that waits until it is told to end.
const COMMAND: [&CStr; 4] = [c"--", c"/bin/sh", c"-c", c"echo ready; read line; exit 3"];

impl Run {
    /// Runs cowstat with these options and [`COMMAND`], up to the command's message.
    fn until_ready(options: &[&'static CStr]) -> Run {
        let mut args = [c""; 16];
        let all = options.iter().chain(&COMMAND);
        let len = args.iter_mut().zip(all).map(|(to, arg)| *to = *arg).count();
        let run = Run::start(&args[..len]);
        let mut ready = [0; 6];
        assert_eq!(run.output.read_all(&mut ready), Ok(&b"ready\n"[..]));
        run
    }

    /// Lets the command end.
    fn go(&self) {
        self.input.write(b"\n").expect("a pipe");
    }

    /// Waits for the end. Expects the status of the command, and each of `parts` in the output.
    #[track_caller]
    fn expect_report(self, parts: &[&str]) {
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = self.end(buf.bytes());
        expect_eq!(status, Status::Exited(3));
        for part in parts {
            expect!(output.contains(part), "no {part} in {output}");
        }
    }

    /// Returns whether there is no output within this time.
    fn is_silent(&self, ms: u32) -> bool {
        sys::poll(self.output.fd, sys::POLLIN, ms) == Ok(0)
    }
}

/// A terminal that somebody uses.
struct Terminal {
    master: File,
    child: Child,
    /// The modes before cowstat was started.
    before: [u32; 9],
    /// What was written, and how much of it has been looked at.
    buf: Mapping,
    len: usize,
    seen: usize,
}

impl Terminal {
    /// Starts cowstat on a terminal of this size.
    fn start(size: (u16, u16), args: &[&CStr]) -> Terminal {
        const TIOCSPTLCK: u32 = 0x4004_5431;
        const TIOCGPTPEER: u32 = 0x5441;

        let master = match File::open(c"/dev/ptmx", sys::O_RDWR | sys::O_NOCTTY) {
            Ok(master) => master,
            Err(err) => skip!("no terminals: {err:?}"),
        };
        let unlocked = [0u32];
        // SAFETY: These are what the calls expect.
        let peer = unsafe {
            let unlocked = unlocked.as_ptr() as usize;
            sys::ioctl_at(master.fd, TIOCSPTLCK, unlocked).expect("a terminal");
            let flags = sys::O_RDWR | sys::O_NOCTTY;
            sys::ioctl_at(master.fd, TIOCGPTPEER, flags as usize).expect("a terminal")
        };
        let peer = File { fd: peer as i32 };
        set_size(&master, size);
        let before = modes(&master);
        let child = Child::fork(|| exec(args, &peer, &peer)).expect("fork");
        Terminal {
            master,
            child,
            before,
            buf: Mapping::new(64, MAP_PRIVATE).expect("memory"),
            len: 0,
            seen: 0,
        }
    }

    fn press(&self, key: &[u8]) {
        self.master.write(key).expect("a key");
    }

    /// Waits until `text` has been written. Returns what precedes it, from the last such text on.
    #[track_caller]
    fn until(&mut self, text: &str) -> &str {
        self.buf.bytes().copy_within(self.seen..self.len, 0);
        self.len -= self.seen;
        for _ in 0..300 {
            let new = &self.buf.bytes()[..self.len];
            let mut places = new.windows(text.len());
            if let Some(end) = places.position(|part| part == text.as_bytes()) {
                self.seen = end + text.len();
                return str::from_utf8(&self.buf.bytes()[..end]).expect("UTF-8");
            }
            let ready = sys::poll(self.master.fd, sys::POLLIN, 100);
            if ready.is_ok_and(|ready| ready & sys::POLLIN != 0) {
                let room = &mut self.buf.bytes()[self.len..];
                self.len += sys::read(self.master.fd, room).unwrap_or(0);
            }
        }
        let new = str::from_utf8(&self.buf.bytes()[..self.len]).unwrap_or("?");
        panic!("no {text:?} in {new:?}");
    }
}

fn set_size(master: &File, (rows, cols): (u16, u16)) {
    const TIOCSWINSZ: u32 = 0x5414;
    let size = [rows, cols, 0, 0];
    // SAFETY: This is C's `struct winsize`.
    let set = unsafe { sys::ioctl_at(master.fd, TIOCSWINSZ, size.as_ptr() as usize) };
    expect_eq!(set, Ok(0));
}

fn modes(master: &File) -> [u32; 9] {
    const TCGETS: u32 = 0x5401;
    let mut modes = [0; 9];
    // SAFETY: This is as large as the kernel's `struct termios`.
    let got = unsafe { sys::ioctl_at(master.fd, TCGETS, modes.as_mut_ptr() as usize) };
    expect_eq!(got, Ok(0));
    modes
}

const FRAME: &str = "\x1b[H\x1b[K";
const LAST_LINE: &str = "q quit";
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

tests! {
    setup {
        cow::reset();
    }

    fn reports_on_a_command() {
        let run = Run::start(&[c"-j", c"-i", c"0.01", c"--", TARGET, c"10"]);
        let mut byte = [0];
        assert_eq!(run.output.read_all(&mut byte), Ok(&b"r"[..]));
        // Let cowstat read the names of mappings.
        sys::sleep_ms(500);
        let image = view(|view| {
            let image = view.images().next().expect("an image");
            (image.id, image.pid, image.faults)
        });
        run.input.write(b"g").expect("a pipe");

        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(0));
        let (id, pid, faults) = image;
        let process = text!("{{\"pid\":{pid},\"uid\":0,\"image\":{id},\"faults\":{faults},");
        for part in [
            "{\"version\":1,",
            "\"complete\":true,",
            "\"status\":0,",
            "\"names\":[{\"name\":\"cow_target\",\"missed\":0,\"images\":[{",
            "{\"start\":\"50000000\",\"end\":\"50040000\",\"faults\":10,\"name\":\"\"}",
            text!("\"id\":{id},\"pid\":0,\"live\":0,\"faults\":{faults},").as_str(),
            process.as_str(),
        ] {
            expect!(output.contains(part), "no {part} in {output}");
        }
        expect!(!is_tracked("cow_target"));
    }

    fn names_mappings_of_what_a_command_starts() {
        let script = c"./cow_target 10; exit 3";
        let run = Run::start(&[c"-j", c"-n", c"cow_target", c"--", c"/bin/sh", c"-c", script]);
        let mut byte = [0];
        assert_eq!(run.output.read_all(&mut byte), Ok(&b"r"[..]));
        // Let cowstat read the names of mappings.
        sys::sleep_ms(500);
        run.input.write(b"g").expect("a pipe");

        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(3));
        let area = "{\"start\":\"50000000\",\"end\":\"50040000\",\"faults\":10,\"name\":\"\"}";
        expect!(output.contains(area), "no {area} in {output}");
    }

    fn reports_in_words() {
        expect_output(&[c"--", c"cow_target", c"7"], 0, &["cow_target, image ", " 1 process, "]);
        expect!(!is_tracked("cow_target"));
    }

    fn passes_the_status_on() {
        expect_output(&[c"--", TARGET], 2, &["cow_target"]);
        expect_output(&[c"--", c"./no_such_file"], 127, &["./no_such_file: no such file"]);
        expect_output(&[c"--", c"no_such_file"], 127, &["no_such_file: no such file"]);
        expect_output(&[c"--", c"/proc"], 126, &["/proc: permission denied"]);
        expect_output(&[c"--", c"/proc/stat/a"], 126, &["/proc/stat/a: not a directory"]);
        expect_output(&[c"--", c"/proc/"], 126, &["/proc/: not a program"]);
        expect_output(&[c"--", c""], 126, &[": not a program"]);
        expect_output(&[c"--"], 1, &["there is no command"]);
        expect_eq!(cow::get(c"cow_target").err(), Some(sys::EACCES));
    }

    fn cleans_up_when_it_is_told_to_end() {
        let run = Run::start(&[c"--", TARGET, c"1"]);
        let mut byte = [0];
        assert_eq!(run.output.read_all(&mut byte), Ok(&b"r"[..]));
        expect!(is_tracked("cow_target"));
        expect_eq!(sys::kill(run.child.pid, sys::SIGTERM), Ok(0));

        // The input stays open: the command has no other reason to end.
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let output = run.output.read_all(buf.bytes()).expect("output");
        let output = str::from_utf8(output).expect("UTF-8");
        expect_eq!(run.child.wait(), Ok(Status::Exited(128 + sys::SIGTERM)));
        expect!(output.contains("cow_target, image "), "{output}");
        expect!(!is_tracked("cow_target"));
    }

    fn leaves_signals_ignored() {
        let ignore = || {
            for signal in [sys::SIGHUP, sys::SIGCHLD] {
                expect_eq!(sys::ignore_signal(signal, true), Ok(0));
            }
        };
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let run = Run::prepared(ignore, &[c"-i", c"0.1", NAME]);
        let mut byte = [0];
        expect_eq!(run.output.read_all(&mut byte), Ok(&b"c"[..]));
        expect_eq!(sys::kill(run.child.pid, sys::SIGHUP), Ok(0));
        sys::sleep_ms(500);
        expect_eq!(sys::wait(run.child.pid, sys::WNOHANG), Ok(Status::Running));
        expect_eq!(sys::kill(run.child.pid, sys::SIGTERM), Ok(0));
        expect_eq!(run.end(buf.bytes()).1, Status::Exited(0));

        // Nevertheless it learns how the command ends.
        let run = Run::prepared(ignore, &COMMAND);
        run.go();
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(3), "{output}");
    }

    fn shows_what_is_new_after_a_stop() {
        cow::set(NAME).expect("a name");
        let run = Run::start(&[c"-j", c"-i", c"1000"]);
        let mut byte = [0];
        expect_eq!(run.output.read_all(&mut byte), Ok(&b"{"[..]));
        expect_eq!(sys::kill(run.child.pid, sys::SIGTSTP), Ok(0));
        let stopped = sys::wait(run.child.pid, sys::WSTOPPED | sys::WNOWAIT);
        expect_eq!(stopped, Ok(Status::Stopped));
        cow::set(c"other").expect("a name");
        expect_eq!(sys::kill(run.child.pid, sys::SIGCONT), Ok(0));
        expect_eq!(sys::kill(run.child.pid, sys::SIGTERM), Ok(0));
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(0));
        expect!(output.contains("\"name\":\"other\""), "{output}");
    }

    fn accepts_a_name_more_than_once() {
        let run = Run::start(&[NAME; 65]);
        let mut byte = [0];
        expect_eq!(run.output.read_all(&mut byte), Ok(&b"c"[..]));
        expect!(is_tracked("subject"));
        expect_eq!(sys::kill(run.child.pid, sys::SIGTERM), Ok(0));

        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(0), "{output}");
        expect!(!is_tracked("subject"));
    }

    fn forgets_only_its_own_names() {
        cow::set(NAME).expect("a name");
        expect_output(&[c"--", TARGET, c"1"], 0, &["other names are tracked, too"]);
        expect!(is_tracked("subject") && is_tracked("cow_target"));

        // Of a name that was tracked before, it shows only what the command did.
        expect_output(&[c"--", TARGET, c"1"], 0, &[" 1 process, "]);
        expect!(is_tracked("subject") && is_tracked("cow_target"));
        expect_output(&[c"stop"], 0, &[]);
        expect!(!is_tracked("subject"));
        expect_output(&[c"stop"], 0, &[]);
        expect_output(&[c"start", NAME, c"other"], 0, &[]);
        expect!(is_tracked("subject") && is_tracked("other"));
    }

    fn leaves_what_another_shows() {
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let first = Run::until_ready(&[c"-n", NAME]);
        let second = Run::until_ready(&[c"-n", NAME]);
        first.go();
        let (output, _) = first.end(buf.bytes());
        expect!(output.contains("another cowstat is running"), "{output}");
        expect!(is_tracked("subject"));

        second.go();
        let (output, status) = second.end(buf.bytes());
        expect_eq!(status, Status::Exited(3), "{output}");
        expect!(output.contains("subject: 0 forks"), "{output}");

        // The other way round, there is nobody to leave the name to.
        expect_output(&[c"stop"], 0, &[]);
        let first = Run::until_ready(&[c"-n", NAME]);
        let second = Run::until_ready(&[c"-n", NAME]);
        second.go();
        second.end(buf.bytes());
        expect!(is_tracked("subject"));
        first.go();
        first.end(buf.bytes());
        expect!(!is_tracked("subject"));
    }

    fn says_that_others_have_stopped_it() {
        let run = Run::start(&[c"-i", c"0.1", NAME]);
        let mut byte = [0];
        expect_eq!(run.output.read_all(&mut byte), Ok(&b"c"[..]));
        expect_output(&[c"stop"], 0, &[]);
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(1));
        expect!(output.contains("nothing is tracked"), "{output}");
    }

    fn starts_only_what_goes_on() {
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let run = Run::until_ready(&[c"-n", NAME]);
        expect_output(&[c"start", NAME], 1, &["another cowstat is running"]);
        // What the other has not made tracked keeps it from forgetting.
        expect_output(&[c"start", NAME, c"other"], 0, &[]);
        run.go();
        let (output, _) = run.end(buf.bytes());
        expect!(output.contains("other names are tracked, too"), "{output}");
        expect!(is_tracked("subject") && is_tracked("other"));
        expect_output(&[c"start", NAME], 0, &[]);
        expect!(is_tracked("subject"));
    }

    fn shows_what_a_fork_copied() {
        let subject = subject();
        let (child, parent) = view(|view| {
            let mut forks = view.processes("subject").filter(|process| process.parent.0 != 0);
            let fork = forks.next().expect("a fork");
            expect_eq!(fork.parent.0, subject.pid());
            expect!(fork.faults >= 5 && fork.parent.1 >= 3, "{fork:?}");
            (fork, fork.parent)
        });
        let id = child.image;
        let line = text!("{:8}{:8}{:12}{:12}", child.pid, parent.0, child.faults, parent.1);
        expect_output(&[c"-1", NAME], 0, &[line.as_str(), "anonymous"]);
        let fork = text!(
            "\"image\":{id},\"faults\":{},\"parent\":{},\"parent_faults\":{},",
            child.faults,
            parent.0,
            parent.1
        );
        expect_output(&[c"-1", c"-j", NAME], 0, &[fork.as_str()]);
        let (pid, faults) = (child.pid, child.faults);
        let (parent, of_parent) = parent;
        let fork = text!("fork {pid}: {faults} faults in it, {of_parent} in {parent},");
        let mut run = Terminal::start((24, 100), &[NAME]);
        run.until(fork.as_str());
        subject.end();
    }

    fn waits_for_forks_of_servers() {
        cow::set(NAME).expect("a name");
        let (mut server, idle) = (server(), server());
        let old = view(|view| {
            let mut forks = [0; 2];
            let all = view.processes("subject").filter(|process| process.parent.0 != 0);
            forks.iter_mut().zip(all).for_each(|(to, fork)| *to = fork.pid);
            forks
        });
        // What was copied before does not count.
        let run = Run::until_ready(&[c"-j", c"-i", c"0.01", c"-n", NAME]);
        server.step();
        run.go();
        expect!(run.is_silent(300), "the fork is alive");
        server.step();

        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(3));
        view(|view| {
            let of_server = |process: &cow::Process| process.parent.0 == server.pid();
            let fork = view.processes("subject").filter(of_server).last().expect("a fork");
            let (pid, id, faults, parent) = (fork.pid, fork.image, fork.faults, fork.parent);
            let sum = faults + parent.1;
            let parent = text!("\"parent\":{},\"parent_faults\":{},", parent.0, parent.1);
            for part in [
                text!("\"id\":{id},\"pid\":{},\"live\":2,\"faults\":{sum},", idle.pid()).as_str(),
                text!("\"processes\":[{{\"pid\":{pid},\"uid\":0,\"image\":{id},").as_str(),
                text!("\"faults\":{faults},{}", parent.as_str()).as_str(),
                "\"faults\":3,\"name\":\"\"",
                "\"complete\":true,",
            ] {
                expect!(output.contains(part), "no {part} in {output}");
            }
        });
        for pid in old {
            let process = text!("\"pid\":{pid},\"uid\"");
            expect!(pid != 0 && !output.contains(process.as_str()), "{pid} in {output}");
        }
        expect!(is_tracked("subject"));
        server.end();
    }

    fn waits_when_it_cannot_look() {
        cow::set(NAME).expect("a name");
        let mut server = server();
        let run = Run::until_ready(&[c"-j", c"-i", c"0.01", c"-n", NAME]);
        server.step();
        run.go();
        expect!(run.is_silent(300), "the fork is alive");
        // It can open nothing.
        expect_eq!(sys::limit_files(run.child.pid, 0, 1024), Ok(0));
        expect!(run.is_silent(1500), "the fork is alive");
        expect_eq!(sys::limit_files(run.child.pid, 1024, 1024), Ok(0));
        expect!(run.is_silent(300), "the fork is alive");
        server.step();

        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(3));
        expect!(output.contains("\"complete\":true,"), "{output}");
        server.end();
    }

    fn tells_of_old_images_that_are_forgotten() {
        cow::set(TARGET_NAME).expect("a name");
        let start = || {
            let [stdin, input] = io::pipe().expect("pipe");
            let [output, stdout] = io::pipe().expect("pipe");
            let child = Child::fork(|| {
                let _ = sys::close(input.fd);
                sys::dup2(stdin.fd, 0).expect("dup2");
                sys::dup2(stdout.fd, 1).expect("dup2");
                panic!("{:?}", sys::execve(TARGET, &[TARGET, c"1"]));
            });
            assert_eq!(output.read_all(&mut [0]), Ok(&b"r"[..]));
            (child.expect("fork"), input)
        };
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        for (count, is_complete) in [(1, true), (2, false)] {
            let mut targets = [start(), start()].map(Some);
            let run = Run::until_ready(&[c"-n", TARGET_NAME]);
            for target in &mut targets[..count] {
                let (child, input) = target.take().expect("a target");
                input.write(b"g").expect("a pipe");
                expect_eq!(child.wait(), Ok(Status::Exited(0)));
            }
            run.go();
            let (output, status) = run.end(buf.bytes());
            expect_eq!(status, Status::Exited(3));
            let is_told = output.contains("Not complete: images that were alive at the start");
            expect_eq!(!is_told, is_complete, "{output}");
        }
    }

    /// One that was there before also takes a place in the kernel's list of the last that ended.
    fn counts_old_processes_that_end() {
        cow::set(NAME).expect("a name");
        let old = Subject::start(NAME, |stops| stops.stop());
        let run = Run::until_ready(&[c"-n", NAME]);
        let many = Subject::start(NAME, |stops| {
            for _ in 0..31 {
                let child = Child::fork(|| ());
                expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
            }
            stops.stop();
        });
        old.end();
        run.go();
        let lost = "Not complete: of processes that ended";
        run.expect_report(&["subject: at least 31 forks, ", lost]);
        many.end();
    }

    /// Faults in a mapping that replaces another are new, even if they are fewer.
    fn tells_new_mappings_from_old_ones() {
        cow::set(NAME).expect("a name");
        let area = Area::anonymous(8, MAP_PRIVATE);
        let copy = |pages: usize| {
            let stop = mem::shared::<Turnstile>().expect("memory");
            area.write(0..8);
            let child = Child::fork(|| stop.wait_for(1));
            area.write(0..pages);
            stop.pass();
            expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
        };
        let mut server = Subject::start(NAME, |stops| {
            copy(8);
            stops.stop();
            let (prot, flags) = (sys::PROT_READ | sys::PROT_WRITE, MAP_PRIVATE | sys::MAP_FIXED);
            // SAFETY: The memory is used by `copy` alone.
            let place = unsafe { sys::mmap(area.start(), area.len(), prot, flags) };
            expect_eq!(place, Ok(area.start()));
            copy(3);
            stops.stop();
        });
        let run = Run::until_ready(&[c"-j", c"-n", NAME]);
        server.step();
        run.go();
        let (start, end) = (area.start(), area.end());
        let wanted = text!("\"start\":\"{start:x}\",\"end\":\"{end:x}\",\"faults\":3,");
        run.expect_report(&[wanted.as_str()]);
        server.end();
    }

    /// What was copied in the stack of a child that has ended is not new when that of the next
    /// child grows as much.
    fn tells_new_stacks_from_old_ones() {
        cow::set(NAME).expect("a name");
        let mut server = Subject::start(NAME, |stops| {
            let stop = mem::shared::<Turnstile>().expect("memory");
            let child = |end| {
                Child::fork(|| {
                    let place = &raw const end as usize;
                    for page in 1..=100 {
                        let below = (place - page * sys::PAGE_SIZE) as *mut u8;
                        // SAFETY: The stack grows there, and is not used yet. Reading maps the zero
                        // page, which writing copies.
                        unsafe { below.write_volatile(below.read_volatile()) };
                    }
                    stop.wait_for(end);
                })
                .expect("fork")
            };
            stop.pass();
            expect_eq!(child(1).wait(), Ok(Status::Exited(0)));
            stops.stop();
            let second = child(2);
            stops.stop();
            stop.pass();
            expect_eq!(second.wait(), Ok(Status::Exited(0)));
        });
        let run = Run::until_ready(&[c"-j", c"-w", c"0.3", c"-n", NAME]);
        server.step();
        run.go();
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let (output, status) = run.end(buf.bytes());
        expect_eq!(status, Status::Exited(3));
        let number = |key| {
            let text = output.split(key).nth(1).unwrap_or("");
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
            text[..end].parse::<usize>().unwrap_or(0)
        };
        let (faults, mapped) = (number("\"faults\":"), number("\"mapped\":"));
        expect!(mapped >= 67 && mapped <= faults, "{mapped} of {faults}: {output}");
        server.end();
    }

    /// A child that is older than the count has no line, which is said.
    fn tells_of_older_forks() {
        let mut server = Subject::start(NAME, |stops| {
            let area = Area::written(8);
            let stop = mem::shared::<Turnstile>().expect("memory");
            let child = Child::fork(|| stop.wait_for(1)).expect("fork");
            stops.stop();
            area.write(0..3);
            stops.stop();
            stop.pass();
            expect_eq!(child.wait(), Ok(Status::Exited(0)));
        });
        let run = Run::until_ready(&[c"-n", NAME]);
        server.step();
        run.go();
        run.expect_report(&["subject: 0 forks, ", "the fork was not counted: 1 process\n"]);
        server.end();
    }

    fn keeps_a_file_when_it_fails() {
        const FILE: &CStr = c"/tmp/report";
        let file = sys::open(FILE, sys::O_RDWR | sys::O_CREAT | sys::O_TRUNC).expect("a file");
        File { fd: file }.write(b"old").expect("a file");
        cow::set(NAME).expect("a name");
        expect_output(&[c"-1", c"-o", FILE, c"typo"], 1, &["typo is not tracked"]);
        let mut buf = [0; 8];
        expect_eq!(io::read_file(FILE, &mut buf).expect("a file"), "old");
        let _ = sys::unlink(FILE);
    }

    fn ends_while_it_waits_for_a_reader() {
        const FIFO: &CStr = c"/tmp/fifo";
        let _ = sys::unlink(FIFO);
        // SAFETY: The kernel only reads the path.
        let made = unsafe { syscall!(sys::nr::MKNOD, sys::addr(FIFO), 0o010_600, 0) };
        expect_eq!(sys::check(made), Ok(0));
        let run = Run::start(&[c"-j", c"-o", FIFO, NAME]);
        let pid = run.child.pid;
        let is_cowstat = || {
            let path = text!("/proc/{pid}/comm");
            io::read_file(path.as_cstr(), &mut [0; 16]).is_ok_and(|name| name == "cowstat\n")
        };
        expect!(vcpu::eventually(|| is_cowstat() && cow::asleep(pid)));
        expect_eq!(sys::kill(pid, sys::SIGTERM), Ok(0));
        expect_eq!(run.end(&mut [0]).1, Status::Killed(sys::SIGTERM));
        let _ = sys::unlink(FIFO);
    }

    fn does_not_wait_for_ever_for_forks(timeout: 120) {
        let report = |run: Run, parts: &[&str]| {
            run.expect_report(parts);
            expect!(!is_tracked("subject"));
        };
        let mut first = server();
        let run = Run::until_ready(&[c"-n", NAME]);
        first.step();
        run.go();
        expect!(run.is_silent(300), "the fork is alive");
        expect_eq!(sys::kill(run.child.pid, sys::SIGINT), Ok(0));
        report(run, &["subject: 1 fork, ", "  live\n"]);

        let mut second = server();
        let run = Run::until_ready(&[c"-w", c"0.1", c"-n", NAME]);
        second.step();
        run.go();
        report(run, &["has not ended after 0.100 s", "subject: 1 fork, ", "  live\n"]);

        // These forks were made before.
        let run = Run::until_ready(&[c"-n", NAME]);
        run.go();
        report(run, &["subject: 0 forks, 0 faults, "]);
        for mut server in [first, second] {
            server.step();
            server.end();
        }
    }

    fn reports_on_servers_that_end() {
        let mut server = server();
        let run = Run::until_ready(&[c"-n", NAME]);
        server.step();
        let fork = view(|view| {
            let mut forks = view.processes("subject");
            forks.find(|process| process.parent.0 != 0).expect("a fork").pid
        });
        // Now there is nobody to let the child end.
        drop(server);
        run.go();
        expect!(run.is_silent(300), "the fork is alive");
        expect_eq!(sys::kill(fork, sys::SIGKILL), Ok(0));
        let fork = text!("\n{fork:8}");
        run.expect_report(&["subject: 1 fork, ", " MiB copied, ended\n", fork.as_str()]);

        let command = [c"--", c"/bin/sh", c"-c", c"exit 3"];
        let args = |name| [c"-n", name, command[0], command[1], command[2], command[3]];
        expect_output(&args(c"no_such_name"), 3, &["no process has had this name yet"]);
        let twice = c"./cow_target 10; ./cow_target 5";
        let args = [c"-n", c"cow_target", command[0], command[1], command[2], twice];
        expect_output(&args, 0, &["0 forks, ", "Not complete: 1 process with "]);
    }

    fn draws_maps() {
        let subject = subject();
        expect_output(&[c"map", NAME], 0, &["subject, image ", "# anonymous", "left out"]);
        cowstat(&[c"map", NAME], |output, _| {
            for line in output.lines() {
                expect!(line.len() <= 80, "{line}");
            }
        });
        expect_output(&[c"-s", c"/tmp/cowstat.svg", c"map", NAME], 0, &[]);
        let mut buf = Mapping::new(16, MAP_PRIVATE).expect("memory");
        let svg = io::read_file(c"/tmp/cowstat.svg", buf.bytes()).expect("a file");
        expect!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        expect!(svg.contains("in anonymous, 32 KiB</text>"), "{svg}");
        let _ = sys::unlink(c"/tmp/cowstat.svg");
        subject.end();
    }

    fn shows_where_in_a_mapping() {
        const PAGES: usize = cow::BLOCK / sys::PAGE_SIZE;
        let area = Area::written(3 * PAGES);
        // The second of the cells, which begin at multiples of their size.
        let first = (area.start() / cow::BLOCK + 1) * cow::BLOCK - area.start();
        let first = first / sys::PAGE_SIZE;
        cow::set(NAME).expect("a name");
        let subject = Subject::start(NAME, |stops| {
            area.write(first..first + PAGES);
            stops.stop();
        });
        let line = text!("{:16x}{:10}{PAGES:10}  # ", area.start(), area.len() / 1024);
        expect_output(&[c"map", NAME], 0, &[line.as_str()]);
        subject.end();
    }

    fn says_what_to_do(timeout: 300) {
        expect_output(&[NAME, c"-1"], 1, &["subject is not tracked: 'cowstat start subject'"]);
        expect_output(&[c"map", NAME], 1, &["subject is not tracked: 'cowstat start subject'"]);
        expect_output(&[c"0123456789abcdef"], 1, &["at most 15 bytes", "try 0123456789abcde\n"]);
        expect_output(&[c"-i", c"0"], 1, &["0 is not a number of seconds"]);
        expect_output(&[c"-i", c"1e9"], 1, &["1e9 is not a number of seconds"]);
        expect_output(&[c"-i", c"1.000x"], 1, &["1.000x is not a number of seconds"]);
        expect_output(&[c"-i"], 1, &["-i needs a value"]);
        expect_output(&[c"-w", c"-1"], 1, &["-1 is not a number of seconds"]);
        expect_output(&[c"-x"], 1, &["no option -x"]);
        expect_output(&[c"-s", c"/dev/null", NAME], 1, &["-s cannot be used with a table"]);
        expect_output(&[c"-f", c"/dev/null", c"--", TARGET], 1, &["-f cannot be used with a c"]);
        expect_output(&[c"-j", c"map", NAME], 1, &["-j cannot be used with 'map'"]);
        expect_output(&[c"-1", c"map", NAME], 1, &["-1 cannot be used with 'map'"]);
        expect_output(&[c"-s", c"/", c"-o", c"/", c"map", NAME], 1, &["-s and -o cannot be used"]);
        expect_output(&[c"-i", c"1", c"-1", NAME], 1, &["-i cannot be used with a report"]);
        expect_output(&[c"-w", c"1", c"--", TARGET], 1, &["-w cannot be used with a command w"]);
        let fails = [c"-o", c"/dev/full", c"--", c"/bin/sh", c"-c", c"exit 3"];
        expect_output(&fails, 3, &["the output cannot be written"]);
        expect_output(&[c"stop", NAME], 1, &["no name follows 'stop'"]);
        expect_output(&[NAME, c"--", TARGET], 1, &["names go after -n"]);
        expect_output(&[c"-f", c"/nowhere", c"-1"], 1, &["/nowhere: no such file"]);
        expect_output(&[c"-f", c"/proc/version", c"-1"], 1, &["another format"]);

        cow::set(NAME).expect("a name");
        expect_output(&[c"-1", NAME], 0, &["no process has had this name yet"]);
        expect_output(&[c"map", NAME], 1, &["no process has had the name subject"]);

        for n in 1..64 {
            cow::set(text!("name{n}").as_cstr()).expect("a name");
        }
        expect_output(&[c"start", c"one_more"], 1, &["64 names are tracked", "cowstat stop"]);
    }

    fn needs_capabilities(timeout: 300) {
        let expect_refusal = |why: &str, refuse: fn()| {
            let child = Child::fork(|| {
                refuse();
                for args in [&[c"-1"][..], &[NAME], &[c"--", TARGET, c"1"], &[c"stop"]] {
                    expect_output(args, 1, &["not permitted: run it as root, or with ", why]);
                }
            });
            expect_eq!(child.expect("fork").wait(), Ok(Status::Exited(0)));
        };
        expect_refusal("CAP_DAC_READ_SEARCH", || become_user(1000, &[]));
        expect_refusal("CAP_PERFMON", || {
            for cap in [sys::CAP_PERFMON, sys::CAP_SYS_ADMIN] {
                expect_eq!(sys::prctl(sys::PR_CAPBSET_DROP, cap as usize), Ok(0));
            }
        });
    }

    fn escapes_what_others_have_named() {
        const HOSTILE: &CStr = c"\x1b[2J<\"&\xff";
        const FILE: &CStr = c"/tmp/\x1b]0;x\x07<\"&\xff";

        cow::set(HOSTILE).expect("a name");
        let file = sys::open(FILE, sys::O_RDWR | sys::O_CREAT).expect("a file");
        let file = File { fd: file };
        file.write(&[1; sys::PAGE_SIZE]).expect("a file");
        let subject = Subject::start(HOSTILE, |stops| {
            let area = Area::of_file(&file, 1, MAP_PRIVATE);
            area.read(0..1);
            area.write(0..1);
            stops.stop();
        });
        let is_printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\n');
        let printable = |output: &str| output.bytes().all(is_printable);
        for args in [&[c"-1"][..], &[c"map", HOSTILE], &[c"-s", c"/dev/stdout", c"map", HOSTILE]] {
            cowstat(args, |output, status| {
                expect_eq!(status, Status::Exited(0));
                expect!(printable(output), "{output:?}");
                expect!(output.contains(r"\x1b[2J"), "{output}");
                expect!(output.contains(r"\x1b]0;x\x07"), "{output}");
            });
        }
        cowstat(&[c"-j", c"-1"], |output, status| {
            expect_eq!(status, Status::Exited(0));
            expect!(output.contains(r#""name":"\\x1b[2J<\"&\\xff""#), "{output}");
            expect!(output.contains(r#"\u001b]0;x\u0007<\"&"#), "{output}");
        });
        let _ = sys::unlink(FILE);
        subject.end();
    }

    fn rounds() {
        const COPY: &CStr = c"/tmp/cow_track";
        for (faults, shown) in [
            (1, "1 fault, 0.0 MiB copied"),
            (12, "12 faults, 0.0 MiB copied"),
            (13, "13 faults, 0.1 MiB copied"),
            (250, "250 faults, 1.0 MiB copied"),
            (2999, "2,999 faults, 11.7 MiB copied"),
        ] {
            let file = sys::open(COPY, sys::O_RDWR | sys::O_CREAT | sys::O_TRUNC).expect("a file");
            let text = text!("version 1\nblocks 0 2\nname 0 a\n\
                image 7 pid 5 live 1 faults {faults} mapped 0 unplaced 0\n");
            File { fd: file }.write(text.as_bytes()).expect("a file");
            expect_output(&[c"-f", COPY, c"-1"], 0, &[shown]);
        }
        let _ = sys::unlink(COPY);
    }

    fn says_what_is_missing() {
        const COPY: &CStr = c"/tmp/cow_track";
        let file = sys::open(COPY, sys::O_RDWR | sys::O_CREAT | sys::O_TRUNC).expect("a file");
        let file = File { fd: file };
        file.write(b"version 1\nblocks 0 2\nname 2 a\n\
            image 7 pid 5 live 1 faults 9 mapped 1 unplaced 3\n00001000-00002000 1\n\
            what later kernels may show\n\
            process 5 uid 0 image 7 faults 9 parent 0 0 ns 1000000 live\n\
            name 0 b\n").expect("a file");
        expect_output(&[c"-f", COPY, c"-1"], 0, &[
            "a, image 7: 9 faults",
            "Not complete: 2 processes not tracked",
            "Not complete: 3 faults without a place",
            "           5       0.0  no longer mapped",
        ]);
        expect_output(&[c"-f", COPY, c"-1", c"-j"], 0, &["\"complete\":false,"]);
        expect_output(&[c"-f", COPY], 0, &["NOT COMPLETE: 2 processes missed, and 3 faults"]);
        cowstat(&[c"-f", COPY, c"b"], |output, _| {
            expect!(!output.contains("NOT COMPLETE"), "{output}");
        });

        expect_eq!(sys::ftruncate(file.fd, 0), Ok(0));
        expect_eq!(sys::lseek(file.fd, 0, sys::SEEK_SET), Ok(0));
        file.write(b"version 1\nblocks 0 2\nname 0 a\n\
            image 7 pid 0 live 0 faults 9 mapped 0 unplaced 0\n").expect("a file");
        for n in 1..129 {
            file.write(text!("{n:05x}000-{n:05x}fff 0\n").as_bytes()).expect("a file");
        }
        expect_output(&[c"-f", COPY, c"-1"], 0, &[
            "           9       0.0  in mappings that are not kept, no longer mapped, or ",
            "Not complete: of an image that has ended, at most 128 mappings",
        ]);

        // The kernel had no memory for the mappings.
        expect_eq!(sys::ftruncate(file.fd, 0), Ok(0));
        expect_eq!(sys::lseek(file.fd, 0, sys::SEEK_SET), Ok(0));
        file.write(b"version 1\nblocks 0 2\nname 0 a\n\
            image 7 pid 0 live 0 faults 1 mapped 0 unplaced 0\n").expect("a file");
        expect_output(&[c"-f", COPY, c"-1"], 0, &[
            "           1       0.0  in mappings that are not kept, no longer mapped, or ",
            "Not complete: of an image that has ended, at most 128 mappings",
        ]);
        let _ = sys::unlink(COPY);
    }

    fn says_that_the_text_is_cut(timeout: 300) {
        const COPY: &CStr = c"/tmp/cow_track";
        const LINES: &[u8] = b"version 1\nblocks 0 2\nname 0 a\n\
            image 7 pid 5 live 1 faults 1234 mapped 1234 unplaced 0\n\
            00001000-00002000 1\n00002000-00003000 1233\n";
        let file = sys::open(COPY, sys::O_RDWR | sys::O_CREAT | sys::O_TRUNC).expect("a file");
        let file = File { fd: file };
        // Only the first digit of the last number is read, and the file has a hole before it.
        let size = 64 << 20;
        let (head, tail) = LINES.split_at(LINES.len() - b"00002000-00003000 1233\n".len());
        expect_eq!(sys::pwrite(file.fd, head, 0), Ok(head.len()));
        let last = size - b"00002000-00003000 1".len() as u64;
        expect_eq!(sys::pwrite(file.fd, b"\n", last - 1), Ok(1));
        expect_eq!(sys::pwrite(file.fd, tail, last), Ok(tail.len()));
        cowstat(&[c"-f", COPY, c"-1", c"-j"], |output, _| {
            expect!(output.contains("\"complete\":false"), "{output}");
            expect!(!output.contains("\"start\":\"2000\""), "{output}");
        });
        expect_output(&[c"-f", COPY, c"map", c"b"], 1, &["b is not in the first 64 MiB"]);
        let _ = sys::unlink(COPY);
    }

    fn restores_the_terminal() {
        let subject = subject();
        for key in [&b"q"[..], b"\x03", b""] {
            let mut terminal = Terminal::start((24, 80), &[c"-i", c"0.1", NAME, c"other"]);
            terminal.until(ENTER);
            terminal.until(LAST_LINE);
            expect!(modes(&terminal.master) != terminal.before, "keys are not read one by one");
            expect!(is_tracked("other"));
            if key == b"q" {
                terminal.press(b"p");
                terminal.until(", paused");
                terminal.press(b" ");
                terminal.press(b"t");
                terminal.until("sorted by faults, ");
                terminal.press(b"n");
                terminal.until("sorted by name");
                terminal.press(b"f");
                terminal.until(LAST_LINE);
                terminal.press(key);
            } else {
                // There is no controlling terminal whose keys send signals.
                let signal = if key.is_empty() { sys::SIGTERM } else { sys::SIGINT };
                expect_eq!(sys::kill(terminal.child.pid, signal), Ok(0));
            }
            terminal.until(LEAVE);
            expect_eq!(modes(&terminal.master), terminal.before);
            let Terminal { child, .. } = terminal;
            expect_eq!(child.wait(), Ok(Status::Exited(0)));
            // This was not tracked by cowstat: neither can be forgotten without the other.
            expect!(is_tracked("subject") && is_tracked("other"));
        }
        subject.end();
    }

    fn fits_narrow_terminals() {
        let subject = subject();
        let mut terminal = Terminal::start((24, 80), &[c"-i", c"100", NAME]);
        terminal.until(LAST_LINE);
        for (rows, cols) in [(3, 10), (1, 1), (1, 80), (6, 30), (50, 200)] {
            set_size(&terminal.master, (rows, cols));
            for _ in 0..2 {
                expect_eq!(sys::kill(terminal.child.pid, sys::SIGWINCH), Ok(0));
                terminal.until(FRAME);
            }
            expect_eq!(sys::kill(terminal.child.pid, sys::SIGWINCH), Ok(0));
            let frame = terminal.until(FRAME);
            let mut lines = 0;
            for line in frame.split("\r\n") {
                // Without the escape sequences, all of which end in a letter.
                let mut len = 0;
                for (i, part) in line.split('\x1b').enumerate() {
                    let text = match i {
                        0 => part,
                        _ => {
                            let end = part.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
                            end.get(1..).unwrap_or("")
                        }
                    };
                    len += text.len();
                }
                expect!(len <= cols.into(), "{len} of {cols} columns: {line:?}");
                lines += 1;
            }
            expect!(lines <= rows, "{lines} lines of {rows}");
        }
        terminal.press(b"q");
        terminal.until(LEAVE);
        subject.end();
    }

    fn does_not_grow(timeout: 300) {
        let subject = subject();
        let run = Run::start(&[c"-i", c"0.01", NAME]);
        let memory = || {
            let mut buf = [0; 4096];
            let path = text!("/proc/{}/status", run.child.pid);
            let status = io::read_file(path.as_cstr(), &mut buf).expect("a status");
            let kb = |key| {
                let value = io::field(status, key).expect("a field").trim_end_matches(" kB");
                value.parse::<usize>().expect("a number")
            };
            (kb("VmData"), kb("VmRSS"))
        };
        let refresh = |times| {
            let mut buf = Mapping::new(4, MAP_PRIVATE).expect("memory");
            let mut seen = 0;
            while seen < times {
                let len = sys::read(run.output.fd, buf.bytes()).expect("output");
                seen += buf.bytes()[..len].windows(4).filter(|part| part == b"NAME").count();
            }
        };
        refresh(20);
        let before = memory();
        refresh(200);
        expect_eq!(memory(), before);
        subject.end();
    }
}
