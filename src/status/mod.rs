//! STATUS: where everything stands, since when and why: what the status page, metrics, logs and notifications are made
//! from.
//!
//! A [`Board`] takes in plans and answers as they come and says what of it is new ([`Transition`]). Pure: the time is an
//! argument. It decides nothing, and nothing is decided by it. Bounded: by the images that the manifests name, and by
//! [`RECENT_MAX`].

mod change;
mod counts;
mod health;
mod image;
mod reads;
mod stall;
mod transition;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::history::Answer;
use crate::inventory::UnexpectedLoss;
use crate::model::{AccountName, ImageId, ImageKey, Scope, Timestamp, Uin};
use crate::pace::DurationHistogram;
use crate::plan::{Plan, View};

pub use change::{Change, ChangeKind};
pub use counts::{Counts, Standing};
pub use health::StateStatus;
pub use image::{Condition, ImageStatus, Reason, Trouble, Truth};
pub use reads::Reads;
pub use transition::{Kind, Subject, Transition};

use image::Words;
use stall::{Stall, role_news};

/// Recent changes and transitions that are kept to be shown.
pub const RECENT_MAX: usize = 200;

/// Where everything stands.
pub struct Board {
    /// Counts what was taken in, so that a reader knows whether anything is new.
    pub version: u64,
    /// When the process began.
    pub started: Timestamp,
    /// Nothing is ever written.
    pub observe_only: bool,
    /// Where the manifests stand.
    pub manifests: ManifestsStatus,
    /// Where the state directory stands.
    pub state: StateStatus,
    /// Each account and region that is worked on, in order.
    pub scopes: BTreeMap<Scope, ScopeStatus>,
    /// The last writes, the newest last.
    pub changes: VecDeque<Change>,
    /// The last transitions, the newest last.
    pub transitions: VecDeque<Transition>,
    /// Writes that were answered, since the process began.
    pub totals: BTreeMap<ChangeKind, u64>,
    /// How long passes took over scopes that are not worked on any longer.
    past: DurationHistogram,
    /// Accounts that were told of as broken, and at which version.
    broken: BTreeMap<AccountName, u64>,
    /// Accounts that were told of as lacking the service role.
    roleless: BTreeSet<AccountName>,
    /// Accounts that were told of as denied all that is tried.
    denied: BTreeSet<AccountName>,
}

/// Where the manifests come from and stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestsStatus {
    /// For a person: paths, or a git URL with its ref, without secrets.
    pub origin: String,
    /// The git commit of the set that is worked on.
    pub commit: Option<String>,
    /// When that set was loaded; `None`: there was no good one yet.
    pub loaded_at: Option<Timestamp>,
    /// Images that it names.
    pub images: usize,
    /// What is wrong with what is there now; the last good set is worked on meanwhile. One line for each problem.
    pub problems: Vec<String>,
    /// Since when there are problems.
    pub broken_since: Option<Timestamp>,
    /// Times that manifests or their source could not be used, since the process began.
    pub errors: u64,
}

/// Where one account in one region stands.
#[derive(Clone, Debug, Default)]
pub struct ScopeStatus {
    /// Each image that is named or to be pruned, in order.
    pub images: BTreeMap<ImageId, ImageStatus>,
    /// The root account, as far as the last look knew it.
    pub uin: Option<Uin>,
    /// Whether it was seen at the last look; `None`: not looked at yet.
    pub view: Option<View>,
    /// When it was last seen whole.
    pub seen_at: Option<Timestamp>,
    /// When everything in it was last as desired.
    pub synced_at: Option<Timestamp>,
    /// Shared, named by no manifest, and sharekeeper's own.
    pub unmanaged_ours: usize,
    /// Shared, named by no manifest, and not sharekeeper's own.
    pub unmanaged_foreign: usize,
    /// Not the account's own images, as far as they were asked for: another account's, or left over from deleted ones.
    pub unmanaged_strays: usize,
    /// What a person should be warned of, though nothing is in the way.
    pub warnings: Vec<String>,
    /// Much of what is ours does not show.
    pub loss: Option<UnexpectedLoss>,
    /// What it is doing.
    pub activity: Activity,
    /// Where its writes leave, as far as it is known.
    pub lane: Option<WriteBucket>,
    /// Passes since the process began, by how they ended.
    pub passes: BTreeMap<PassResult, u64>,
    /// How long passes took.
    pub durations: DurationHistogram,
    /// When the last pass ended.
    pub passed_at: Option<Timestamp>,
    /// Passes in a row that did not see the scope.
    pub unseen_passes: u32,
    /// How its looks go.
    pub reads: Reads,
    /// The guard that withholds changes, as told.
    guard: Option<String>,
    stall: Stall,
}

