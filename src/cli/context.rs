//! The inputs of a command: the manifests, their commit, and what the flags select and allow.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Common, Guards, OutputFormat, Paths, SelectorArguments};
use super::manifests::{self, Manifests};
use super::output::{self, Failure};
use super::selection::Known;
use super::state;
use crate::api::ClientContext;
use crate::desired::{Completeness, Desired};
use crate::engine::{ScopeOutcome, Task};
use crate::host::{Host, SystemCommandRunner};
use crate::inventory::Suspension;
use crate::manifest::{Checkout, Diagnostic, Revision};
use crate::model::{AccountName, Clocks, Scope, Selector};
use crate::plan::{ApprovedActions, Policy, Prune};
use crate::status::Holds;
use crate::store::Reader;

/// How often manifests are read again if their commit changes meanwhile.
const READINGS_MAX: u32 = 3;

/// The inputs of `plan` and `reconcile`.
pub(super) struct CommandContext {
    pub(super) desired: Desired,
    pub(super) selector: Selector,
    pub(super) policy: Policy,
    /// The revision of the manifests, from git.
    pub(super) revision: Revision,
    /// The errors in the manifests that were left out.
    pub(super) left_out: Vec<Diagnostic>,
}

impl CommandContext {
    /// Reads the manifests. Fails if any has an error; with `partial_ok`, only if no file is valid.
    pub(super) async fn load(
        paths: &Paths,
        selection: &SelectorArguments,
        guards: &Guards,
        partial_ok: bool,
        common: &Common,
    ) -> Result<Self, Failure> {
        let (manifests, revision) = Self::read(paths, partial_ok, common.output).await?;
        let (desired, left_out) = match manifests {
            Manifests::Whole(desired) => (desired, Vec::new()),
            Manifests::Part(partial, errors) => (partial.into_partial_desired(), errors),
        };
        let selector = selection.selector();
        let prunes = guards.prune() != Prune::None;
        let scopes = desired.by_scope(&selector).into_iter();
        let worked_on = scopes.filter(|(_, wanted)| prunes || wanted.may_ask());
        let worked_on: Vec<_> = worked_on.map(|(scope, _)| scope).collect();
        let policy = Policy {
            // Until here, the type `Partial` showed that the manifests are incomplete. From here on, this field does.
            shares_only: !left_out.is_empty(),
            ..guards.policy(common, &worked_on)?
        };
        Ok(Self {
            desired,
            selector,
            policy,
            revision,
            left_out,
        })
    }

    /// Reads the manifests and their commit. If another commit is checked out meanwhile, the content may be from
    /// either, so they are read again.
    async fn read(
        paths: &Paths,
        partial_ok: bool,
        format: OutputFormat,
    ) -> Result<(Manifests, Revision), Failure> {
        for _ in 0..READINGS_MAX {
            let before = Revision::of(&paths.paths, &SystemCommandRunner).await;
            let manifests = if partial_ok {
                manifests::load_part(paths, format).await?
            } else {
                Manifests::Whole(manifests::load(paths, format).await?)
            };
            let after = Revision::of(&paths.paths, &SystemCommandRunner).await;
            let commit = |revision: &Revision| revision.checkout().map(Checkout::commit).cloned();
            if commit(&before) == commit(&after) {
                return Ok((manifests, after));
            }
            output::warn(
                "another commit was checked out while the manifests were read; reading them again",
            );
        }
        Err(Failure::new(format_args!(
            "the manifests were read {READINGS_MAX} times, and each time another commit was checked out meanwhile; let the checkout \
             finish, then run this command again"
        )))
    }

    /// The commit of the manifests, for people.
    pub(super) fn commit(&self) -> Option<String> {
        self.revision.shown()
    }

    /// The task for the engine.
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

    /// The `uin` of each account whose document gives it.
    pub(super) fn uins(&self) -> BTreeMap<AccountName, String> {
        let accounts = self.desired.accounts.iter();
        accounts
            .filter_map(|(name, account)| Some((name.clone(), account.uin.as_ref()?.to_string())))
            .collect()
    }

    /// Refuses flags with unknown names. Returns a warning if the flags select nothing, which `required` makes an
    /// error.
    pub(super) async fn check_selection(
        &self,
        reader: &Reader,
        required: bool,
    ) -> Result<Option<String>, Failure> {
        // Files that were left out may have the names.
        if self.left_out.is_empty() {
            self.known(reader).refuse_unknown(&self.selector).await?;
        }
        match self.nothing_selected(reader).await? {
            Some(nothing) if required => Err(Failure::usage(format_args!(
                "{nothing}; with `--require-match`, this is an error"
            ))),
            nothing => Ok(nothing),
        }
    }

    /// A warning if the flags select nothing.
    pub(super) async fn nothing_selected(
        &self,
        reader: &Reader,
    ) -> Result<Option<String>, Failure> {
        let known = self.known(reader);
        known.nothing(&self.selector, self.policy.prune).await
    }

    fn known<'k>(&'k self, reader: &'k Reader) -> Known<'k> {
        Known {
            desired: &self.desired,
            reader,
        }
    }

    /// The holds that apply to the selection now, with a line for each hold that the outcomes do not name already.
    pub(super) fn holds<H: Host>(
        &self,
        suspensions: &[Suspension],
        client_context: &ClientContext<H>,
        outcomes: &[ScopeOutcome],
    ) -> (Holds, Vec<String>) {
        let (host, now) = (&client_context.host, client_context.now());
        let offset = client_context.clocks.largest_offset(now, host.monotonic());
        let scopes = self.desired.by_scope(&self.selector);
        let suspensions: Vec<_> = suspensions
            .iter()
            .filter(|one| one.selector.meets(&self.selector))
            .filter(|one| scopes.keys().any(|scope| one.selector.reaches(scope)))
            .cloned()
            .collect();
        let accounts = self.desired.accounts.iter();
        let is_worked_on = |name: &AccountName| scopes.keys().any(|scope| scope.account == *name);
        let windows = accounts
            .filter(|(name, _)| is_worked_on(name))
            .map(|(name, account)| (name, &account.windows));
        let clocks = Clocks::new(now, offset);
        let holds = Holds::at(&suspensions, windows, clocks, &Holds::default());
        let lines = holds.untold_lines(outcomes.iter().map(|outcome| &outcome.plan));
        (holds, lines)
    }

    /// A warning that a manifest may be missing. It was printed when the manifests were read; this one is for the
    /// document.
    pub(super) fn completeness_warning(&self) -> Option<String> {
        match &self.desired.completeness {
            Completeness::Whole => None,
            Completeness::Unknown(why) => Some(format!(
                "it is not known whether a manifest is missing, so images that no manifest names are not cancelled: {why}"
            )),
        }
    }

    /// A warning about images of ours in scopes that no manifest names any longer. Scopes that are `taken_over` by
    /// another account name do not count.
    pub(super) fn orphan_warning(
        &self,
        reader: &Reader,
        taken_over: &BTreeSet<Scope>,
    ) -> Result<Option<String>, Failure> {
        // An image that is not selected, or that a left-out file may name, is no orphan.
        if !self.selector.is_all() || !self.left_out.is_empty() {
            return Ok(None);
        }
        let named = self.desired.by_scope(&self.selector);
        let orphans = state::orphans(reader, |scope| {
            named.contains_key(scope) || taken_over.contains(scope)
        })?;
        Ok(orphans.warning())
    }
}
