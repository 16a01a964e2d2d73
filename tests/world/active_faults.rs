//! Applies the fault spans of a scenario to the simulated cloud, which asks for the fault of each call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use super::manifests::{account_of_key, key, uin};
use super::scenario::{FaultKind, FaultSpan, REGIONS, Scenario, seconds};
use super::support::{Behaviour, Cloud, Disruption, Fault, Leaving};

const MODIFY: &str = "ModifyImageSharePermission";
const LIST: &str = "DescribeBlueprints";
const OWN: &str = "DescribeImagesToShare";
const CVM: &str = "DescribeImages";
const INSTANCES: &str = "DescribeInstances";

/// The faults of a scenario. They end when the scenario's calm begins, except for a lasting one.
pub(crate) struct ActiveFaults {
    cloud: std::rc::Weak<Cloud>,
    scenario: Scenario,
    dice: RefCell<fastrand::Rng>,
    pub(crate) is_calm: Cell<bool>,
    /// Whether a lasting fault still applies at that time.
    pub(crate) goes_on: Cell<bool>,
}

impl ActiveFaults {
    /// Makes the cloud fail and lag as the scenario says.
    pub(crate) fn begin(scenario: &Scenario, cloud: &Rc<Cloud>) -> Rc<Self> {
        let faults = Rc::new(Self {
            cloud: Rc::downgrade(cloud),
            scenario: scenario.clone(),
            dice: RefCell::new(fastrand::Rng::with_seed(scenario.seed ^ 0xfa17)),
            is_calm: Cell::new(false),
            goes_on: Cell::new(false),
        });
        let (disruption, page, clock) =
            (Rc::clone(&faults), Rc::clone(&faults), Rc::clone(&faults));
        let other_page = Rc::clone(&faults);
        *cloud.behaviour.borrow_mut() = Behaviour {
            lag: seconds(scenario.lag),
            syncs: seconds(scenario.syncs),
            uins: (0..3).map(|account| (key(account), uin(account))).collect(),
            straggling: Duration::from_millis(700),
            disruption: Box::new(move |call| disruption.disruption(call)),
            tamper: Box::new(move |region, offset, rows| page.tamper(region, offset, rows)),
            reword: Box::new(move |action, region, reply| {
                if action.starts_with("Describe") && action != LIST {
                    other_page.tamper(region, 0, &mut reply["Response"]);
                }
            }),
            other_clock: Box::new(move |_, key| clock.ahead(key)),
            ..Behaviour::default()
        };
        faults
    }

    fn now(&self) -> u64 {
        use sharekeeper::host::Clock;
        let cloud = self.cloud.upgrade().expect("the cloud asks");
        cloud.monotonic().since_start().as_secs()
    }

    fn active(&self) -> impl Iterator<Item = &FaultSpan> {
        let now = self.now();
        let faults = self.scenario.faults.iter();
        let faults = faults
            .filter(move |span| !self.is_calm.get() && (span.from..span.until).contains(&now));
        let lasting = self.scenario.lasting.iter();
        faults.chain(lasting.filter(|_| self.goes_on.get()))
    }

    fn is_hit(&self, span: &FaultSpan) -> bool {
        self.dice.borrow_mut().u8(..100) < span.percent
    }

    fn is_about(&self, span: &FaultSpan, call: &Leaving<'_>) -> bool {
        let place = &span.place;
        let of_account = |account| account_of_key(call.key) == Some(account);
        let of_image = |image: usize| {
            call.action == MODIFY && call.body["ImageId"] == self.scenario.images[image].id()
        };
        // STS has one host for all regions, so a fault of one region does not apply to it.
        let of_region =
            |region: usize| REGIONS[region] == call.region && call.action != "GetCallerIdentity";
        place.account.is_none_or(of_account)
            && place.region.is_none_or(of_region)
            && place.image.is_none_or(of_image)
    }

    /// Whether the call is about an image with an odd number.
    fn is_of_odd(&self, call: &Leaving<'_>) -> bool {
        let mut images = self.scenario.images.iter();
        images.any(|image| image.is_odd() && call.body["ImageId"] == image.id())
    }

