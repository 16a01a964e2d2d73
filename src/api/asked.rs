//! What was asked of whom: the same error code means another thing, and calls for another remedy, from another service.

use super::protocol::wire::{Action, Service};
use crate::model::Permission;

/// What was asked, from which it follows who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Lighthouse, to share an image or to take its share back.
    Write(Permission),
    /// The action's service, for something that changes nothing.
    Read(Action),
    /// STS, for the temporary keys of a role.
    AssumeRole,
    /// STS, for the temporary keys of the role of a TKE pod.
    AssumePodsRole,
    /// The metadata service of this machine, for the keys of its role.
    MachinesRole,
}

impl Asked {
    /// A call of `action`; `permission` is that of a write, `None` for a read.
    pub fn of(action: Action, permission: Option<Permission>) -> Self {
        permission.map_or(Self::Read(action), Self::Write)
    }

    /// What a write asks for; `None` of everything else.
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Write(permission) => Some(permission),
            Self::Read(_) | Self::AssumeRole | Self::AssumePodsRole | Self::MachinesRole => None,
        }
    }

    /// The service of the cloud that answered; `None` for this machine's own metadata.
    pub fn service(self) -> Option<Service> {
        match self {
            Self::Write(_) => Some(Service::Lighthouse),
            Self::Read(action) => Some(action.service()),
            Self::AssumeRole | Self::AssumePodsRole => Some(Service::Sts),
            Self::MachinesRole => None,
        }
    }

    /// The action's name; that of a machine's role is none of the cloud's.
    pub fn action(self) -> &'static str {
        match self {
            Self::Write(_) => Action::ModifyImageSharePermission.as_str(),
            Self::Read(action) => action.as_str(),
            Self::AssumeRole => "AssumeRole",
            Self::AssumePodsRole => "AssumeRoleWithWebIdentity",
            Self::MachinesRole => "security-credentials",
        }
    }

    /// The name of the permission for it in CAM.
    pub fn cam_permission(self) -> String {
        let service = self.service().map_or("cam", Service::as_str);
        format!("{service}:{}", self.action())
    }
}
