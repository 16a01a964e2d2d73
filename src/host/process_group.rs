//! The process group of a started program: the program and everything that it started in turn. Ending git alone does
//! not end a fetch that hangs: its ssh and its `git remote-https` would live on.

use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The time between two checks whether a group has ended.
const STEP: Duration = Duration::from_millis(10);
/// The number of checks after each signal, two seconds together.
const CHECKS: u32 = 200;
/// The same while the thread is blocked: a quarter of a second together.
const BLOCKING_CHECKS: u32 = 25;

/// The groups of programs that have not ended yet.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A program and everything that it started, unless it left the group. Dropping this before the program has ended ends
/// all of them.
pub(super) struct ProcessGroup {
    leader: Child,
    id: Pid,
    /// Whether no process in it must be ended any longer.
    is_over: bool,
}

impl ProcessGroup {
    /// Starts a program in its own group.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut running = running();
        let leader = command.process_group(0).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = id
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the system gave it no process id"))?;
        running.push(id);
        Ok(Self {
            leader,
            id,
            is_over: false,
        })
    }

    /// The pipes of the program's stdout and stderr.
    pub(super) fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdout.take(), self.leader.stderr.take())
    }

    /// Waits for the program only. Processes that it leaves running on purpose live on, such as a shared connection of
    /// ssh or a credential daemon; if a signal ended the program, its other processes are ended, too.
    pub(super) async fn leader(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await?;
        self.is_over = status.code().is_some();
        Ok(status)
    }

    /// Ends the whole group and waits until it is gone: first by SIGTERM, so that locks are removed, then by SIGKILL.
    pub(super) async fn end(mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            self.signal(signal);
            for _ in 0..CHECKS {
                if self.is_gone() {
                    return;
                }
                pause().await;
            }
        }
        // The remaining processes cannot be ended, or have ended but nobody reaps them.
        self.is_over = true;
    }

    fn signal(&self, signal: Signal) {
        // An error means that the group has ended already.
        let _ = kill_process_group(self.id, signal);
        // A process that the terminal has stopped handles no other signal before this one.
        let _ = kill_process_group(self.id, Signal::CONT);
    }

    /// Whether no process is left. Reaps the program itself.
    fn is_gone(&mut self) -> bool {
        // Until it is reaped, the program still counts as present.
        let _ = self.leader.try_wait();
        self.is_over |= matches!(test_kill_process_group(self.id), Err(Errno::SRCH));
        self.is_over
    }
}

impl Drop for ProcessGroup {
    #[expect(
        clippy::disallowed_methods,
        reason = "the task that drops it ends, and no process may be left behind"
    )]
    fn drop(&mut self) {
        'signals: for signal in [Signal::TERM, Signal::KILL] {
            if self.is_over {
                break;
            }
            self.signal(signal);
            for _ in 0..BLOCKING_CHECKS {
                if self.is_gone() {
                    break 'signals;
                }
                std::thread::sleep(STEP);
            }
        }
        running().retain(|id| *id != self.id);
    }
}

/// Ends all programs that have not ended, at once. For a process that exits without dropping its futures.
pub fn kill_programs() {
    for id in &*running() {
        // An error means that the group has ended already.
        let _ = kill_process_group(*id, Signal::KILL);
    }
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "real processes end in real time")]
async fn pause() {
    tokio::time::sleep(STEP).await;
}
