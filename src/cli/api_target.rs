//! The API that a command works with: the real one, or a simulator inside this process. Only here it matters which.

use std::net::SocketAddr;
use std::path::Path;

use super::args::Target;
use super::connect;
use super::output::Failure;
use super::sim_target::SimTarget;
use crate::api::{Connection, ProviderCache};
use crate::desired::{Account, Desired};
use crate::model::{AccountName, EndpointError};

pub(super) enum ApiTarget<'a> {
    Real(&'a Target, ProviderCache),
    Simulated(Box<SimTarget>),
}

impl<'a> ApiTarget<'a> {
    /// `state` is the directory in which a simulator keeps its world.
    pub(super) async fn open(target: &'a Target, state: &Path) -> Result<Self, Failure> {
        if !target.sim {
            return Ok(Self::Real(target, connect::provider_cache()));
        }
        let simulated = SimTarget::start(state).await?;
        Ok(Self::Simulated(Box::new(simulated)))
    }

    /// The address of the simulator, if there is one.
    pub(super) fn sim_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Real(..) => None,
            Self::Simulated(simulated) => Some(simulated.address()),
        }
    }

    /// Lets a simulator have the images that are desired.
    pub(super) fn add_images(&self, desired: &Desired) {
        if let Self::Simulated(simulated) = self {
            simulated.add_images(desired);
        }
    }

    pub(super) fn connection(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, EndpointError> {
        match self {
            Self::Real(target, provider_cache) => {
                Ok(connect::to_real_api(name, document, target, provider_cache))
            }
            Self::Simulated(simulated) => simulated.connection(name, document),
        }
    }

    /// Stops a simulator, and keeps its world.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Real(..) => Ok(()),
            Self::Simulated(simulated) => simulated.stop().await,
        }
    }

    /// Stops a simulator, and forgets what its world has become.
    pub(super) async fn discard(self) {
        if let Self::Simulated(simulated) = self {
            simulated.discard().await;
        }
    }
}
