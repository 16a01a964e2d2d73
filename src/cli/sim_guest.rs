//! A simulator in another process: a command next to it works in its world, over HTTP.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::output::Failure;
use super::sim_owner::Owner;
use crate::host::{Header, HttpTransport, Method, ProxySettings, ReplyBody, Request, Transport};
use crate::sim::{IDENTITY, PlacedImage};

/// The number of images that one call adds.
const IMAGES_AT_ONCE: usize = 1_000;
/// Longer than the simulator needs for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key of an account of the simulated cloud.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountKey {
    pub(super) secret_id: String,
    pub(super) secret_key: String,
    pub(super) token: Option<String>,
}

/// The connection to a simulator that another process serves.
pub(super) struct Guest {
    pub(super) owner: Owner,
    /// Nothing is sent over it. The kernel closes it when the owner ends, for whatever reason.
    held: TcpStream,
}

impl Guest {
    /// Connects to the owner. `None` if it does not answer, or another program answers in its place.
    pub(super) async fn connect(owner: Owner) -> Option<Self> {
        let held = TcpStream::connect(owner.address).await.ok()?;
        let guest = Self { owner, held };
        let transport = HttpTransport::new(ProxySettings::default()).ok()?;
        let is_there = guest.answers(&transport).await;
        is_there.then_some(guest)
    }

    async fn answers(&self, transport: &HttpTransport) -> bool {
        let reply = self.send(transport, Method::Get, IDENTITY, Vec::new());
        let identity = reply.await.ok().and_then(|body| {
            let body: Value = serde_json::from_slice(&body).ok()?;
            Some(body["identity"].as_str()?.to_owned())
        });
        identity.as_ref() == Some(&self.owner.identity)
    }

    /// Adds these images to the world.
    pub(super) fn add_images(&self, images: &[PlacedImage]) -> Result<(), Failure> {
        for images in images.chunks(IMAGES_AT_ONCE) {
            self.call::<Value>("/_sim/ensure", &json!({"images": images}))?;
        }
        Ok(())
    }

    /// A key of the account with this name, which has `uin` from now on, if one is given.
    pub(super) fn key(&self, account: &str, uin: Option<&str>) -> Result<AccountKey, Failure> {
        self.call("/_sim/key", &json!({"account": account, "uin": uin}))
    }

    /// Returns once the owner has ended.
    pub(super) async fn ended(&self) -> Failure {
        let mut byte = [0];
        loop {
            let readable = self.held.readable().await;
            let read = readable.and_then(|()| self.held.try_read(&mut byte));
            match read {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // The simulator sends nothing on its own, so any result means its end.
                Ok(_) | Err(_) => return self.failure(),
            }
        }
    }

    /// Fails if the owner has ended meanwhile.
    pub(super) async fn close(self) -> Result<(), Failure> {
        let transport = HttpTransport::new(ProxySettings::default())
            .map_err(|error| Failure::from_error(&error))?;
        match self.answers(&transport).await {
            true => Ok(()),
            false => Err(self.failure()),
        }
    }

    fn failure(&self) -> Failure {
        Failure::new(format_args!(
            "process {}, whose simulator this command worked with, has ended meanwhile; run the command again: without that \
             process it starts a simulator of its own, with the same world",
            self.owner.pid
        ))
    }

    /// Calls one of the simulator's own paths from code that cannot await. The owner is another process, so waiting
    /// here cannot block it.
    fn call<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let body = body.to_string().into_bytes();
        let call = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let transport = HttpTransport::new(ProxySettings::default())
                .map_err(|error| Failure::from_error(&error))?;
            runtime.block_on(self.send(&transport, Method::Post, path, body))
        };
        let called = std::thread::scope(|scope| scope.spawn(call).join());
        let reply = called.unwrap_or_else(|_| Err(self.failure()))?;
        serde_json::from_slice(&reply).map_err(|error| {
            let pid = self.owner.pid;
            Failure::new(format_args!(
                "the simulator of process {pid} answers in a form that this version does not know: {error}"
            ))
        })
    }

    async fn send(
        &self,
        transport: &HttpTransport,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let request = Request {
            method,
            url: format!("http://{}{path}", self.owner.address),
            headers: vec![Header {
                name: "content-type",
                value: "application/json".into(),
                secret: false,
            }],
            body,
            deadline: PATIENCE,
            reads: ReplyBody::Whole,
        };
        match transport.send(request).await {
            Ok(reply) if reply.status == 200 => Ok(reply.body),
            Ok(reply) => Err(Failure::new(format_args!(
                "the simulator of process {} refuses {path}: {}",
                self.owner.pid,
                crate::words::brief(&String::from_utf8_lossy(&reply.body))
            ))),
            Err(_) => Err(self.failure()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Server, WorldFiles};

    #[tokio::test]
    async fn n9_a_guest_knows_its_owner_and_notices_its_end() {
        let state = tempfile::tempdir().expect("a directory");
        let files = WorldFiles::new(state.path());
        let server = Server::start_kept(&files, "one".into());
        let server = server.await.expect("it listens");
        let owner = |identity: &str| Owner {
            pid: 4711,
            address: server.address(),
            identity: identity.into(),
            stays: true,
        };
        assert!(Guest::connect(owner("another")).await.is_none());
        let guest = Guest::connect(owner("one")).await.expect("it answers");
        guest.close().await.expect("it is there");
        let (first, second) = (owner("one"), owner("one"));
        let guest = Guest::connect(first).await.expect("it answers");
        let other = Guest::connect(second).await.expect("it answers");
        server.stop().await.expect("kept");
        for failure in [guest.ended().await, other.close().await.expect_err("ended")] {
            let words = failure.to_string();
            assert!(words.contains("process 4711"), "{words}");
            assert!(words.contains("has ended meanwhile"), "{words}");
        }
    }
}
