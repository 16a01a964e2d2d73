//! Roles and their trust in the world file. `roles` finds a role, and `sts` assumes it.

use serde::{Deserialize, Serialize};

/// A role of Cloud Access Management. Whoever assumes it gets a temporary key of its account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CamRole {
    /// The part of its ARN that names it.
    pub name: String,
    /// Which keys and tokens may assume it.
    #[serde(default)]
    pub trust: Trust,
    /// Actions that its keys may not call, independently of the account's own key.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// Who may assume a role. By default nobody may, not even its own account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trust {
    /// For AssumeRole: the uins of accounts whose keys may assume it.
    pub accounts: Vec<String>,
    /// For AssumeRole: the ExternalId that the call must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// For AssumeRoleWithWebIdentity: the ProviderId that the call must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_provider: Option<String>,
    /// For AssumeRoleWithWebIdentity: the token that the call must contain; if it is not set, every token is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_identity_token: Option<String>,
}

/// The role whose key the metadata service returns to its server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Account that has the role, by name or uin.
    pub account: String,
    pub role: String,
}

impl CamRole {
    /// `qcs::cam::uin/<uin>:roleName/<name>`, for the account with this uin.
    pub fn arn(&self, uin: &str) -> String {
        format!("qcs::cam::uin/{uin}:roleName/{}", self.name)
    }
}

impl Trust {
    /// Whether a key of the account with this uin may assume the role.
    pub(super) fn trusts(&self, uin: &str, external_id: Option<&str>) -> bool {
        let external = self.external_id.as_deref();
        self.accounts.iter().any(|trusted| trusted == uin)
            && external.is_none_or(|wanted| external_id == Some(wanted))
    }
}
