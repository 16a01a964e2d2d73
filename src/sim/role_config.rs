//! Roles and their trust as the world file gives them. How a role is found and assumed is in `roles` and `sts`.

use serde::{Deserialize, Serialize};

/// A role of Cloud Access Management: who assumes it gets a temporary key of the account that has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CamRole {
    /// The part of its ARN that names it.
    pub name: String,
    /// Decides which keys and tokens may assume it.
    #[serde(default)]
    pub trust: Trust,
    /// Actions that its keys may not call, whatever the account's own key may do.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// Who may assume a role. By default nobody, not even its own account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trust {
    /// For AssumeRole: the accounts whose keys may, by uin.
    pub accounts: Vec<String>,
    /// For AssumeRole: the ExternalId that the call must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// For AssumeRoleWithWebIdentity: the ProviderId that the call must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_provider: Option<String>,
    /// For AssumeRoleWithWebIdentity: the token that the call must have; if not given, any token will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_identity_token: Option<String>,
}

/// The role whose key the metadata service gives to its server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The account that has the role, by name or uin.
    pub account: String,
    pub role: String,
}

impl CamRole {
    /// `qcs::cam::uin/<uin>:roleName/<name>`, in the account of this uin.
    pub fn arn(&self, uin: &str) -> String {
        format!("qcs::cam::uin/{uin}:roleName/{}", self.name)
    }
}

impl Trust {
    /// Whether a key of the account of this uin may assume the role.
    pub(super) fn trusts(&self, uin: &str, external_id: Option<&str>) -> bool {
        let external = self.external_id.as_deref();
        self.accounts.iter().any(|trusted| trusted == uin)
            && external.is_none_or(|wanted| external_id == Some(wanted))
    }
}
