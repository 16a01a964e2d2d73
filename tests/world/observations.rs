//! Records the answers that processes received about regions, list by list, and derives what an installation may
//! remember of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use sharekeeper::model::Monotonic;

use super::checker::Departure;
use super::manifests::{Manifests, account_of_key};
use super::scenario::{REGIONS, Scenario, Wanted, Wish};
use super::snapshot::Snapshot;

/// An account and a region, by their indexes.
pub(crate) type Place = (usize, usize);

/// The number of observations of one region that are kept. Writes of an earlier one may be in progress while another
/// list is read.
const KEPT: usize = 3;

/// The pages of one list, and whether they are complete.
#[derive(Clone, Debug)]
struct Pages {
    began: Monotonic,
    totals: BTreeSet<u64>,
    ids: BTreeSet<String>,
    count: u64,
    is_denied: bool,
}

impl Pages {
    fn new(began: Monotonic) -> Self {
        Self {
            began,
            totals: BTreeSet::new(),
            ids: BTreeSet::new(),
            count: 0,
            is_denied: false,
        }
    }

    /// Adds a page of the list, and returns its rows.
    fn answered<'r>(&mut self, response: &'r Value, (rows, id): (&str, &str)) -> &'r [Value] {
        let code = response["Error"]["Code"].as_str().unwrap_or_default();
        self.is_denied |= code.starts_with("UnauthorizedOperation");
        let (Some(total), Some(rows)) =
            (response["TotalCount"].as_u64(), response[rows].as_array())
        else {
            return &[];
        };
        self.totals.insert(total);
        self.count += rows.len() as u64;
        let ids = rows.iter().filter_map(|row| row[id].as_str());
        self.ids.extend(ids.map(str::to_owned));
        rows
    }

    fn is_whole(&self) -> bool {
        let rows = self.ids.len() as u64;
        self.count == rows && self.totals.len() == 1 && self.totals.contains(&rows)
    }
}

/// One observation of a region: its blueprints, then its own images, then the answers of CVM.
#[derive(Clone, Debug)]
pub(crate) struct RegionObservation {
    pub(crate) began: Monotonic,
    blueprints: Pages,
    own: Option<Pages>,
    cvm: Option<Pages>,
    pub(crate) snapshot: Snapshot,
}

impl RegionObservation {
    /// Whether the key has no permission to read what is shared.
    pub(crate) fn is_blind(&self) -> bool {
        self.blueprints.is_denied
    }

    /// Whether names and policies can be evaluated with it.
    pub(crate) fn is_whole(&self) -> bool {
        let is_seen = self.blueprints.is_whole() || self.is_blind();
        is_seen && self.own.as_ref().is_some_and(Pages::is_whole)
    }

    /// The observed state, without the lists that are incomplete.
    fn usable(&self) -> Snapshot {
        let mut snapshot = self.snapshot.clone();
        if !self.cvm.as_ref().is_some_and(Pages::is_whole) {
            snapshot.cvm = None;
        }
        snapshot
    }
}

/// The answers that one process received.
#[derive(Default)]
pub(crate) struct Observations {
    by_region: BTreeMap<Place, VecDeque<RegionObservation>>,
    instances: BTreeMap<Place, Pages>,
    /// The start of the newest complete list of instances, by region.
    instances_listed_at: BTreeMap<Place, Monotonic>,
}

/// The observation that a reply completed.
pub(crate) enum Completed<'l> {
    /// The observation of a region is complete.
    Region(Place, &'l RegionObservation),
    Nothing,
}

pub(crate) fn place(call: &Departure) -> Option<Place> {
    let region = REGIONS.iter().position(|region| *region == call.region)?;
    Some((account_of_key(&call.key)?, region))
}

fn is_first(call: &Departure) -> bool {
    call.body["Offset"].as_u64().unwrap_or(0) == 0
}

