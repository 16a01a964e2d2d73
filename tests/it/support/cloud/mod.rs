//! A small cloud behind the `Transport` port, on tokio's paused clock: hours pass in milliseconds, and one seed
//! always gives the same run. It counts calls, delays reads, injects faults and records every change. It checks no
//! signatures, because the simulator and the stand-in do.

pub(crate) mod described;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod world;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use sharekeeper::desired::{
    Account, CredentialSource, Desired, DesiredImage, DesiredShare, Source,
};
use sharekeeper::engine::{Event, Listener};
use sharekeeper::host::{Clock, Reply, Request, Rng, SystemClock, Transport, TransportError};
use sharekeeper::model::{AccountName, ImageId, ImageKey, Monotonic, Region, Scope, Timestamp};
use sharekeeper::windows::Windows;

pub(crate) use self::described::Described;
pub(crate) use self::ledger::Recorded;

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

/// One call as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) at: Monotonic,
    pub(crate) host: String,
    /// The id of the key that signed the call.
    pub(crate) key: String,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) body: Value,
    /// The error code of the answer, or `ok`, or the fault.
    pub(crate) answer: String,
}

/// Chooses the fault of a call from its action, its region, and a random generator.
pub(crate) type FaultPlan = Box<dyn Fn(&str, &str, &mut fastrand::Rng) -> Option<Fault>>;
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
#[derive(Clone, Debug)]
struct Image {
    /// The changes of the share state, in order of time.
    history: Vec<Change>,
    shareable: bool,
}

/// The beginning of a share state.
#[derive(Clone, Copy, Debug)]
struct Change {
    since: Monotonic,
    shared: bool,
    /// Whether sharekeeper made the change. Only sharekeeper uses the API.
    ours: bool,
}

/// A write that was sent and has not arrived yet.
struct Write {
    arrives: Monotonic,
    host: String,
    key: String,
    region: String,
    body: Value,
}

/// A guard for a write that is under way. The write still arrives if its sender ends.
struct OnItsWay<'a> {
    cloud: &'a Cloud,
    write: Option<Write>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(mut write) = self.write.take() {
            write.arrives = write.arrives + self.cloud.behaviour.borrow().straggling;
            self.cloud.stragglers.borrow_mut().push(write);
        }
    }
}

/// A CANCEL that has taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) region: String,
    pub(crate) image: String,
    /// Whether sharekeeper had made the share.
    pub(crate) ours: bool,
}

/// A blueprint that exists independently of any share or CANCEL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) region: &'static str,
    pub(crate) id: &'static str,
    pub(crate) image: &'static str,
    pub(crate) state: &'static str,
}

/// A Lighthouse instance of the small cloud.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) region: &'static str,
    pub(crate) id: String,
    /// The id of the blueprint that the instance was started from.
    pub(crate) blueprint: String,
}

pub(crate) struct Cloud {
    clock: SystemClock,
    /// How far the wall clock was moved ahead, or back if it is negative.
    pub(crate) jumped: Cell<chrono::TimeDelta>,
    rng: RefCell<fastrand::Rng>,
    pub(crate) behaviour: RefCell<Behaviour>,
    images: RefCell<BTreeMap<(String, String), Image>>,
    windows: RefCell<BTreeMap<String, VecDeque<Monotonic>>>,
    stragglers: RefCell<Vec<Write>>,
    pub(crate) cancelled: RefCell<Vec<Cancelled>>,
    /// The `BlueprintState` of a shared image, if it is not NORMAL.
    pub(crate) states: RefCell<BTreeMap<String, &'static str>>,
    /// The blueprints in addition to those of shared images.
    pub(crate) beside: RefCell<Vec<Beside>>,
    pub(crate) instances: RefCell<Vec<Instance>>,
    /// The name and `CreatedTime` of images that have them, by image id.
    pub(crate) named: RefCell<BTreeMap<String, (String, Timestamp)>>,
    /// The other properties of images, by image id.
    pub(crate) described: RefCell<BTreeMap<String, Described>>,
    /// The key that owns an image, by image id. Only this key sees and changes the image. All keys share the other
    /// images.
    pub(crate) owners: RefCell<BTreeMap<String, String>>,
    /// The deleted images. Their blueprints are left over if they were shared.
    pub(crate) deleted: RefCell<BTreeSet<String>>,
    pub(crate) calls: RefCell<Vec<Call>>,
}