    fn disruption(&self, call: &Leaving<'_>) -> Disruption {
        let mut disruption = Disruption::default();
        for span in self.active() {
            if !self.is_about(span, call) || !self.is_hit(span) {
                continue;
            }
            let (writes, lists) = (call.action == MODIFY, call.action == LIST);
            let reads = call.action.starts_with("Describe");
            let mut fail = |fault| disruption.fault = disruption.fault.or(Some(fault));
            match span.kind {
                FaultKind::NotSent => fail(Fault::NotSent),
                FaultKind::LostRequest => fail(Fault::LostBefore),
                FaultKind::LostReply => fail(Fault::LostAfter),
                FaultKind::Garbage => fail(Fault::GarbageAfter),
                FaultKind::Gateway => fail(Fault::Html503),
                FaultKind::Redirect => fail(Fault::Redirect),
                FaultKind::Internal => fail(Fault::Internal),
                FaultKind::Shapeless => fail(Fault::Shapeless),
                FaultKind::Hang => disruption.hangs = true,
                FaultKind::ReadsHang if reads => disruption.hangs = true,
                FaultKind::Slow(millis) => disruption.latency = Some(Duration::from_millis(millis)),
                FaultKind::Stale(lag) => disruption.lag = Some(seconds(lag)),
                _ => {}
            }
            let refused = match span.kind {
                FaultKind::Throttled => "RequestLimitExceeded",
                FaultKind::WriteDenied if writes => "UnauthorizedOperation.NoPermission",
                FaultKind::OddDenied if writes && self.is_of_odd(call) => {
                    "UnauthorizedOperation.NoPermission"
                }
                FaultKind::ReadDenied if reads => "UnauthorizedOperation.NoPermission",
                FaultKind::KeyUnknown => "AuthFailure.SecretIdNotFound",
                FaultKind::RoleMissing if writes => "ResourceNotFound.RoleNotFound",
                FaultKind::ListingFails if lists => "FailedOperation.DescribeBlueprintsFailed",
                FaultKind::OwnImagesFail
                    if call.action == OWN && call.body.get("Filters").is_some() =>
                {
                    "FailedOperation.DescribeImagesFailed"
                }
                FaultKind::CvmDenied if call.action == CVM => "UnauthorizedOperation",
                FaultKind::InstancesDenied if call.action == INSTANCES => "UnauthorizedOperation",
                FaultKind::Occupied if writes => "UnsupportedOperation.ImageOccupied",
                FaultKind::UnknownCode => "Brand.NewCode",
                FaultKind::RegionUnknown => "UnsupportedRegion",
                _ => continue,
            };
            disruption.refused = disruption.refused.or(Some(refused));
        }
        disruption
    }

    fn tamper(&self, region: &str, _offset: u64, page: &mut Value) {
        for span in self.active() {
            let is_here = span.place.region.is_none_or(|here| REGIONS[here] == region);
            if !is_here || !matches!(span.kind, FaultKind::Inconsistent | FaultKind::Short) {
                continue;
            }
            if !self.is_hit(span) {
                continue;
            }
            let Some(total) = page["TotalCount"].as_u64() else {
                continue;
            };
            match span.kind {
                FaultKind::Inconsistent => page["TotalCount"] = (total + 1).into(),
                _ => {
                    let rows = ["BlueprintSet", "ImageSet", "InstanceSet"];
                    let rows = rows.iter().find(|rows| page.get(**rows).is_some());
                    let rows = rows.and_then(|rows| page[*rows].as_array_mut());
                    let _ = rows.and_then(Vec::pop);
                }
            }
        }
    }

    fn ahead(&self, key: &str) -> Option<TimeDelta> {
        let mut spans = self.active();
        spans.find_map(|span| match span.kind {
            FaultKind::ClockAhead(seconds) => {
                let of_account = |account| account_of_key(key) == Some(account);
                let is_here = span.place.account.is_none_or(of_account);
                is_here.then(|| TimeDelta::seconds(seconds))
            }
            _ => None,
        })
    }
}