impl Observations {
    /// A call is sent. Returns the region if the call begins a new observation of it.
    pub(crate) fn departed(&mut self, call: &Departure) -> Option<Place> {
        let place = place(call).filter(|_| is_first(call))?;
        let pages = Pages::new(call.at);
        let observations = self.by_region.entry(place).or_default();
        match call.action.as_str() {
            "DescribeBlueprints" if call.body.get("BlueprintIds").is_none() => {
                observations.retain(RegionObservation::is_whole);
                if observations.len() == KEPT {
                    observations.pop_front();
                }
                observations.push_back(RegionObservation {
                    began: call.at,
                    blueprints: pages,
                    own: None,
                    cvm: None,
                    snapshot: Snapshot::default(),
                });
                return Some(place);
            }
            "DescribeImagesToShare" if call.body.get("Filters").is_some() => {
                if let Some(observation) = observations.back_mut() {
                    (observation.own, observation.snapshot.own) = (Some(pages), BTreeMap::new());
                }
            }
            "DescribeImages" => {
                if let Some(observation) = observations.back_mut() {
                    (observation.cvm, observation.snapshot.cvm) = (Some(pages), None);
                }
            }
            "DescribeInstances" => drop(self.instances.insert(place, pages)),
            _ => {}
        }
        None
    }

    /// The answer to a call arrives.
    pub(crate) fn replied(&mut self, call: &Departure, response: &Value) -> Completed<'_> {
        let Some(place) = place(call) else {
            return Completed::Nothing;
        };
        if call.action == "DescribeInstances" {
            let pages = self.instances.get_mut(&place);
            if let Some(pages) = pages.filter(|pages| pages.began <= call.at) {
                pages.answered(response, ("InstanceSet", "InstanceId"));
                if pages.is_whole() {
                    self.instances_listed_at.insert(place, pages.began);
                }
            }
            return Completed::Nothing;
        }
        let observations = self.by_region.get_mut(&place);
        let Some(observation) = observations.and_then(VecDeque::back_mut) else {
            return Completed::Nothing;
        };
        let own = observation
            .own
            .as_mut()
            .filter(|pages| pages.began <= call.at);
        let cvm = observation
            .cvm
            .as_mut()
            .filter(|pages| pages.began <= call.at);
        match (call.action.as_str(), own, cvm) {
            ("DescribeBlueprints", ..)
                if call.body.get("BlueprintIds").is_none() && observation.began <= call.at =>
            {
                let rows = observation
                    .blueprints
                    .answered(response, ("BlueprintSet", "BlueprintId"));
                observation.snapshot.take_blueprints(rows);
            }
            ("DescribeImagesToShare", Some(own), _) if call.body.get("Filters").is_some() => {
                let rows = own.answered(response, ("ImageSet", "ImageId"));
                observation.snapshot.take_own(rows);
                if observation.is_whole() {
                    return Completed::Region(place, observation);
                }
            }
            ("DescribeImages", _, Some(cvm)) => {
                let rows = cvm.answered(response, ("ImageSet", "ImageId"));
                observation.snapshot.take_cvm(rows);
            }
            _ => {}
        }
        Completed::Nothing
    }

    /// The complete observations of a region, the newest first, each with its state.
    pub(crate) fn whole(
        &self,
        place: Place,
    ) -> impl Iterator<Item = (&RegionObservation, Snapshot)> {
        let observations = self.by_region.get(&place).into_iter().flatten().rev();
        observations
            .filter(|observation| observation.is_whole())
            .map(|observation| (observation, observation.usable()))
    }

    /// The start of the newest complete list of instances.
    pub(crate) fn instances_listed_at(&self, place: Place) -> Option<Monotonic> {
        self.instances_listed_at.get(&place).copied()
    }
}

/// A fact that an installation remembers once another observation follows the one that showed it.
#[derive(Clone, Debug)]
struct Fact<T> {
    value: T,
    /// The process whose last observation concerns the fact, until it begins its next one of the region.
    unsettled: Option<usize>,
}

/// The facts that an installation may remember from the answers to its processes.
#[derive(Default)]
pub(crate) struct RememberedFacts {
    /// The time since which each image is NORMAL. An unsettled fact means that it was observed in another state.
    normal: BTreeMap<(Place, String), Fact<Monotonic>>,
    /// The image that each name last meant.
    meant: BTreeMap<(Place, String), Fact<String>>,
    /// Every image that a name ever meant, with the time of the first such observation.
    ever: BTreeMap<(Place, String), BTreeMap<String, Monotonic>>,
    /// The regions that a process has observed.
    seen: BTreeSet<Place>,
    names: Vec<String>,
}

