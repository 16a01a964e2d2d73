//! Fetches credentials from each kind of source. It must not know how long they are kept in use.

use std::rc::Rc;

use super::credentials_file::CredentialsFile;
use super::error::CredentialError;
use super::parsed::KeyUse;
use super::provider_kind::{Metadata, NamedBy, ProviderKind, profile_of_environment, tccli_file};
use super::sts::StsClient;
use super::temporary::{Lifetime, TemporaryCredentials};
use super::{CredentialProvider, Resolved, metadata, tccli_configure};
use crate::api::clocks::Caller;
use crate::api::context::ClientContext;
use crate::api::error::CallError;
use crate::desired::Role;
use crate::host::Host;
use crate::model::{Endpoint, Monotonic, Region};

impl CredentialProvider {
    /// The source's present credentials: those in use, unless something requires new ones.
    pub(super) async fn resolve<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
    ) -> Result<Resolved, CredentialError> {
        let sts = StsClient {
            context,
            endpoint: &self.sts,
            region,
            caller: Caller::Credentials(self.source.clone()),
        };
        let kind = self.kind(context)?;
        match &*kind {
            ProviderKind::Fixed(credentials) => Ok(Resolved {
                credentials: Rc::clone(credentials),
                made_from: 0,
                lifetime: None,
            }),
            ProviderKind::File(file) => self.of_file(&sts, file).await,
            ProviderKind::Role {
                role,
                source,
                named_by,
            } => self.of_role(&sts, role, source, *named_by).await,
            ProviderKind::Metadata(from) => {
                let temporary = of_machine(context, from).await?;
                Ok(with_lifetime(temporary, 0, context))
            }
            ProviderKind::Oidc(oidc) => Ok(with_lifetime(oidc.fetch(&sts).await?, 0, context)),
        }
    }

    /// The credentials in a file, or those that it refers to.
    async fn of_file<H: Host>(
        &self,
        sts: &StsClient<'_, H>,
        file: &CredentialsFile,
    ) -> Result<Resolved, CredentialError> {
        let context = sts.context;
        let snapshot = file.snapshot(&context.host).await?;
        if let Some(known) = self.known(snapshot.number, context.host.monotonic()) {
            return Ok(known);
        }
        let temporary = match (&snapshot.key_use, &snapshot.credentials) {
            (KeyUse::AsIs, Some(credentials)) => {
                return Ok(Resolved {
                    credentials: Rc::clone(credentials),
                    made_from: snapshot.number,
                    lifetime: None,
                });
            }
            (KeyUse::Assume(role), Some(credentials)) => {
                let at = self.sts_of_tccli(file.profile())?;
                let assumed = sts.at(&at).assume_role(role, credentials).await;
                assumed.map_err(|error| CredentialError::of(&cannot_assume(role), error))?
            }
            (KeyUse::Metadata, _) | (_, None) => {
                let from = Metadata {
                    role: None,
                    url: self.environment.metadata()?,
                    tried: None,
                };
                of_machine(context, &from).await?
            }
        };
        Ok(with_lifetime(temporary, snapshot.number, context))
    }

    /// A role, assumed with the credentials of its source. A source that is itself a role makes a chain.
    async fn of_role<H: Host>(
        &self,
        sts: &StsClient<'_, H>,
        role: &Role,
        source: &CredentialProvider,
        named_by: NamedBy,
    ) -> Result<Resolved, CredentialError> {
        let (context, region) = (sts.context, sts.region);
        let mut with = Box::pin(source.current(context, region)).await?;
        if let Some(known) = self.known(with.version, context.host.monotonic()) {
            return Ok(known);
        }
        let at = match named_by {
            NamedBy::Document => self.sts.clone(),
            NamedBy::Environment => self.sts_of_tccli(None)?,
        };
        let sts = sts.at(&at);
        let mut assumed = sts.assume_role(role, &with.credentials).await;
        if let Err(CallError::Refused(refusal)) = &assumed
            && refusal.blames_key()
            && Box::pin(source.renew(context, region, with.version)).await
        {
            with = Box::pin(source.current(context, region)).await?;
            assumed = sts.assume_role(role, &with.credentials).await;
        }
        let temporary =
            assumed.map_err(|error| CredentialError::of(&cannot_assume(role), error))?;
        source.accepted(with.version);
        Ok(with_lifetime(temporary, with.version, context))
    }

    /// The access point at which tccli would ask STS, with the given profile or with tccli's default one.
    fn sts_of_tccli(&self, profile: Option<&str>) -> Result<Endpoint, CredentialError> {
        let path = match profile {
            Some(name) => tccli_file(&self.environment, name, "configure"),
            None => tccli_file(
                &self.environment,
                &profile_of_environment(&self.environment)?,
                "configure",
            ),
        };
        match path {
            Some(path) => tccli_configure::sts(&path, &self.sts),
            None => Ok(self.sts.clone()),
        }
    }

    /// The credentials in use, if nothing requires new ones.
    fn known(&self, made_from: u64, now: Monotonic) -> Option<Resolved> {
        let state = self.state.borrow();
        let active = state.active.as_ref()?;
        state.is_good(active, made_from, now).then(|| Resolved {
            credentials: Rc::clone(&active.lease.credentials),
            made_from,
            lifetime: active.lifetime,
        })
    }
}

async fn of_machine<H: Host>(
    context: &ClientContext<H>,
    from: &Metadata,
) -> Result<TemporaryCredentials, CredentialError> {
    let temporary = metadata::fetch(context, from).await;
    temporary.map_err(|error| match &from.tried {
        Some(tried) => CredentialError::Absent(format!("{tried}, cvm-role ({error})")),
        None => CredentialError::of("the role of this machine", error),
    })
}

fn with_lifetime<H: Host>(
    temporary: TemporaryCredentials,
    made_from: u64,
    context: &ClientContext<H>,
) -> Resolved {
    let host = &context.host;
    let now = temporary.issued_at.unwrap_or_else(|| host.now());
    let lifetime = Lifetime::until(temporary.expires, now, host.monotonic(), host.next_f64());
    Resolved {
        credentials: Rc::new(temporary.credentials),
        made_from,
        lifetime: Some(lifetime),
    }
}

fn cannot_assume(role: &Role) -> String {
    format!("cannot assume {}", role.arn)
}
