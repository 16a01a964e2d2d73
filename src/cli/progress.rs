//! The progress of `reconcile` on stderr: a bar on a terminal, otherwise a line from time to time. Log lines share the
//! stream, so they pass through here, too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{output, stderr};
use crate::engine::{Event, Listener};
use crate::history::WriteResult;
use crate::host::{Clock, SystemClock};
use crate::inventory::InventoryNote;
use crate::model::{AccountName, Monotonic, Scope};
use crate::words::{plural, seconds};

/// The time between two plain lines of progress. It shows in a CI log that work continues, without filling the log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The stderr that log lines and the bar share: while the bar is visible, lines go above it.
#[derive(Clone, Default)]
pub(super) struct Stderr {
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Stderr {
    fn show(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => stderr::write(bytes).map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The progress of one run. On a terminal, it is a bar with the remaining time.
pub(super) struct Progress {
    stderr: Stderr,
    bar: Option<ProgressBar>,
    clock: SystemClock,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The writes still to do in each scope, according to its last plan.
    planned: BTreeMap<Scope, u64>,
    done: u64,
    /// Accounts that were already reported as broken.
    reported_broken: BTreeSet<AccountName>,
    /// Scopes that were already reported as waiting for a permit to read.
    reported_waiting: BTreeSet<Scope>,
    /// Problems of any scope that were already reported.
    reported_trouble: BTreeSet<String>,
    last_line_at: Option<Monotonic>,
}

impl Progress {
    pub(super) fn new(stderr: Stderr) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style());
            bar.enable_steady_tick(Duration::from_millis(200));
            stderr.show(Some(bar.clone()));
            bar
        });
        Self {
            stderr,
            bar,
            clock: SystemClock::start(),
            state: RefCell::default(),
        }
    }

    fn planned(&self, scope: &Scope, writes: usize, first: bool) {
        if writes == 0 && !first {
            return;
        }
        let mut state = self.state.borrow_mut();
        // A scope that is planned again counts only its remaining writes.
        let ahead = writes as u64;
        let before = state.planned.insert(scope.clone(), ahead).unwrap_or(0);
        let Some(bar) = &self.bar else {
            if ahead > 0 {
                output::note(format_args!("{scope}: {} ahead", plural(ahead, "write")));
            }
            return;
        };
        bar.set_message("");
        if before == 0 {
            bar.inc_length(ahead);
        } else {
            let total = state.done + state.planned.values().sum::<u64>();
            bar.set_length(total);
        }
    }

    fn warn(&self, line: String) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::warn(line)),
            None => output::warn(line),
        }
    }

    fn waits(&self, what: String) {
        match &self.bar {
            Some(bar) => bar.set_message(what),
            None => tracing::info!("{what}"),
        }
    }

    fn answered(&self, scope: &Scope, done: bool) {
        if !done {
            return;
        }
        let mut state = self.state.borrow_mut();
        state.done += 1;
        if let Some(ahead) = state.planned.get_mut(scope) {
            *ahead = ahead.saturating_sub(1);
        }
        if let Some(bar) = &self.bar {
            if state.done == 1 {
                // The time for reading says nothing about the time for writing.
                bar.reset_eta();
            }
            bar.inc(1);
            return;
        }
        let now = self.clock.monotonic();
        if state
            .last_line_at
            .is_some_and(|at| now.since(at) < PLAIN_INTERVAL)
        {
            return;
        }
        if state.last_line_at.replace(now).is_some() {
            let ahead: u64 = state.planned.values().sum();
            let since = seconds(now.since_start());
            output::note(format_args!(
                "{} done after {since}, {ahead} to go",
                plural(state.done, "write")
            ));
        }
    }
}

impl Listener for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Planned { plan, first } => {
                self.planned(&plan.scope, plan.actions().count(), first);
            }
            Event::Answered { attempt, outcome } => {
                self.answered(&attempt.key.scope, outcome.result == WriteResult::Applied);
            }
            Event::Reading { scope, reading } => {
                // Reported once, not for each observation.
                if self.state.borrow_mut().reported_waiting.insert(scope.clone()) {
                    let line = format_args!("{scope}: waiting for a permit to read: {reading}");
                    match &self.bar {
                        Some(bar) => bar.suspend(|| output::note(line)),
                        None => output::note(line),
                    }
                }
            }
            Event::Waiting { scope, images } => {
                let what = format!(
                    "{scope}: waiting until reads show {}",
                    plural(images as u64, "image")
                );
                self.waits(what);
            }
            Event::Syncing { scope, images } => self.waits(format!(
                "{scope}: waiting for {} that {} SYNCING (`--no-wait` ends instead)",
                plural(images as u64, "blueprint"),
                if images == 1 { "is" } else { "are" }
            )),
            Event::Trouble {
                scope,
                what,
                of_account: false,
            } => {
                // Each cause is reported once; the result also shows which scopes have it. If each region has its own
                // access point, the texts differ only in the region.
                let cause = what.replace(scope.region.as_str(), "{region}");
                let key = format!("{}: {cause}", scope.account);
                let is_new = self.state.borrow_mut().reported_trouble.insert(key);
                if is_new {
                    self.warn(format!("{scope}: {what}"));
                }
            }
            Event::Trouble {
                scope: Scope { account, .. },
                what,
                of_account: true,
            } => {
                // Reported once, not for each of its regions.
                if self.state.borrow_mut().reported_broken.insert(account.clone()) {
                    self.warn(format!("account {account}: {what}"));
                }
            }
            Event::Noted { scope, image, note } => self.warn(match note {
                InventoryNote::Released(why) => format!(
                    "{scope}/{image}: no longer counted as shared by sharekeeper: {why}"
                ),
                InventoryNote::Parked(why) => format!(
                    "{scope}/{image}: parked: {why}; settle who owns the image, then `sharekeeper resume --image {image}`"
                ),
            }),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stderr.show(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The template's own rate has four decimals. There is no place to report that a bar cannot be drawn.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        if is_rate_known(state.pos()) {
            let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
        }
    };
    ProgressStyle::with_template("{bar:30} {pos}/{len} writes, {rate}{left} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .with_key("left", left)
}

/// Whether this number of writes is enough to estimate the time for the others: about a second's worth at the usual
/// rate.
fn is_rate_known(done: u64) -> bool {
    done >= 20
}
