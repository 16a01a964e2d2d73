//! The suspensions and closed change windows in force, whether or not any change is due. If a suspension were visible
//! only when it blocks a change, nobody would end it.

use std::sync::Arc;

use serde::Serialize;

use super::{Board, Subject, Transition, TransitionKind};
use crate::inventory::Suspension;
use crate::model::{AccountName, Cause, Clocks, Scope, Selector, Timestamp};
use crate::plan::{Plan, Verdict, Withheld};
use crate::windows::{Closed, Windows};
use crate::words::rfc3339;

/// The suspensions and closed change windows that are in force at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Suspensions sorted by id.
    pub suspensions: Vec<Suspension>,
    /// Windows sorted by account, with one entry for each opening time.
    pub windows: Vec<ClosedWindow>,
}

/// A closed window: why changes of some causes may not be made in an account for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosedWindow {
    pub account: AccountName,
    /// Causes of the changes that are withheld.
    pub causes: Vec<Cause>,
    /// When such changes are permitted again; `None` if no opening was found within a year.
    pub opens: Option<Timestamp>,
    /// For a person: which window closes, until when, and the remedy.
    pub reason: String,
}

/// One line for each hold that began and for each that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldChanges {
    pub began: Vec<String>,
    pub ended: Vec<String>,
}

impl Holds {
    /// The `suspensions` and closed windows that are in force by at least one of the clocks. The search for an opening
    /// can take a while, so an answer in `before` is reused as long as it holds; `before` must belong to the same
    /// windows.
    pub fn at<'a>(
        suspensions: &[Suspension],
        accounts: impl Iterator<Item = (&'a AccountName, &'a Windows)>,
        clocks: Clocks,
        before: &Self,
    ) -> Self {
        let in_force = suspensions.iter();
        let in_force = in_force.filter(|one| clocks.any(|now| !one.is_over(now)));
        let windows = accounts.flat_map(|(name, windows)| closed(name, windows, clocks, before));
        Self {
            suspensions: in_force.cloned().collect(),
            windows: windows.collect(),
        }
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.suspensions.is_empty() && self.windows.is_empty()
    }

    /// One line for each hold, for a person: what it covers, until when, by whom and why, and the remedy.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let suspensions = self.suspensions.iter().map(suspension_line);
        suspensions.chain(self.windows.iter().map(ClosedWindow::line))
    }

    /// [`Holds::lines`] without the holds that withheld images of the plans already mention.
    pub fn untold_lines<'p>(&self, plans: impl Iterator<Item = &'p Plan>) -> Vec<String> {
        let decisions = plans.flat_map(|plan| plan.decisions.values());
        let withheld: Vec<&Withheld> = decisions
            .filter_map(|decision| match &decision.verdict {
                Verdict::Withheld(why) => Some(&**why),
                _ => None,
            })
            .collect();
        let is_mentioned = |one: &Suspension| {
            let mut withheld = withheld.iter();
            withheld.any(|why| matches!(why, Withheld::Suspended(known) if known.id == one.id))
        };
        let is_window_mentioned = |one: &ClosedWindow| {
            let mut withheld = withheld.iter();
            withheld.any(
                |why| matches!(why, Withheld::WindowClosed(known) if known.reason == one.reason),
            )
        };
        let suspensions = self.suspensions.iter().filter(|one| !is_mentioned(one));
        let windows = self.windows.iter().filter(|one| !is_window_mentioned(one));
        let windows = windows.map(ClosedWindow::line);
        suspensions.map(suspension_line).chain(windows).collect()
    }

    /// The holds that began and that ended since `before`.
    fn changes_since(&self, before: &Self) -> HoldChanges {
        let is_in = |holds: &Self, line: &String| holds.lines().any(|other| other == *line);
        let began = self.lines().filter(|line| !is_in(before, line));
        let suspensions = before.suspensions.iter();
        let ended = suspensions.filter(|one| !self.suspensions.contains(one));
        let ended = ended.map(|one| {
            let (id, selector) = (one.id, &one.selector);
            format!("{selector}: suspension {id} is over")
        });
        let is_closed = |one: &ClosedWindow| {
            let mut closed = self.windows.iter();
            closed.any(|other| (&other.account, &other.causes) == (&one.account, &one.causes))
        };
        let opened = before.windows.iter().filter(|one| !is_closed(one));
        let opened = opened.map(|one| {
            let (causes, account) = (one.causes_text(), &one.account);
            format!("account {account}: {causes} may be made again")
        });
        HoldChanges {
            began: began.collect(),
            ended: ended.chain(opened).collect(),
        }
    }
}

/// Describes a suspension in one line, beginning with what it covers.
fn suspension_line(suspension: &Suspension) -> String {
    let since = rfc3339(suspension.since);
    format!(
        "{}: {}, since {since}",
        suspension.selector,
        suspension.describe()
    )
}

