//! The whole machine as one [`Host`](super::Host): the system's clock, network and randomness together. All commands
//! use it, except simulations.

use super::{
    Clock, HttpTransport, HttpTransportError, ProxySettings, Reply, Request, Rng, SystemClock,
    SystemRng, Transport, TransportError,
};
use crate::model::{Monotonic, Timestamp};

/// The real clock, network and random numbers.
pub struct System {
    clock: SystemClock,
    transport: HttpTransport,
    rng: SystemRng,
}

impl System {
    /// Its monotonic time starts now. Fails if the HTTP client cannot be set up.
    pub fn start(proxies: ProxySettings) -> Result<Self, HttpTransportError> {
        Ok(Self {
            transport: HttpTransport::new(proxies)?,
            clock: SystemClock::start(),
            rng: SystemRng,
        })
    }
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Transport for System {
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>> {
        self.transport.send(request)
    }
}

impl Rng for System {
    fn next_f64(&self) -> f64 {
        self.rng.next_f64()
    }
}
