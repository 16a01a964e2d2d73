//! `--sim`: a simulator in this process, or in another process that uses the same state directory. Its world outlives
//! the process there, so that successive or concurrent commands work with the same cloud.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::args::SimReset;
use super::connect;
use super::output::Failure;
use super::sim_guest::{AccountKey, Guest};
use super::sim_images;
use super::sim_owner::{self, Claim, Owner, OwnerLock};
use crate::api::protocol::sign::Credentials;
use crate::api::{Connection, CredentialProvider};
use crate::desired::{Account, Desired};
use crate::host::{Clock, Rng, SystemClock, SystemRng};
use crate::model::{AccountName, Endpoint, Secret};
use crate::sim::{KeepError, Server, StartError, WorldFiles};

/// How long a process that serves the simulator may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two attempts to find it.
const STEP: Duration = Duration::from_millis(20);

/// Executes `--sim-reset`: deletes the world and the state that was made in it. It never deletes the real state, or one
/// that another process uses.
pub(super) fn reset(reset: SimReset, state: &Path) -> Result<(), Failure> {
    if !reset.sim_reset {
        return Ok(());
    }
    let _lock = match sim_owner::claim(state)? {
        Claim::Ours(lock) => lock,
        Claim::Theirs(owner) => {
            return Err(Failure::new(format_args!(
                "`--sim-reset` cannot start with a new world: {} works in the present one; end that process first, or give another \
                 `--state-dir`",
                name(owner.as_ref())
            )));
        }
    };
    super::state::forget(state)?;
    WorldFiles::new(state).remove().map_err(describe)
}

/// A simulator, and the process that it belongs to.
pub(super) enum SimTarget {
    /// In this process, which keeps the world.
    Own(Server, OwnerLock),
    /// A copy of the world, which is discarded with this process.
    Copy(Server),
    /// In another process, which keeps the world.
    Guest(Guest),
}

impl SimTarget {
    /// Connects to the simulator that serves this state directory. If there is none, starts one with the world that the
    /// last one left. A process that `stays` never joins one that does not stay, but waits for its end.
    pub(super) async fn open(state: &Path, stays: bool) -> Result<Self, Failure> {
        let clock = SystemClock::start();
        let deadline = clock.monotonic() + PATIENCE;
        loop {
            let other = match sim_owner::claim(state)? {
                Claim::Ours(lock) => return Self::start(state, lock, stays).await,
                Claim::Theirs(other) => other,
            };
            if let Some(owner) = other.as_ref().filter(|owner| owner.stays || !stays)
                && let Some(guest) = Guest::connect(owner.clone()).await
            {
                return Ok(Self::Guest(guest));
            }
            // The other process has just taken the lock, or is about to end.
            if clock.monotonic() >= deadline {
                return Err(Failure::new(format_args!(
                    "{} works with the simulator of {}, and this command cannot connect to it; wait for its end, or give another `--state-dir`",
                    name(other.as_ref()),
                    state.display()
                )));
            }
            clock.sleep_until(clock.monotonic() + STEP).await;
        }
    }

    /// Connects to the simulator that serves this state directory. If there is none, starts one with a copy of the
    /// world.
    pub(super) async fn open_without_trace(state: &Path) -> Result<Self, Failure> {
        if let Some(owner) = sim_owner::named(state)?
            && let Some(guest) = Guest::connect(owner).await
        {
            return Ok(Self::Guest(guest));
        }
        let cloud = WorldFiles::new(state).load().map_err(describe)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(address, cloud.world()).await;
        let server = server.map_err(|error| describe_start(error.into()))?;
        Ok(Self::Copy(server))
    }

    async fn start(state: &Path, mut lock: OwnerLock, stays: bool) -> Result<Self, Failure> {
        let rng = SystemRng;
        let numbers = [rng.next_f64(), rng.next_f64()].map(f64::to_bits);
        let identity = format!("{:016x}{:016x}", numbers[0], numbers[1]);
        let server = Server::start_kept(&WorldFiles::new(state), identity.clone()).await;
        let server = server.map_err(describe_start)?;
        let owner = Owner {
            pid: std::process::id(),
            address: server.address(),
            identity,
            stays,
        };
        lock.announce(&owner).map_err(|error| {
            Failure::new(format_args!(
                "cannot write the simulator's address to {}: {error}",
                state.display()
            ))
        })?;
        Ok(Self::Own(server, lock))
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Own(server, _) | Self::Copy(server) => server.address(),
            Self::Guest(guest) => guest.owner.address,
        }
    }

    /// Adds the desired images to its world, unless they are there.
    pub(super) fn add_images(&self, desired: &Desired) -> Result<(), Failure> {
        let images = sim_images::wanted(desired);
        match self {
            Self::Own(server, _) | Self::Copy(server) => server
                .change(|cloud| images.into_iter().for_each(|image| cloud.ensure(image)))
                .map_err(describe),
            Self::Guest(guest) => guest.add_images(&images),
        }
    }

    /// A connection to it, with a key of an account that has the document's `uin`.
    pub(super) fn connection(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, Failure> {
        let uin = document.and_then(|document| document.uin.as_ref());
        let key = self.key(name.as_str(), uin.map(ToString::to_string).as_deref())?;
        let port = self.address().port();
        let regional = document
            .and_then(|document| document.endpoint.as_ref())
            .is_some_and(Endpoint::is_regional);
        let endpoint = Endpoint::new(&if regional {
            format!("http://{{region}}.localhost:{port}")
        } else {
            format!("http://127.0.0.1:{port}")
        });
        let endpoint = endpoint.map_err(|error| Failure::from_error(&error))?;
        let credentials = Credentials::new(
            key.secret_id,
            Secret::new(key.secret_key),
            key.token.map(Secret::new),
        );
        let keys = CredentialProvider::fixed(credentials);
        Ok(connect::connection(name, endpoint, document, keys))
    }

    fn key(&self, name: &str, uin: Option<&str>) -> Result<AccountKey, Failure> {
        match self {
            Self::Own(server, _) | Self::Copy(server) => {
                let account = server.change(|cloud| cloud.key(name, uin).clone());
                let account = account.map_err(describe)?;
                Ok(AccountKey {
                    secret_id: account.secret_id,
                    secret_key: account.secret_key,
                    token: account.token,
                })
            }
            Self::Guest(guest) => guest.key(name, uin),
        }
    }

    /// Returns once another process's simulator has ended.
    pub(super) async fn ended(&self) -> Failure {
        match self {
            Self::Own(..) | Self::Copy(_) => pending().await,
            Self::Guest(guest) => guest.ended().await,
        }
    }

    /// Stops the simulator of this process. Fails if another process's simulator has ended meanwhile.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            // The lock is held until the world is completely written.
            Self::Own(server, _lock) => server.stop().await.map_err(describe),
            Self::Copy(server) => server.stop().await.map_err(describe),
            Self::Guest(guest) => guest.close().await,
        }
    }
}

fn name(owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) => format!("process {}", owner.pid),
        None => "another process".into(),
    }
}

fn describe_start(error: StartError) -> Failure {
    match error {
        StartError::Keep(error) => describe(error),
        StartError::Listen(_) => Failure::from_error(&error),
    }
}

fn describe(error: KeepError) -> Failure {
    match error {
        KeepError::Damaged(..) => Failure::new(format_args!(
            "{error}; start with a new world: `--sim-reset`"
        )),
        KeepError::Io(..) => Failure::new(format_args!("the simulator's world: {error}")),
    }
}
