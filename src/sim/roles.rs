//! Finds roles by index, name or ARN. This file knows nothing of the keys that are issued for them.

use super::account::Account;
use super::role_config::{CamRole, Metadata};
use crate::model::Uin;

/// The role ids of the real service are near this number.
const FIRST_ROLE_ID: u64 = 1 << 62;
/// More roles than an account can have, so that no two accounts share a role id.
const ROLE_IDS_PER_ACCOUNT: u64 = 1_000;

/// The position of a role in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoleIndex {
    /// Index of the account in the world.
    pub account: usize,
    /// Index among the account's roles.
    pub role: usize,
}

impl RoleIndex {
    /// The number that identifies the role in CAM.
    pub(super) fn id(self) -> String {
        let [account, role] = [self.account, self.role].map(|index| index as u64);
        (FIRST_ROLE_ID + account * ROLE_IDS_PER_ACCOUNT + role + 1).to_string()
    }

    pub(super) fn of(self, accounts: &[Account]) -> &CamRole {
        &accounts[self.account].roles[self.role]
    }

    fn all(accounts: &[Account]) -> impl Iterator<Item = Self> {
        accounts.iter().enumerate().flat_map(|(account, known)| {
            (0..known.roles.len()).map(move |role| Self { account, role })
        })
    }

    /// The role whose key the metadata service returns.
    pub(super) fn of_metadata(accounts: &[Account], metadata: &Metadata) -> Option<Self> {
        let Metadata { account, role } = metadata;
        Self::all(accounts).find(|place| {
            let owner = &accounts[place.account];
            (owner.name == *account || owner.uin == *account)
                && owner.roles[place.role].name == *role
        })
    }
}

/// A role in the form of the caller's ARN.
pub(super) struct RoleArn<'a> {
    pub uin: &'a str,
    role: RoleRef<'a>,
}

enum RoleRef<'a> {
    Name(&'a str),
    Id(&'a str),
}

impl<'a> RoleArn<'a> {
    /// Parses `qcs::cam::uin/<uin>:roleName/<name>` or `qcs::cam::uin/<uin>:role/<id>`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (uin, role) = text.strip_prefix("qcs::cam::uin/")?.split_once(':')?;
        let role = match role.split_once('/')? {
            (_, "") => return None,
            ("roleName", name) => RoleRef::Name(name),
            ("role", id) => RoleRef::Id(id),
            _ => return None,
        };
        Uin::new(uin).is_ok().then_some(Self { uin, role })
    }

    /// The position of the role; `None` if there is no such role.
    pub(super) fn find(&self, accounts: &[Account]) -> Option<RoleIndex> {
        RoleIndex::all(accounts).find(|place| {
            accounts[place.account].uin == self.uin
                && match self.role {
                    RoleRef::Name(name) => place.of(accounts).name == name,
                    RoleRef::Id(id) => place.id() == id,
                }
        })
    }
}
