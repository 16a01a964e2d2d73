//! Judges a write in a scope whose documents name images by name and by policy, from the answers that the process
//! received.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sharekeeper::model::{Monotonic, Permission};

use super::checker::Departure;
use super::manifests::{Manifests, instant};
use super::model::{Scene, When, slack};
use super::observations::{Observations, Place, RegionObservation, RememberedFacts};
use super::scenario::Scenario;
use super::snapshot::Snapshot;
use super::support::Cloud;
use super::verdicts::Why;

/// The greatest age of the list of instances when an image is cancelled: the product keeps the list for two minutes,
/// and a write may rest on it for two more. One minute is a margin.
const INSTANCES_MAX: Duration = Duration::from_secs(300);

/// A CANCEL that was sent, and the reason that allowed it.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) at: Monotonic,
    pub(super) place: Place,
    pub(super) id: String,
    pub(super) why: Why,
}

/// A write, with everything that it is judged by.
pub(super) struct Case<'c> {
    pub(super) scenario: &'c Scenario,
    pub(super) cloud: &'c Cloud,
    /// The index of each image by its id.
    pub(super) indexes: &'c BTreeMap<String, usize>,
    pub(super) manifests: &'c Manifests,
    pub(super) observations: &'c Observations,
    pub(super) memory: &'c RememberedFacts,
    /// The images that the process has cancelled so far.
    pub(super) gone: &'c [Gone],
    pub(super) call: &'c Departure,
    pub(super) place: Place,
    pub(super) id: &'c str,
    pub(super) permission: Permission,
    /// Whether instances have used its share for so long that the process must know it.
    pub(super) is_used: bool,
    /// Whether the installation knows that the share is its own.
    pub(super) is_owned: bool,
}

impl Case<'_> {
    /// Why the write is right (`None` for a SHARE), or what each observation that it may rest on has against it.
    pub(super) fn judge(&self) -> Result<Option<Why>, String> {
        let mut why = "S2: a write without a complete observation".to_owned();
        let observations: Vec<_> = self.observations.whole(self.place).collect();
        // The first reported reason is that of the newest observation.
        for (observation, snapshot) in observations.iter().rev() {
            match self.by(observation, snapshot) {
                Ok(right) => return Ok(right),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn by(
        &self,
        observation: &RegionObservation,
        snapshot: &Snapshot,
    ) -> Result<Option<Why>, String> {
        let wall = (self.call.wall - instant(0)).num_seconds();
        let age =
            i64::try_from(self.call.at.since(observation.began).as_secs()).unwrap_or(i64::MAX);
        let since = self
            .gone
            .iter()
            .filter(|gone| gone.place == self.place && gone.at >= observation.began);
        let going: BTreeSet<_> = since.map(|gone| gone.id.clone()).collect();
        let scene = Scene {
            scenario: self.scenario,
            manifests: self.manifests,
            cloud: self.cloud,
            indexes: self.indexes,
            place: self.place,
            snapshot,
            memory: Some(self.memory),
            when: When {
                now: self.call.at,
                observed_at: observation.began,
                wall,
                observed_wall: wall - age - 1,
                slack: slack(self.scenario),
            },
            going,
        };
        if self.permission == Permission::Share {
            return scene
                .may_share(self.id, observation.is_blind())
                .map(|()| None);
        }
        if self.manifests.is_partial {
            return Err("S3: a CANCEL by manifests that are not all there".into());
        }
        let why = scene.may_cancel(self.id, observation.is_blind())?;
        self.check_bounds(&scene, observation, &why)?;
        Ok(Some(why))
    }

    /// Checks what instances use, what is not our own, and how many images are cancelled at a time.
    fn check_bounds(
        &self,
        scene: &Scene<'_>,
        observation: &RegionObservation,
        why: &Why,
    ) -> Result<(), String> {
        let rules: BTreeMap<_, _> = scene.rules().into_iter().collect();
        let of = |places: &[usize]| -> Vec<_> {
            let rules = places.iter().filter_map(|place| rules.get(place));
            rules.copied().collect()
        };
        let (rules, is_free) = match why {
            Why::Declared => return Ok(()),
            Why::Expired | Why::Pruned => (Vec::new(), false),
            Why::Retention(places) => {
                let rules = of(places);
                let is_free = rules.iter().all(|rule| rule.cancels_in_use);
                (rules, is_free)
            }
            Why::Revoked(places, force) => {
                let rules = of(places);
                let is_free = *force || rules.iter().all(|rule| rule.cancels_in_use);
                (rules, is_free)
            }
        };
        if !is_free && self.is_used {
            return Err("N6: a CANCEL of what an instance uses".into());
        }
        let listed_at = self.observations.instances_listed_at(self.place);
        let is_recent = listed_at.is_some_and(|at| self.call.at.since(at) <= INSTANCES_MAX);
        if !is_free && !is_recent {
            return Err("N6: a CANCEL without a list of instances".into());
        }
        let is_retention = matches!(why, Why::Retention(_));
        let needs_own = *why == Why::Pruned || (is_retention && rules.iter().any(|it| it.owned));
        if needs_own && !self.is_owned {
            return Err("S10: a CANCEL of a share that is not its own".into());
        }
        let (Why::Retention(places) | Why::Revoked(places, _)) = why else {
            return Ok(());
        };
        for (place, rule) in places.iter().zip(&rules) {
            let same = self.gone.iter().filter(|gone| {
                let by = match (&gone.why, is_retention) {
                    (Why::Retention(by), true) | (Why::Revoked(by, _), false) => by,
                    _ => return false,
                };
                gone.place == self.place && gone.at >= observation.began && by.contains(place)
            });
            let mut ids: BTreeSet<_> = same.map(|gone| &*gone.id).collect();
            ids.insert(self.id);
            if ids.len() > rule.max_cancels as usize {
                return Err(format!(
                    "S7: {} CANCELs by policy {place} at once",
                    ids.len()
                ));
            }
        }
        Ok(())
    }
}
