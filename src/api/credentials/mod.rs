//! Credentials from every source of the ecosystem, as they are now: files when they change, temporary ones before they
//! end, and anew once the API no longer takes them.
//!
//! Each change is a new version, so that whoever calls can tell what was proven with which. Knows files, STS and the
//! machine's metadata; knows nothing of what the credentials are for. Shows no value, whatever happens.

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

/// Between tries to fetch credentials, after one that failed.
const FETCH_BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};
/// Fresh credentials that the API does not take, either, are not replaced again for this long: they are not what is wrong.
const RENEW_PAUSE: Duration = Duration::from_secs(10);

/// Gives the credentials of one source, as they are now.
pub struct CredentialProvider {
    source: CredentialSource,
    /// Which role they assume first.
    role_choice: RoleChoice,
    environment: Rc<Environment>,
    /// Where roles are assumed.
    sts: Endpoint,
    /// Held while credentials are fetched: one caller fetches, and all who need them wait.
    fetch_lock: Mutex<()>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    kind: Option<Rc<ProviderKind>>,
    /// Kinds that were tried before this one, each with why it gave nothing.
    tried: Vec<String>,
    active: Option<ActiveLease>,
    /// The version that the API does not take any longer.
    rejected: Option<u64>,
    /// When credentials that the API rejected were replaced; `None` once the API has accepted the new ones.
    renewed_at: Option<Monotonic>,
    failure: Option<Failure>,
    caller_id: Option<Rc<str>>,
}

/// The credentials in use, and what they were made from.
struct ActiveLease {
    lease: Lease,
    /// The generation of the file that it was made from.
    made_from: u64,
    /// `None` if they do not end by themselves.
    lifetime: Option<Lifetime>,
}

/// A fetch that failed.
struct Failure {
    error: CredentialError,
    tries: u32,
    again_at: Monotonic,
}

/// Credentials and their version, so that what is known of them can be told from what is known of others.
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
    /// The credentials of `source`, none of which has been looked for yet.
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

    /// What rate buckets are counted by: the id of a key that lasts, else the name of the source, because the API
    /// counts by who calls and not by what a temporary key is called.
    pub fn caller_id(&self) -> Rc<str> {
        let known = self.state.borrow().caller_id.clone();
        known.unwrap_or_else(|| self.source.to_string().into())
    }

    /// Whether another machine gives them out, so that they have to be fetched.
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

    /// What the credentials are compared by, and whether it identifies one account for as long as it stays the same. A
    /// lasting key has its secret id, which does. A role has its name, because its temporary keys have new ids each time; the
    /// name contains the account. The role of a machine does not identify an account: it is another one on another machine.
    pub(super) fn identity(&self, credentials: &Credentials) -> (String, bool) {
        let state = self.state.borrow();
        let role_of_file = |file: &CredentialsFile| {
            let active = state.active.as_ref()?;
            let is_in_use = active.lease.credentials.secret_id == credentials.secret_id;
            file.role(active.made_from).filter(|_| is_in_use)
        };
        // No id looks like what begins with `source:`.
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

    /// The credentials for the next call. `region` is whose access point STS is asked at, if it must be.
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
            // Another caller fetches, and these still work.
            (Err(_), Some(lease)) => Ok(lease),
            (Err(_), None) => {
                self.refresh(context, region, self.fetch_lock.lock().await)
                    .await
            }
        }
    }

    /// Resolves the credentials anew, unless another caller has by now.
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

    /// The API has rejected `version`. Returns whether there is a newer one to try with. If the API rejects the newer one,
    /// too, it is not replaced for `RENEW_PAUSE`.
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
                tracing::warn!(source = %self.source, "the API does not take the credentials any longer; fetching new ones");
                state.rejected = Some(version);
                state.renewed_at = Some(now);
            }
        }
        // Those in use do not work, so that this waits for a fetch that is under way.
        let lock = self.fetch_lock.lock().await;
        let newest = self.refresh(context, region, lock).await;
        newest.is_ok_and(|lease| lease.version > version)
    }

    /// The API has taken `version`.
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

    /// Whether there are newer ones than `version`, as far as is known without fetching.
    pub(super) fn has_newer(&self, version: u64) -> bool {
        let state = self.state.borrow();
        state
            .active
            .as_ref()
            .is_some_and(|active| active.lease.version > version)
    }

    /// The answer that needs no waiting, if there is one.
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
            // It is only kept once it has given credentials: until then, another source may turn up.
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
            // The same caller, whether a document or a variable names the role.
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
            // Only the last resort has not been kept before.
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

    /// Goes on with the credentials in use if they still work. The next fetch waits for [`FETCH_BACKOFF`].
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
            // A file is looked at each time, which is cheap.
            return live.ok_or(error);
        }
        let tries = state.failure.as_ref().map_or(0, |failure| failure.tries) + 1;
        if tries == 1 && live.is_some() {
            tracing::warn!(source = %self.source, "going on with the credentials that there are, because new ones cannot be had: {error}");
        }
        // At least half of the step, so that the callers who wait behind this one get the same error.
        let again_at = now + FETCH_BACKOFF.step(tries).mul_f64(0.5 + jitter / 2.0);
        state.failure = Some(Failure {
            error: error.clone(),
            tries,
            again_at,
        });
        live.ok_or(error)
    }
}

/// Names a role as a source of credentials, in the form in which a document names one.
fn role_source(role: &Role) -> String {
    format!("assume-role {}", role.arn)
}

impl State {
    /// Whether what is in use was made from what there is now, and need not be replaced yet.
    fn is_good(&self, active: &ActiveLease, made_from: u64, now: Monotonic) -> bool {
        let is_due = active
            .lifetime
            .is_some_and(|lifetime| now >= lifetime.refresh_at);
        let is_rejected = self.rejected == Some(active.lease.version);
        active.made_from == made_from && !is_due && !is_rejected
    }

    /// What is in use, if it still works.
    fn live(&self, now: Monotonic) -> Option<Lease> {
        let active = self.active.as_ref()?;
        let is_over = active
            .lifetime
            .is_some_and(|lifetime| now >= lifetime.ends_at);
        let is_rejected = active.lifetime.is_some() && self.rejected == Some(active.lease.version);
        (!is_over && !is_rejected).then(|| active.lease.clone())
    }
}
