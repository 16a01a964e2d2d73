//! The origin of the credentials in use, for a person. It shows no value.

use std::time::Duration;

use super::CredentialProvider;
use super::provider_kind::{NamedBy, ProviderKind};
use super::watched_file::Exposure;
use crate::model::Monotonic;

/// The origin of the credentials in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    pub used: String,
    /// Sources that were tried before it, in order, each with the reason why it had none.
    pub tried: Vec<String>,
    /// Whether there is a token, so that they end at some time.
    pub temporary: bool,
    /// How long they are still valid, if that is known.
    pub left: Option<Duration>,
    /// Ways in which others can access them.
    pub exposures: Vec<Exposure>,
}

impl CredentialProvider {
    /// The origin of the credentials in use; `None` if there are none yet.
    pub fn provenance(&self, now: Monotonic) -> Option<Provenance> {
        let state = self.state.borrow();
        let (kind, active) = (state.kind.as_deref()?, state.active.as_ref()?);
        let mut provenance = Provenance {
            used: String::new(),
            tried: state.tried.clone(),
            temporary: active.lease.credentials.token.is_some(),
            left: active.lifetime.map(|lifetime| lifetime.ends_at.since(now)),
            exposures: Vec::new(),
        };
        provenance.used = match kind {
            ProviderKind::Fixed(_) => "environment".into(),
            ProviderKind::File(file) => {
                provenance.exposures.extend(file.exposure());
                file.describe()
            }
            ProviderKind::Role {
                role,
                source,
                named_by,
            } => {
                let below = source.provenance(now)?;
                provenance.tried.extend(below.tried);
                provenance.exposures.extend(below.exposures);
                let who = match named_by {
                    NamedBy::Document => "",
                    NamedBy::Environment => " (named by TENCENTCLOUD_ROLE_ARN)",
                };
                format!("assume-role {}{who}, as {}", role.arn, below.used)
            }
            ProviderKind::Metadata(machine) => match &machine.role {
                Some(role) => format!("cvm-role {role}"),
                None => "cvm-role".into(),
            },
            ProviderKind::Oidc(_) => "tke-oidc".into(),
        };
        Some(provenance)
    }
}