/// What a scope is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It waits for its first pass.
    #[default]
    New,
    /// A pass is under way.
    Passing {
        /// Since when.
        since: Timestamp,
        /// Writes answered in it.
        done: u64,
    },
    /// Nothing to do until then.
    Resting {
        /// When it is looked at again.
        next: Timestamp,
    },
    /// Given up for the rest of the process's life, because of a fault in sharekeeper.
    Held {
        /// One line for a person.
        why: String,
    },
}

/// The rate bucket that a scope's writes draw from. Scopes with the same account key and host share it.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteBucket {
    /// The access point.
    pub host: String,
    /// Writes a second at present.
    pub per_second: f64,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassResult {
    /// Everything is as desired.
    Synced,
    /// Some of it is not, and is tried again or waits for a person.
    Incomplete,
    /// It was not seen.
    Unobserved,
    /// It was cut off: by newer manifests, or by the end of the process.
    Stopped,
    /// A fault in sharekeeper ended it.
    Panicked,
}

impl PassResult {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Synced,
        Self::Incomplete,
        Self::Unobserved,
        Self::Stopped,
        Self::Panicked,
    ];

    /// The word, fit for a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Incomplete => "incomplete",
            Self::Unobserved => "unseen",
            Self::Stopped => "stopped",
            Self::Panicked => "panicked",
        }
    }
}

impl Board {
    /// Nothing known yet.
    pub fn new(started: Timestamp, observe_only: bool) -> Self {
        Self {
            version: 0,
            started,
            observe_only,
            manifests: ManifestsStatus::default(),
            state: StateStatus::default(),
            scopes: BTreeMap::new(),
            changes: VecDeque::new(),
            transitions: VecDeque::new(),
            totals: BTreeMap::new(),
            past: DurationHistogram::default(),
            broken: BTreeMap::new(),
            roleless: BTreeSet::new(),
            denied: BTreeSet::new(),
        }
    }

    /// How long all passes took since the process began. It never falls, though scopes are forgotten.
    pub fn durations(&self) -> DurationHistogram {
        let mut all = self.past.clone();
        for status in self.scopes.values() {
            all.add_all(&status.durations);
        }
        all
    }

    /// Takes in what a look at a scope came to; what of it is new.
    pub fn planned(&mut self, plan: &Plan, now: Timestamp) -> Vec<Transition> {
        let (mut told, mut words) = (Vec::new(), Words::default());
        // A pass that was under way when its scope was forgotten.
        let Some(status) = self.scopes.get_mut(&plan.scope) else {
            return told;
        };
        let mut images = BTreeMap::new();
        status.stall.planned(plan);
        for (image, decision) in &plan.decisions {
            let before = status.images.remove(image);
            let mut after = ImageStatus::after(before.as_ref(), decision, &mut words, now);
            if status.stall.explains(&decision.verdict) {
                // Told of once, of the scope.
                after.blocked = before.as_ref().and_then(|before| before.blocked);
            }
            let key = || ImageKey {
                scope: plan.scope.clone(),
                image: image.clone(),
            };
            told.extend(image_news(before.as_ref(), &after, key, now));
            let was = before.and_then(|before| before.blocked);
            let account = &plan.scope.account;
            told.extend(role_news(&mut self.roleless, account, was, &after, now));
            images.insert(image.clone(), after);
        }
        for (image, before) in std::mem::replace(&mut status.images, images) {
            told.extend(endings(&before, &plan.scope, image, now));
        }
        status.reads.looked();
        status.uin.clone_from(&plan.uin);
        status.view = Some(plan.view.clone());
        status.unmanaged_ours = plan.unmanaged.ours.len();
        status.unmanaged_foreign = plan.unmanaged.foreign.len();
        status.unmanaged_strays = plan.unmanaged.strays.len();
        // What cannot be seen is no news.
        if plan.unobserved().is_none() {
            status.warnings = plan.warnings();
        }
        status.loss = plan.loss;
        if plan.view == View::Seen {
            status.seen_at = Some(now);
        }
        told.extend(status.guard_news(&plan.scope, now));
        self.keep(told)
    }

    /// Takes in how a write ended.
    pub fn answered(&mut self, change: Change) {
        let kind = ChangeKind {
            region: change.key.scope.region,
            permission: change.permission,
            cause: change.cause,
            result: change.result,
        };
        *self.totals.entry(kind).or_default() += 1;
        if let Some(status) = self.scopes.get_mut(&change.key.scope) {
            if let Activity::Passing { done, .. } = &mut status.activity {
                *done += 1;
            }
            if matches!(change.result, Answer::Applied | Answer::AlreadyShared) {
                status.stall.permitted();
            }
        }
        push(&mut self.changes, change);
        self.version += 1;
    }

