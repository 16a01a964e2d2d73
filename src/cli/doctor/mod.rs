//! `doctor`: asks what can be asked without changing anything, one thing after the other, and goes on where one fails.
//! Built with clients and a state that have no way to write.

mod account;
mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream;

use super::args::{Common, DoctorArguments, Output};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{connect, import, state};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, PAGE_LIMIT_MAX};
use crate::desired::Desired;
use crate::doctor::{self as found, About, Check, DoctorDocument, PolicyDocument, Status};
use crate::host::Host;
use crate::model::{AccountName, ImageId, Region, Selector};
use crate::report::ExitStatus;
use account::Patient;

/// Accounts that are examined side by side.
const ACCOUNTS_AT_ONCE: usize = 8;

/// `doctor`.
pub(super) async fn run(arguments: &DoctorArguments, common: &Common) -> Result<u8, Failure> {
    if arguments.target.sim_reset {
        return Err(Failure::usage(
            "`doctor` changes nothing; `plan --sim --sim-reset` begins the simulator's world anew",
        ));
    }
    let selector = arguments.narrow.selector();
    if arguments.cam_policy {
        return policy(arguments, &selector, common.output).await;
    }
    let (manifests, desired) = machine::manifests(&arguments.paths).await;
    let (directory, state, reader) = match state::directory(common, arguments.target.sim) {
        Ok(directory) => {
            let (state, reader) = machine::state(&directory);
            (directory, state, reader)
        }
        // Only the simulator needs a place.
        Err(nowhere) if !arguments.target.sim => {
            let state = found::state_unreadable(&nowhere.message);
            (PathBuf::new(), state, None)
        }
        Err(nowhere) => return Err(nowhere),
    };
    let mut checks = vec![found::version(), manifests, state];
    checks.extend(machine::commit(&arguments.paths, reader.as_ref()).await);

    let accounts = connect::known(&desired, &selector);
    checks.extend(strangers(&selector, accounts.keys()));
    let mut session = Session::open(&arguments.target, &directory, &desired, &accounts).await?;
    let shared = session::context()?;
    let connections = std::mem::take(&mut session.connections).into_iter();
    let patients = connections.map(|(name, connection)| Patient {
        regions: regions(&desired, &selector, &name),
        images: images(&desired, &selector, &name),
        document: accounts.get(&name).copied().flatten(),
        entries: machine::outcomes(reader.as_ref(), &name),
        simulated: arguments.target.sim,
        client: ReadClient::new(Rc::clone(&shared), connection),
        name,
    });
    let patients: Vec<_> = patients.collect();
    let examined = stream::iter(&patients).map(account::examine);
    let examined: Vec<_> = examined.buffered(ACCOUNTS_AT_ONCE).collect().await;
    let told_apart = one_name_each(&patients, &desired).await;
    session.discard().await;
    for (patient, examined) in patients.iter().zip(examined) {
        checks.extend(examined);
        checks.push(budget(patient, &patients).of(&patient.name));
    }
    checks.extend(told_apart);
    let document = DoctorDocument::new(checks);
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_code())
}

/// `doctor --cam-policy`: asks nobody. A set of manifests that is not whole is refused: its policy would be too narrow.
async fn policy(
    arguments: &DoctorArguments,
    selector: &Selector,
    output: Output,
) -> Result<u8, Failure> {
    let desired = match import::known(&arguments.paths, output).await? {
        Ok(desired) => desired,
        Err(exit) => return Ok(exit.code()),
    };
    let accounts = connect::known(&desired, selector);
    if accounts.is_empty() {
        let none = "the flags leave no account that the manifests name";
        return Err(Failure {
            exit: ExitStatus::Error,
            message: none.into(),
        });
    }
    let document = PolicyDocument::new(&accounts, desired.names().len() > 1, arguments.read_only);
    output::print(output, &document, &document.text())?;
    for comment in document.comments() {
        output::note(comment);
    }
    Ok(document.exit_code())
}

