//! The actions that the simulator answers: those that the client calls, and those of STS that issue temporary keys.

use crate::api::protocol::wire::{Action, Service};

/// An action that the simulator answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimAction {
    /// An action that sharekeeper's client also calls.
    Api(Action),
    /// Issues a temporary key to the owner of a key.
    AssumeRole,
    /// Issues a temporary key to the owner of an identity provider's token. The call is not signed.
    AssumeRoleWithWebIdentity,
}

impl SimAction {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let assuming = [Self::AssumeRole, Self::AssumeRoleWithWebIdentity];
        Action::ALL.into_iter().map(Self::Api).chain(assuming)
    }

    /// The action with this value of `X-TC-Action`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|action| action.as_str() == name)
    }

    pub(super) fn service(self) -> Service {
        match self {
            Self::Api(action) => action.service(),
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => Service::Sts,
        }
    }

    /// The value of `X-TC-Action`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Api(action) => action.as_str(),
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
        }
    }

    /// The limit of calls in a sliding second, from the documentation of the actions.
    pub(super) fn limit_per_second(self) -> u32 {
        match self {
            Self::Api(action) => action.limit_per_second(),
            Self::AssumeRole => 600,
            Self::AssumeRoleWithWebIdentity => 20,
        }
    }
}