impl Cloud {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            clock: SystemClock::start(),
            jumped: Cell::default(),
            rng: RefCell::new(fastrand::Rng::with_seed(seed)),
            behaviour: RefCell::default(),
            images: RefCell::default(),
            windows: RefCell::default(),
            stragglers: RefCell::default(),
            cancelled: RefCell::default(),
            states: RefCell::default(),
            beside: RefCell::default(),
            instances: RefCell::default(),
            named: RefCell::default(),
            described: RefCell::default(),
            owners: RefCell::default(),
            deleted: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, region: &str, image: &str, shared: bool) {
        self.add_image(region, image, shared, true);
    }

    pub(crate) fn add_image(&self, region: &str, image: &str, shared: bool, shareable: bool) {
        let change = Change {
            since: Monotonic::default(),
            shared,
            ours: false,
        };
        let image_state = Image {
            history: vec![change],
            shareable,
        };
        self.images
            .borrow_mut()
            .insert((region.into(), image.into()), image_state);
    }

    /// Shares the image or cancels its share as somebody else does.
    pub(crate) fn external_change(&self, region: &str, image: &str, shared: bool) {
        self.deliver();
        let mut images = self.images.borrow_mut();
        let image = images
            .get_mut(&(region.into(), image.into()))
            .expect("a known image");
        image.history.push(Change {
            since: self.clock.monotonic(),
            shared,
            ours: false,
        });
    }

    pub(crate) fn is_shared(&self, region: &str, image: &str) -> bool {
        self.deliver();
        self.images.borrow()[&(region.into(), image.into())].shared_at(self.clock.monotonic())
    }

    /// Whether the account of the caller has the image.
    fn is_of(&self, image: &str, key: &str) -> bool {
        let owners = self.owners.borrow();
        owners.get(image).is_none_or(|owner| owner == key)
    }

    /// When the share state of the image last changed, the new state, and whether the change was ours.
    pub(crate) fn last_change(&self, region: &str, image: &str) -> (Monotonic, bool, bool) {
        self.deliver();
        let images = self.images.borrow();
        let last = images[&(region.into(), image.into())].history.last();
        let last = last.expect("it begins somehow");
        (last.since, last.shared, last.ours)
    }

    /// The id of the blueprint of the image, or the id that the next share would have.
    pub(crate) fn blueprint(&self, region: &str, image: &str) -> String {
        self.deliver();
        let now = self.clock.monotonic();
        self.images.borrow()[&(region.into(), image.into())].blueprint_at(image, now)
    }

    /// The times at which images of the region were shared or cancelled, in order.
    pub(crate) fn changes(&self, region: &str) -> Vec<Monotonic> {
        self.deliver();
        let images = self.images.borrow();
        let here = images.iter().filter(|((at, _), _)| at == region);
        let changes = here.flat_map(|(_, image)| image.history.iter().skip(1));
        let mut times: Vec<_> = changes.map(|change| change.since).collect();
        times.sort_unstable();
        times
    }

    /// The answer that a question about share states would have had earlier, or `None` for other questions.
    pub(crate) fn answer_as_of(
        &self,
        at: Monotonic,
        (region, key): (&str, &str),
        action: &str,
        body: &Value,
    ) -> Option<Value> {
        let lag = self.clock.monotonic().since(at);
        match action {
            "DescribeBlueprints" => {
                let offset = body["Offset"].as_u64().unwrap_or(0);
                let ids = body["BlueprintIds"].as_array();
                Some(self.blueprints((region, key), offset, ids, lag))
            }
            "DescribeImagesToShare" => {
                Some(self.images_to_share((region, key), body, (at, Some(lag))))
            }
            _ => None,
        }
    }

    pub(crate) fn calls_of(&self, action: &str) -> Vec<Call> {
        self.deliver();
        self.calls
            .borrow()
            .iter()
            .filter(|call| call.action == action)
            .cloned()
            .collect()
    }

    pub(crate) fn writes(&self) -> Vec<Call> {
        self.calls_of("ModifyImageSharePermission")
    }

    /// The largest number of calls of `action` that arrived at one host in a sliding second.
    pub(crate) fn most_in_a_second(&self, action: &str) -> usize {
        let calls = self.calls_of(action);
        let in_window = |from: &Call| {
            let near = |call: &&Call| {
                call.host == from.host
                    && call.at >= from.at
                    && call.at.since(from.at) < Duration::from_secs(1)
            };
            calls.iter().filter(near).count()
        };
        calls.iter().map(in_window).max().unwrap_or(0)
    }

    /// The clock of the server behind a host, as the owner of a key sees it.
    fn server_time(&self, host: &str, key: &str) -> Timestamp {
        let behaviour = self.behaviour.borrow();
        let other = (behaviour.other_clock)(host, key);
        self.now() + other.unwrap_or(behaviour.clock_offset)
    }

    fn answer(
        &self,
        action: &str,
        region: &str,
        (host, key): (&str, &str),
        signed_at: i64,
        body: &Value,
        disruption: Disruption,
    ) -> Result<Value, String> {
        let server = self.server_time(host, key).timestamp();
        let behaviour = self.behaviour.borrow();
        if (server - signed_at).abs() > 300 {
            return Err("AuthFailure.SignatureExpire".into());
        }
        if let Some(code) = disruption.refused {
            return Err(code.into());
        }
        if let Some(code) = (behaviour.refuse)(action, region, body) {
            return Err(code.into());
        }
        match action {
            "ModifyImageSharePermission" => {
                let now = self.monotonic();
                self.modify(region, (host, key), body, now, behaviour.write_limit)
            }
            "DescribeBlueprints" => {
                let offset = body["Offset"].as_u64().unwrap_or(0);
                let ids = body["BlueprintIds"].as_array();
                let lag = disruption.lag.unwrap_or(behaviour.lag);
                let mut page = self.blueprints((region, key), offset, ids, lag);
                (behaviour.tamper)(region, offset, &mut page);
                Ok(page)
            }
            "DescribeImagesToShare" => {
                let now = self.monotonic();
                Ok(self.images_to_share((region, key), body, (now, disruption.lag)))
            }
            "DescribeInstances" => Ok(self.page_of_instances((region, key), body)),
            "DescribeImages" => Ok(self.page_of_cvm_images((region, key), body, disruption.lag)),
            "GetCallerIdentity" => Ok(json!({"AccountId": behaviour.uin, "RequestId": "r"})),
            other => panic!("unexpected action {other}"),
        }
    }

    fn modify(
        &self,
        region: &str,
        (host, key): (&str, &str),
        body: &Value,
        now: Monotonic,
        limit: usize,
    ) -> Result<Value, String> {
        let mut windows = self.windows.borrow_mut();
        let window = windows.entry(format!("{host} {key}")).or_default();
        window.retain(|at| now.since(*at) < Duration::from_secs(1));
        if window.len() >= limit {
            return Err("RequestLimitExceeded".into());
        }
        window.push_back(now);
        let id = body["ImageId"].as_str().expect("ImageId is a string");
        let mut images = self.images.borrow_mut();
        let is_there = self.is_listed(id, now) && self.is_of(id, key);
        let Some(image) = images
            .get_mut(&(region.into(), id.into()))
            .filter(|_| is_there)
        else {
            return Err("ResourceNotFound.ImageIdNotFound".into());
        };
        let change = |shared| Change {
            since: now,
            shared,
            ours: true,
        };
        match (body["Permission"].as_str(), image.shared_at(now)) {
            (Some("SHARE"), true) => Err("UnsupportedOperation.ImageAlreadyShared".into()),
            (Some("SHARE"), false) if !image.shareable || self.is_ready(id) == Some(false) => {
                Err("UnsupportedOperation.ImageUnableToShare".into())
            }
            (Some("SHARE"), false) => {
                image.history.push(change(true));
                Ok(json!({"BlueprintId": image.blueprint_at(id, now), "RequestId": "r"}))
            }
            (Some("CANCEL"), true) => {
                self.cancelled.borrow_mut().push(Cancelled {
                    region: region.into(),
                    image: id.into(),
                    ours: image.history.last().is_some_and(|change| change.ours),
                });
                image.history.push(change(false));
                Ok(json!({"BlueprintId": null, "RequestId": "r"}))
            }
            (Some("CANCEL"), false) => Err("UnsupportedOperation.BlueprintHasNotShared".into()),
            (other, _) => panic!("unexpected permission {other:?}"),
        }
    }

    /// Applies every write that has arrived by now.
    fn deliver(&self) {
        let now = self.clock.monotonic();
        let mut due: Vec<_> = self
            .stragglers
            .borrow_mut()
            .extract_if(.., |write| write.arrives <= now)
            .collect();
        due.sort_by_key(|write| write.arrives);
        for write in due {
            let Write {
                arrives,
                host,
                key,
                region,
                body,
            } = write;
            let answer = self.modify(&region, (&host, &key), &body, arrives, usize::MAX);
            self.calls.borrow_mut().push(Call {
                at: arrives,
                host,
                key,
                region,
                action: "ModifyImageSharePermission".into(),
                body,
                answer: answer.err().unwrap_or_else(|| "ok".into()),
            });
        }
    }

    fn blueprints(
        &self,
        (region, key): (&str, &str),
        offset: u64,
        ids: Option<&Vec<Value>>,
        lag: Duration,
    ) -> Value {
        let seen_at = Monotonic::new(self.clock.monotonic().since_start().saturating_sub(lag));
        let images = self.images.borrow();
        let rows: Vec<_> = images
            .iter()
            .filter(|((at, id), image)| {
                at == region && self.is_of(id, key) && image.shared_at(seen_at)
            })
            .map(|((_, id), image)| {
                let shown = self.states.borrow().get(id).copied();
                let since = image.changed_at(seen_at);
                let state = shown.or_else(|| self.described_blueprint(id, since, seen_at));
                let state = state.unwrap_or("NORMAL");
                json!({"BlueprintId": image.blueprint_at(id, seen_at), "ImageId": id, "BlueprintState": state})
            })
            .filter(|row| ids.is_none_or(|ids| ids.contains(&row["BlueprintId"])))
            .collect();
        let beside = self.beside.borrow();
        let beside = beside.iter().filter(|row| row.region == region);
        let beside = beside.map(
            |row| json!({"BlueprintId": row.id, "ImageId": row.image, "BlueprintState": row.state}),
        );
        let rows: Vec<_> = rows.into_iter().chain(beside).collect();
        let from = usize::try_from(offset).expect("small");
        let page: Vec<_> = rows.iter().skip(from).take(100).cloned().collect();
        json!({"TotalCount": rows.len(), "BlueprintSet": page, "RequestId": "r"})
    }

    fn images_to_share(
        &self,
        (region, key): (&str, &str),
        body: &Value,
        (now, lag): (Monotonic, Option<Duration>),
    ) -> Value {
        if let Some(filters) = body.get("Filters") {
            let own = json!([{"Name": "image-type", "Values": ["PRIVATE_IMAGE"]}]);
            assert_eq!(*filters, own, "asks for its own");
            let offset = body["Offset"].as_u64().unwrap_or(0);
            return self.own_images((region, key), offset, lag.unwrap_or_default());
        }
        let state = self.behaviour.borrow().image_state;
        let images = self.images.borrow();
        let rows: Vec<_> = body["ImageIds"]
            .as_array()
            .expect("asks by id")
            .iter()
            .filter_map(|id| {
                let id = id.as_str().filter(|id| self.is_of(id, key))?;
                let image = images.get(&(region.to_owned(), id.to_owned()))?;
                if self.described.borrow().contains_key(id) {
                    let row = self.described_row(id, image.shared_at(now), now);
                    return row.filter(|_| self.is_listed(id, now));
                }
                Some(json!({
                    "ImageId": id, "ImageState": state, "IsSupportCloudinit": true,
                    "IsShareable": image.shareable && state == "NORMAL" && !image.shared_at(now), "UnshareableReason": "because",
                }))
            })
            .collect();
        json!({"TotalCount": rows.len(), "ImageSet": rows, "RequestId": "r"})
    }
}

