//! How credentials are come by, source by source.

use std::rc::Rc;

use super::error::KeyError;
use super::file::File;
use super::parsed::KeyUse;
use super::provider::{Metadata, NamedBy, ProviderKind, profile_of_environment, tccli_file};
use super::sts::Sts;
use super::temporary::{Life, TemporaryCredentials};
use super::{CredentialProvider, Resolved, metadata, tccli_configure};
use crate::api::clocks::Caller;
use crate::api::context::ClientContext;
use crate::api::error::CallError;
use crate::desired::Role;
use crate::host::Host;
use crate::model::{Endpoint, Monotonic, Region};

impl CredentialProvider {
    /// The source's credentials as they are now: those in use, if nothing asks for others.
    pub(super) async fn obtain<H: Host>(
        &self,
        context: &ClientContext<H>,
        region: Region,
    ) -> Result<Resolved, KeyError> {
        let sts = Sts {
            context,
            endpoint: &self.sts,
            region,
            caller: Caller::Credentials(self.source.clone()),
        };
        let origin = self.origin(context)?;
        match &*origin {
            ProviderKind::Fixed(credentials) => Ok(Resolved {
                credentials: Rc::clone(credentials),
                made_from: 0,
                life: None,
            }),
            ProviderKind::File(file) => self.of_file(&sts, file).await,
            ProviderKind::Role {
                role,
                source,
                named_by,
            } => self.of_role(&sts, role, source, *named_by).await,
            ProviderKind::Metadata(from) => {
                let fetched = of_machine(context, from).await?;
                Ok(temporary(fetched, 0, context))
            }
            ProviderKind::Oidc(oidc) => Ok(temporary(oidc.fetch(&sts).await?, 0, context)),
        }
    }

    /// What a file says, or what it says to do.
    async fn of_file<H: Host>(&self, sts: &Sts<'_, H>, file: &File) -> Result<Resolved, KeyError> {
        let context = sts.context;
        let base = file.base(&context.host).await?;
        if let Some(known) = self.known(base.number, context.host.monotonic()) {
            return Ok(known);
        }
        let fetched = match (&base.way, &base.credentials) {
            (KeyUse::AsIs, Some(credentials)) => {
                return Ok(Resolved {
                    credentials: Rc::clone(credentials),
                    made_from: base.number,
                    life: None,
                });
            }
            (KeyUse::Assume(role), Some(credentials)) => {
                let at = self.sts_of_tccli(file.profile())?;
                let assumed = sts.at(&at).assume_role(role, credentials).await;
                assumed.map_err(|error| KeyError::of(&cannot_assume(role), error))?
            }
            (KeyUse::Metadata, _) | (_, None) => {
                let from = Metadata {
                    role: None,
                    url: self.around.metadata()?,
                    tried: None,
                };
                of_machine(context, &from).await?
            }
        };
        Ok(temporary(fetched, base.number, context))
    }

    /// A role, assumed with what its source has. A source that is itself a role makes a chain.
    async fn of_role<H: Host>(
        &self,
        sts: &Sts<'_, H>,
        role: &Role,
        source: &CredentialProvider,
        named_by: NamedBy,
    ) -> Result<Resolved, KeyError> {
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
        let fetched = assumed.map_err(|error| KeyError::of(&cannot_assume(role), error))?;
        source.proven(with.version);
        Ok(temporary(fetched, with.version, context))
    }

    /// Where tccli would ask STS, with a profile or with the one that it takes where none is named.
    fn sts_of_tccli(&self, profile: Option<&str>) -> Result<Endpoint, KeyError> {
        let path = match profile {
            Some(name) => tccli_file(&self.around, name, "configure"),
            None => tccli_file(
                &self.around,
                &profile_of_environment(&self.around)?,
                "configure",
            ),
        };
        match path {
            Some(path) => tccli_configure::sts(&path, &self.sts),
            None => Ok(self.sts.clone()),
        }
    }

    /// What is in use, if nothing asks for other credentials than these.
    fn known(&self, made_from: u64, now: Monotonic) -> Option<Resolved> {
        let state = self.state.borrow();
        let issue = state.issue.as_ref()?;
        state.is_good(issue, made_from, now).then(|| Resolved {
            credentials: Rc::clone(&issue.issued.credentials),
            made_from,
            life: issue.life,
        })
    }
}

async fn of_machine<H: Host>(
    context: &ClientContext<H>,
    from: &Metadata,
) -> Result<TemporaryCredentials, KeyError> {
    let fetched = metadata::fetch(context, from).await;
    fetched.map_err(|error| match &from.tried {
        Some(tried) => KeyError::Absent(format!("{tried}, cvm-role ({error})")),
        None => KeyError::of("the role of this machine", error),
    })
}

fn temporary<H: Host>(
    fetched: TemporaryCredentials,
    made_from: u64,
    context: &ClientContext<H>,
) -> Resolved {
    let host = &context.host;
    let now = fetched.handed_out.unwrap_or_else(|| host.now());
    let life = Life::until(fetched.expires, now, host.monotonic(), host.next_f64());
    Resolved {
        credentials: Rc::new(fetched.credentials),
        made_from,
        life: Some(life),
    }
}

fn cannot_assume(role: &Role) -> String {
    format!("cannot assume {}", role.arn)
}
