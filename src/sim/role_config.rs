use serde::{Deserialize, Serialize};

/// A role that can be assumed: a temporary key of the account that has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CamRole {
    /// Stands in its ARN.
    pub name: String,
    /// Who may assume it.
    #[serde(default)]
    pub trust: Trust,
    /// Actions that are refused to its keys, whatever the account's own key may do.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// Who may assume a role; nobody by default, not even its own account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trust {
    /// With AssumeRole: keys of the accounts of these uins.
    pub accounts: Vec<String>,
    /// With AssumeRole: the ExternalId that has to be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// With AssumeRoleWithWebIdentity: the ProviderId.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_provider: Option<String>,
    /// With AssumeRoleWithWebIdentity: the token; any, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_identity_token: Option<String>,
}

/// Which role the metadata service gives to its server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Whose role; by name or uin.
    pub account: String,
    /// The role's name.
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
    pub(super) fn takes_account(&self, uin: &str, external_id: Option<&str>) -> bool {
        let external = self.external_id.as_deref();
        self.accounts.iter().any(|trusted| trusted == uin)
            && external.is_none_or(|wanted| external_id == Some(wanted))
    }
}
