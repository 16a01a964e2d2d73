//! Manifests and flags → what is to be worked on.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Guards, Narrow, Output, Paths};
use super::output::{self, Failure};
use super::state;
use super::validate::{self, Manifests};
use crate::desired::{Completeness, Desired};
use crate::engine::Task;
use crate::host::SystemCommandRunner;
use crate::manifest::{Checkout, Diagnostic, Revision};
use crate::model::{AccountName, Scope, Selector};
use crate::plan::{ApprovedActions, Policy};
use crate::report::ExitStatus;
use crate::store::Reader;
use crate::words::plural;

/// Readings of manifests whose commit changes meanwhile.
const READINGS_MAX: u32 = 3;

/// What the manifests ask for, and the part of it that a command works on.
pub(super) struct Work {
    pub(super) desired: Desired,
    pub(super) selector: Selector,
    pub(super) policy: Policy,
    /// What git says of the manifests.
    pub(super) revision: Revision,
    /// What is wrong with the manifests that were left out.
    pub(super) left_out: Vec<Diagnostic>,
}

impl Work {
    /// Reads the manifests; the status to leave with, if they are not whole (or, with `partial_ok`, nothing of them is
    /// good).
    pub(super) async fn load(
        paths: &Paths,
        narrow: &Narrow,
        guards: &Guards,
        partial_ok: bool,
        output: Output,
    ) -> Result<Result<Self, ExitStatus>, Failure> {
        let (manifests, revision) = Self::read(paths, partial_ok, output).await?;
        let (desired, left_out) = match manifests {
            Ok(Manifests::Whole(desired)) => (desired, Vec::new()),
            Ok(Manifests::Part(partial, errors)) => (partial.into_partial_desired(), errors),
            Err(exit) => return Ok(Err(exit)),
        };
        Ok(Ok(Self {
            desired,
            selector: narrow.selector(),
            policy: Policy {
                // The mark that the type `Partial` carried until here.
                shares_only: !left_out.is_empty(),
                ..guards.policy()
            },
            revision,
            left_out,
        }))
    }

    /// The manifests, and the commit that they are of. Where another one was checked out while they were read, nobody can
    /// say which of the two they are of, and they are read again.
    async fn read(
        paths: &Paths,
        partial_ok: bool,
        output: Output,
    ) -> Result<(Result<Manifests, ExitStatus>, Revision), Failure> {
        for _ in 0..READINGS_MAX {
            let before = Revision::of(&paths.paths, &SystemCommandRunner).await;
            let manifests = if partial_ok {
                validate::load_part(paths, output).await?
            } else {
                validate::load(paths, output).await?.map(Manifests::Whole)
            };
            let after = Revision::of(&paths.paths, &SystemCommandRunner).await;
            let commit = |revision: &Revision| revision.checkout().map(Checkout::commit).cloned();
            if manifests.is_err() || commit(&before) == commit(&after) {
                return Ok((manifests, after));
            }
            output::warn(
                "another commit was checked out while the manifests were read; reading them again",
            );
        }
        Err(Failure::new(format_args!(
            "another commit was checked out each of {READINGS_MAX} times that the manifests were read; let what checks them out \
             finish, then run this again"
        )))
    }

    /// The commit of the manifests, for people.
    pub(super) fn commit(&self) -> Option<String> {
        self.revision.shown()
    }

    /// As the engine takes it.
    pub(super) fn task<'a>(
        &'a self,
        approved_by_scope: Option<&'a BTreeMap<Scope, ApprovedActions>>,
    ) -> Task<'a> {
        Task {
            desired: &self.desired,
            selector: &self.selector,
            policy: &self.policy,
            approved_by_scope,
        }
    }

    /// The `uin` of each account that gives one.
    pub(super) fn uins(&self) -> BTreeMap<AccountName, String> {
        let accounts = self.desired.accounts.iter();
        accounts
            .filter_map(|(name, account)| Some((name.clone(), account.uin.as_ref()?.to_string())))
            .collect()
    }

    /// Warns where the flags leave nothing to do.
    pub(super) fn warn_of_nothing(&self) {
        let selected = |(key, image): (_, &crate::desired::DesiredImage)| {
            self.selector.matches(key, &image.labels)
        };
        if !self.desired.images.iter().any(selected) {
            let named = plural(self.desired.images.len() as u64, "image");
            output::warn(format_args!(
                "nothing to do: the manifests name {named}, and the flags leave none of them"
            ));
        }
    }

    /// A warning that the manifests may not be all that there are. It is printed as they are read.
    pub(super) fn doubt(&self) -> Option<String> {
        match &self.desired.completeness {
            Completeness::Whole => None,
            Completeness::Unknown(why) => Some(format!(
                "whether a manifest is missing is not known, so what no manifest names is not cancelled: {why}"
            )),
        }
    }

    /// A warning of images of ours in scopes that no manifest names.
    pub(super) fn orphans(
        &self,
        reader: &Reader,
        taken_over: &BTreeSet<Scope>,
    ) -> Result<Option<String>, Failure> {
        // A file that was left out may name them.
        if !self.selector.is_all() || !self.left_out.is_empty() {
            return Ok(None);
        }
        let named = self.desired.by_scope(&self.selector);
        let orphans = state::orphans(reader, |scope| {
            named.contains_key(scope) || taken_over.contains(scope)
        })?;
        Ok(state::describe_orphans(&orphans))
    }
}