impl RememberedFacts {
    /// The installation receives new manifests.
    pub(crate) fn loaded(&mut self, manifests: &Manifests) {
        let is_renamed = self.names != manifests.names;
        self.names.clone_from(&manifests.names);
        if is_renamed {
            self.meant.clear();
        }
        if !manifests.is_partial {
            self.meant.retain(|((account, region), name), _| {
                manifests.entries(*account, *region).contains_key(&**name)
            });
        }
    }

    /// A process begins a new observation, so it keeps what it learnt from its last one.
    pub(crate) fn looks_anew(&mut self, place: Place, process: usize) {
        let settles = |of: &Place, by: Option<usize>| *of == place && by == Some(process);
        self.normal
            .retain(|(of, _), since| !settles(of, since.unsettled));
        for ((of, _), meant) in &mut self.meant {
            if settles(of, meant.unsettled) {
                meant.unsettled = None;
            }
        }
    }

    /// A process that uses `entries` received an observation. `is_kept` says whether the installation certainly keeps
    /// it.
    pub(crate) fn observed(
        &mut self,
        (place, process): (Place, usize),
        observation: &RegionObservation,
        entries: &BTreeMap<&str, Wish>,
        is_kept: bool,
    ) {
        self.seen.insert(place);
        let snapshot = &observation.snapshot;
        for id in snapshot.own.keys().filter(|id| snapshot.is_normal(id)) {
            let since = self.normal.entry((place, id.clone()));
            let since = since.or_insert(Fact {
                value: observation.began,
                unsettled: None,
            });
            since.unsettled = None;
        }
        if is_kept && !observation.is_blind() {
            let here = self.normal.iter_mut().filter(|((of, _), _)| *of == place);
            for (_, since) in here.filter(|((_, id), _)| !snapshot.is_normal(id)) {
                since.unsettled = Some(process);
            }
        }
        for (name, wish) in entries {
            let [id] = snapshot.named(name)[..] else {
                continue;
            };
            let key = (place, (*name).to_owned());
            let ever = self.ever.entry(key.clone()).or_default();
            ever.entry(id.to_owned()).or_insert(observation.began);
            let is_as_desired = match wish.state {
                Wanted::Unshared => true,
                Wanted::Shared => snapshot.is_normal(id),
                // The desired state depends on the time, so the observation does not prove it.
                Wanted::Until(_) | Wanted::From(_) | Wanted::Unnamed => false,
            };
            let before = self.meant.get(&key).map(|meant| meant.value.clone());
            let is_other = before.as_deref() != Some(id);
            let is_certain = is_as_desired && !observation.is_blind();
            if is_other && (is_certain || wish.state != Wanted::Shared) {
                self.meant.remove(&key);
            }
            if is_kept && is_certain && is_other {
                let meant = Fact {
                    value: id.to_owned(),
                    unsettled: Some(process),
                };
                self.meant.insert(key, meant);
            }
        }
    }

    /// The time since which the image may count as NORMAL without a break.
    pub(crate) fn normal_since(&self, place: Place, id: &str) -> Option<Monotonic> {
        let since = self.normal.get(&(place, id.to_owned()))?;
        Some(since.value)
    }

    /// The image that the name certainly meant last.
    pub(crate) fn meant(&self, place: Place, name: &str) -> Option<&str> {
        let meant = self.meant.get(&(place, name.to_owned()))?;
        meant.unsettled.is_none().then_some(&meant.value)
    }

    /// Whether an installation may remember that the name meant the image.
    pub(crate) fn may_have_meant(&self, place: Place, name: &str, id: &str) -> bool {
        let ever = self.ever.get(&(place, name.to_owned()));
        ever.is_some_and(|ever| ever.contains_key(id))
    }

    /// Whether an observation before `began` showed a meaning of the name.
    pub(crate) fn knew(&self, place: Place, name: &str, began: Monotonic) -> bool {
        let ever = self.ever.get(&(place, name.to_owned()));
        ever.is_some_and(|ever| ever.values().any(|at| *at < began))
    }

    /// Whether a process of the installation ever observed the region.
    pub(crate) fn has_seen(&self, place: Place) -> bool {
        self.seen.contains(&place)
    }
}

/// Whether the installation certainly keeps what an observation shows.
pub(crate) fn keeps_all(scenario: &Scenario) -> bool {
    use super::scenario::What;
    let mut events = scenario.events.iter();
    !events.any(|event| matches!(event.what, What::DiskFull(..)))
}
