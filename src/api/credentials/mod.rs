//! The present credentials of every common source: files are read again when they change, temporary credentials are
//! renewed before they end, and rejected ones are fetched again.
//!
//! Each change is a new version, so that callers know which version was proven. This module knows files, STS and the
//! machine's metadata; it must not know what the credentials are used for. It never shows a value.

mod cache;
mod credentials_file;
mod environment;
mod error;
mod fetch;
mod ini;
mod metadata;
mod oidc;
mod parsed;
mod provenance;
mod provider_kind;
mod redirect;
mod sts;
mod tccli;
mod tccli_configure;
mod temporary;
mod value;
mod watched_file;

#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod liberal_tests;
#[cfg(test)]
mod provider_tests;
#[cfg(test)]
mod redirect_tests;
#[cfg(test)]
mod secrecy_tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::context::ClientContext;
use super::protocol::sign::Credentials;
use crate::desired::{CredentialSource, Role};
use crate::host::Host;
use crate::model::{Endpoint, Monotonic, Region};
use crate::pace::Backoff;
use credentials_file::CredentialsFile;
use provider_kind::ProviderKind;
use redirect::RoleChoice;
use temporary::Lifetime;

pub use cache::ProviderCache;
pub use environment::Environment;
pub use error::CredentialError;
pub use provenance::Provenance;
pub use redirect::TERRAFORM;
pub use watched_file::Exposure;

/// The pause between attempts to fetch credentials, after a failure.
const FETCH_BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};
/// If the API also rejects fresh credentials, they are not replaced again for this long, because they are not the
/// cause.
const RENEW_PAUSE: Duration = Duration::from_secs(10);

/// Provides the present credentials of one source.
pub struct CredentialProvider {
    source: CredentialSource,
    /// The role that they assume first, if any.
    role_choice: RoleChoice,
    environment: Rc<Environment>,
    /// The access point for assuming roles.
    sts: Endpoint,
    /// Held while credentials are fetched: one caller fetches, and all others wait.
    fetch_lock: Mutex<()>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    kind: Option<Rc<ProviderKind>>,
    /// Kinds that were tried before this one, each with the reason why it had none.
    tried: Vec<String>,
    active: Option<ActiveLease>,
    /// The version that the API no longer accepts.
    rejected: Option<u64>,
    /// When credentials that the API rejected were replaced; `None` once the API has accepted the new ones.
    renewed_at: Option<Monotonic>,
    failure: Option<Failure>,
    caller_id: Option<Rc<str>>,
}

/// The credentials in use, and their origin.
struct ActiveLease {
    lease: Lease,
    /// The generation of the file that they were made from.
    made_from: u64,
    /// When they end; `None` if they do not end by themselves.
    lifetime: Option<Lifetime>,
}

/// A fetch that failed.
struct Failure {
    error: CredentialError,
    tries: u32,
    again_at: Monotonic,
}

/// Credentials with their version, which identifies what is known about them.
#[derive(Clone)]
pub struct Lease {
    pub credentials: Rc<Credentials>,
    /// Grows with each change.
    pub version: u64,
}

/// The result of a fetch.
struct Resolved {
    credentials: Rc<Credentials>,
    made_from: u64,
    lifetime: Option<Lifetime>,
}

impl CredentialProvider {
    /// A provider for `source` that has not looked for credentials yet.
    fn new(
        source: CredentialSource,
        role_choice: RoleChoice,
        environment: Rc<Environment>,
        sts: Endpoint,
    ) -> Rc<Self> {
        Rc::new(Self {
            source,
            role_choice,
            environment,
            sts,
            fetch_lock: Mutex::default(),
            state: RefCell::default(),
        })
    }

    /// A provider of credentials that never change.
    pub fn fixed(credentials: Credentials) -> Rc<Self> {
        let nothing = Rc::new(Environment::new(|_| None));
        let (source, sts) = (CredentialSource::Environment, Endpoint::default());
        let provider = Self::new(source, RoleChoice::Source, nothing, sts);
        provider.set_kind(ProviderKind::Fixed(Rc::new(credentials)));
        provider
    }

    /// The identity that rate buckets are counted by: the id of a permanent key, or else the name of the source. The
    /// API counts by caller, not by the name of a temporary key.
    pub fn caller_id(&self) -> Rc<str> {
        let known = self.state.borrow().caller_id.clone();
        known.unwrap_or_else(|| self.source.to_string().into())
    }

    /// Whether another machine issues them, so that they must be fetched.
    pub(super) fn is_fetched(&self) -> bool {
        let is_named_fetched = matches!(
            self.source,
            CredentialSource::CvmRole(_)
                | CredentialSource::TkeOidc
                | CredentialSource::AssumeRole(_)
        );
        let role = || {
            self.role_choice
                .of_environment(&self.source, &self.environment)
        };
        is_named_fetched || matches!(role(), Ok(Some(_)))
    }

    /// The credentials in use; `None` if there are none yet.
    pub(super) fn active_credentials(&self) -> Option<Rc<Credentials>> {
        let state = self.state.borrow();
        let active = state.active.as_ref()?;
        Some(Rc::clone(&active.lease.credentials))
    }

