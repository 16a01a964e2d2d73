//! What the first process of a container owes the others. Processes whose parent has ended become children of process 1,
//! and stay in the list of processes until it reaps them; and most signals do nothing to it. So where no init was put
//! before this program, it starts itself once more: the first process reaps and passes signals on, the second one works.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgrp, kill_process, kill_process_group, wait,
};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use super::{is_signal_ignored, keep_memory_private};

/// The process itself, also where the file that it was started from has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// By which the supervisor that started process 1 says whom it expects to hear from.
const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// What others ask of a process by a signal.
const PASSED_ON: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

/// In process 1, has another process do the work, and returns its exit status, or 128 and the number of the signal that
/// ended it. `None` in every other process, which works itself. `arguments` begin with the name of the program.
pub fn run_below_init(arguments: &[OsString]) -> io::Result<Option<ExitCode>> {
    if std::process::id() != 1 {
        return Ok(None);
    }
    // Its environment holds the same keys.
    keep_memory_private();
    supervise(arguments).map(Some)
}

fn supervise(arguments: &[OsString]) -> io::Result<ExitCode> {
    // What whoever started the process had it ignore stays ignored, for the worker inherits that.
    let requests = PASSED_ON.map(Signal::as_raw).into_iter();
    let requests = requests.filter(|signal| !is_signal_ignored(*signal));
    // Before there is a worker, so that no signal for it and no end of it is missed.
    let mut incoming = Signals::new(requests.chain([SIGCHLD]))?;
    let worker = start(arguments)?;
    hand_over_terminal(worker);
    for signal in incoming.forever() {
        if signal == SIGCHLD {
            if let Some(exit) = reap(worker) {
                return Ok(exit);
            }
        } else if let Some(request) = Signal::from_named_raw(signal) {
            // A worker that is gone is reaped next.
            let _ = kill_process(worker, request);
        }
    }
    Err(io::Error::other("signals can no longer be received"))
}

/// Starts the worker, in a process group of its own: what the terminal sends to the group of process 1 is passed on to it
/// and must not arrive twice.
fn start(arguments: &[OsString]) -> io::Result<Pid> {
    let mut command = Command::new(THIS_PROGRAM);
    let (name, rest) = arguments.split_first().unzip();
    if let Some(name) = name {
        command.arg0(name);
    }
    command.args(rest.unwrap_or_default()).process_group(0);
    // Whoever watches process 1 means what it does, and the worker does it.
    if std::env::var_os(WATCHDOG_PID).is_some_and(|id| id == "1") {
        command.env_remove(WATCHDOG_PID);
    }
    let id = command.spawn()?.id();
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| io::Error::other("the system gave the worker no process id"))
}

/// Puts the worker into the foreground of the terminal, if process 1 is there: it may read from it, and Ctrl-C is meant
/// for it.
fn hand_over_terminal(worker: Pid) {
    let Ok(terminal) = File::open("/dev/tty") else {
        return;
    };
    if tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp()) {
        // Without it, Ctrl-C comes here and is passed on.
        let _ = tcsetpgrp(&terminal, worker);
        // It may have read too early, and have been stopped for that.
        let _ = kill_process_group(worker, Signal::CONT);
    }
}

/// Takes every process that has ended from the list. The exit status of the worker, if it is among them.
fn reap(worker: Pid) -> Option<ExitCode> {
    let mut exit = None;
    while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        if id != worker {
            continue;
        }
        // There is no shell that could let it go on after Ctrl-Z.
        if status.stopping_signal() == Some(Signal::TSTP.as_raw()) {
            let _ = kill_process_group(worker, Signal::CONT);
        }
        exit = exit.or_else(|| exit_code(status));
    }
    exit
}

/// `None` while it has not ended.
fn exit_code(status: WaitStatus) -> Option<ExitCode> {
    let code = status.exit_status();
    let code = code.or_else(|| Some(128 + status.terminating_signal()?))?;
    Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
