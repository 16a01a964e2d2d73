//! Clients, one for each account and key. A client that found its account broken stays broken. After a growing pause, a
//! new client replaces it, and the first call of that one decides for all scopes of the account.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::runner::RegionClients;
use crate::api::Connection;
use crate::desired::Account;
use crate::engine::{ProbeBudget, RegionViews};
use crate::inventory::UsedNames;
use crate::model::{AccountName, Monotonic, Region};
use crate::pace::Backoff;
use crate::schedule::{Now, jittered};

/// The pause between probes of a broken account. It starts short, for a key that is fixed soon, and grows long.
const PROBE: Backoff = Backoff {
    base: Duration::from_secs(10),
    cap: Duration::from_secs(300),
};

/// The provider of credentials and access points.
pub trait Connect {
    /// A connection with the present credentials; or a text for people that says why there is none, with the remedy.
    fn connect(&self, name: &AccountName, document: Option<&Account>)
    -> Result<Connection, String>;
}

pub(super) struct Accounts<'a, C> {
    connect: &'a dyn Connect,
    clients: BTreeMap<AccountName, AccountClient<C>>,
    /// The clients of each region, until one of them changes.
    regions: BTreeMap<Region, Rc<RegionClients<C>>>,
    /// The probe budget for each caller id.
    probe_budgets: BTreeMap<Rc<str>, Rc<ProbeBudget>>,
    /// Recent observations of each region, for policies that span several regions.
    views: Rc<RegionViews>,
}

struct AccountClient<C> {
    /// The client, or why there is none.
    client: Result<Rc<C>, String>,
    /// Consecutive probes that found the account broken.
    failures: u32,
    /// When the account is probed again, if it is broken.
    retry_at: Option<Monotonic>,
}

impl<'a, C> Accounts<'a, C> {
    pub(super) fn new(connect: &'a dyn Connect) -> Self {
        Self {
            connect,
            clients: BTreeMap::new(),
            regions: BTreeMap::new(),
            probe_budgets: BTreeMap::new(),
            views: Rc::default(),
        }
    }

    /// The account's client. Makes a new one if there is none, or if the account is broken and due to be probed.
    pub(super) fn client(
        &mut self,
        name: &AccountName,
        document: Option<&Account>,
        now: Monotonic,
        make: impl FnOnce(Connection) -> C,
    ) -> Result<Rc<C>, String> {
        let entry = self.clients.get(name);
        let failures = entry.map_or(0, |entry| entry.failures);
        if let Some(entry) = entry {
            let is_due = entry.retry_at.is_some_and(|at| at <= now);
            if !is_due {
                return entry.client.clone();
            }
        }
        let connected = self.connect.connect(name, document);
        let client = connected.map(|connection| Rc::new(make(connection)));
        let entry = AccountClient {
            client: client.clone(),
            failures,
            retry_at: None,
        };
        self.clients.insert(name.clone(), entry);
        self.regions.clear();
        client
    }

