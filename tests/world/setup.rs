//! Changes one thing in a run of a scenario: an answer, a call that fails, or a real state directory that crashes or
//! fails. Such a run records what the other runs can change.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sharekeeper::inventory::{Inventory, OwnershipState};

use super::perturbation::{Perturbation, Point, View};
use super::process::{Installation, SharedParts};
use super::scenario::{Scenario, What, seconds};
use super::state_disk::{Operation, StateDisk, Trouble};
use super::support::{Cloud, Disruption, Fault};

/// The differences between a run and the unchanged run of its scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Whether the run records what other runs can change.
    pub(crate) is_first: bool,
    pub(crate) perturbation: Option<Perturbation>,
    pub(crate) failed_call: Option<FailedCall>,
    /// Whether the state is in a real directory.
    pub(crate) on_disk: bool,
    pub(crate) trouble: Option<Trouble>,
}

/// The error code for a key without the permission.
const DENIED: &str = "UnauthorizedOperation.NoPermission";

/// A call that fails, by its number in the order of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedCall {
    pub(crate) number: usize,
    pub(crate) how: CallFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFailure {
    Fault(Fault),
    Refused(&'static str),
}

impl CallFailure {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let refused = [
            "RequestLimitExceeded",
            DENIED,
            "AuthFailure.SecretIdNotFound",
        ];
        let faults = Fault::ALL.into_iter().map(Self::Fault);
        faults.chain(refused.into_iter().map(Self::Refused))
    }
}

/// The facts that a run recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The answers to reads, in the order of the calls.
    pub(crate) points: Vec<Point>,
    /// The number of calls that left the process.
    pub(crate) calls: usize,
    /// The requests to the state directory.
    pub(crate) operations: Vec<Operation>,
    /// Whether each image is shared at the end.
    pub(crate) shared: BTreeMap<String, bool>,
    /// The images that this installation only probably owns at the end, because a reply was lost. They are not pruned.
    pub(crate) probable: BTreeSet<String>,
    /// The images whose end state depends on when they were shared, because they were deleted or somebody started an
    /// instance.
    pub(crate) chanced: BTreeSet<String>,
    /// Whether the run reached the point of its difference.
    pub(crate) is_reached: bool,
}

/// Applies the difference of a run, and records facts about the run.
pub(crate) struct Watch {
    pub(crate) view: Option<Rc<View>>,
    calls: Rc<Cell<usize>>,
    failed_call: Option<FailedCall>,
    disk: Option<Rc<StateDisk>>,
    /// The facts that are known once everything has settled.
    ends: RefCell<Notes>,
}

impl Watch {
    /// Must be called before any process starts. Returns `None` for a plain run.
    pub(crate) fn begin(setup: &Setup, scenario: &Scenario, cloud: &Rc<Cloud>) -> Option<Self> {
        if *setup == Setup::default() {
            return None;
        }
        let has_view = setup.is_first || setup.perturbation.is_some();
        let view = has_view.then(|| {
            let perturbation = setup.perturbation.clone();
            View::new(cloud, perturbation, scenario.calm_at)
        });
        Some(Self {
            view,
            calls: fail_one_call(cloud, scenario.calm_at, setup.failed_call),
            failed_call: setup.failed_call,
            disk: None,
            ends: RefCell::default(),
        })
    }

    /// Gives the only installation a real state directory, if the setup asks for one.
    pub(crate) fn install(
        &mut self,
        setup: &Setup,
        parts: &SharedParts,
        installations: &mut [Installation],
    ) {
        if let ([installation], true) = (installations, setup.on_disk) {
            let plan = (setup.is_first, setup.trouble);
            let disk = StateDisk::new(plan, &installation.ledger, parts);
            installation.disk = Some(Rc::clone(&disk));
            self.disk = Some(disk);
        }
    }