/// Accounts that a flag asks for and no manifest names.
fn strangers<'a>(
    selector: &'a Selector,
    known: impl Iterator<Item = &'a AccountName>,
) -> Vec<Check> {
    let known: BTreeSet<_> = known.collect();
    let strangers = selector
        .accounts
        .iter()
        .filter(|name| !known.contains(name));
    let checks = strangers.map(|name| {
        Check::new(About::Account, Status::Failed, "no manifest names it")
            .remedy("check the name and the path of the manifests")
            .of(name)
    });
    checks.collect()
}

/// The regions that are asked about: those that the manifests name, else those that the flags do, else one.
fn regions(desired: &Desired, selector: &Selector, account: &AccountName) -> BTreeSet<Region> {
    let scopes = desired.by_scope(selector).into_keys();
    let named = scopes.filter(|scope| scope.account == *account);
    let mut regions: BTreeSet<_> = named.map(|scope| scope.region).collect();
    if regions.is_empty() {
        regions.clone_from(&selector.regions);
    }
    if regions.is_empty() {
        regions.insert(Region::first());
    }
    regions
}

/// Images that the manifests name, for each region as many as a look asks about in one call.
fn images(
    desired: &Desired,
    selector: &Selector,
    account: &AccountName,
) -> BTreeMap<Region, Vec<ImageId>> {
    let scopes = desired.by_scope(selector).into_iter();
    let own = scopes.filter(|(scope, _)| scope.account == *account);
    let first = own.map(|(scope, wanted)| {
        let images = wanted.images.into_keys().take(PAGE_LIMIT_MAX as usize);
        (scope.region, images.cloned().collect())
    });
    first.collect()
}

/// Two account names that manifests use in one region and that stand for one account, and names of which nobody knows.
async fn one_name_each<H: Host>(patients: &[Patient<'_, H>], desired: &Desired) -> Vec<Check> {
    if patients.len() < 2 {
        return Vec::new();
    }
    let mut owners = Vec::new();
    for patient in patients {
        let region = patient.regions.first().copied();
        let region = region.unwrap_or(Region::first());
        let owner = match patient.client.owner(region).await {
            Ok(owner) => Some(owner),
            Err(_) => patient.client.key(region).await,
        };
        owners.push((&patient.name, owner));
    }
    let mut checks = Vec::new();
    for (n, (name, owner)) in owners.iter().enumerate() {
        for (other, theirs) in &owners[n + 1..] {
            let shared = Region::all().filter(|region| {
                let names = desired.names_in(*region);
                names.contains_key(*name) && names.contains_key(*other)
            });
            let shared: Vec<_> = shared.collect();
            if !shared.is_empty() {
                checks.extend(found::told_apart(
                    name,
                    other,
                    [owner.as_ref(), theirs.as_ref()],
                    &shared,
                ));
            }
        }
    }
    checks
}

/// What the account may spend, and with which of the others it shares that.
fn budget<H: Host>(patient: &Patient<'_, H>, all: &[Patient<'_, H>]) -> Check {
    let buckets = |of: &Patient<'_, H>| -> BTreeMap<String, Rc<str>> {
        let action = Action::ModifyImageSharePermission;
        let buckets = of
            .regions
            .iter()
            .map(|&region| of.client.bucket(action, region));
        buckets
            .map(|bucket| (bucket.host.to_string(), bucket.caller))
            .collect()
    };
    let own = buckets(patient);
    let shares = |other: &&Patient<'_, H>| {
        let theirs = buckets(other);
        other.name != patient.name && own.iter().any(|(host, key)| theirs.get(host) == Some(key))
    };
    let sharing: Vec<_> = all.iter().filter(shares).map(|other| &other.name).collect();
    let hosts: Vec<_> = own.keys().cloned().collect();
    found::rate_budget(patient.client.rate(), &hosts, &sharing)
}