    /// The text by which credentials are compared, and whether it identifies one account as long as it stays the same.
    /// A permanent key has its secret id, which does. A role has its name, because its temporary keys have new ids each
    /// time; the name contains the account. The role of a machine does not identify an account, because it differs on
    /// each machine.
    pub(super) fn identity(&self, credentials: &Credentials) -> (String, bool) {
        let state = self.state.borrow();
        let role_of_file = |file: &CredentialsFile| {
            let active = state.active.as_ref()?;
            let is_in_use = active.lease.credentials.secret_id == credentials.secret_id;
            file.role(active.made_from).filter(|_| is_in_use)
        };
        // No secret id begins with `source:`.
        let role = match state.kind.as_deref() {
            Some(ProviderKind::Role { role, .. }) => Some(role_source(role)),
            Some(ProviderKind::Oidc(oidc)) => Some(format!("tke-oidc {}", oidc.role_arn())),
            Some(ProviderKind::File(file)) => role_of_file(file).as_ref().map(role_source),
            Some(ProviderKind::Metadata(_)) => return (format!("source: {}", self.source), false),
            Some(ProviderKind::Fixed(_)) | None => None,
        };
        match role {
            Some(role) => (format!("source: {role}"), true),
            None => (credentials.secret_id.clone(), credentials.token.is_none()),
        }
    }

