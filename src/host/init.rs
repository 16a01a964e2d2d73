//! The duties of the first process of a container. Processes whose parent has ended become children of process 1 and
//! stay in the process list until it reaps them; and most signals do not affect process 1. So if no init was started
//! before this program, it starts itself once more: the first process reaps and passes signals on, the second one
//! works.

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

use super::{is_signal_ignored, keep_memory_private, receive_signals};

/// The program file of this process, valid even if the file that it was started from has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// The variable in which systemd names the process that must send watchdog notifications.
const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// The signals that are requests to a process. They are passed on.
const PASSED_ON: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

/// If this is process 1, starts a worker process and returns its exit status, or 128 plus the number of the signal that
/// ended it. Returns `None` in every other process, which works itself. `arguments` begin with the name of the program.
pub fn run_below_init(arguments: &[OsString]) -> io::Result<Option<ExitCode>> {
    if std::process::id() != 1 {
        return Ok(None);
    }
    // The environment of process 1 holds the same keys as the worker's.
    keep_memory_private();
    supervise(arguments).map(Some)
}

fn supervise(arguments: &[OsString]) -> io::Result<ExitCode> {
    // A signal that this process was started to ignore stays ignored, because the worker inherits that.
    let requests = PASSED_ON.map(Signal::as_raw).into_iter();
    let requests = requests.filter(|signal| !is_signal_ignored(*signal));
    let signals: Vec<_> = requests.chain([SIGCHLD]).collect();
    // Registered before the worker exists, so that no signal for it and no end of it is missed.
    let mut incoming = receive_signals(&signals)?;
    let worker = start(arguments)?;
    hand_over_terminal(worker);
    for signal in incoming.forever() {
        if signal == SIGCHLD {
            if let Some(exit) = reap(worker) {
                return Ok(exit);
            }
        } else if let Some(request) = Signal::from_named_raw(signal) {
            // If the worker has ended, the next signal reaps it.
            let _ = kill_process(worker, request);
        }
    }
    Err(io::Error::other("signals can no longer be received"))
}

/// Starts the worker in its own process group: signals from the terminal to the group of process 1 are passed on, and
/// must not arrive twice.
fn start(arguments: &[OsString]) -> io::Result<Pid> {
    let mut command = Command::new(THIS_PROGRAM);
    let (name, rest) = arguments.split_first().unzip();
    if let Some(name) = name {
        command.arg0(name);
    }
    command.args(rest.unwrap_or_default()).process_group(0);
    // A supervisor that watches process 1 means the work, and the worker does that.
    if std::env::var_os(WATCHDOG_PID).is_some_and(|id| id == "1") {
        command.env_remove(WATCHDOG_PID);
    }
    let id = command.spawn()?.id();
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| io::Error::other("the system gave the worker no process id"))
}

/// Puts the worker into the foreground of the terminal, if process 1 is there: it may read from the terminal, and
/// Ctrl-C is meant for it.
fn hand_over_terminal(worker: Pid) {
    let Ok(terminal) = File::open("/dev/tty") else {
        return;
    };
    if tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp()) {
        // If this fails, Ctrl-C arrives here and is passed on.
        let _ = tcsetpgrp(&terminal, worker);
        // The worker may have read from the terminal too early and have been stopped for that.
        let _ = kill_process_group(worker, Signal::CONT);
    }
}

/// Reaps every process that has ended. Returns the exit status of the worker, if it is among them.
fn reap(worker: Pid) -> Option<ExitCode> {
    let mut exit = None;
    while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        if id != worker {
            continue;
        }
        // After Ctrl-Z, there is no shell that could continue the worker.
        if status.stopping_signal() == Some(Signal::TSTP.as_raw()) {
            let _ = kill_process_group(worker, Signal::CONT);
        }
        exit = exit.or_else(|| exit_code(status));
    }
    exit
}

/// The exit status; `None` while the process has not ended.
fn exit_code(status: WaitStatus) -> Option<ExitCode> {
    let code = status.exit_status();
    let code = code.or_else(|| Some(128 + status.terminating_signal()?))?;
    Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
