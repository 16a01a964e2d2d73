//! The open reports, as a value that outlives the process: after a restart nothing is reported twice, and ends that
//! happened in the meantime are reported. A lost state is not included, because this value is stored there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::image::Reported;
use super::stall_transitions::ACCOUNT_WORKS;
use super::{Board, Reason, ScopeStatus, Subject, Transition, TransitionKind, image_transitions};
use crate::model::{AccountName, ImageId, ImageKey, Scope, Selector, Timestamp};

/// The value that identifies the format of a text.
const FORMAT: &str = "sharekeeper-told";
const FORMAT_VERSION: u32 = 1;
/// The most images that are stored. Reports about further images are repeated after a restart.
const IMAGES_MAX: usize = 10_000;

/// The reports that are not over, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    images: BTreeMap<ImageKey, Reported>,
    /// Scopes in which a guard withholds changes.
    guards: BTreeSet<Scope>,
    /// Scopes in which nothing is observed or done.
    stalls: BTreeSet<Scope>,
    broken_accounts: BTreeSet<AccountName>,
    denied_accounts: BTreeSet<AccountName>,
    accounts_without_role: BTreeSet<AccountName>,
    /// Whether the manifests cannot be used.
    pub(super) manifests: bool,
    /// The subjects of suspensions, by suspension id.
    suspensions: BTreeMap<u64, Selector>,
}

/// Why a text cannot be read as reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToldError {
    #[error("it does not have the format that sharekeeper writes")]
    Foreign,
    #[error("a newer version of sharekeeper wrote it")]
    Newer,
}

/// [`Told`] in its serialized form.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    format_version: u32,
    manifests: bool,
    guards: BTreeSet<Scope>,
    stalls: BTreeSet<Scope>,
    broken_accounts: BTreeSet<AccountName>,
    denied_accounts: BTreeSet<AccountName>,
    accounts_without_role: BTreeSet<AccountName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    suspensions: BTreeMap<u64, Selector>,
    images: Vec<ImageRow>,
}

#[derive(Serialize, Deserialize)]
struct ImageRow {
    #[serde(flatten)]
    key: ImageKey,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    changed_outside: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    format_version: u32,
}

impl Told {
    /// Serializes the reports. Equal reports always result in equal text.
    pub fn to_json(&self) -> String {
        let row = |(key, reported): (&ImageKey, &Reported)| ImageRow {
            key: key.clone(),
            changed_outside: reported.changed_outside,
            blocked: reported.block.map(|reason| reason.as_str().to_owned()),
            expires: reported.expiry.map(|until| until.to_rfc3339()),
        };
        let document = Document {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            manifests: self.manifests,
            guards: self.guards.clone(),
            stalls: self.stalls.clone(),
            broken_accounts: self.broken_accounts.clone(),
            denied_accounts: self.denied_accounts.clone(),
            accounts_without_role: self.accounts_without_role.clone(),
            suspensions: self.suspensions.clone(),
            images: self.images.iter().take(IMAGES_MAX).map(row).collect(),
        };
        #[expect(
            clippy::expect_used,
            reason = "strings, numbers and lists in structs can always be JSON"
        )]
        serde_json::to_string(&document).expect("strings, numbers and lists can always be JSON")
    }

    /// Parses the text of [`Self::to_json`]. An unknown reason is ignored.
    pub fn from_json(text: &str) -> Result<Self, ToldError> {
        let header: Header = serde_json::from_str(text).map_err(|_| ToldError::Foreign)?;
        match (header.format.as_str(), header.format_version) {
            (FORMAT, FORMAT_VERSION) => {}
            (FORMAT, newer) if newer > FORMAT_VERSION => return Err(ToldError::Newer),
            _ => return Err(ToldError::Foreign),
        }
        let document: Document = serde_json::from_str(text).map_err(|_| ToldError::Foreign)?;
        let reported = |row: ImageRow| {
            let known = |word: String| {
                let mut reasons = Reason::ALL.iter();
                reasons.find(|reason| reason.as_str() == word).copied()
            };
            let instant = |text: String| text.parse::<Timestamp>().ok();
            let reported = Reported {
                changed_outside: row.changed_outside,
                block: row.blocked.and_then(known),
                expiry: row.expires.and_then(instant),
            };
            (row.key, reported)
        };
        Ok(Self {
            images: document.images.into_iter().map(reported).collect(),
            guards: document.guards,
            stalls: document.stalls,
            broken_accounts: document.broken_accounts,
            denied_accounts: document.denied_accounts,
            accounts_without_role: document.accounts_without_role,
            manifests: document.manifests,
            suspensions: document.suspensions,
        })
    }
}