    /// A pass over a scope begins.
    pub fn pass_began(&mut self, scope: &Scope, now: Timestamp) {
        let status = self.scopes.entry(scope.clone()).or_default();
        status.activity = Activity::Passing {
            since: now,
            done: 0,
        };
        status.reads.pass_began();
        self.version += 1;
        status.stall.began(self.version);
    }

    /// A pass has ended, and `activity` follows; what of it is new.
    pub fn pass_ended(
        &mut self,
        scope: &Scope,
        result: PassResult,
        took: Duration,
        activity: Activity,
        now: Timestamp,
    ) -> Vec<Transition> {
        let Some(status) = self.scopes.get_mut(scope) else {
            return Vec::new();
        };
        *status.passes.entry(result).or_default() += 1;
        status.durations.add(took);
        status.passed_at = Some(now);
        if result == PassResult::Synced {
            status.synced_at = Some(now);
        }
        status.activity = activity;
        status.reads.pass_ended();
        let told = self.stall_news(scope, result, now);
        self.keep(told)
    }

    /// Says when the images that failed are tried again.
    pub fn retries(&mut self, scope: &Scope, retries: impl Iterator<Item = (ImageId, Timestamp)>) {
        let Some(status) = self.scopes.get_mut(scope) else {
            return;
        };
        for (image, at) in retries {
            let image = status.images.get_mut(&image);
            if let Some(trouble) = image.and_then(|image| image.trouble.as_mut()) {
                trouble.next_try = Some(at);
            }
        }
        self.version += 1;
    }

    /// Takes in where the manifests stand; what of it is new.
    pub fn manifests(&mut self, status: ManifestsStatus, now: Timestamp) -> Vec<Transition> {
        let (was, is) = (
            self.manifests.broken_since.is_some(),
            status.broken_since.is_some(),
        );
        let news = |kind, message: String| Transition {
            at: now,
            subject: Subject::Manifests,
            kind,
            reason: None,
            message,
        };
        let told = match (was, is) {
            (false, true) => {
                let first = status.problems.first().cloned().unwrap_or_default();
                let more = match status.problems.len() {
                    0 | 1 => String::new(),
                    n => format!(" (and {} more)", n - 1),
                };
                let kept = match status.loaded_at {
                    Some(_) => "the last good ones are worked on meanwhile",
                    None => "nothing is worked on until they can be",
                };
                vec![news(
                    Kind::Stalled,
                    format!("the manifests cannot be used, {kept}: {first}{more}"),
                )]
            }
            (true, false) => vec![news(
                Kind::Recovered,
                "the manifests can be used again".into(),
            )],
            _ => Vec::new(),
        };
        self.manifests = status;
        self.keep(told)
    }

    /// Shares that end by themselves within `ahead`, each told once.
    pub fn expiring(&mut self, ahead: Duration, now: Timestamp) -> Vec<Transition> {
        let mut told = Vec::new();
        for (scope, status) in &mut self.scopes {
            for (image, status) in &mut status.images {
                let Some(until) = status.until.filter(|until| *until <= now + ahead) else {
                    continue;
                };
                if status.expiry_told {
                    continue;
                }
                status.expiry_told = true;
                told.push(Transition {
                    at: now,
                    subject: Subject::Image(ImageKey {
                        scope: scope.clone(),
                        image: image.clone(),
                    }),
                    kind: Kind::ExpiringSoon,
                    reason: Some(status.reason),
                    message: format!(
                        "the share ends at {}; to keep it, change its `until`",
                        until.format("%Y-%m-%dT%H:%M:%SZ")
                    ),
                });
            }
        }
        if told.is_empty() {
            return told;
        }
        self.keep(told)
    }

    /// Forgets the scopes that are not worked on any longer; what of that ends something that was told.
    pub fn retain(&mut self, keep: impl Fn(&Scope) -> bool, now: Timestamp) -> Vec<Transition> {
        let mut told = Vec::new();
        self.scopes.retain(|scope, status| {
            if keep(scope) {
                return true;
            }
            self.past.add_all(&status.durations);
            told.extend(status.endings(scope, now));
            for (image, status) in std::mem::take(&mut status.images) {
                told.extend(endings(&status, scope, image, now));
            }
            false
        });
        let scopes = &self.scopes;
        let is_named = |account: &AccountName| scopes.keys().any(|s| s.account == *account);
        let mut over = |account: &AccountName, kind| {
            if is_named(account) {
                return true;
            }
            told.push(unasked(Subject::Account(account.clone()), kind, now));
            false
        };
        self.broken
            .retain(|account, _| over(account, Kind::Recovered));
        self.denied.retain(|account| over(account, Kind::Recovered));
        self.roleless
            .retain(|account| over(account, Kind::Unblocked));
        self.keep(told)
    }

