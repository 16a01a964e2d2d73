//! What processes were told of regions, list by list, and what an installation may remember of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use sharekeeper::model::Monotonic;

use super::checker::Departure;
use super::manifests::{Manifests, account_of_key};
use super::scenario::{REGIONS, Scenario, Wanted, Wish};
use super::sight::Sight;

/// An account and a region, by their indexes.
pub(crate) type Place = (usize, usize);

/// Observations at one region that are kept: writes of an earlier one may be under way while another list is read.
const KEPT: usize = 3;

/// The pages of one list, and whether they make a whole.
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

    /// Takes a page in. Returns its rows.
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

/// One look at a region: its blueprints, then its own images, then what CVM tells.
#[derive(Clone, Debug)]
pub(crate) struct RegionObservation {
    pub(crate) began: Monotonic,
    blueprints: Pages,
    own: Option<Pages>,
    cvm: Option<Pages>,
    pub(crate) sight: Sight,
}

impl RegionObservation {
    /// Whether what is shared may not be read.
    pub(crate) fn is_blind(&self) -> bool {
        self.blueprints.is_denied
    }

    /// Whether names and policies can be told by it.
    pub(crate) fn is_whole(&self) -> bool {
        let is_seen = self.blueprints.is_whole() || self.is_blind();
        is_seen && self.own.as_ref().is_some_and(Pages::is_whole)
    }

    /// The same, with what is not whole taken away.
    fn told(&self) -> Sight {
        let mut sight = self.sight.clone();
        if !self.cvm.as_ref().is_some_and(Pages::is_whole) {
            sight.cvm = None;
        }
        sight
    }
}

/// What one process was told.
#[derive(Default)]
pub(crate) struct Observations {
    looks: BTreeMap<Place, VecDeque<RegionObservation>>,
    instances: BTreeMap<Place, Pages>,
    /// When the newest list of instances was begun that became whole.
    instances_told: BTreeMap<Place, Monotonic>,
}

/// What a reply brought to its end.
pub(crate) enum Told<'l> {
    /// A look at a region is whole.
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
    /// A call leaves. Returns the region at which the process looks anew with it.
    pub(crate) fn departed(&mut self, call: &Departure) -> Option<Place> {
        let place = place(call).filter(|_| is_first(call))?;
        let pages = Pages::new(call.at);
        let looks = self.looks.entry(place).or_default();
        match call.action.as_str() {
            "DescribeBlueprints" if call.body.get("BlueprintIds").is_none() => {
                looks.retain(RegionObservation::is_whole);
                if looks.len() == KEPT {
                    looks.pop_front();
                }
                looks.push_back(RegionObservation {
                    began: call.at,
                    blueprints: pages,
                    own: None,
                    cvm: None,
                    sight: Sight::default(),
                });
                return Some(place);
            }
            "DescribeImagesToShare" if call.body.get("Filters").is_some() => {
                if let Some(look) = looks.back_mut() {
                    (look.own, look.sight.own) = (Some(pages), BTreeMap::new());
                }
            }
            "DescribeImages" => {
                if let Some(look) = looks.back_mut() {
                    (look.cvm, look.sight.cvm) = (Some(pages), None);
                }
            }
            "DescribeInstances" => drop(self.instances.insert(place, pages)),
            _ => {}
        }
        None
    }

    /// The answer to a call arrives.
    pub(crate) fn replied(&mut self, call: &Departure, response: &Value) -> Told<'_> {
        let Some(place) = place(call) else {
            return Told::Nothing;
        };
        if call.action == "DescribeInstances" {
            let pages = self.instances.get_mut(&place);
            if let Some(pages) = pages.filter(|pages| pages.began <= call.at) {
                pages.answered(response, ("InstanceSet", "InstanceId"));
                if pages.is_whole() {
                    self.instances_told.insert(place, pages.began);
                }
            }
            return Told::Nothing;
        }
        let looks = self.looks.get_mut(&place);
        let Some(look) = looks.and_then(VecDeque::back_mut) else {
            return Told::Nothing;
        };
        let own = look.own.as_mut().filter(|pages| pages.began <= call.at);
        let cvm = look.cvm.as_mut().filter(|pages| pages.began <= call.at);
        match (call.action.as_str(), own, cvm) {
            ("DescribeBlueprints", ..)
                if call.body.get("BlueprintIds").is_none() && look.began <= call.at =>
            {
                let rows = look
                    .blueprints
                    .answered(response, ("BlueprintSet", "BlueprintId"));
                look.sight.take_blueprints(rows);
            }
            ("DescribeImagesToShare", Some(own), _) if call.body.get("Filters").is_some() => {
                let rows = own.answered(response, ("ImageSet", "ImageId"));
                look.sight.take_own(rows);
                if look.is_whole() {
                    return Told::Region(place, look);
                }
            }
            ("DescribeImages", _, Some(cvm)) => {
                let rows = cvm.answered(response, ("ImageSet", "ImageId"));
                look.sight.take_cvm(rows);
            }
            _ => {}
        }
        Told::Nothing
    }

    /// The whole looks at a region, the newest first, each as it was told.
    pub(crate) fn whole(&self, place: Place) -> impl Iterator<Item = (&RegionObservation, Sight)> {
        let looks = self.looks.get(&place).into_iter().flatten().rev();
        looks
            .filter(|look| look.is_whole())
            .map(|look| (look, look.told()))
    }

    /// When the newest whole list of instances was begun.
    pub(crate) fn instances_told(&self, place: Place) -> Option<Monotonic> {
        self.instances_told.get(&place).copied()
    }
}

