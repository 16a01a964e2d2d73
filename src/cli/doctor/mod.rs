//! `doctor`: asks everything that can be asked without changing anything, and continues after a failed question. Its
//! clients and its state cannot write. The answers are judged in `crate::doctor`.

mod account;
mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream;

use super::args::{Common, DoctorArguments, OutputFormat};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{accounts, manifests, state};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, PAGE_LIMIT_MAX};
use crate::desired::{Desired, DesiredScope};
use crate::doctor::{self, Check, CheckName, DoctorDocument, PolicyDocument, Status};
use crate::host::{Host, ProxySettings};
use crate::model::{AccountName, ImageId, Region, Selector};
use crate::report::ExitStatus;
use crate::store::Reader;
use account::AccountCheck;

/// The number of accounts that are examined concurrently.
const ACCOUNTS_AT_ONCE: usize = 8;

pub(super) async fn run(
    arguments: &DoctorArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let selector = arguments.selection.selector();
    if arguments.cam_policy {
        return print_policy(arguments, &selector, common.output).await;
    }
    let (manifests, desired) = machine::manifests(&arguments.paths).await;
    let (directory, state, reader) = look_at_state(common, arguments.target.sim)?;
    let mut checks = vec![doctor::version(), manifests, state];
    checks.extend(machine::commit(&arguments.paths, reader.as_ref()).await);

    let (webhooks, notified) = machine::webhooks(arguments.notify.as_deref());
    checks.extend(webhooks);
    let proxies = match ProxySettings::from_environment() {
        Ok(proxies) => proxies,
        Err(error) => {
            checks.push(doctor::proxy_broken(&error));
            return finish(checks, common.output);
        }
    };
    let documents = accounts::known(&desired, &selector);
    checks.extend(unknown_accounts(&selector, documents.keys()));
    let mut session =
        Session::open_without_trace(&arguments.target, &directory, &desired, &documents).await?;
    let client_context = session::client_context()?;
    let connections = std::mem::take(&mut session.connections).into_iter();
    let accounts = connections.map(|(name, connection)| AccountCheck {
        regions: regions(&desired, &selector, &name),
        images: images(&desired, &selector, &name),
        by_name: regions_where(&desired, &selector, &name, |wanted| {
            wanted.needs_own_images()
        }),
        by_cvm: regions_where(&desired, &selector, &name, |wanted| wanted.needs_cvm()),
        document: documents.get(&name).copied().flatten(),
        entries: machine::outcomes(reader.as_ref(), &name),
        simulated: arguments.target.sim,
        client: ReadClient::new(Rc::clone(&client_context), connection),
        name,
    });
    let accounts: Vec<_> = accounts.collect();
    let hosts = accounts.iter().flat_map(AccountCheck::hosts);
    checks.push(doctor::routes(&hosts.chain(notified).collect(), &proxies));
    let examined = stream::iter(&accounts)
        .map(account::examine)
        .buffered(ACCOUNTS_AT_ONCE);
    let examined: Vec<_> = examined.collect().await;
    let told_apart = one_name_each(&accounts, &desired).await;
    session.close().await?;
    for (account, examined) in accounts.iter().zip(examined) {
        checks.extend(examined);
        checks.push(budget(account, &accounts).of(&account.name));
    }
    checks.extend(told_apart);
    finish(checks, common.output)
}

/// The state directory, its check, and the state itself if it can be trusted.
fn look_at_state(
    common: &Common,
    is_simulated: bool,
) -> Result<(PathBuf, Check, Option<Reader>), Failure> {
    match state::directory(common, is_simulated) {
        Ok(directory) => {
            let (state, reader) = machine::state(&directory);
            Ok((directory, state, reader))
        }
        // Only the simulator needs a directory.
        Err(nowhere) if !is_simulated => {
            let state = doctor::state_unreadable(&nowhere.to_string());
            Ok((PathBuf::new(), state, None))
        }
        Err(nowhere) => Err(nowhere),
    }
}

