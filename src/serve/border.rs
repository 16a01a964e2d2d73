//! The border between the engine's thread and the port's thread. A [`Snapshot`] crosses it when a reader asks for one;
//! the board's version, the health and a sign of life cross it without a request.
//!
//! The port waits for the engine only for a snapshot, and only for a limited time; the engine never waits for the port.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::host::Clock;
use crate::model::{Monotonic, Timestamp};
use crate::status::Board;
use crate::words::seconds;

/// Time between two signs of life of an idle engine.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum time between two health checks, because each walks over all scopes.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// An engine without a sign of life for this long does not do its work.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a reader waits for a snapshot before it gets the last one.
const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(2);

/// Everything that the port shows, at one moment. It belongs to the port's thread.
pub trait Snapshot: Send + Sync {
    fn board(&self) -> &Board;
    /// When it was taken, by the wall clock.
    fn taken_at(&self) -> Timestamp;
    /// All metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
}

/// The source of everything that the port shows, on the engine's thread.
pub trait StatusSource {
    /// Takes a snapshot. This must take only about a millisecond, because the engine does nothing else in the meantime.
    fn snapshot(&self) -> Arc<dyn Snapshot>;
    /// Liveness and readiness of the process.
    fn health(&self) -> Health;

    /// Whether nothing can be recorded any longer. This is cheap to check, so the health changes without delay.
    fn is_state_lost(&self) -> bool;
    /// The current version of the board.
    fn version(&self) -> u64;
    /// Returns once the board's version is above `version`.
    fn changed(&self, version: u64) -> impl Future<Output = ()>;
}

/// Liveness and readiness of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The error says in one line why the process should be restarted.
    pub alive: Result<(), String>,
    /// Whether everything was observed and nothing fails; the error has one reason per line.
    pub ready: Result<(), Vec<String>>,
}

/// The last known health, and when the engine last gave a sign of life.
#[derive(Clone)]
struct Pulse {
    health: Arc<Health>,
    at: Monotonic,
}

type Answer = oneshot::Sender<Arc<dyn Snapshot>>;

/// The engine's end. Dropping it ends the port.
pub struct EngineEnd<C> {
    clock: Arc<C>,
    version: watch::Sender<u64>,
    pulse: watch::Sender<Pulse>,
    requests: mpsc::Receiver<Answer>,
}

/// The port's end. It sends requests, and never waits for long.
pub struct PortEnd<C> {
    clock: Arc<C>,
    version: watch::Receiver<u64>,
    pulse: watch::Receiver<Pulse>,
    requests: mpsc::Sender<Answer>,
}

/// Creates both ends of a border. Both threads measure time by `clock`.
pub fn border<C: Clock>(clock: C) -> (EngineEnd<C>, PortEnd<C>) {
    let clock = Arc::new(clock);
    let health = Arc::new(Health {
        alive: Ok(()),
        ready: Err(vec!["nothing has been observed yet".into()]),
    });
    let at = clock.monotonic();
    let (version, its_version) = watch::channel(0);
    let (pulse, its_pulse) = watch::channel(Pulse { health, at });
    let (sender, requests) = mpsc::channel(1);
    let engine = EngineEnd {
        clock: Arc::clone(&clock),
        version,
        pulse,
        requests,
    };
    let port = PortEnd {
        clock,
        version: its_version,
        pulse: its_pulse,
        requests: sender,
    };
    (engine, port)
}

impl<C: Clock> EngineEnd<C> {
    /// Answers the port's requests, on the engine's thread and between its other work.
    pub async fn feed(mut self, source: &impl StatusSource) -> Infallible {
        let mut health_of = None;
        loop {
            let (now, version) = (self.clock.monotonic(), source.version());
            self.version
                .send_if_modified(|known| std::mem::replace(known, version) != version);
            let is_lost = source.is_state_lost();
            let is_known = health_of.is_some_and(|(_, at, was_lost)| {
                now.since(at) < HEALTH_INTERVAL && was_lost == is_lost
            });
            if !is_known {
                let health = Arc::new(source.health());
                self.pulse.send_replace(Pulse { health, at: now });
                health_of = Some((version, now, is_lost));
            } else {
                self.pulse.send_modify(|pulse| pulse.at = now);
            }
            // The health of an older board is checked again as soon as the interval allows.
            let wakes_at = match health_of {
                Some((of, at, _)) if of != version => at + HEALTH_INTERVAL,
                _ => now + BEAT_INTERVAL,
            };
            tokio::select! {
                () = source.changed(version) => {}
                Some(answer) = self.requests.recv() => if !answer.is_closed() {
                    // A reader that has gone in the meantime needs no snapshot.
                    let _ = answer.send(source.snapshot());
                },
                () = self.clock.sleep_until(wakes_at) => {}
            }
        }
    }
}

impl<C: Clock> PortEnd<C> {
    pub(super) fn clock(&self) -> &Arc<C> {
        &self.clock
    }

    /// The board's current version.
    pub(super) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Returns once the board's version is above `version`.
    pub(super) async fn newer_than(&self, version: u64) {
        let mut versions = self.version.clone();
        if versions.wait_for(|at| *at > version).await.is_err() {
            // The engine has ended, and the waiting task ends soon too.
            std::future::pending().await
        }
    }

    /// Returns once the engine's end is dropped.
    pub(super) async fn ended(&self) {
        let mut versions = self.version.clone();
        while versions.changed().await.is_ok() {}
    }

    /// The last known health, unless the engine gives no sign of life. This never waits.
    pub(super) fn health(&self) -> Arc<Health> {
        let pulse = self.pulse.borrow().clone();
        let silent = self.clock.monotonic().since(pulse.at);
        if silent <= SILENCE_MAX {
            return pulse.health;
        }
        let why = format!(
            "sharekeeper has been stuck for {}: nothing is observed or written in the meantime",
            seconds(silent)
        );
        Arc::new(Health {
            alive: Err(why.clone()),
            ready: Err(vec![why]),
        })
    }

    /// A new snapshot; `None` if the engine does not send one in time.
    pub(super) async fn snapshot(&self) -> Option<Arc<dyn Snapshot>> {
        let asked = async {
            let (sender, answer) = oneshot::channel();
            self.requests.send(sender).await.ok()?;
            answer.await.ok()
        };
        let late = self.clock.monotonic() + SNAPSHOT_WAIT_MAX;
        tokio::select! {
            biased;
            snapshot = asked => snapshot,
            () = self.clock.sleep_until(late) => None,
        }
    }
}
