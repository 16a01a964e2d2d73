//! The process group of a program that was started: the program, and all that it started in turn. git alone is no end of
//! a fetch that hangs: its ssh and its `git remote-https` would live on.

use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Between two looks at whether a group is gone.
const STEP: Duration = Duration::from_millis(10);
/// Looks after each signal: two seconds.
const LOOKS: u32 = 200;
/// The same where nobody else can run meanwhile: a quarter of a second.
const BLOCKING_LOOKS: u32 = 25;

/// The groups of programs that have not ended.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A program, and all that it started and that has not left its group. Dropped before the program has ended, it ends them
/// all.
pub(super) struct ProcessGroup {
    leader: Child,
    id: Pid,
    /// Nobody in it is to be ended any longer.
    is_over: bool,
}

impl ProcessGroup {
    /// Starts a program in a group of its own.
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

    /// What the program prints.
    pub(super) fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdout.take(), self.leader.stderr.take())
    }

    /// Waits for the program, and for nobody else. What it leaves running by itself, such as a shared connection of ssh or
    /// a credential daemon, lives on; what it leaves because a signal ended it does not.
    pub(super) async fn leader(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await?;
        self.is_over = status.code().is_some();
        Ok(status)
    }

    /// Ends all of the group, and waits until it is gone: by SIGTERM, so that locks are removed, and then by SIGKILL.
    pub(super) async fn end(mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            self.signal(signal);
            for _ in 0..LOOKS {
                if self.is_gone() {
                    return;
                }
                pause().await;
            }
        }
        // What is left cannot be ended, or has ended and is reaped by nobody.
        self.is_over = true;
    }

    fn signal(&self, signal: Signal) {
        // Whoever is gone needs no signal.
        let _ = kill_process_group(self.id, signal);
        // A process that the terminal stopped takes no other signal before.
        let _ = kill_process_group(self.id, Signal::CONT);
    }

    /// Whether nobody is left, the program itself reaped.
    fn is_gone(&mut self) -> bool {
        // Until it is reaped, it counts as there.
        let _ = self.leader.try_wait();
        self.is_over |= matches!(test_kill_process_group(self.id), Err(Errno::SRCH));
        self.is_over
    }
}

impl Drop for ProcessGroup {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever drops it ends, and nothing may be left behind"
    )]
    fn drop(&mut self) {
        'signals: for signal in [Signal::TERM, Signal::KILL] {
            if self.is_over {
                break;
            }
            self.signal(signal);
            for _ in 0..BLOCKING_LOOKS {
                if self.is_gone() {
                    break 'signals;
                }
                std::thread::sleep(STEP);
            }
        }
        running().retain(|id| *id != self.id);
    }
}

/// Ends all programs that have not ended, at once: for a process that leaves without dropping what it waits for.
pub fn kill_programs() {
    for id in &*running() {
        // Whoever is gone needs no signal.
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