impl Cloud {
    /// A page of the account's own images.
    fn own_images(&self, (region, key): (&str, &str), offset: u64, lag: Duration) -> Value {
        let images = self.images.borrow();
        let at = Monotonic::new(self.monotonic().since_start().saturating_sub(lag));
        let here = images
            .iter()
            .filter(|((of, id), _)| of == region && self.is_listed(id, at) && self.is_of(id, key));
        let named = self.named.borrow();
        let rows: Vec<_> = here
            .map(|((_, id), image)| {
                if let Some(row) = self.described_row(id, image.shared_at(at), at) {
                    return row;
                }
                let mut row = json!({"ImageId": id, "ImageState": "NORMAL", "IsSupportCloudinit": true, "IsShareable": true});
                if let Some((name, created)) = named.get(id) {
                    row["ImageName"] = json!(name);
                    row["CreatedTime"] = json!(created);
                }
                row
            })
            .collect();
        let from = usize::try_from(offset).expect("small");
        let page: Vec<_> = rows.iter().skip(from).take(100).cloned().collect();
        json!({"TotalCount": rows.len(), "ImageSet": page, "RequestId": "r"})
    }

    /// A page of the CVM listing of the account's own images.
    fn page_of_cvm_images(
        &self,
        (region, key): (&str, &str),
        body: &Value,
        lag: Option<Duration>,
    ) -> Value {
        let own = json!([{"Name": "image-type", "Values": ["PRIVATE_IMAGE"]}]);
        assert_eq!(body["Filters"], own, "asks for its own");
        let (offset, lag) = (
            body["Offset"].as_u64().unwrap_or(0),
            lag.unwrap_or_default(),
        );
        let mut page = self.own_images((region, key), offset, lag);
        for row in page["ImageSet"].as_array_mut().expect("a list") {
            let id = row["ImageId"].clone();
            let shown = id.as_str().and_then(|id| self.described_cvm_row(id, lag));
            *row = shown.unwrap_or_else(|| json!({
                "ImageId": id, "ImageFamily": "golden", "ImageDeprecated": false, "Tags": [{"Key": "release", "Value": "stable"}],
            }));
        }
        page
    }

