//! Credentials from every source of the ecosystem, as they are now: files when they change, temporary ones before they
//! end, and anew once the API no longer takes them.
//!
//! Each change is a new version, so that whoever calls can tell what was proven with which. Knows files, STS and the
//! machine's metadata; knows nothing of what the credentials are for. Shows no value, whatever happens.

mod cache;
mod environment;
mod error;
mod fetch;
mod file;
mod ini;
mod metadata;
mod oidc;
mod parsed;
mod provenance;
mod provider;
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
use file::File;
use provider::ProviderKind;
use redirect::Roles;
use temporary::Life;

pub use cache::ProviderCache;
pub use environment::Environment;
pub use error::KeyError;
pub use provenance::Provenance;
pub use watched_file::Exposure;

/// Between tries to fetch credentials that could not be.
const AGAIN: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};
/// Fresh credentials that the API does not take either are not replaced again before that: they are not what is wrong.
const RENEW_PAUSE: Duration = Duration::from_secs(10);

/// The credentials of one source.
pub struct CredentialProvider {
    source: CredentialSource,
    /// Which role they assume first.
    roles: Roles,
    around: Rc<Environment>,
    /// Where roles are assumed.
    sts: Endpoint,
    /// Held by the one who fetches, for all who wait.
    line: Mutex<()>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    origin: Option<Rc<ProviderKind>>,
    /// What was looked for before the origin, each with why not.
    tried: Vec<String>,
    issue: Option<Issue>,
    /// The version that the API does not take any longer.
    rejected: Option<u64>,
    /// When one was replaced that the API did not take, unless the API has taken the new one since.
    renewed_at: Option<Monotonic>,
    failure: Option<Failure>,
    bucket: Option<Rc<str>>,
}

/// What is in use.
struct Issue {
    issued: Lease,
    /// The number of what it was made from.
    made_from: u64,
    /// Of temporary ones.
    life: Option<Life>,
}

/// A fetch that failed.
struct Failure {
    error: KeyError,
    tries: u32,
    again_at: Monotonic,
}

/// Credentials, and which they are.
#[derive(Clone)]
pub struct Lease {
    /// The key pair.
    pub credentials: Rc<Credentials>,
    /// Grows with each change.
    pub version: u64,
}

/// What a fetch came to.
struct Resolved {
    credentials: Rc<Credentials>,
    made_from: u64,
    life: Option<Life>,
}

impl CredentialProvider {
    /// The credentials of `source`, none of which has been looked for yet.
    fn new(
        source: CredentialSource,
        roles: Roles,
        around: Rc<Environment>,
        sts: Endpoint,
    ) -> Rc<Self> {
        Rc::new(Self {
            source,
            roles,
            around,
            sts,
            line: Mutex::default(),
            state: RefCell::default(),
        })
    }

    /// Credentials that are given, and never change.
    pub fn fixed(credentials: Credentials) -> Rc<Self> {
        let nothing = Rc::new(Environment::new(|_| None));
        let (source, sts) = (CredentialSource::Environment, Endpoint::default());
        let keys = Self::new(source, Roles::Source, nothing, sts);
        keys.settle_on(ProviderKind::Fixed(Rc::new(credentials)));
        keys
    }

    /// What rate buckets are counted by: the id of a key that lasts, else the name of the source, because the API
    /// counts by who calls and not by what a temporary key is called.
    pub fn bucket(&self) -> Rc<str> {
        let known = self.state.borrow().bucket.clone();
        known.unwrap_or_else(|| self.source.to_string().into())
    }

    /// Whether they are somebody else's to give out, and so not on this machine.
    pub(super) fn is_fetched(&self) -> bool {
        let is_named_fetched = matches!(
            self.source,
            CredentialSource::CvmRole(_)
                | CredentialSource::TkeOidc
                | CredentialSource::AssumeRole(_)
        );
        let role = || self.roles.of_environment(&self.source, &self.around);
        is_named_fetched || matches!(role(), Ok(Some(_)))
    }

    /// The credentials in use; `None`: there are none yet.
    pub(super) fn in_use(&self) -> Option<Rc<Credentials>> {
        let state = self.state.borrow();
        let issue = state.issue.as_ref()?;
        Some(Rc::clone(&issue.issued.credentials))
    }