impl Told {
    /// Sets whether a combined transition counts as reported.
    pub(super) fn set_reported(&mut self, transition: &Transition, is_reported: bool) {
        fn set<T: Ord + Clone>(all: &mut BTreeSet<T>, one: &T, is_in: bool) {
            match is_in {
                true => drop(all.insert(one.clone())),
                false => drop(all.remove(one)),
            }
        }
        match &transition.subject {
            Subject::Scope(scope) => set(&mut self.stalls, scope, is_reported),
            Subject::Image(key) => {
                let reported = self.images.entry(key.clone()).or_default();
                reported.block = is_reported.then_some(Reason::NoPermission);
                if *reported == Reported::default() {
                    self.images.remove(key);
                }
            }
            Subject::Account(account) => {
                let of_role = matches!(
                    transition.kind,
                    TransitionKind::Blocked | TransitionKind::Unblocked
                );
                match (of_role, transition.message.as_str()) {
                    (true, _) => set(&mut self.accounts_without_role, account, is_reported),
                    (false, ACCOUNT_WORKS) => {
                        set(&mut self.broken_accounts, account, is_reported);
                    }
                    (false, _) if is_reported => set(&mut self.denied_accounts, account, true),
                    (false, _) => {
                        self.broken_accounts.remove(account);
                        self.denied_accounts.remove(account);
                    }
                }
            }
            Subject::Manifests | Subject::State | Subject::Selection(_) => {}
        }
    }
}

impl Board {
    /// The reports of this process and of earlier ones that are not over.
    pub fn told(&self) -> Told {
        let mut told = self.remembered.clone();
        told.manifests |= self.manifests.broken_since.is_some();
        told.broken_accounts
            .extend(self.broken_accounts.keys().cloned());
        told.denied_accounts
            .extend(self.denied_accounts.iter().cloned());
        for (scope, status) in &self.scopes {
            if status.is_guard_reported() {
                told.guards.insert(scope.clone());
            }
            if status.stall.is_reported() {
                told.stalls.insert(scope.clone());
            }
            let shown = status.images.iter();
            let shown = shown.map(|(image, status)| (image, &status.reported));
            for (image, reported) in shown.chain(&status.remembered) {
                if *reported != Reported::default() {
                    let key = ImageKey {
                        scope: scope.clone(),
                        image: image.clone(),
                    };
                    told.images.insert(key, *reported);
                }
            }
        }
        // Without an image that has this reason, nothing would end the report.
        let without_role = told.images.iter().filter_map(|(key, reported)| {
            let account = &key.scope.account;
            let is_reported = self.accounts_without_role.contains(account);
            (reported.block == Some(Reason::RoleMissing) && is_reported).then(|| account.clone())
        });
        told.accounts_without_role.extend(without_role);
        told.suspensions.clone_from(&self.reported_suspensions);
        self.correct_told(&mut told);
        told
    }

    /// Adopts the reports of an earlier process. They are not repeated, and their ends will be reported.
    pub fn remember(&mut self, mut told: Told) {
        self.reported_suspensions = std::mem::take(&mut told.suspensions);
        self.remembered = told;
    }

    /// The status of a scope before its first observation, with the reports about it. The reports about its account are
    /// adopted too.
    pub(super) fn take_up(&mut self, scope: &Scope) -> ScopeStatus {
        let remembered = &mut self.remembered;
        let account = &scope.account;
        if let Some(account) = remembered.broken_accounts.take(account) {
            // Every pass starts after that.
            self.broken_accounts.insert(account, 0);
        }
        self.denied_accounts
            .extend(remembered.denied_accounts.take(account));
        self.accounts_without_role
            .extend(remembered.accounts_without_role.take(account));
        let mut images: BTreeMap<ImageId, Reported> = BTreeMap::new();
        remembered.images.retain(|key, reported| {
            let is_here = key.scope == *scope;
            if is_here {
                images.insert(key.image.clone(), *reported);
            }
            !is_here
        });
        let guard = remembered.guards.remove(scope);
        let stall = remembered.stalls.remove(scope);
        ScopeStatus::remembering(guard, stall, images)
    }

    /// Ends an earlier process's reports about scopes and accounts that the loaded manifests do not name.
    pub fn end_unnamed(&mut self, now: Timestamp) -> Vec<Transition> {
        let told = std::mem::take(&mut self.remembered);
        let manifests = told.manifests;
        let mut ended = Vec::new();
        for (key, reported) in told.images {
            let ImageKey { scope, image } = key;
            ended.extend(image_transitions::of_removal(reported, &scope, image, now));
        }
        let scopes = |scopes: BTreeSet<Scope>| scopes.into_iter().map(Subject::Scope);
        let accounts = |names: BTreeSet<AccountName>| names.into_iter().map(Subject::Account);
        let mut end = |subject, kind| ended.push(Transition::of_removal(subject, kind, now));
        for scope in scopes(told.guards) {
            end(scope, TransitionKind::GuardCleared);
        }
        for subject in scopes(told.stalls)
            .chain(accounts(told.broken_accounts))
            .chain(accounts(told.denied_accounts))
        {
            end(subject, TransitionKind::Recovered);
        }
        for account in accounts(told.accounts_without_role) {
            end(account, TransitionKind::Unblocked);
        }
        // `manifests_loaded` decides whether the manifests can be used.
        self.remembered.manifests = manifests;
        self.record(ended)
    }
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
