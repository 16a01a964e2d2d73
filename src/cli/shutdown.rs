//! The end of the process, whatever stands still: once a signal has asked for it, it comes within ten seconds. What takes
//! that long is told of, and left to the next run, as after a crash.

use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::args::OutputFormat;
use super::output::{self, Failure};
use super::stderr;
use crate::host::kill_programs;
use crate::report::ExitStatus;

/// How long an end may take after a signal, with a rest of ten seconds for telling of it. Calls in flight have eight.
const STOP_MAX: Duration = Duration::from_millis(9_250);
/// How long the process waits at its end for a reader of its log that takes nothing.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// The same, and for the reader of the result, once the process is late.
const LATE_PATIENCE: Duration = Duration::from_millis(200);

/// What the process waits for at present.
static WAITS_FOR: Mutex<&str> = Mutex::new("the start of the command");

/// Says what the process waits for from now on, for the case that it never comes.
pub(super) fn now_waits_for(what: &'static str) {
    *WAITS_FOR.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Lets what was said reach its reader, before the process ends by itself.
pub(super) fn flush_log() {
    stderr::flush(LOG_PATIENCE);
}

/// Ends the process with `exit` if it has not ended [`STOP_MAX`] from now.
pub(super) fn start_deadline(exit: ExitStatus, format: OutputFormat) {
    let deadline = thread::Builder::new().name("deadline".into());
    let started = deadline.spawn(move || {
        pause(STOP_MAX);
        // Who asks for a result gets it whole, unless a second signal comes.
        while output::is_printing() {
            pause(LATE_PATIENCE);
        }
        leave_late(exit, format);
    });
    if let Err(error) = started {
        tracing::warn!(%error, "nothing ends this process if it hangs, but a second signal");
    }
}

/// Tells what has not ended, as far as somebody reads it, and ends the process.
fn leave_late(exit: ExitStatus, format: OutputFormat) {
    let (told, is_told) = mpsc::channel();
    let waits_for = *WAITS_FOR.lock().unwrap_or_else(PoisonError::into_inner);
    // On a thread of its own: readers of stdout and of a command's stderr may stand still, too.
    let tell = move || {
        let failure = Failure::with_exit(
            exit,
            format_args!(
                "the end was asked for {} s ago and has not come; left without waiting any longer for {waits_for}. Writes whose \
                 outcome is not recorded stay open in the state, and the next run resolves them",
                STOP_MAX.as_secs()
            ),
        );
        // Where it cannot be told, only the exit status is left.
        let _ = output::fail(format, &failure);
        stderr::flush(LATE_PATIENCE);
        let _ = told.send(());
    };
    if thread::Builder::new().spawn(tell).is_ok() {
        let _ = is_told.recv_timeout(LATE_PATIENCE * 2);
    }
    leave_at_once(exit);
}

/// Ends the process, whatever it is doing.
#[expect(
    clippy::disallowed_methods,
    reason = "a second signal means at once, and no deadline is kept by waiting"
)]
pub(super) fn leave_at_once(exit: ExitStatus) {
    // Nothing is dropped here, so what git started would live on.
    kill_programs();
    std::process::exit(exit.code().into());
}

fn pause(duration: Duration) {
    let (_never_sends, comes) = mpsc::channel::<()>();
    // It ends by the time alone.
    let _ = comes.recv_timeout(duration);
}
