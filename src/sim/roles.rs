//! Roles of accounts (Cloud Access Management), who may assume them, and which one the metadata service hands
//! out. Knows nothing of the keys that come of it.

use super::account::Account;
use super::role_config::{CamRole, Metadata};
use crate::model::Uin;

/// The real service's role ids begin near here.
const FIRST_ROLE_ID: u64 = 1 << 62;
/// More roles than an account can have, so that ids of different accounts are different.
const ROLE_IDS_PER_ACCOUNT: u64 = 1_000;

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
    pub(super) fn of_metadata(accounts: &[Account], metadata: &Metadata) -> Option<Self> {
        let Metadata { account, role } = metadata;
        Self::all(accounts).find(|place| {
            let owner = &accounts[place.account];
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
