//! What people and change windows hold back at present, whether or not any change is due: a suspension that nobody sees
//! until it bites is a suspension that nobody ends.

use std::sync::Arc;

use serde::Serialize;

use super::{Board, Subject, Transition, TransitionKind};
use crate::inventory::Suspension;
use crate::model::{AccountName, Cause, Clocks, Scope, Selector, Timestamp};
use crate::plan::{Plan, Verdict, Withheld};
use crate::windows::{Closed, Windows};
use crate::words::rfc3339;

/// The suspensions and the closed change windows that are in force at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// In the order of their ids.
    pub suspensions: Vec<Suspension>,
    /// In the order of the accounts, each with one entry for each reason.
    pub windows: Vec<ClosedWindow>,
}

/// Why changes of some causes may not be made in an account for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosedWindow {
    pub account: AccountName,
    /// The causes of the changes that are held back.
    pub causes: Vec<Cause>,
    /// When such changes are permitted again; `None` if no opening was found within a year.
    pub opens: Option<Timestamp>,
    /// For a person: which window closes, until when, and the way out.
    pub reason: String,
}

/// One line for each hold that began and for each that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldChanges {
    pub began: Vec<String>,
    pub ended: Vec<String>,
}

impl Holds {
    /// What of `suspensions` and of the accounts' windows is in force by one of the clocks, at least. To find when a window
    /// opens can take a while, so an answer that is among those of `before` is kept for as long as it holds; `before` must
    /// be of the same windows.
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

    /// Whether nothing is held back.
    pub fn is_empty(&self) -> bool {
        self.suspensions.is_empty() && self.windows.is_empty()
    }

    /// Each hold in one line for a person: what, until when, by whom and why, and the way out.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let suspensions = self.suspensions.iter().map(suspension_line);
        suspensions.chain(self.windows.iter().map(ClosedWindow::line))
    }

    /// [`Holds::lines`] without those that withheld images of the plans name already.
    pub fn untold_lines<'p>(&self, plans: impl Iterator<Item = &'p Plan>) -> Vec<String> {
        let decisions = plans.flat_map(|plan| plan.decisions.values());
        let told: Vec<&Withheld> = decisions
            .filter_map(|decision| match &decision.verdict {
                Verdict::Withheld(why) => Some(&**why),
                _ => None,
            })
            .collect();
        let is_told = |one: &Suspension| {
            let mut told = told.iter();
            told.any(|why| matches!(why, Withheld::Suspended(told) if told.id == one.id))
        };
        let is_window_told = |one: &ClosedWindow| {
            let mut told = told.iter();
            told.any(|why| matches!(why, Withheld::WindowClosed(told) if told.reason == one.reason))
        };
        let suspensions = self.suspensions.iter().filter(|one| !is_told(one));
        let windows = self.windows.iter().filter(|one| !is_window_told(one));
        let windows = windows.map(ClosedWindow::line);
        suspensions.map(suspension_line).chain(windows).collect()
    }

    /// What began and what ended since `before`.
    fn changes_since(&self, before: &Self) -> HoldChanges {
        let is_in = |holds: &Self, line: &String| holds.lines().any(|other| other == *line);
        let began = self.lines().filter(|line| !is_in(before, line));
        let suspensions = before.suspensions.iter();
        let ended = suspensions.filter(|one| !self.suspensions.contains(one));
        let ended = ended.map(|one| {
            let (id, selector) = (one.id, &one.selector);
            format!("{selector}: suspension {id} does not hold any longer")
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

/// A suspension in one line, after what it covers.
fn suspension_line(suspension: &Suspension) -> String {
    let since = rfc3339(suspension.since);
    format!(
        "{}: {}, since {since}",
        suspension.selector,
        suspension.describe()
    )
}

/// Why something is suspended, by whom and until when, and the way out.
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

    /// The changes that are held back, for a person.
    pub fn causes_text(&self) -> String {
        if self.causes == Cause::ALL {
            return "changes".to_owned();
        }
        let words: Vec<_> = self.causes.iter().map(|cause| cause.as_str()).collect();
        format!("changes ({})", words.join(", "))
    }
}

/// Why changes may not be made in an account, with one entry for each time of opening.
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
    /// What is held back at present.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Takes in what is held back now. Returns what began and what ended.
    pub fn holds_now(&mut self, holds: Holds) -> HoldChanges {
        if holds == *self.holds {
            return HoldChanges::default();
        }
        let changes = holds.changes_since(&self.holds);
        self.holds = Arc::new(holds);
        self.version += 1;
        changes
    }

    /// Reports each suspension once when it comes into force, and once when it does not hold any longer. To be called once
    /// the suspensions are known.
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
            let message = format!("suspension {id} does not hold any longer");
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

    /// The suspensions that reach a scope, by an earlier name of its account too, and name an image of it if they name any.
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