    /// Records the end state of all images.
    pub(crate) fn settled(&self, parts: &SharedParts, installations: &[Installation]) {
        let inventories = match (&self.disk, installations) {
            (Some(disk), _) => disk.inventories(),
            (None, [installation]) => Some(
                installation
                    .ledger
                    .scopes
                    .borrow()
                    .values()
                    .cloned()
                    .collect(),
            ),
            (None, _) => None,
        };
        let inventories: Vec<Inventory> = inventories.unwrap_or_default();
        let (scenario, cloud) = (&parts.scenario, &parts.cloud);
        // A process without permission to read cannot tell who owns a share if the reply to its own SHARE is lost.
        let denied = CallFailure::Refused(DENIED);
        let was_blind = self.failed_call.is_some_and(|failed| failed.how == denied);
        let forgotten = forgotten(scenario, cloud, &inventories);
        for id in forgotten.iter().filter(|_| !was_blind) {
            let what = format!("S9: {id} is shared by this installation, which has forgotten it");
            parts.checker.violate(what);
        }
        for id in claimed(scenario, cloud, &inventories) {
            let what = format!("S10: {id} is not a share of this installation, which has it so");
            parts.checker.violate(what);
        }
        let shared = scenario.images.iter();
        let shared = shared.map(|image| (image.id(), cloud.is_shared(image.region(), &image.id())));
        let images = inventories.iter().flat_map(|inventory| &inventory.images);
        let mut ends = self.ends.borrow_mut();
        ends.shared = shared.collect();
        let probable = images.filter(|(_, entry)| {
            let owned = entry.owned.as_ref();
            owned.is_some_and(|owned| owned.ownership == OwnershipState::Probable)
        });
        ends.probable = probable.map(|(image, _)| image.to_string()).collect();
        let chanced = scenario.events.iter().filter_map(|event| match event.what {
            What::Vanish(image) => Some(scenario.images[image].id()),
            What::Use(image) => {
                let id = scenario.images[image].id();
                let is_used = cloud
                    .instances
                    .borrow()
                    .iter()
                    .any(|instance| instance.blueprint.starts_with(&format!("lhbp-{id}")));
                (!is_used).then_some(id)
            }
            _ => None,
        });
        ends.chanced = chanced.collect();
    }

    pub(crate) fn into_notes(self) -> Notes {
        let (view, disk) = (&self.view, &self.disk);
        let calls = self.calls.get();
        let has_failed = |failed: FailedCall| failed.number < calls;
        Notes {
            points: view.as_ref().map(|view| view.points()).unwrap_or_default(),
            operations: disk
                .as_ref()
                .map(|disk| disk.operations())
                .unwrap_or_default(),
            is_reached: view.as_ref().is_none_or(|view| view.is_reached())
                && disk.as_ref().is_none_or(|disk| disk.is_reached())
                && self.failed_call.is_none_or(has_failed),
            calls,
            ..self.ends.into_inner()
        }
    }
}

/// The images that this installation has shared according to the cloud, but that neither an inventory nor an open
/// intent has.
pub(crate) fn forgotten(
    scenario: &Scenario,
    cloud: &Cloud,
    inventories: &[Inventory],
) -> Vec<String> {
    let is_known = |id: &str| {
        inventories.iter().any(|inventory| {
            let mut owned = inventory.images.iter();
            let mut open = inventory.open_intents.keys();
            owned.any(|(image, entry)| image.as_str() == id && entry.owned.is_some())
                || open.any(|image| image.as_str() == id)
        })
    };
    let images = scenario.images.iter().filter(|image| {
        let id = image.id();
        let (_, shared, ours) = cloud.last_change(image.region(), &id);
        shared && ours && !cloud.deleted.borrow().contains(&id) && !is_known(&id)
    });
    images.map(|image| image.id()).collect()
}

/// The images that an inventory claims as surely shared by this installation, but that are not according to the cloud.
fn claimed(scenario: &Scenario, cloud: &Cloud, inventories: &[Inventory]) -> Vec<String> {
    let images = inventories.iter().flat_map(|inventory| &inventory.images);
    let certain = images.filter(|(_, entry)| {
        let owned = entry.owned.as_ref();
        owned.is_some_and(|owned| owned.ownership == OwnershipState::Acknowledged)
    });
    let certain: BTreeSet<&str> = certain.map(|(image, _)| image.as_str()).collect();
    let images = scenario.images.iter().filter(|image| {
        let id = image.id();
        let (_, shared, ours) = cloud.last_change(image.region(), &id);
        certain.contains(&*id) && !(shared && ours) && !cloud.deleted.borrow().contains(&id)
    });
    images.map(|image| image.id()).collect()
}

/// Counts the calls that leave before the given second, and makes one of them fail.
pub(crate) fn fail_one_call(
    cloud: &Rc<Cloud>,
    until: u64,
    failed: Option<FailedCall>,
) -> Rc<Cell<usize>> {
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let mut behaviour = cloud.behaviour.borrow_mut();
    let before = std::mem::replace(
        &mut behaviour.disruption,
        Box::new(|_| Disruption::default()),
    );
    behaviour.disruption = Box::new(move |call| {
        let mut disruption = before(call);
        if call.at.since_start() >= seconds(until) {
            return disruption;
        }
        let number = counted.get();
        counted.set(number + 1);
        let how = failed.filter(|failed| failed.number == number);
        match how.map(|failed| failed.how) {
            Some(CallFailure::Fault(fault)) => disruption.fault = Some(fault),
            Some(CallFailure::Refused(code)) => disruption.refused = Some(code),
            None => {}
        }
        disruption
    });
    calls
}