    /// The account names that manifests use in a region, with their clients. The result is cached until one of the
    /// clients changes; otherwise `used` provides the names and `make` the clients.
    pub(super) fn region<'d>(
        &mut self,
        region: Region,
        used: impl FnOnce() -> Arc<UsedNames>,
        now: Monotonic,
        document: impl Fn(&AccountName) -> Option<&'d Account>,
        make: impl Fn(Connection) -> C,
    ) -> Rc<RegionClients<C>> {
        if let Some(clients) = self.regions.get(&region) {
            return Rc::clone(clients);
        }
        let used = used();
        let names = used.here.keys();
        let clients = names.map(|name| self.client(name, document(name), now, &make));
        let clients = Rc::new(RegionClients {
            clients: clients.collect(),
            used,
        });
        self.regions.insert(region, Rc::clone(&clients));
        clients
    }

    /// Records whether a pass with `client` found the account broken, if it found out. Returns when the account may be
    /// probed again, if it is broken. Passes of other scopes with the same client and the same finding change nothing.
    pub(super) fn pass_ended(
        &mut self,
        name: &AccountName,
        client: Option<&Rc<C>>,
        is_broken: Option<bool>,
        at: Now,
    ) -> Option<Monotonic> {
        let entry = self.clients.get_mut(name)?;
        let is_current = match (&entry.client, client) {
            (Ok(now), Some(then)) => Rc::ptr_eq(now, then),
            (Err(_), None) => true,
            _ => false,
        };
        if !is_current {
            // Another client has replaced it meanwhile, and has made no call yet.
            return None;
        }
        match is_broken {
            Some(false) => {
                entry.failures = 0;
                entry.retry_at = None;
            }
            Some(true) if entry.retry_at.is_none() => {
                entry.failures += 1;
                let wait = jittered(PROBE.step(entry.failures), at.jitter);
                entry.retry_at = Some(at.monotonic + wait);
            }
            Some(true) | None => {}
        }
        entry.retry_at
    }

    /// The budget for denied writes that all scopes of this caller share.
    pub(super) fn probe_budget(&mut self, caller: Rc<str>) -> Rc<ProbeBudget> {
        Rc::clone(self.probe_budgets.entry(caller).or_default())
    }

    /// Recent observations of each region, by any pass.
    pub(super) fn views(&self) -> Rc<RegionViews> {
        Rc::clone(&self.views)
    }

    /// Applies newer manifests: drops the clients of accounts whose documents have changed.
    pub(super) fn manifests_changed(&mut self, is_changed: impl Fn(&AccountName) -> bool) {
        self.regions.clear();
        // Another key may be in use now, so earlier denials no longer count.
        if self.clients.keys().any(&is_changed) {
            self.probe_budgets.clear();
        }
        self.clients.retain(|name, _| !is_changed(name));
    }

    /// A person says that the cause may be fixed: broken accounts are probed at once.
    pub(super) fn reset_backoff(&mut self) {
        self.probe_budgets.clear();
        self.regions.clear();
        self.clients.retain(|_, entry| entry.retry_at.is_none());
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::api::CredentialProvider;
    use crate::api::protocol::sign::Credentials;
    use crate::model::{Endpoint, Secret};

    struct Key;

    impl Connect for Key {
        fn connect(&self, name: &AccountName, _: Option<&Account>) -> Result<Connection, String> {
            let key = Credentials::new("AKIDtest".into(), Secret::new("key".into()), None);
            Ok(Connection {
                account: name.clone(),
                uin: None,
                endpoint: Endpoint::default(),
                rate: 19,
                provider: CredentialProvider::fixed(key),
            })
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Monotonic::new(Duration::from_secs(seconds)),
            wall: DateTime::UNIX_EPOCH,
            jitter: 0.5,
        }
    }

    /// A pass with an old client may end long after a new client exists.
    #[test]
    fn l8_l4_what_a_pass_found_with_an_old_client_says_nothing_of_the_new_one() {
        let name = AccountName::default();
        let mut accounts = Accounts::new(&Key);
        let client = |accounts: &mut Accounts<'_, ()>, seconds| {
            let client = accounts.client(&name, None, at(seconds).monotonic, |_| ());
            client.expect("a client")
        };
        let old = client(&mut accounts, 0);
        let retry = accounts.pass_ended(&name, Some(&old), Some(true), at(1));
        let due = retry.expect("it is broken").since_start().as_secs() + 1;
        let new = client(&mut accounts, due);
        assert!(!Rc::ptr_eq(&old, &new));
        // A finding from before there was any client does not count either.
        for then in [Some(&old), None] {
            let broken = accounts.pass_ended(&name, then, Some(true), at(due));
            assert_eq!(broken, None, "the new one has not been asked yet");
        }
        assert!(Rc::ptr_eq(&client(&mut accounts, due + 1), &new));
        let first = accounts.pass_ended(&name, Some(&new), Some(true), at(due));
        let first = first.expect("it is broken, too");
        let works = accounts.pass_ended(&name, Some(&old), Some(false), at(due));
        assert_eq!(works, None);
        let still = accounts.pass_ended(&name, Some(&new), None, at(due));
        assert_eq!(still, Some(first), "it stays broken");
        let later = first.since_start().as_secs() + 1;
        assert!(!Rc::ptr_eq(&client(&mut accounts, later), &new));
    }
}
