//! Holds the manifests as the checker knows them, and converts them to the product's desired state.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sharekeeper::desired::{Account, CredentialSource, Desired, DesiredShare, Source};
use sharekeeper::model::{AccountName, Cause, Timestamp, Uin};
use sharekeeper::windows::{Daily, Days, Kind, Span, TimeOfDay, Window, Windows, Zone};

use super::documents::Document;
use super::scenario::{Scenario, Wanted, Wish};
use super::support::desired_of;

/// The Unix time at which the simulation begins.
pub(crate) const BEGINNING: i64 = 1_790_000_000;

/// The wall-clock time of a correct clock this many seconds after the beginning.
pub(crate) fn instant(seconds: u64) -> Timestamp {
    let begins = Timestamp::from_timestamp(BEGINNING, 0).expect("a date");
    begins + TimeDelta::seconds(i64::try_from(seconds).expect("a few hours"))
}

pub(crate) fn uin(account: usize) -> &'static str {
    ["100000000001", "100000000002", "100000000003"][account]
}

/// The key of an account. Its text contains the account's number.
pub(crate) fn key(account: usize) -> &'static str {
    ["AKIDzero", "AKIDone", "AKIDtwo"][account]
}

pub(crate) fn account_of_key(key: &str) -> Option<usize> {
    (0..3).find(|account| self::key(*account) == key)
}

/// The manifests at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifests {
    pub(crate) wishes: Vec<Wish>,
    /// The name of each account, by its index.
    pub(crate) names: Vec<String>,
    /// The minutes of the day between which changes are allowed; `None` means always.
    pub(crate) windows: Vec<Option<(u16, u16)>>,
    /// Accounts that also have a second name.
    pub(crate) twins: BTreeSet<usize>,
    /// Images whose manifest files could not be read.
    pub(crate) missing: BTreeSet<usize>,
    /// Documents that name images by more than ids, by their places.
    pub(crate) documents: Vec<Option<Document>>,
    /// Places of documents that could not be read.
    pub(crate) lacking: BTreeSet<usize>,
    pub(crate) is_partial: bool,
    /// Whether no manifest can be read.
    pub(crate) is_broken: bool,
}

impl Manifests {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let wishes = scenario.images.iter().map(|image| image.wish);
        Self {
            wishes: wishes.collect(),
            names: (0..3).map(|account| format!("acct{account}")).collect(),
            windows: vec![None; 3],
            twins: BTreeSet::new(),
            missing: BTreeSet::new(),
            documents: scenario.documents.clone(),
            lacking: BTreeSet::new(),
            is_partial: false,
            is_broken: false,
        }
    }

    /// The manifests of one installation. Those of the second one may ask for the opposite.
    pub(crate) fn of(&self, installation: usize, scenario: &Scenario) -> Self {
        let mut own = self.clone();
        if installation == 1 {
            for image in &scenario.rivals {
                let state = &mut own.wishes[*image].state;
                *state = match *state {
                    Wanted::Shared => Wanted::Unshared,
                    Wanted::Unshared => Wanted::Shared,
                    other => other,
                };
            }
        }
        own
    }

    /// What a manifest asks for an image; `None` if no manifest names it.
    pub(crate) fn wish(&self, image: usize) -> Option<Wish> {
        let wish = self.wishes[image];
        let is_named = wish.state != Wanted::Unnamed && !self.missing.contains(&image);
        is_named.then_some(wish)
    }

    /// Whether changes of an account are allowed when a clock shows `now`.
    pub(crate) fn is_open(&self, account: usize, now: Timestamp) -> bool {
        let Some((from, to)) = self.windows[account] else {
            return true;
        };
        let minute = u16::try_from(now.timestamp().rem_euclid(86_400) / 60).expect("of a day");
        match from < to {
            true => (from..to).contains(&minute),
            false => minute >= from || minute < to,
        }
    }

    /// The index of the account that a name stands for.
    pub(crate) fn account(&self, name: &str) -> Option<usize> {
        let twin = (0..3).find(|account| twin_name(*account) == name);
        twin.or_else(|| self.names.iter().position(|own| own == name))
    }

    pub(crate) fn desired(&self, scenario: &Scenario) -> Desired {
        let mut rows = Vec::new();
        let mut shares = Vec::new();
        for (index, image) in scenario.images.iter().enumerate() {
            let Some(wish) = self.wish(index) else {
                continue;
            };
            let name = &self.names[image.account];
            rows.push((name.clone(), image.region(), image.id(), true));
            shares.push((share(wish.state), wish.protect));
            if self.twins.contains(&image.account) {
                rows.push((twin_name(image.account), image.region(), image.id(), true));
                let opposite = match wish.state {
                    Wanted::Shared => Wanted::Unshared,
                    _ => Wanted::Shared,
                };
                shares.push((share(opposite), false));
            }
        }
        let named = rows
            .iter()
            .map(|(name, region, id, shared)| (name.as_str(), *region, id.clone(), *shared));
        let mut desired = desired_of(named);
        // Line numbers follow the order of the rows.
        for image in desired.images.values_mut() {
            let line = image.source.line as usize;
            (image.share, image.protect) = shares[line - 1];
        }
        let twins = self.twins.iter();
        let twins = twins.map(|account| (twin_name(*account), *account));
        let own = self.names.iter().cloned().zip(0..);
        for (name, account) in own.chain(twins) {
            let name = AccountName::new(&name).expect("a name");
            desired
                .accounts
                .insert(name, self.document(scenario, account));
        }
        self.add_documents(scenario, &mut desired);
        desired
    }

    fn document(&self, scenario: &Scenario, account: usize) -> Account {
        let window = self.windows[account].map(|(from, to)| Window {
            kind: Kind::Allow,
            causes: Cause::ALL.into(),
            span: Span::Daily(Daily {
                days: Days::ALL,
                from: TimeOfDay::from_minutes(from).expect("a time"),
                to: TimeOfDay::from_minutes(to).expect("a time"),
            }),
            zone: Zone::new("UTC").expect("a zone"),
            reason: None,
        });
        let named = scenario.uins.then(|| uin(account));
        Account {
            uin: named.map(|uin| Uin::new(uin).expect("a uin")),
            endpoint: None,
            rate: Some(scenario.rate),
            credentials: CredentialSource::Ambient,
            windows: Windows::new(window.into_iter().collect()),
            source: Source {
                file: "account.yaml".into(),
                line: 1,
            },
        }
    }
}

pub(crate) fn twin_name(account: usize) -> String {
    format!("twin{account}")
}

pub(super) fn share(state: Wanted) -> DesiredShare {
    match state {
        Wanted::Unnamed | Wanted::Unshared => DesiredShare::Unshared,
        Wanted::Shared => DesiredShare::Shared {
            from: None,
            until: None,
        },
        Wanted::Until(until) => DesiredShare::Shared {
            from: None,
            until: Some(instant(until)),
        },
        Wanted::From(from) => DesiredShare::Shared {
            from: Some(instant(from)),
            until: None,
        },
    }
}
