//! Warnings of a plan: points that a person should check, although no change is withheld because of them.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::inputs::Inputs;
use super::result::{Decision, Plan, UndocumentedState, Verdict};
use crate::model::{Cause, ImageId, ShareState};
use crate::observation::BlueprintState;
use crate::words::{first_of, plural};

/// The images that count as not shared, although the API never confirmed it.
pub(super) fn presumed_unshared(
    inputs: &Inputs<'_>,
    decisions: &BTreeMap<ImageId, Decision>,
) -> BTreeSet<ImageId> {
    let word = |image| inputs.inventory.images.get(image)?.last_answer;
    let by_word = decisions
        .iter()
        .filter(|(_, decision)| decision.is_by_word());
    let presumed = by_word.filter(|(image, _)| word(image).is_some_and(|word| word.presumed));
    presumed.map(|(image, _)| image.clone()).collect()
}

/// The instances that use an image which a manifest declares `unshared` and which is about to be cancelled. Here the
/// author of the manifest has decided; an expiry date decides without a person, so it is withheld.
pub(super) fn declared_in_use(
    inputs: &Inputs<'_>,
    decisions: &BTreeMap<ImageId, Decision>,
) -> BTreeMap<ImageId, Vec<SmolStr>> {
    let cancels = decisions.iter().filter(|(_, decision)| {
        decision.verdict == Verdict::Act
            && decision.desired == ShareState::Unshared
            && decision.cause == Cause::Declared
    });
    let used = cancels.filter_map(|(image, _)| Some((image.clone(), inputs.users_of(image)?)));
    used.collect()
}

/// Blueprints in an undocumented state, for images that are shared as desired.
pub(super) fn undocumented_states(
    inputs: &Inputs<'_>,
    decisions: &BTreeMap<ImageId, Decision>,
) -> BTreeMap<ImageId, UndocumentedState> {
    let states = inputs.shown().iter().filter_map(|(image, shown)| {
        let BlueprintState::Unknown(state) = &shown.state else {
            return None;
        };
        let decision = decisions.get(image)?;
        let state = UndocumentedState {
            blueprint: shown.id.clone(),
            state: state.clone(),
        };
        (decision.desired == ShareState::Shared).then(|| (image.clone(), state))
    });
    states.collect()
}

impl Plan {
    /// Warnings that block nothing: shares in undocumented states, which count as usable, and images that are only
    /// presumed not to be shared.
    pub fn warnings(&self) -> Vec<String> {
        let mut states: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (image, UndocumentedState { blueprint, state }) in &self.undocumented_states {
            let images = states.entry(state).or_default();
            images.push(format!("{image} as {blueprint}"));
        }
        let warnings = states.into_iter().map(|(state, images)| {
            let what = match state {
                "" => "without a state".to_owned(),
                state => format!("in state {state}, which is not documented"),
            };
            format!(
                "{}: shared, with a blueprint {what}: {}; it counts as shared; check that servers can be started from it",
                self.scope,
                first_of(&images)
            )
        });
        let mut warnings: Vec<_> = warnings.collect();
        warnings.extend(self.in_use.iter().map(|(image, instances)| {
            let ids: Vec<_> = instances.iter().map(ToString::to_string).collect();
            format!(
                "{}: {image} is declared unshared, but {} use it: {}; the effect of a CANCEL on them is not documented",
                self.scope,
                plural(ids.len() as u64, "instance"),
                first_of(&ids)
            )
        }));
        let resolution_warnings = self.resolution.warnings.iter();
        warnings.extend(resolution_warnings.map(|warning| format!("{}: {warning}", self.scope)));
        if !self.presumed_unshared.is_empty() {
            let images: Vec<_> = self
                .presumed_unshared
                .iter()
                .map(ToString::to_string)
                .collect();
            warnings.push(format!(
                "{}: counted as not shared, because each CANCEL failed twice in the same way, sharekeeper never shared them and \
                 reading is denied: {}; allow lighthouse:DescribeBlueprints for this key in CAM, or check in the console",
                self.scope,
                first_of(&images)
            ));
        }
        warnings
    }
}