    /// What the credentials are compared by: the secret id, or for a role its name, because its temporary keys are
    /// called otherwise each time. Whether that stands for one account as long as it stays the same is the second: the id
    /// of a key that lasts does, and the name of a role, which holds the account; a machine's own role is another one on
    /// another machine.
    pub(super) fn identity(&self, credentials: &Credentials) -> (String, bool) {
        let state = self.state.borrow();
        let of_issue = |file: &File| {
            let issue = state.issue.as_ref()?;
            let is_in_use = issue.issued.credentials.secret_id == credentials.secret_id;
            file.role(issue.made_from).filter(|_| is_in_use)
        };
        // No id looks like what begins with `source:`.
        let role = match state.origin.as_deref() {
            Some(ProviderKind::Role { role, .. }) => Some(assuming(role)),
            Some(ProviderKind::Oidc(oidc)) => Some(format!("tke-oidc {}", oidc.role_arn())),
            Some(ProviderKind::File(file)) => of_issue(file).as_ref().map(assuming),
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
    ) -> Result<Lease, KeyError> {
        if let Some(answer) = self.at_hand(context.host.monotonic()) {
            return answer;
        }
        let turn = self.line.try_lock();
        let live = self.state.borrow().live(context.host.monotonic());
        match (turn, live) {
            (Ok(turn), _) => self.look(context, region, turn).await,
            // Somebody else is at it, and these still work.
            (Err(_), Some(issued)) => Ok(issued),
            (Err(_), None) => self.look(context, region, self.line.lock().await).await,
        }
    }

    /// Looks for new ones, unless somebody else has by now.
    async fn look<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
        _turn: MutexGuard<'_, ()>,
    ) -> Result<Lease, KeyError> {
        if let Some(answer) = self.at_hand(context.host.monotonic()) {
            return answer;
        }
        let obtained = self.obtain(context, region).await;
        let (monotonic, unit) = (context.host.monotonic(), context.host.next_f64());
        match obtained {
            Ok(obtained) => Ok(self.issue(obtained, monotonic)),
            Err(error) => self.failed(error, monotonic, unit),
        }
    }