    fn keep(&mut self, told: Vec<Transition>) -> Vec<Transition> {
        self.version += 1;
        for transition in &told {
            push(&mut self.transitions, transition.clone());
        }
        told
    }
}

impl ScopeStatus {
    /// What was told of the scope, and ends with it.
    fn endings(&self, scope: &Scope, now: Timestamp) -> Vec<Transition> {
        let guard = self.guard.is_some().then_some(Kind::GuardCleared);
        let stall = self.stall.is_told().then_some(Kind::Recovered);
        let kinds = guard.into_iter().chain(stall);
        kinds
            .map(|kind| unasked(Subject::Scope(scope.clone()), kind, now))
            .collect()
    }

    /// A scope in which a guard withholds changes is told of once, whatever the number of images.
    fn guard_news(&mut self, scope: &Scope, now: Timestamp) -> Option<Transition> {
        let tripped = self
            .images
            .values()
            .filter(|image| image.reason == Reason::GuardTripped)
            .find_map(|image| Some(image.trouble.as_ref()?.message.to_string()));
        let (kind, message) = match (&self.guard, &tripped) {
            (None, Some(why)) => (Kind::GuardTripped, why.clone()),
            (Some(_), None) if self.view == Some(View::Seen) => {
                (Kind::GuardCleared, "no guard withholds changes".to_owned())
            }
            // What cannot be seen is no news.
            (Some(_), None) => return None,
            (None, None) | (Some(_), Some(_)) => {
                self.guard = tripped;
                return None;
            }
        };
        self.guard = tripped;
        Some(Transition {
            at: now,
            subject: Subject::Scope(scope.clone()),
            kind,
            reason: Some(Reason::GuardTripped),
            message,
        })
    }
}

/// What was told of an image, and ends because no manifest asks for it any longer. A missing role is its account's.
fn endings(
    image: &ImageStatus,
    scope: &Scope,
    id: ImageId,
    now: Timestamp,
) -> impl Iterator<Item = Transition> {
    let drift = image.changed_outside.then_some(Kind::DriftResolved);
    let blocked = image
        .blocked
        .filter(|reason| *reason != Reason::RoleMissing);
    let blocked = blocked.map(|_| Kind::Unblocked);
    let key = ImageKey {
        scope: scope.clone(),
        image: id,
    };
    let kinds = drift.into_iter().chain(blocked);
    kinds.map(move |kind| unasked(Subject::Image(key.clone()), kind, now))
}

fn unasked(subject: Subject, kind: Kind, now: Timestamp) -> Transition {
    Transition {
        at: now,
        subject,
        kind,
        reason: None,
        message: "no manifest asks for it any longer".to_owned(),
    }
}

/// What is new of one image.
fn image_news(
    before: Option<&ImageStatus>,
    after: &ImageStatus,
    key: impl Fn() -> ImageKey,
    now: Timestamp,
) -> Vec<Transition> {
    let news = |kind, message: String| Transition {
        at: now,
        subject: Subject::Image(key()),
        kind,
        reason: Some(after.reason),
        message,
    };
    let mut told = Vec::new();
    let was_changed = before.is_some_and(|before| before.changed_outside);
    if after.changed_outside && !was_changed {
        let what = match after.desired {
            crate::model::ShareState::Shared => "somebody else has cancelled its share",
            crate::model::ShareState::Unshared => "somebody else has shared it",
        };
        told.push(news(Kind::DriftAppeared, what.into()));
    } else if was_changed && after.ready.holds() {
        told.push(news(Kind::DriftResolved, "it is as desired again".into()));
    }
    match (before.and_then(|before| before.blocked), after.blocked) {
        // Of the account, which is told of as such.
        (_, Some(Reason::RoleMissing)) | (Some(Reason::RoleMissing), None) => {}
        (was, Some(is)) if was != Some(is) => {
            let trouble = after.trouble.as_ref();
            let why = trouble.map_or_else(String::new, |trouble| trouble.message.to_string());
            told.push(news(Kind::Blocked, why));
        }
        (Some(_), None) => told.push(news(Kind::Unblocked, "it is as desired".into())),
        _ => {}
    }
    told
}

fn push<T>(recent: &mut VecDeque<T>, item: T) {
    if recent.len() == RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(item);
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