    /// The credentials for the next call. If STS must be asked, it is asked at the access point of `region`.
    pub async fn current<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
    ) -> Result<Lease, CredentialError> {
        if let Some(answer) = self.cached(context.host.monotonic()) {
            return answer;
        }
        let lock = self.fetch_lock.try_lock();
        let live = self.state.borrow().live(context.host.monotonic());
        match (lock, live) {
            (Ok(lock), _) => self.refresh(context, region, lock).await,
            // Another caller is fetching, and these credentials still work.
            (Err(_), Some(lease)) => Ok(lease),
            (Err(_), None) => {
                self.refresh(context, region, self.fetch_lock.lock().await)
                    .await
            }
        }
    }

    /// Resolves the credentials again, unless another caller has done so meanwhile.
    async fn refresh<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
        _lock: MutexGuard<'_, ()>,
    ) -> Result<Lease, CredentialError> {
        if let Some(answer) = self.cached(context.host.monotonic()) {
            return answer;
        }
        let resolved = self.resolve(context, region).await;
        let (monotonic, jitter) = (context.host.monotonic(), context.host.next_f64());
        match resolved {
            Ok(resolved) => Ok(self.activate(resolved, monotonic)),
            Err(error) => self.fetch_failed(error, monotonic, jitter),
        }
    }

    /// Handles the API's rejection of `version`. Returns whether there is a newer version to try. If the API also
    /// rejects that one, it is not replaced for `RENEW_PAUSE`.
    pub async fn renew<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
        version: u64,
    ) -> bool {
        let now = context.host.monotonic();
        {
            let mut state = self.state.borrow_mut();
            let Some(active) = &state.active else {
                return false;
            };
            if active.lease.version > version {
                return true;
            }
            if active.lifetime.is_some() && state.rejected != Some(version) {
                if state
                    .renewed_at
                    .is_some_and(|at| now.since(at) < RENEW_PAUSE)
                {
                    return false;
                }
                tracing::warn!(source = %self.source, "the API no longer accepts the credentials; fetching new ones");
                state.rejected = Some(version);
                state.renewed_at = Some(now);
            }
        }
        // The credentials in use do not work, so this waits for a running fetch.
        let lock = self.fetch_lock.lock().await;
        let newest = self.refresh(context, region, lock).await;
        newest.is_ok_and(|lease| lease.version > version)
    }

    /// Notes that the API has accepted `version`.
    pub(super) fn accepted(&self, version: u64) {
        let mut state = self.state.borrow_mut();
        if state
            .active
            .as_ref()
            .is_some_and(|active| active.lease.version == version)
        {
            state.renewed_at = None;
        }
    }

    /// Whether a call with `version` would fail, as far as is known without fetching.
    pub(super) fn is_outdated(&self, version: u64) -> bool {
        self.has_newer(version) || self.state.borrow().rejected == Some(version)
    }

    /// Whether there is a newer version than `version`, as far as is known without fetching.
    pub(super) fn has_newer(&self, version: u64) -> bool {
        let state = self.state.borrow();
        state
            .active
            .as_ref()
            .is_some_and(|active| active.lease.version > version)
    }

    /// An answer that needs no waiting, if there is one.
    fn cached(&self, now: Monotonic) -> Option<Result<Lease, CredentialError>> {
        let state = self.state.borrow();
        if let Some(failure) = &state.failure
            && now < failure.again_at
        {
            let live = state.live(now);
            return Some(live.ok_or_else(|| failure.error.clone()));
        }
        let active = state.active.as_ref()?;
        let made_from = match state.kind.as_deref()? {
            ProviderKind::Fixed(_) | ProviderKind::Metadata(_) | ProviderKind::Oidc(_) => {
                active.made_from
            }
            ProviderKind::File(file) => file.unchanged()?.ok()?.number,
            ProviderKind::Role { source, .. } => source.cached(now)?.ok()?.version,
        };
        let is_good = state.is_good(active, made_from, now);
        is_good.then(|| Ok(active.lease.clone()))
    }

    fn kind<H: Host>(
        &self,
        context: &ClientContext<H>,
    ) -> Result<Rc<ProviderKind>, CredentialError> {
        if let Some(kind) = self.state.borrow().kind.clone() {
            return Ok(kind);
        }
        let now = context.host.now();
        let (kind, tried) = self.choose_kind(now)?;
        self.state.borrow_mut().tried = tried;
        let is_last_resort = matches!(&kind, ProviderKind::Metadata(from) if from.tried.is_some());
        if is_last_resort {
            // The kind is only kept once it has provided credentials; until then, another source may appear.
            return Ok(Rc::new(kind));
        }
        Ok(self.set_kind(kind))
    }

    fn set_kind(&self, kind: ProviderKind) -> Rc<ProviderKind> {
        let mut state = self.state.borrow_mut();
        match &kind {
            ProviderKind::Fixed(credentials) => {
                state.caller_id = Some(credentials.secret_id.as_str().into());
            }
            // The caller is the same, whether a document or a variable names the role.
            ProviderKind::Role { role, .. } => state.caller_id = Some(role_source(role).into()),
            ProviderKind::File(_) | ProviderKind::Metadata(_) | ProviderKind::Oidc(_) => {}
        }
        Rc::clone(state.kind.insert(Rc::new(kind)))
    }

    fn activate(&self, resolved: Resolved, now: Monotonic) -> Lease {
        let mut state = self.state.borrow_mut();
        let before = state.active.as_ref();
        let version = before.map_or(0, |active| active.lease.version);
        let same =
            before.is_some_and(|active| active.lease.credentials.is_same_as(&resolved.credentials));
        let lease = Lease {
            credentials: resolved.credentials,
            version: if same { version } else { version + 1 },
        };
        if let Some(lifetime) = resolved.lifetime {
            let seconds = lifetime.ends_at.since(now).as_secs();
            tracing::debug!(source = %self.source, version = lease.version, seconds, "credentials fetched");
        }
        if state.caller_id.is_none() {
            let lasts = resolved.lifetime.is_none() && lease.credentials.token.is_none();
            state.caller_id = Some(if lasts {
                lease.credentials.secret_id.as_str().into()
            } else {
                self.source.to_string().into()
            });
        }
        if state.kind.is_none() {
            // Only the last resort was not kept before.
            let from = self
                .environment
                .metadata()
                .map(|url| provider_kind::Metadata {
                    role: None,
                    url,
                    tried: None,
                });
            state.kind = from.ok().map(|from| Rc::new(ProviderKind::Metadata(from)));
        }
        state.active = Some(ActiveLease {
            lease: lease.clone(),
            made_from: resolved.made_from,
            lifetime: resolved.lifetime,
        });
        state.failure = None;
        lease
    }

    /// Continues with the credentials in use if they still work. The next fetch waits for [`FETCH_BACKOFF`].
    fn fetch_failed(
        &self,
        error: CredentialError,
        now: Monotonic,
        jitter: f64,
    ) -> Result<Lease, CredentialError> {
        let mut state = self.state.borrow_mut();
        let live = state.live(now);
        let is_file = matches!(state.kind.as_deref(), Some(ProviderKind::File(_)));
        if is_file && error.is_local() {
            // A file is checked each time, which is cheap.
            return live.ok_or(error);
        }
        let tries = state.failure.as_ref().map_or(0, |failure| failure.tries) + 1;
        if tries == 1 && live.is_some() {
            tracing::warn!(source = %self.source, "continuing with the present credentials, because new ones are not available: {error}");
        }
        // At least half of the step, so that all waiting callers get the same error.
        let again_at = now + FETCH_BACKOFF.step(tries).mul_f64(0.5 + jitter / 2.0);
        state.failure = Some(Failure {
            error: error.clone(),
            tries,
            again_at,
        });
        live.ok_or(error)
    }
}

/// The name of a role as a source of credentials, in the form that documents use.
fn role_source(role: &Role) -> String {
    format!("assume-role {}", role.arn)
}

impl State {
    /// Whether the credentials in use were made from the present source, and need not be replaced yet.
    fn is_good(&self, active: &ActiveLease, made_from: u64, now: Monotonic) -> bool {
        let is_due = active
            .lifetime
            .is_some_and(|lifetime| now >= lifetime.refresh_at);
        let is_rejected = self.rejected == Some(active.lease.version);
        active.made_from == made_from && !is_due && !is_rejected
    }

    /// The credentials in use, if they still work.
    fn live(&self, now: Monotonic) -> Option<Lease> {
        let active = self.active.as_ref()?;
        let is_over = active
            .lifetime
            .is_some_and(|lifetime| now >= lifetime.ends_at);
        let is_rejected = active.lifetime.is_some() && self.rejected == Some(active.lease.version);
        (!is_over && !is_rejected).then(|| active.lease.clone())
    }
}