    fn page_of_instances(&self, (region, key): (&str, &str), body: &Value) -> Value {
        let number = |field: &str, default| {
            let number = body[field].as_u64().unwrap_or(default);
            usize::try_from(number).expect("small")
        };
        let instances = self.instances.borrow();
        let own = |row: &Instance| {
            let image = row.blueprint.trim_start_matches("lhbp-");
            let of = image.rsplit_once('-').map_or(image, |(image, n)| {
                n.parse::<u32>().map_or(image, |_| image)
            });
            self.is_of(of, key)
        };
        let here = || {
            let rows = instances.iter();
            rows.filter(|row| row.region == region && own(row))
        };
        let page = here().skip(number("Offset", 0)).take(number("Limit", 20));
        let rows: Vec<_> = page
            .map(|row| json!({"InstanceId": row.id, "BlueprintId": row.blueprint}))
            .collect();
        json!({"TotalCount": here().count(), "InstanceSet": rows, "RequestId": "r"})
    }
}

impl Image {
    fn shared_at(&self, monotonic: Monotonic) -> bool {
        self.history
            .iter()
            .rev()
            .find(|change| change.since <= monotonic)
            .is_some_and(|change| change.shared)
    }

    /// When the share state at this time began.
    fn changed_at(&self, monotonic: Monotonic) -> Monotonic {
        let mut changes = self.history.iter().rev();
        let last = changes.find(|change| change.since <= monotonic);
        last.map_or(Monotonic::default(), |change| change.since)
    }

