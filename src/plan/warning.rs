//! Warnings of a plan: what a person should look at, though no change is held back because of it.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::Inputs;
use super::result::{Decision, Plan, UndocumentedState};
use crate::model::{ImageId, ShareState};
use crate::observation::BlueprintState;
use crate::words::first_of;

/// What counts as not shared, though the API never said so.
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

/// Of what is shared as desired, each blueprint in a state that is not documented.
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
    /// What a person should be warned of, though nothing is in the way: shares in states that are not documented, which
    /// count as usable, and what is only presumed not to be shared.
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
                "{}: shared, with a blueprint {what}: {}; that counts as shared: check that servers can be started from it",
                self.scope,
                first_of(&images)
            )
        });
        let mut warnings: Vec<_> = warnings.collect();
        if !self.presumed_unshared.is_empty() {
            let images: Vec<_> = self
                .presumed_unshared
                .iter()
                .map(ToString::to_string)
                .collect();
            warnings.push(format!(
                "{}: taken for not shared, because each CANCEL failed twice in the same way, sharekeeper never shared them and reading is \
                 denied: {}; allow lighthouse:DescribeBlueprints for this key in CAM, or look in the console",
                self.scope,
                first_of(&images)
            ));
        }
        warnings
    }
}
