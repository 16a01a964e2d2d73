//! The service account of a TKE pod. A role trusts its token.

use std::io;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::CredentialError;
use super::sts::{SECONDS, SESSION, StsClient, WebIdentityRequest};
use super::temporary::TemporaryCredentials;
use super::{value, watched_file};
use crate::desired::Role;
use crate::host::Host;

const REGION: &str = "TKE_REGION";
/// The variables that the cluster sets in a pod with a role.
const NEEDED: [&str; 3] = [
    "TKE_PROVIDER_ID",
    "TKE_WEB_IDENTITY_TOKEN_FILE",
    "TKE_ROLE_ARN",
];

/// The cluster's data about the pod.
pub(super) struct Oidc {
    region: Option<String>,
    provider: String,
    token_file: PathBuf,
    role_arn: String,
}

impl Oidc {
    /// Reads the data from the environment. [`REGION`] alone does not mean that there is a role.
    pub(super) fn of(environment: &Environment) -> Result<Self, CredentialError> {
        let [provider, file, role] = NEEDED.map(|name| environment.text(name));
        let (provider, file, role) = (provider?, file?, role?);
        let names = NEEDED.iter().zip([&provider, &file, &role]);
        let (set, unset): (Vec<_>, Vec<_>) = names.partition(|(_, value)| value.is_some());
        let list = |of: &[(&&str, &Option<String>)]| {
            let names: Vec<_> = of.iter().map(|(name, _)| **name).collect();
            names.join(" and ")
        };
        let (Some(provider), Some(token_file), Some(role_arn)) =
            (provider.clone(), file.clone(), role.clone())
        else {
            if set.is_empty() {
                return Err(CredentialError::Absent(format!(
                    "tke-oidc ({} are not set)",
                    NEEDED.join(", ")
                )));
            }
            return Err(CredentialError::Broken(format!(
                "the pod's role is half set: {} set, but {} not (source tried: tke-oidc)",
                list(&set),
                list(&unset)
            )));
        };
        if !Role::is_arn(&role_arn) {
            return Err(CredentialError::Broken(
                "TKE_ROLE_ARN is not a role, such as `qcs::cam::uin/100000000001:roleName/keeper`"
                    .into(),
            ));
        }
        Ok(Self {
            region: environment.text(REGION)?,
            provider,
            token_file: token_file.into(),
            role_arn,
        })
    }

    pub(super) fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// Fetches the role's credentials with the present token in the file, because the cluster replaces the token.
    pub(super) async fn fetch<H: Host>(
        &self,
        sts: &StsClient<'_, H>,
    ) -> Result<TemporaryCredentials, CredentialError> {
        let path = self.token_file.display();
        let unreadable = |why: String| {
            CredentialError::Broken(format!(
                "the pod's token {path} cannot be used: {why} (source tried: tke-oidc)"
            ))
        };
        let reading = watched_file::read(&self.token_file)
            .map_err(|error: io::Error| unreadable(error.to_string()))?;
        let token = std::str::from_utf8(&reading.bytes)
            .map_err(|_| unreadable("it holds bytes that are not text".into()))?;
        let token =
            value::validate(token).map_err(|problem| unreadable(format!("it {problem}")))?;
        let body = WebIdentityRequest {
            provider_id: &self.provider,
            web_identity_token: token,
            role_arn: &self.role_arn,
            role_session_name: SESSION,
            duration_seconds: SECONDS,
        };
        let region = self.region.as_deref().unwrap_or(sts.region.as_str());
        sts.assume_role_with_web_identity(region, &body)
            .await
            .map_err(|error| {
                CredentialError::of(
                    &format!("cannot assume {} as the pod", self.role_arn),
                    error,
                )
            })
    }
}