/// Describes why something is suspended, by whom and until when, and the remedy.
fn suspension_message(suspension: &Suspension) -> String {
    let until = suspension.until.map(rfc3339);
    let until = until.map_or_else(String::new, |until| format!(", until {until}"));
    format!(
        "{}; by {}{until} (`sharekeeper resume {}` ends it)",
        suspension.reason, suspension.by, suspension.id
    )
}

impl ClosedWindow {
    fn line(&self) -> String {
        let (account, causes) = (&self.account, self.causes_text());
        format!(
            "account {account}: {causes} are not made now: {}",
            self.reason
        )
    }

    /// Describes the withheld changes for a person.
    pub fn causes_text(&self) -> String {
        if self.causes == Cause::ALL {
            return "changes".to_owned();
        }
        let words: Vec<_> = self.causes.iter().map(|cause| cause.as_str()).collect();
        format!("changes ({})", words.join(", "))
    }
}

/// Why changes may not be made in an account, with one entry for each opening time.
fn closed(
    account: &AccountName,
    windows: &Windows,
    clocks: Clocks,
    before: &Holds,
) -> Vec<ClosedWindow> {
    let mut found: Vec<ClosedWindow> = Vec::new();
    for cause in Cause::ALL {
        let times = [Some(clocks.machine()), clocks.api()].into_iter().flatten();
        let Some(at) = times.into_iter().find(|at| !windows.is_open(cause, *at)) else {
            continue;
        };
        let known = || {
            let mut known = before.windows.iter();
            let known = known.find(|one| one.account == *account && one.causes.contains(&cause))?;
            let holds = known.opens.is_some_and(|opens| at < opens);
            holds.then(|| (known.opens, known.reason.clone()))
        };
        let asked = || {
            let Closed { opens, reason } = windows.permits(cause, at).err()?;
            Some((opens, reason))
        };
        let Some((opens, reason)) = known().or_else(asked) else {
            continue;
        };
        match found.iter_mut().find(|one| one.opens == opens) {
            Some(one) => one.causes.push(cause),
            None => found.push(ClosedWindow {
                account: account.clone(),
                causes: vec![cause],
                opens,
                reason,
            }),
        }
    }
    found
}

impl Board {
    /// The suspensions and closed windows in force.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Replaces the holds. Returns those that began and those that ended.
    pub fn holds_now(&mut self, holds: Holds) -> HoldChanges {
        if holds == *self.holds {
            return HoldChanges::default();
        }
        let changes = holds.changes_since(&self.holds);
        self.holds = Arc::new(holds);
        self.version += 1;
        changes
    }

    /// Reports each suspension once when it takes effect, and once when it is over. To be called only after the
    /// suspensions are known.
    pub fn report_suspensions(&mut self, now: Timestamp) -> Vec<Transition> {
        let in_force = &self.holds.suspensions;
        let transition = |selector: &Selector, kind, message| {
            let subject = Subject::Selection(Box::new(selector.clone()));
            Transition::new(subject, kind, message, now)
        };
        let reported = &self.reported_suspensions;
        let began = in_force
            .iter()
            .filter(|one| !reported.contains_key(&one.id));
        let began = began.map(|one| {
            transition(
                &one.selector,
                TransitionKind::Suspended,
                suspension_message(one),
            )
        });
        let is_over = |id: &u64| !in_force.iter().any(|one| one.id == *id);
        let ended = reported.iter().filter(|(id, _)| is_over(id));
        let ended = ended.map(|(id, selector)| {
            let message = format!("suspension {id} is over");
            transition(selector, TransitionKind::Resumed, message)
        });
        let transitions: Vec<_> = began.chain(ended).collect();
        if transitions.is_empty() {
            return transitions;
        }
        let in_force = in_force.iter().map(|one| (one.id, one.selector.clone()));
        self.reported_suspensions = in_force.collect();
        self.record(transitions)
    }

    /// Counts the suspensions that cover a scope, also under an earlier name of its account. A suspension that names
    /// images must name one of the scope.
    pub fn suspensions_of(&self, scope: &Scope) -> usize {
        let status = self.scopes.get(scope);
        let names_any = |selector: &Selector| {
            let mut named = selector.images.iter();
            let has = |image| status.is_some_and(|status| status.images.contains_key(image));
            selector.images.is_empty() || named.any(has)
        };
        let suspensions = self.holds.suspensions.iter();
        let reaches = |selector: &Selector| {
            let aliases = status.map(|status| &*status.aliases);
            let under = |account: &AccountName| Scope {
                account: account.clone(),
                region: scope.region,
            };
            let mut earlier = aliases.into_iter().flatten().map(under);
            selector.reaches(scope) || earlier.any(|earlier| selector.reaches(&earlier))
        };
        let of_scope = suspensions.filter(|one| reaches(&one.selector) && names_any(&one.selector));
        of_scope.count()
    }
}

#[cfg(test)]
#[path = "holds_tests.rs"]
mod tests;