/// Something that an installation remembers once the look that told it was followed by another one.
#[derive(Clone, Debug)]
struct Fact<T> {
    value: T,
    /// The process whose look speaks of it, until it looks again.
    unsettled: Option<usize>,
}

/// What an installation may remember of what its processes were told.
#[derive(Default)]
pub(crate) struct RememberedFacts {
    /// Since when each image is NORMAL; unsettled: it was seen not to be.
    normal: BTreeMap<(Place, String), Fact<Monotonic>>,
    /// What names last meant.
    meant: BTreeMap<(Place, String), Fact<String>>,
    /// All that names ever meant, and when that was told first.
    ever: BTreeMap<(Place, String), BTreeMap<String, Monotonic>>,
    /// Regions that were seen.
    seen: BTreeSet<Place>,
    names: Vec<String>,
}

impl RememberedFacts {
    /// The installation gets manifests.
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

    /// A process looks anew: what it learnt by its last look is kept.
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

    /// A look was told to a process that goes by `entries`. `is_kept` says whether what it learns is certainly kept.
    pub(crate) fn told(
        &mut self,
        (place, process): (Place, usize),
        look: &RegionObservation,
        entries: &BTreeMap<&str, Wish>,
        is_kept: bool,
    ) {
        self.seen.insert(place);
        let sight = &look.sight;
        for id in sight.own.keys().filter(|id| sight.is_normal(id)) {
            let since = self.normal.entry((place, id.clone()));
            let since = since.or_insert(Fact {
                value: look.began,
                unsettled: None,
            });
            since.unsettled = None;
        }
        if is_kept && !look.is_blind() {
            let here = self.normal.iter_mut().filter(|((of, _), _)| *of == place);
            for (_, since) in here.filter(|((_, id), _)| !sight.is_normal(id)) {
                since.unsettled = Some(process);
            }
        }
        for (name, wish) in entries {
            let [id] = sight.named(name)[..] else {
                continue;
            };
            let key = (place, (*name).to_owned());
            let ever = self.ever.entry(key.clone()).or_default();
            ever.entry(id.to_owned()).or_insert(look.began);
            let is_as_desired = match wish.state {
                Wanted::Unshared => true,
                Wanted::Shared => sight.is_normal(id),
                // It depends on the time.
                Wanted::Until(_) | Wanted::From(_) | Wanted::Unnamed => false,
            };
            let before = self.meant.get(&key).map(|meant| meant.value.clone());
            let is_other = before.as_deref() != Some(id);
            let is_certain = is_as_desired && !look.is_blind();
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

    /// Since when the image may be taken to be NORMAL without a break.
    pub(crate) fn normal_since(&self, place: Place, id: &str) -> Option<Monotonic> {
        let since = self.normal.get(&(place, id.to_owned()))?;
        Some(since.value)
    }

    /// What the name certainly meant last.
    pub(crate) fn meant(&self, place: Place, name: &str) -> Option<&str> {
        let meant = self.meant.get(&(place, name.to_owned()))?;
        meant.unsettled.is_none().then_some(&meant.value)
    }

    /// Whether the name may be remembered to have meant the image.
    pub(crate) fn may_have_meant(&self, place: Place, name: &str, id: &str) -> bool {
        let ever = self.ever.get(&(place, name.to_owned()));
        ever.is_some_and(|ever| ever.contains_key(id))
    }

    /// Whether an earlier look than that of `began` told a meaning of the name.
    pub(crate) fn knew(&self, place: Place, name: &str, began: Monotonic) -> bool {
        let ever = self.ever.get(&(place, name.to_owned()));
        ever.is_some_and(|ever| ever.values().any(|at| *at < began))
    }

    /// Whether a process of the installation ever saw the region.
    pub(crate) fn has_seen(&self, place: Place) -> bool {
        self.seen.contains(&place)
    }
}

/// Whether what a look tells is certainly kept.
pub(crate) fn keeps_all(scenario: &Scenario) -> bool {
    use super::scenario::What;
    let mut events = scenario.events.iter();
    !events.any(|event| matches!(event.what, What::DiskFull(..)))
}