    /// Each share creates a new blueprint with a new id.
    fn blueprint_at(&self, id: &str, monotonic: Monotonic) -> String {
        let shares = self
            .history
            .iter()
            .filter(|change| change.shared && change.since <= monotonic)
            .count();
        match shares {
            1 => format!("lhbp-{id}"),
            n => format!("lhbp-{id}-{n}"),
        }
    }
}

impl Clock for Cloud {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        start + self.clock.monotonic().since_start() + self.jumped.get()
    }
    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }
    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Rng for Cloud {
    fn next_f64(&self) -> f64 {
        self.rng.borrow_mut().f64()
    }
}

impl Transport for Cloud {
    /// The future is on the heap, because in an unoptimised build the futures of a run are nearly as large as the
    /// stack of a test.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>> {
        Box::pin(self.carry(request))
    }
}

impl Cloud {
    async fn carry(&self, request: Request) -> Result<Reply, TransportError> {
        let header = |name| {
            request
                .headers
                .iter()
                .find(|h| h.name == name)
                .expect("is sent")
                .value
                .clone()
        };
        let (action, region, host) = (header("x-tc-action"), header("x-tc-region"), header("host"));
        let signed_at: i64 = header("x-tc-timestamp").parse().expect("seconds");
        let signed = header("authorization");
        let key = signed.split(['=', '/']).nth(1).unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let leaving = Leaving {
            at: self.monotonic(),
            host: &host,
            key,
            region: &region,
            action: &action,
            body: &body,
        };
        let disruption = (self.behaviour.borrow().disruption)(&leaving);
        let hangs = |name: &String| host.contains(name.as_str());
        if disruption.hangs || self.behaviour.borrow().hung.iter().any(hangs) {
            let call = Call {
                at: self.monotonic(),
                key: key.to_owned(),
                host,
                region,
                action,
                body,
                answer: "hung".into(),
            };
            self.calls.borrow_mut().push(call);
            self.sleep_until(self.monotonic() + request.deadline).await;
            return Err(TransportError::Lost("no reply within 8 s".into()));
        }
        let fault = (self.behaviour.borrow().fault)(&action, &region, &mut self.rng.borrow_mut());
        let fault = fault.or(disruption.fault);
        let half = disruption
            .latency
            .unwrap_or(self.behaviour.borrow().latency)
            / 2;
        let at = self.monotonic() + half;
        let arrives_anyway = action == "ModifyImageSharePermission"
            && matches!(fault, None | Some(Fault::LostAfter | Fault::GarbageAfter));
        let mut on_its_way = OnItsWay {
            cloud: self,
            write: arrives_anyway.then(|| Write {
                arrives: at,
                host: host.clone(),
                key: key.to_owned(),
                region: region.clone(),
                body: body.clone(),
            }),
        };
        self.sleep_until(at).await;
        on_its_way.write = None;
        self.deliver();
        let log = |answer: String| {
            let call = Call {
                at,
                host: host.clone(),
                key: key.to_owned(),
                region: region.clone(),
                action: action.clone(),
                body: body.clone(),
                answer,
            };
            self.calls.borrow_mut().push(call);
        };
        if let Some(fault) = fault {
            if matches!(fault, Fault::LostAfter | Fault::GarbageAfter) {
                let _ = self.answer(&action, &region, (&host, key), signed_at, &body, disruption);
            }
            log(format!("{fault:?}"));
            let ok = |status, body: &str| {
                Ok(Reply {
                    status,
                    date: Some(date(self.server_time(&host, key))),
                    retry_after: None,
                    body: body.as_bytes().to_vec(),
                    is_whole: true,
                })
            };
            return match fault {
                Fault::NotSent => Err(TransportError::NotSent("connection refused".into())),
                Fault::LostBefore | Fault::LostAfter => {
                    self.sleep_until(self.monotonic() + request.deadline).await;
                    Err(TransportError::Lost("no reply within 8 s".into()))
                }
                Fault::GarbageAfter => ok(200, "}{"),
                Fault::Html503 => ok(503, "<html>busy</html>"),
                Fault::Redirect => ok(307, "<html>elsewhere</html>"),
                Fault::Shapeless => ok(200, r#"{"Response":{}}"#),
                Fault::Internal => ok(
                    200,
                    r#"{"Response":{"Error":{"Code":"InternalError","Message":"x"}}}"#,
                ),
            };
        }
        let mut answer = self.answer(&action, &region, (&host, key), signed_at, &body, disruption);
        if let (Ok(identity), "GetCallerIdentity") = (&mut answer, action.as_str())
            && let Some(uin) = self.behaviour.borrow().uins.get(key)
        {
            identity["AccountId"] = json!(uin);
        }
        log(answer
            .as_ref()
            .err()
            .cloned()
            .unwrap_or_else(|| "ok".into()));
        let sent = date(self.server_time(&host, key));
        self.sleep_until(self.monotonic() + half).await;
        let mut body = match answer {
            Ok(response) => json!({"Response": response}),
            Err(code) => {
                json!({"Response": {"Error": {"Code": code, "Message": "no"}, "RequestId": "r"}})
            }
        };
        (self.behaviour.borrow().reword)(&action, &region, &mut body);
        Ok(Reply {
            status: 200,
            date: Some(sent),
            retry_after: None,
            body: body.to_string().into_bytes(),
            is_whole: true,
        })
    }
}
fn date(server: Timestamp) -> String {
    server.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
pub(crate) struct Silent;

impl Listener for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// A region of a named account.
pub(crate) fn scope_of(account: &str, region: &str) -> Scope {
    Scope {
        account: AccountName::new(account).expect("an account"),
        region: Region::new(region).expect("a region"),
    }
}

/// Manifests of the default account.
pub(crate) fn desired<'a>(images: impl IntoIterator<Item = (&'a str, String, bool)>) -> Desired {
    let account = AccountName::default();
    let images = images
        .into_iter()
        .map(|(region, image, shared)| (account.as_str(), region, image, shared));
    desired_of(images)
}

