//! The subject and the service of a call. The same error code has different meanings, and different remedies, from
//! different services.

use super::protocol::wire::{Action, Service};
use crate::model::Permission;

/// The subject of a call, which also shows which service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Lighthouse, to share an image or to end its share.
    Write(Permission),
    /// The action's service, for a call that changes nothing.
    Read(Action),
    /// STS, for temporary keys of a role.
    AssumeRole,
    /// STS, for temporary keys of the role of a TKE pod.
    AssumePodsRole,
    /// The metadata service of this machine, for the keys of its role.
    MachinesRole,
}

impl Asked {
    /// A call of `action`; `permission` is the one of a write, `None` for a read.
    pub fn of(action: Action, permission: Option<Permission>) -> Self {
        permission.map_or(Self::Read(action), Self::Write)
    }

    /// The permission of a write; `None` for all other calls.
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Write(permission) => Some(permission),
            Self::Read(_) | Self::AssumeRole | Self::AssumePodsRole | Self::MachinesRole => None,
        }
    }

    /// The cloud service that answered; `None` for this machine's own metadata.
    pub fn service(self) -> Option<Service> {
        match self {
            Self::Write(_) => Some(Service::Lighthouse),
            Self::Read(action) => Some(action.service()),
            Self::AssumeRole | Self::AssumePodsRole => Some(Service::Sts),
            Self::MachinesRole => None,
        }
    }

    /// The action's name. For a machine's role, it is not an action of the cloud.
    pub fn action(self) -> &'static str {
        match self {
            Self::Write(_) => Action::ModifyImageSharePermission.as_str(),
            Self::Read(action) => action.as_str(),
            Self::AssumeRole => "AssumeRole",
            Self::AssumePodsRole => "AssumeRoleWithWebIdentity",
            Self::MachinesRole => "security-credentials",
        }
    }

    /// The name of the CAM permission that it needs.
    pub fn cam_permission(self) -> String {
        let service = self.service().map_or("cam", Service::as_str);
        format!("{service}:{}", self.action())
    }
}
