//! How the small cloud behaves: its limits, delays and clocks, and the faults that a test injects into calls.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sharekeeper::model::Monotonic;

/// A fault that replaces the proper answer to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is never made.
    NotSent,
    /// The call gets no answer and has no effect.
    LostBefore,
    /// The call has its effect but gets no answer.
    LostAfter,
    /// The call has its effect, and nobody can read the answer.
    GarbageAfter,
    /// A gateway answers with an HTML page, and the call has no effect.
    Html503,
    /// The answer is `InternalError`, and the call has no effect.
    Internal,
    /// The answer is JSON without the expected fields, and the call has no effect.
    Shapeless,
    /// The answer redirects to another place, and the call has no effect.
    Redirect,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::NotSent,
        Self::LostBefore,
        Self::LostAfter,
        Self::GarbageAfter,
        Self::Html503,
        Self::Internal,
        Self::Shapeless,
    ];
}

/// The disruption of one call, which can depend on all its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disruption {
    pub(crate) fault: Option<Fault>,
    /// The error code of the answer. The call has no effect.
    pub(crate) refused: Option<&'static str>,
    /// The time of the request and the answer together, if it differs from other calls.
    pub(crate) latency: Option<Duration>,
    /// How long the data that the call reads lags behind writes, if it differs from other calls.
    pub(crate) lag: Option<Duration>,
    /// Whether the call is accepted and never answered. It has no effect.
    pub(crate) hangs: bool,
}

/// A call at the time when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving<'a> {
    pub(crate) at: Monotonic,
    pub(crate) host: &'a str,
    pub(crate) key: &'a str,
    pub(crate) region: &'a str,
    pub(crate) action: &'a str,
    pub(crate) body: &'a Value,
}

/// Chooses the fault of a call from its action, its region, and a random generator.
pub(crate) type FaultPlan = Box<dyn Fn(&str, &str, &mut fastrand::Rng) -> Option<Fault>>;
/// Chooses the disruption of a call from all its fields.
pub(crate) type DisruptionOf = Box<dyn Fn(&Leaving<'_>) -> Disruption>;
/// The error code for a call, if it is refused, from its action, region and body.
pub(crate) type Refuse = Box<dyn Fn(&str, &str, &Value) -> Option<&'static str>>;
/// Changes a page before it is sent. The arguments are region, offset and page.
pub(crate) type Tamper = Box<dyn Fn(&str, u64, &mut Value)>;
/// Changes any reply before it is sent, even a refusal. The arguments are action, region and the whole reply.
pub(crate) type Reword = Box<dyn Fn(&str, &str, &mut Value)>;
/// Server time minus our time for one caller, given by the host and the id of the key.
pub(crate) type OtherClock = Box<dyn Fn(&str, &str) -> Option<chrono::TimeDelta>>;

/// The behaviour of the cloud, which a test can change at any time.
pub(crate) struct Behaviour {
    /// The `ImageState` of an image that is not shared.
    pub(crate) image_state: &'static str,
    /// The time of a request and its answer together.
    pub(crate) latency: Duration,
    /// How long reads lag behind writes.
    pub(crate) lag: Duration,
    /// How long a described image is SYNCING after it is shared.
    pub(crate) syncs: Duration,
    /// The additional delay of a write whose sender has ended meanwhile.
    pub(crate) straggling: Duration,
    /// The allowed calls of `ModifyImageSharePermission` in a sliding second.
    pub(crate) write_limit: usize,
    /// The uin of the root account that the key belongs to.
    pub(crate) uin: &'static str,
    /// The uin of the account of each key that belongs to another account, by secret id.
    pub(crate) uins: BTreeMap<&'static str, &'static str>,
    /// Server time minus our time.
    pub(crate) clock_offset: chrono::TimeDelta,
    /// A different clock offset for some callers.
    pub(crate) other_clock: OtherClock,
    pub(crate) fault: FaultPlan,
    pub(crate) disruption: DisruptionOf,
    pub(crate) refuse: Refuse,
    pub(crate) tamper: Tamper,
    pub(crate) reword: Reword,
    /// Parts of host names. These hosts accept calls and never answer.
    pub(crate) hung: Vec<String>,
}

impl Behaviour {
    /// Denies writes to `images`, as a CAM policy that names resources does.
    pub(crate) fn denying(images: Vec<String>) -> Self {
        Self {
            refuse: Box::new(move |action, _, body| {
                let image = body["ImageId"].as_str().unwrap_or_default();
                let denied = action == "ModifyImageSharePermission"
                    && images.iter().any(|denied| denied == image);
                denied.then_some("UnauthorizedOperation.NoPermission")
            }),
            ..Self::default()
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            image_state: "NORMAL",
            latency: Duration::from_millis(80),
            lag: Duration::ZERO,
            syncs: Duration::ZERO,
            straggling: Duration::ZERO,
            write_limit: 20,
            uin: "100000000001",
            uins: BTreeMap::new(),
            clock_offset: chrono::TimeDelta::zero(),
            other_clock: Box::new(|_, _| None),
            fault: Box::new(|_, _, _| None),
            disruption: Box::new(|_| Disruption::default()),
            refuse: Box::new(|_, _, _| None),
            tamper: Box::new(|_, _, _| {}),
            reword: Box::new(|_, _, _| {}),
            hung: Vec::new(),
        }
    }
}