/// Manifests of several accounts, as tuples of account, region, image and whether it is shared.
pub(crate) fn desired_of<'a, 'b>(
    images: impl IntoIterator<Item = (&'a str, &'b str, String, bool)>,
) -> Desired {
    let mut desired = Desired::default();
    for (line, (account, region, image, shared)) in (1..).zip(images) {
        let scope = scope_of(account, region);
        let key = ImageKey {
            scope,
            image: ImageId::new(&image).expect("an id"),
        };
        let intent = if shared {
            DesiredShare::Shared {
                from: None,
                until: None,
            }
        } else {
            DesiredShare::Unshared
        };
        let source = Source {
            file: "test.yaml".into(),
            line,
        };
        desired.images.insert(
            key,
            DesiredImage {
                share: intent,
                protect: false,
                source,
                document: Default::default(),
                name: None,
                note: None,
                bounds: None,
                other_labels: Vec::new(),
            },
        );
    }
    desired
}

/// The same manifests with an `Account` document of the default account that sets only a rate.
pub(crate) fn with_rate(mut desired: Desired, rate: u32) -> Desired {
    let account = Account {
        uin: None,
        endpoint: None,
        rate: Some(rate),
        credentials: CredentialSource::Ambient,
        windows: Windows::default(),
        source: Source {
            file: "account.yaml".into(),
            line: 1,
        },
    };
    desired.accounts.insert(AccountName::default(), account);
    desired
}