    /// Told that the API does not take `version` any longer; whether there is a newer one to try with. Once: what the
    /// API does not take either is not replaced again for a while.
    pub async fn renew<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
        version: u64,
    ) -> bool {
        let now = context.host.monotonic();
        {
            let mut state = self.state.borrow_mut();
            let Some(issue) = &state.issue else {
                return false;
            };
            if issue.issued.version > version {
                return true;
            }
            if issue.life.is_some() && state.rejected != Some(version) {
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
        // Those in use do not work, so that whoever looks for new ones already is waited for.
        let turn = self.line.lock().await;
        let newest = self.look(context, region, turn).await;
        newest.is_ok_and(|issued| issued.version > version)
    }

    /// Told that the API took `version`.
    pub(super) fn proven(&self, version: u64) {
        let mut state = self.state.borrow_mut();
        if state
            .issue
            .as_ref()
            .is_some_and(|issue| issue.issued.version == version)
        {
            state.renewed_at = None;
        }
    }

    /// Whether a call with `version` would be in vain, for all that is known without looking.
    pub(super) fn is_outdated(&self, version: u64) -> bool {
        self.has_newer(version) || self.state.borrow().rejected == Some(version)
    }

    /// Whether there are newer ones than `version`, for all that is known without looking.
    pub(super) fn has_newer(&self, version: u64) -> bool {
        let state = self.state.borrow();
        state
            .issue
            .as_ref()
            .is_some_and(|issue| issue.issued.version > version)
    }

    /// The answer that needs no waiting, if there is one.
    fn at_hand(&self, now: Monotonic) -> Option<Result<Lease, KeyError>> {
        let state = self.state.borrow();
        if let Some(failure) = &state.failure
            && now < failure.again_at
        {
            let live = state.live(now);
            return Some(live.ok_or_else(|| failure.error.clone()));
        }
        let issue = state.issue.as_ref()?;
        let made_from = match state.origin.as_deref()? {
            ProviderKind::Fixed(_) | ProviderKind::Metadata(_) | ProviderKind::Oidc(_) => {
                issue.made_from
            }
            ProviderKind::File(file) => file.unchanged()?.ok()?.number,
            ProviderKind::Role { source, .. } => source.at_hand(now)?.ok()?.version,
        };
        let is_good = state.is_good(issue, made_from, now);
        is_good.then(|| Ok(issue.issued.clone()))
    }

    fn origin<H: Host>(&self, context: &ClientContext<H>) -> Result<Rc<ProviderKind>, KeyError> {
        if let Some(origin) = self.state.borrow().origin.clone() {
            return Ok(origin);
        }
        let now = context.host.now();
        let (origin, tried) = self.resolve(now)?;
        self.state.borrow_mut().tried = tried;
        let is_last_resort =
            matches!(&origin, ProviderKind::Metadata(from) if from.tried.is_some());
        if is_last_resort {
            // Kept once it has given something: until then, another source may turn up.
            return Ok(Rc::new(origin));
        }
        Ok(self.settle_on(origin))
    }

    fn settle_on(&self, origin: ProviderKind) -> Rc<ProviderKind> {
        let mut state = self.state.borrow_mut();
        match &origin {
            ProviderKind::Fixed(credentials) => {
                state.bucket = Some(credentials.secret_id.as_str().into());
            }
            // The same caller, whether a document or a variable names the role.
            ProviderKind::Role { role, .. } => state.bucket = Some(assuming(role).into()),
            ProviderKind::File(_) | ProviderKind::Metadata(_) | ProviderKind::Oidc(_) => {}
        }
        Rc::clone(state.origin.insert(Rc::new(origin)))
    }

    fn issue(&self, obtained: Resolved, now: Monotonic) -> Lease {
        let mut state = self.state.borrow_mut();
        let before = state.issue.as_ref();
        let version = before.map_or(0, |issue| issue.issued.version);
        let same = before.is_some_and(|issue| issue.issued.credentials.are(&obtained.credentials));
        let issued = Lease {
            credentials: obtained.credentials,
            version: if same { version } else { version + 1 },
        };
        if let Some(life) = obtained.life {
            let seconds = life.ends_at.since(now).as_secs();
            tracing::debug!(source = %self.source, version = issued.version, seconds, "credentials fetched");
        }
        if state.bucket.is_none() {
            let lasts = obtained.life.is_none() && issued.credentials.token.is_none();
            state.bucket = Some(if lasts {
                issued.credentials.secret_id.as_str().into()
            } else {
                self.source.to_string().into()
            });
        }
        if state.origin.is_none() {
            // Only the last resort has not been settled on before.
            let from = self.around.metadata().map(|url| provider::Metadata {
                role: None,
                url,
                tried: None,
            });
            state.origin = from.ok().map(|from| Rc::new(ProviderKind::Metadata(from)));
        }
        state.issue = Some(Issue {
            issued: issued.clone(),
            made_from: obtained.made_from,
            life: obtained.life,
        });
        state.failure = None;
        issued
    }

    /// Goes on with what still works, if something does. What was fetched in vain is not fetched again at once.
    fn failed(&self, error: KeyError, now: Monotonic, unit: f64) -> Result<Lease, KeyError> {
        let mut state = self.state.borrow_mut();
        let live = state.live(now);
        let is_file = matches!(state.origin.as_deref(), Some(ProviderKind::File(_)));
        if is_file && error.is_local() {
            // A file is looked at each time, which costs nothing.
            return live.ok_or(error);
        }
        let tries = state.failure.as_ref().map_or(0, |failure| failure.tries) + 1;
        if tries == 1 && live.is_some() {
            tracing::warn!(source = %self.source, "going on with the credentials that there are, because new ones cannot be had: {error}");
        }
        // At least half of the step, so that those who wait behind this one hear the same.
        let again_at = now + AGAIN.step(tries).mul_f64(0.5 + unit / 2.0);
        state.failure = Some(Failure {
            error: error.clone(),
            tries,
            again_at,
        });
        live.ok_or(error)
    }
}

/// A role as a source of credentials, by the name that a document's has.
fn assuming(role: &Role) -> String {
    format!("assume-role {}", role.arn)
}

impl State {
    /// Whether what is in use was made from what there is now, and need not be replaced yet.
    fn is_good(&self, issue: &Issue, made_from: u64, now: Monotonic) -> bool {
        let is_due = issue.life.is_some_and(|life| now >= life.refresh_at);
        let is_rejected = self.rejected == Some(issue.issued.version);
        issue.made_from == made_from && !is_due && !is_rejected
    }

    /// What is in use, if it still works.
    fn live(&self, now: Monotonic) -> Option<Lease> {
        let issue = self.issue.as_ref()?;
        let is_over = issue.life.is_some_and(|life| now >= life.ends_at);
        let is_rejected = issue.life.is_some() && self.rejected == Some(issue.issued.version);
        (!is_over && !is_rejected).then(|| issue.issued.clone())
    }
}
