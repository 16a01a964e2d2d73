//! `lock`: resolves policies and writes their selection to the lock file. The selection does not depend on the present
//! content of the lock file. It changes nothing in the cloud: its clients and its state cannot write.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{Common, LockArguments};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{accounts, manifests, sim_target, state};
use crate::desired::{Desired, LockedImage, Policy, PolicyLock, Source};
use crate::engine::{self, ScopeOutcome, Task};
use crate::manifest;
use crate::model::{Region, Scope, Selector};
use crate::observation::Unobserved;
use crate::plan;
use crate::report::{
    ExitStatus, LockDocument, LockedRegion, PolicyCheck, UnreadRegions, UnseenScope,
};

/// The name of the lock file, which is read together with manifests.
const LOCK_FILE: &str = "sharekeeper.lock.yaml";

pub(super) async fn run(arguments: &LockArguments, common: &Common) -> Result<ExitStatus, Failure> {
    let desired = manifests::load(&arguments.paths, common.output).await?;
    let policies = policies(&desired);
    let selected = selected(&policies, &arguments.policies)?;
    let file = lock_file(&arguments.paths.paths, &desired)?;
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let selector = selector(&selected);
    let scopes = match selected.is_empty() {
        true => Vec::new(),
        false => preview(arguments, &directory, &desired, &selector).await?,
    };
    let mut selection = Selection::new(&selected, &scopes);
    let mut document = LockDocument::new(
        file.to_string_lossy().into_owned(),
        arguments.check,
        selection.checks(&selected, &desired),
        std::mem::take(&mut selection.unseen),
    );
    let unread = std::mem::take(&mut selection.unread);
    unread.warnings().into_iter().for_each(output::warn);
    if !arguments.check && document.is_seen() {
        let kept = desired.locks.iter();
        // Entries of policies that the manifests no longer have are dropped.
        let kept = kept.filter(|(name, _)| policies.contains_key(*name));
        let mut locks: BTreeMap<_, _> = kept
            .map(|(name, lock)| (Arc::clone(name), lock.clone()))
            .collect();
        locks.extend(selection.locks(&selected, &file));
        let text = manifest::render_lock(&locks);
        let is_new = replace(&file, &text).map_err(|error| {
            Failure::new(format_args!("cannot write {}: {error}", file.display()))
        })?;
        document.written(is_new);
    }
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

/// Every policy of the manifests, by name.
fn policies(desired: &Desired) -> BTreeMap<Arc<str>, Arc<Policy>> {
    let policies = desired.policies.values().flatten();
    policies
        .map(|policy| (Arc::clone(policy.name()), Arc::clone(policy)))
        .collect()
}

/// The requested policies, or all of them if none is requested.
fn selected(
    policies: &BTreeMap<Arc<str>, Arc<Policy>>,
    asked: &[String],
) -> Result<BTreeMap<Arc<str>, Arc<Policy>>, Failure> {
    let is_unknown = |name: &&String| !policies.contains_key(name.as_str());
    let unknown = asked.iter().filter(is_unknown).map(|name| {
        let near = manifest::nearest(name, policies.keys().map(|name| &**name));
        let near = near.map(|near| format!("; did you mean `{near}`?"));
        format!(
            "no manifest has a policy `{name}`{}",
            near.unwrap_or_default()
        )
    });
    let unknown: Vec<_> = unknown.collect();
    if !unknown.is_empty() {
        return Err(Failure::usage(unknown.join("\n")));
    }
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let picked = policies.iter().filter(|(name, _)| is_asked(name));
    Ok(picked
        .map(|(name, policy)| (Arc::clone(name), Arc::clone(policy)))
        .collect())
}

/// The lock file in the directory of the first path. A second one elsewhere would contradict it.
fn lock_file(paths: &[PathBuf], desired: &Desired) -> Result<PathBuf, Failure> {
    let first = paths
        .first()
        .ok_or_else(|| Failure::usage("name the paths of the manifests"))?;
    let directory = match first.is_dir() {
        true => first.as_path(),
        false => first.parent().unwrap_or(Path::new("")),
    };
    let file = directory.join(LOCK_FILE);
    let is_same = |source: &Source| {
        let other = Path::new(&*source.file);
        other == file
            || matches!((other.canonicalize(), file.canonicalize()), (Ok(a), Ok(b)) if a == b)
    };
    let mut others = desired.locks.values().map(|lock| &lock.source);
    match others.find(|source| !is_same(source)) {
        None => Ok(file),
        Some(other) => Err(Failure::new(format_args!(
            "the lock is in {} already, and would be written to {}; give the directory of the lock file as the first path, or \
             move the file there",
            other.file,
            file.display()
        ))),
    }
}

/// A selector for the scopes of the policies.
fn selector(policies: &BTreeMap<Arc<str>, Arc<Policy>>) -> Selector {
    let policies = policies.values();
    Selector {
        accounts: policies.clone().map(|it| it.account.clone()).collect(),
        regions: policies.flat_map(|it| it.regions.iter().copied()).collect(),
        ..Selector::default()
    }
}

/// Resolves the policies' scopes as `plan` does. Nothing is approved, so that no action stops a resolution from waiting
/// for the regions that it depends on.
async fn preview(
    arguments: &LockArguments,
    directory: &Path,
    desired: &Desired,
    selector: &Selector,
) -> Result<Vec<ScopeOutcome>, Failure> {
    let reader = state::read(directory)?;
    let accounts = accounts::selected(desired, selector);
    let documents = &accounts.documents;
    let mut session = Session::open(&arguments.target, directory, desired, documents).await?;
    let client_context = session::client_context()?;
    let clients = session
        .clients(&client_context, |name| accounts.worked_on.contains(name))
        .await?;
    let nothing = BTreeMap::new();
    let task = Task {
        desired,
        selector,
        policy: &plan::Policy::DEFAULT,
        approved_by_scope: Some(&nothing),
    };
    let scopes = engine::preview(&clients, &reader, &task).await;
    session.close().await?;
    Ok(scopes)
}

/// The present selection of the policies.
struct Selection {
    by_policy: BTreeMap<Arc<str>, BTreeMap<Region, Vec<LockedImage>>>,
    unseen: Vec<UnseenScope>,
    unread: UnreadRegions,
}

impl Selection {
    fn new(policies: &BTreeMap<Arc<str>, Arc<Policy>>, scopes: &[ScopeOutcome]) -> Self {
        let mut selection = Self {
            by_policy: BTreeMap::new(),
            unseen: Vec::new(),
            unread: UnreadRegions::default(),
        };
        let scopes: BTreeMap<&Scope, &plan::Plan> = scopes
            .iter()
            .map(|outcome| (&outcome.plan.scope, &outcome.plan))
            .collect();
        let mut unseen = BTreeMap::new();
        for (name, policy) in policies {
            let here = selection.by_policy.entry(Arc::clone(name)).or_default();
            for &region in &policy.regions {
                let scope = Scope {
                    account: policy.account.clone(),
                    region,
                };
                match selected_in(scopes.get(&scope).copied(), name) {
                    Ok(images) => {
                        here.insert(region, images);
                    }
                    Err(why) => {
                        unseen.insert(scope, why);
                    }
                }
            }
        }
        for (scope, why) in &unseen {
            selection.unread.add(scope, why);
        }
        let unseen = unseen.into_iter().map(|(scope, why)| UnseenScope {
            account: scope.account.to_string(),
            region: scope.region.as_str(),
            reason: why.told(),
            request_id: None,
        });
        selection.unseen = unseen.collect();
        selection
    }

    /// Compares each policy with its entry in the lock file.
    fn checks(
        &self,
        policies: &BTreeMap<Arc<str>, Arc<Policy>>,
        desired: &Desired,
    ) -> Vec<PolicyCheck> {
        let checks = policies.iter().map(|(name, policy)| {
            let lock = desired.locks.get(name);
            let now = self.by_policy.get(name).into_iter().flatten();
            let regions = now.map(|(&region, now)| {
                let locked = lock.and_then(|lock| lock.regions.get(&region));
                LockedRegion::new(region, locked.map(Vec::as_slice), now)
            });
            let mut regions: Vec<_> = regions.collect();
            // Regions that were removed from the policy change its digest, too.
            let gone = lock.iter().flat_map(|lock| &lock.regions);
            let gone = gone.filter(|(region, _)| !policy.regions.contains(region));
            regions.extend(gone.map(|(&region, was)| LockedRegion::new(region, Some(was), &[])));
            PolicyCheck::new(
                name,
                &policy.source,
                policy.lock,
                lock.map(|lock| lock.digest == policy.digest),
                regions,
            )
        });
        checks.collect()
    }

    /// The new entries of the lock file.
    fn locks(
        &self,
        policies: &BTreeMap<Arc<str>, Arc<Policy>>,
        file: &Path,
    ) -> BTreeMap<Arc<str>, PolicyLock> {
        let locks = policies.iter().map(|(name, policy)| {
            let lock = PolicyLock {
                digest: Arc::clone(&policy.digest),
                regions: self.by_policy.get(name).cloned().unwrap_or_default(),
                source: Source {
                    file: file.to_string_lossy().into(),
                    line: 1,
                },
            };
            (Arc::clone(name), lock)
        });
        locks.collect()
    }
}

/// The selection of a policy in one scope, or why it is not known.
fn selected_in(plan: Option<&plan::Plan>, policy: &str) -> Result<Vec<LockedImage>, Unobserved> {
    let Some(plan) = plan else {
        return Err(Unobserved::new("it was not observed"));
    };
    if let Some(why) = plan.unobserved().or(plan.read_denied()) {
        return Err(why.clone());
    }
    let resolution = &plan.resolution;
    if !resolution.unseen.is_empty() {
        let unseen: Vec<_> = resolution.unseen.iter().map(Region::to_string).collect();
        let why = format!("it depends on {}", unseen.join(", "));
        return Err(Unobserved::new(why));
    }
    let selection = resolution.selections.get(policy);
    let hold = resolution.policy_holds.get(policy);
    match (selection, hold) {
        // The policy has no candidates, and the hold says why.
        (Some(selection), Some(hold)) if selection.candidates == 0 => {
            Err(Unobserved::new(hold.to_string()))
        }
        (Some(selection), _) => Ok(selection.images.clone()),
        (None, _) => Err(Unobserved::new("the policy was not resolved")),
    }
}

/// Replaces a file atomically. Returns whether its content changes.
fn replace(file: &Path, text: &str) -> io::Result<bool> {
    if fs::read_to_string(file).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    // Manifests whose names begin with a dot are not read.
    let temporary = file.with_file_name(format!(".{LOCK_FILE}.{}.tmp", std::process::id()));
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, file))
        .inspect_err(|_| {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&temporary);
        })?;
    Ok(true)
}
