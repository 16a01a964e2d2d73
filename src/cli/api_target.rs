//! The API that a command works with: the real one, or a simulator. Only this file distinguishes them.

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;

use super::args::Target;
use super::connect;
use super::output::Failure;
use super::sim_target::SimTarget;
use crate::api::{Connection, ProviderCache};
use crate::desired::{Account, Desired};
use crate::model::AccountName;

pub(super) enum ApiTarget<'a> {
    Real(&'a Target, ProviderCache),
    Simulated(Box<SimTarget>),
}

impl<'a> ApiTarget<'a> {
    /// Opens the target. `state` is the directory in which a simulator keeps its world. A daemon `stays`.
    pub(super) async fn open(
        target: &'a Target,
        state: &Path,
        stays: bool,
    ) -> Result<Self, Failure> {
        match target.sim {
            false => Ok(Self::real(target)),
            true => {
                let simulated = SimTarget::open(state, stays).await?;
                Ok(Self::Simulated(Box::new(simulated)))
            }
        }
    }

    /// Opens the target for a command that leaves no trace in `state`.
    pub(super) async fn open_without_trace(
        target: &'a Target,
        state: &Path,
    ) -> Result<Self, Failure> {
        match target.sim {
            false => Ok(Self::real(target)),
            true => {
                let simulated = SimTarget::open_without_trace(state).await?;
                Ok(Self::Simulated(Box::new(simulated)))
            }
        }
    }

    fn real(target: &'a Target) -> Self {
        Self::Real(target, connect::provider_cache())
    }

    /// The address of the simulator, if there is one.
    pub(super) fn sim_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Real(..) => None,
            Self::Simulated(simulated) => Some(simulated.address()),
        }
    }

    /// Adds the desired images to the simulator, if there is one.
    pub(super) fn add_images(&self, desired: &Desired) -> Result<(), Failure> {
        match self {
            Self::Real(..) => Ok(()),
            Self::Simulated(simulated) => simulated.add_images(desired),
        }
    }

    pub(super) fn connection(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, Failure> {
        match self {
            Self::Real(target, provider_cache) => {
                Ok(connect::to_real_api(name, document, target, provider_cache))
            }
            Self::Simulated(simulated) => simulated.connection(name, document),
        }
    }

    /// Returns once the simulator of another process has ended, if the command works with one.
    pub(super) async fn ended(&self) -> Failure {
        match self {
            Self::Real(..) => pending().await,
            Self::Simulated(simulated) => simulated.ended().await,
        }
    }

    /// Stops a simulator in this process. Fails if its world cannot be stored, or if one in another process has ended.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Real(..) => Ok(()),
            Self::Simulated(simulated) => simulated.close().await,
        }
    }
}
