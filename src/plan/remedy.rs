//! What a person can do about a blueprint, by its observed state and the API's answers. All these texts are in one place.

use crate::api::error::Hint;
use crate::attempts::{Problem, UnmetCondition};
use crate::model::ShareState;
use crate::observation::{Blueprint, Unusable};

const DELETE: &str = "delete the blueprint in the Lighthouse console or with DeleteBlueprints";

/// How to remove a blueprint that no server can be started from. Of these states, DeleteBlueprints accepts only a failed
/// or isolated blueprint.
const fn removal(why: Unusable) -> &'static str {
    match why {
        Unusable::CreateFailed | Unusable::SyncingFailed => DELETE,
        Unusable::Isolated => {
            "look up in the console why it is isolated, for example because of an overdue payment; otherwise delete the blueprint there or with DeleteBlueprints"
        }
        Unusable::Isolating => {
            "look up in the console why it is being isolated, for example because of an overdue payment; once it is ISOLATED, the blueprint can be deleted"
        }
        Unusable::Offline => {
            "it cannot be deleted while it is OFFLINE: ask the vendor's support for the reason, and give the blueprint's id"
        }
    }
}

/// The image is shared as desired, but no server can be started from it.
pub(super) fn unusable(blueprint: &Blueprint, why: Unusable) -> Problem {
    let (id, state, removal) = (&blueprint.id, why.as_str(), removal(why));
    let then = match why {
        Unusable::Offline | Unusable::Isolating => "",
        _ => "; once it is gone, sharekeeper shares the image again",
    };
    Problem::unmet(
        UnmetCondition::Usable,
        format!(
            "shared as {id}, which is {state}, so no server can be started from it ({removal}{then})"
        ),
    )
}

/// The image is shared as a policy wants it, but its blueprint is not reliable.
pub(super) fn broken(blueprint: Option<&Blueprint>, why: &str) -> Problem {
    let id = blueprint.map_or("a blueprint", |blueprint| &blueprint.id);
    Problem::unmet(
        UnmetCondition::Usable,
        format!(
            "shared as {id}, and {why}: check in the Lighthouse console whether servers can be started from it; if not, {DELETE}, \
             and sharekeeper shares the image again"
        ),
    )
}

/// The image is shared as desired, but no server can be started from it yet.
pub(super) fn syncing(blueprint: &Blueprint) -> Problem {
    let id = &blueprint.id;
    Problem::new(format!("shared; not ready yet: {id} is SYNCING"))
}

/// CANCEL was acknowledged long ago, but an unusable blueprint still exists.
pub(super) fn left_over(
    blueprint: &Blueprint,
    why: Unusable,
    request_id: Option<String>,
) -> Problem {
    let (id, state, removal) = (&blueprint.id, why.as_str(), removal(why));
    Problem {
        request_id,
        ..Problem::unmet(
            UnmetCondition::Leftover,
            format!("the API accepted CANCEL, but {id} is left over and is {state} ({removal})"),
        )
    }
}

/// The API repeats one answer, but the observation shows the opposite.
pub(super) fn contradicted(
    problem: &Problem,
    times: u32,
    towards: ShareState,
    shown: Option<&Blueprint>,
) -> Problem {
    let code = problem.code.as_deref().unwrap_or_default();
    let (unmet, message) = match (Hint::of(code), towards, shown) {
        (Hint::NoImage, ShareState::Unshared, Some(shown)) => (
            Some(UnmetCondition::Leftover),
            format!(
                "{problem}, but it shows as {}: the blueprint is left over from a deleted image, or belongs to another account \
                 (the manifest is right: {DELETE}; if it belongs to another account, no manifest should name its image)",
                shown.id
            ),
        ),
        (Hint::NoImage, ShareState::Unshared, None) => (
            Some(UnmetCondition::Leftover),
            format!(
                "{problem}; sharekeeper shared it, so its blueprint may be left over, but reading is denied (the manifest is right: \
                 {DELETE}, or allow lighthouse:DescribeBlueprints for this key in CAM)"
            ),
        ),
        (Hint::NotShared, ShareState::Unshared, Some(shown)) => {
            let removal = match &shown.state {
                crate::observation::BlueprintState::Unusable(why) => removal(*why),
                _ => DELETE,
            };
            (
                Some(UnmetCondition::Leftover),
                format!(
                    "{problem}, but it shows as {}: the blueprint is left over (the manifest is right: {removal})",
                    shown.id
                ),
            )
        }
        _ => (
            problem.unmet,
            format!(
                "{problem}; the answer was the same {times} times, and the image is not in the desired state (if the code does not \
                 show what to fix, ask the vendor's support and give the RequestId)"
            ),
        ),
    };
    Problem {
        message,
        unmet,
        ..problem.clone()
    }
}
