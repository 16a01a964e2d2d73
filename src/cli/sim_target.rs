//! `--sim`: a simulator inside this process. Its world outlives the process in the state directory, so that commands that
//! follow each other work with the same cloud.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::args::Target;
use super::connect;
use super::output::Failure;
use super::sim_images;
use crate::api::protocol::sign::Credentials;
use crate::api::{Connection, CredentialProvider};
use crate::desired::{Account, Desired};
use crate::model::{AccountName, Endpoint, EndpointError, Secret};
use crate::sim::{Server, World};

/// The file of the world in the state directory.
const WORLD_FILE: &str = "world.json";

/// Does what `--sim-reset` asks for: deletes the world and the state that was made in it. It never deletes the real state,
/// nor one that another process uses.
pub(super) fn reset(target: &Target, state: &Path) -> Result<(), Failure> {
    if !target.sim_reset {
        return Ok(());
    }
    target.check()?;
    super::state::forget(state)?;
    let path = state.join(WORLD_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(format_args!(
            "cannot remove {}: {error}",
            path.display()
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A running simulator, and where its world goes.
pub(super) struct SimTarget {
    server: Server,
    file: PathBuf,
}

impl SimTarget {
    /// Starts it with the world that the last command left.
    pub(super) async fn start(state: &Path) -> Result<Self, Failure> {
        let file = state.join(WORLD_FILE);
        let world = read(&file)?.unwrap_or_default();
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), world)
            .await
            .map_err(|error| Failure::new(format_args!("cannot start the simulator: {error}")))?;
        Ok(Self { server, file })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Adds the images that are desired to its world, unless they are there.
    pub(super) fn add_images(&self, desired: &Desired) {
        self.server.change(|cloud| sim_images::add(cloud, desired));
    }

    /// A connection to it, with a key of an account that has the document's `uin`.
    pub(super) fn connection(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, EndpointError> {
        let key = self.server.change(|cloud| {
            let account = cloud.account(name.as_str());
            if let Some(uin) = document.and_then(|document| document.uin.as_ref()) {
                account.uin = uin.to_string();
            }
            account.clone()
        });
        let port = self.address().port();
        let regional = document
            .and_then(|document| document.endpoint.as_ref())
            .is_some_and(Endpoint::is_regional);
        let endpoint = Endpoint::new(&if regional {
            format!("http://{{region}}.localhost:{port}")
        } else {
            format!("http://127.0.0.1:{port}")
        })?;
        let credentials = Credentials::new(
            key.secret_id,
            Secret::new(key.secret_key),
            key.token.map(Secret::new),
        );
        let keys = CredentialProvider::fixed(credentials);
        Ok(connect::connection(name, endpoint, document, keys))
    }

    /// Stops it and forgets what its world has become.
    pub(super) async fn discard(self) {
        self.server.stop().await;
    }

    /// Stops it and saves its world.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let world = self.server.world();
        self.server.stop().await;
        write(&self.file, &world).map_err(|error| {
            Failure::new(format_args!(
                "cannot keep the simulator's world in {}: {error}",
                self.file.display()
            ))
        })
    }
}

fn read(file: &Path) -> Result<Option<World>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => World::parse(&text).map(Some).map_err(|error| {
            Failure::new(format_args!(
                "{}: {error}; begin anew with `--sim-reset`",
                file.display()
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format_args!(
            "cannot read {}: {error}",
            file.display()
        ))),
    }
}

/// Replaces the file whole or not at all.
fn write(file: &Path, world: &World) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let text = serde_json::to_vec_pretty(world)?;
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    out.write_all(&text)?;
    out.sync_all()?;
    fs::rename(&temporary, file)
}
