//! Ensures that the process ends within ten seconds after a signal, whatever hangs. Unfinished work is reported and
//! left to the next run, as after a crash.

use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::args::OutputFormat;
use super::output::{self, Failure};
use super::stderr;
use crate::host::kill_programs;
use crate::report::ExitStatus;

/// How long an end may take after a signal. The rest of ten seconds is for reporting. Calls in flight have eight
/// seconds.
const STOP_MAX: Duration = Duration::from_millis(9_250);
/// How long the process waits at its end for a reader of its log that accepts nothing.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// The same for the log and the result, once the process is late.
const LATE_PATIENCE: Duration = Duration::from_millis(200);

/// What the process waits for at present.
static WAITS_FOR: Mutex<&str> = Mutex::new("the start of the command");

/// Notes what the process waits for from now on, for the report if that never ends.
pub(super) fn now_waits_for(what: &'static str) {
    *WAITS_FOR.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Lets the log reach its reader before the process ends by itself.
pub(super) fn flush_log() {
    stderr::flush(LOG_PATIENCE);
}

/// Ends the process with `exit` if it has not ended [`STOP_MAX`] from now.
pub(super) fn start_deadline(exit: ExitStatus, format: OutputFormat) {
    let deadline = thread::Builder::new().name("deadline".into());
    let started = deadline.spawn(move || {
        pause(STOP_MAX);
        // A result that is being printed is completed, unless a second signal comes.
        while output::is_printing() {
            pause(LATE_PATIENCE);
        }
        leave_late(exit, format);
    });
    if let Err(error) = started {
        tracing::warn!(%error, "only a second signal ends this process if it hangs");
    }
}

/// Reports what has not ended, if anybody reads it, and ends the process.
fn leave_late(exit: ExitStatus, format: OutputFormat) {
    let (told, is_told) = mpsc::channel();
    let waits_for = *WAITS_FOR.lock().unwrap_or_else(PoisonError::into_inner);
    // On a separate thread, because the readers of stdout and of a command's stderr may be stuck, too.
    let tell = move || {
        let failure = Failure::with_exit(
            exit,
            format_args!(
                "a stop was requested {} s ago but has not completed; exiting without waiting any longer for {waits_for}. Writes whose \
                 outcome is not recorded stay open in the state, and the next run resolves them",
                STOP_MAX.as_secs()
            ),
        );
        // If it cannot be reported, only the exit status is left.
        let _ = output::fail(format, &failure);
        stderr::flush(LATE_PATIENCE);
        let _ = told.send(());
    };
    if thread::Builder::new().spawn(tell).is_ok() {
        let _ = is_told.recv_timeout(LATE_PATIENCE * 2);
    }
    leave_at_once(exit);
}

/// Ends the process at once, whatever it is doing.
#[expect(
    clippy::disallowed_methods,
    reason = "a second signal means at once, and no deadline is kept by waiting"
)]
pub(super) fn leave_at_once(exit: ExitStatus) {
    // Nothing is dropped here, so processes that git has started would live on.
    kill_programs();
    std::process::exit(exit.code().into());
}

fn pause(duration: Duration) {
    let (_never_sends, comes) = mpsc::channel::<()>();
    // The wait ends by its timeout.
    let _ = comes.recv_timeout(duration);
}