fn finish(checks: Vec<Check>, format: OutputFormat) -> Result<ExitStatus, Failure> {
    let document = DoctorDocument::new(checks);
    output::print(format, &document, &document.text())?;
    Ok(document.exit_status())
}

/// Prints the policies for `doctor --cam-policy`, without any call. Manifests with errors are refused, because the
/// policies would allow too little.
async fn print_policy(
    arguments: &DoctorArguments,
    selector: &Selector,
    format: OutputFormat,
) -> Result<ExitStatus, Failure> {
    let desired = manifests::load_if_any(&arguments.paths, format).await?;
    let documents = accounts::known(&desired, selector);
    if documents.is_empty() {
        return Err(Failure::new(
            "the flags exclude all accounts that the manifests name",
        ));
    }
    let scopes = desired.by_scope(selector).into_iter();
    let cvm = scopes.filter(|(_, wanted)| wanted.needs_cvm());
    let cvm = cvm.map(|(scope, _)| scope.account.clone()).collect();
    let several = desired.names().len() > 1;
    let document = PolicyDocument::new(&documents, &cvm, several, arguments.read_only);
    output::print(format, &document, &document.text())?;
    for comment in document.comments() {
        output::note(comment);
    }
    Ok(document.exit_status())
}

/// A failed check for each account that a flag selects and no manifest names.
fn unknown_accounts<'a>(
    selector: &'a Selector,
    known: impl Iterator<Item = &'a AccountName>,
) -> Vec<Check> {
    let known: BTreeSet<_> = known.collect();
    let unknown = selector
        .accounts
        .iter()
        .filter(|name| !known.contains(name));
    let checks = unknown.map(|name| {
        Check::new(CheckName::Account, Status::Failed, "no manifest names it")
            .remedy("check the name and the path of the manifests")
            .of(name)
    });
    checks.collect()
}

/// The regions to ask about: those that the manifests name, else those that the flags name, else one.
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

/// Images that the manifests name, for each region as many as one call can ask about.
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

/// The regions in which `needs` is true for an account's part of the manifests.
fn regions_where(
    desired: &Desired,
    selector: &Selector,
    account: &AccountName,
    needs: fn(&DesiredScope<'_>) -> bool,
) -> BTreeSet<Region> {
    let scopes = desired.by_scope(selector).into_iter();
    let own = scopes.filter(|(scope, wanted)| scope.account == *account && needs(wanted));
    own.map(|(scope, _)| scope.region).collect()
}

/// Checks, for each pair of account names that manifests use in one region, that they do not mean the same account.
async fn one_name_each<H: Host>(accounts: &[AccountCheck<'_, H>], desired: &Desired) -> Vec<Check> {
    if accounts.len() < 2 {
        return Vec::new();
    }
    let mut owners = Vec::new();
    for account in accounts {
        let region = account.regions.first().copied();
        let region = region.unwrap_or(Region::first());
        let owner = match account.client.owner(region).await {
            Ok(owner) => Some(owner),
            Err(_) => account.client.key(region).await,
        };
        owners.push((&account.name, owner));
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
                checks.extend(doctor::told_apart(
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

/// Checks the account's rate, and which other accounts use the same bucket.
fn budget<H: Host>(account: &AccountCheck<'_, H>, all: &[AccountCheck<'_, H>]) -> Check {
    let buckets = |of: &AccountCheck<'_, H>| -> BTreeMap<String, Rc<str>> {
        let action = Action::ModifyImageSharePermission;
        let buckets = of
            .regions
            .iter()
            .map(|&region| of.client.bucket(action, region));
        buckets
            .map(|bucket| (bucket.host.to_string(), bucket.caller))
            .collect()
    };
    let own = buckets(account);
    let shares = |other: &&AccountCheck<'_, H>| {
        let theirs = buckets(other);
        other.name != account.name && own.iter().any(|(host, key)| theirs.get(host) == Some(key))
    };
    let sharing: Vec<_> = all.iter().filter(shares).map(|other| &other.name).collect();
    let hosts: Vec<_> = own.keys().cloned().collect();
    doctor::rate_budget(account.client.rate(), &hosts, &sharing)
}
