//! What can be called.

use crate::api::protocol::wire::{Action, Service};

/// An action of the simulator: what the client calls, and what gives out temporary keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// One of the client's own.
    Api(Action),
    /// A temporary key for one who has a key. 600 calls a second.
    AssumeRole,
    /// A temporary key for one who has the token of an identity provider; unsigned. 20 calls a second.
    AssumeRoleWithWebIdentity,
}

impl Offered {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let assuming = [Self::AssumeRole, Self::AssumeRoleWithWebIdentity];
        Action::ALL.into_iter().map(Self::Api).chain(assuming)
    }

    /// The action of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::all().find(|offered| offered.as_str() == name)
    }

    /// Who answers it.
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

    /// Calls in a sliding second, by the actions' documentation.
    pub(super) fn limit_per_second(self) -> u32 {
        match self {
            Self::Api(action) => action.limit_per_second(),
            Self::AssumeRole => 600,
            Self::AssumeRoleWithWebIdentity => 20,
        }
    }
}
