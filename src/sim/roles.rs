//! Roles of accounts (Cloud Access Management), who may assume them, and which one the metadata service hands
//! out. Knows nothing of the keys that come of it.

use serde::{Deserialize, Serialize};

use super::offered::Offered;
use super::world::{Account, World};
use crate::model::Uin;

/// The real service's role ids begin near here.
const FIRST_ROLE_ID: u64 = 1 << 62;
/// More roles than an account can have, so that ids of different accounts are different.
const ROLE_IDS_PER_ACCOUNT: u64 = 1_000;

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

/// A role's place in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RolePlace {
    /// The account, by index.
    pub account: usize,
    /// Among the account's roles.
    pub role: usize,
}

impl RolePlace {
    /// The number that CAM knows the role by.
    pub(super) fn id(self) -> String {
        let [account, role] = [self.account, self.role].map(|index| index as u64);
        (FIRST_ROLE_ID + account * ROLE_IDS_PER_ACCOUNT + role + 1).to_string()
    }

    /// The role itself.
    pub(super) fn of(self, accounts: &[Account]) -> &CamRole {
        &accounts[self.account].roles[self.role]
    }

    fn all(accounts: &[Account]) -> impl Iterator<Item = Self> {
        accounts.iter().enumerate().flat_map(|(account, known)| {
            (0..known.roles.len()).map(move |role| Self { account, role })
        })
    }

    /// The role that the metadata service gives out.
    pub(super) fn of_metadata(world: &World) -> Option<Self> {
        let Metadata { account, role } = world.metadata.as_ref()?;
        Self::all(&world.accounts).find(|place| {
            let owner = &world.accounts[place.account];
            (owner.name == *account || owner.uin == *account)
                && owner.roles[place.role].name == *role
        })
    }
}

/// A role as a caller names it.
pub(super) struct RoleArn<'a> {
    /// Whose role.
    pub uin: &'a str,
    role: Named<'a>,
}

enum Named<'a> {
    Name(&'a str),
    Id(&'a str),
}

impl<'a> RoleArn<'a> {
    /// Reads `qcs::cam::uin/<uin>:roleName/<name>` or `qcs::cam::uin/<uin>:role/<id>`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (uin, role) = text.strip_prefix("qcs::cam::uin/")?.split_once(':')?;
        let role = match role.split_once('/')? {
            (_, "") => return None,
            ("roleName", name) => Named::Name(name),
            ("role", id) => Named::Id(id),
            _ => return None,
        };
        Uin::new(uin).is_ok().then_some(Self { uin, role })
    }

    /// Where it is, if it is.
    pub(super) fn find(&self, accounts: &[Account]) -> Option<RolePlace> {
        RolePlace::all(accounts).find(|place| {
            accounts[place.account].uin == self.uin
                && match self.role {
                    Named::Name(name) => place.of(accounts).name == name,
                    Named::Id(id) => place.id() == id,
                }
        })
    }
}

/// What serde cannot check of a world's roles.
pub(super) fn check(world: &World) -> Result<(), String> {
    for account in &world.accounts {
        for (index, role) in account.roles.iter().enumerate() {
            let name = &role.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!(
                    "`{name}` is not a role's name: letters, digits and +=,.@_-"
                ));
            }
            if account.roles[..index]
                .iter()
                .any(|other| other.name == *name)
            {
                return Err(format!("account `{}` has two roles `{name}`", account.name));
            }
            if let Some(bad) = role
                .trust
                .accounts
                .iter()
                .find(|uin| Uin::new(uin).is_err())
            {
                return Err(format!("role `{name}` trusts `{bad}`, which is not a uin"));
            }
            if let Some(bad) = role
                .deny
                .iter()
                .find(|action| Offered::named(action).is_none())
            {
                return Err(format!("`{bad}` is not an action of the simulator"));
            }
        }
    }
    match &world.metadata {
        Some(Metadata { account, role }) if RolePlace::of_metadata(world).is_none() => Err(
            format!("metadata: account `{account}` has no role `{role}`"),
        ),
        _ => Ok(()),
    }
}
