//! What a person can do about a blueprint, by the state that is seen and what was answered: the texts, in one place.

use crate::api::error::Hint;
use crate::attempts::{Problem, UnmetCondition};
use crate::model::ShareState;
use crate::observation::{Blueprint, Unusable};

const DELETE: &str = "delete the blueprint in the Lighthouse console or with DeleteBlueprints";

/// How a blueprint goes that no server can be started from. DeleteBlueprints takes one that failed or is isolated, and no
/// other of these.
const fn way_out(why: Unusable) -> &'static str {
    match why {
        Unusable::CreateFailed | Unusable::SyncingFailed => DELETE,
        Unusable::Isolated => {
            "see in the console why it is isolated, such as an overdue payment; else delete the blueprint there or with DeleteBlueprints"
        }
        Unusable::Isolating => {
            "see in the console why it goes out of use, such as an overdue payment; once it is ISOLATED, the blueprint can be deleted"
        }
        Unusable::Offline => {
            "it cannot be deleted while it is OFFLINE: ask the vendor's support why it is, with the blueprint's id"
        }
    }
}

/// The image is shared as it should be, and no server can be started from it.
pub(super) fn unusable(blueprint: &Blueprint, why: Unusable) -> Problem {
    let (id, state, way) = (&blueprint.id, why.as_str(), way_out(why));
    let then = match why {
        Unusable::Offline | Unusable::Isolating => "",
        _ => "; once it is gone, the image is shared anew",
    };
    Problem::unmet(
        UnmetCondition::Usable,
        format!(
            "shared as {id}, which is {state}, so that no server can be started from it ({way}{then})"
        ),
    )
}

/// The image is shared as a policy wants it, and what it shows as cannot be relied on.
pub(super) fn broken(blueprint: Option<&Blueprint>, why: &str) -> Problem {
    let id = blueprint.map_or("a blueprint", |blueprint| &blueprint.id);
    Problem::unmet(
        UnmetCondition::Usable,
        format!(
            "shared as {id}, and {why}: see in the Lighthouse console whether servers can be started from it; if not, {DELETE}, and \
             the image is shared anew"
        ),
    )
}

/// The image is shared as it should be, and no server can be started from it yet.
pub(super) fn syncing(blueprint: &Blueprint) -> Problem {
    let id = &blueprint.id;
    Problem::new(format!("shared; not ready yet: {id} is SYNCING"))
}

/// CANCEL was acknowledged long ago, and a blueprint that no server can be started from is still there.
pub(super) fn left_over(
    blueprint: &Blueprint,
    why: Unusable,
    request_id: Option<String>,
) -> Problem {
    let (id, state, way) = (&blueprint.id, why.as_str(), way_out(why));
    Problem {
        request_id,
        ..Problem::unmet(
            UnmetCondition::Leftover,
            format!("the API accepted CANCEL, and {id} is left over, which is {state} ({way})"),
        )
    }
}

/// One answer keeps coming, and what is seen says the opposite.
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
                "{problem}, and yet it shows as {}: a blueprint that is left over from an image that was deleted, or another account's \
                 (the manifest is right: {DELETE}; if it is another account's, no manifest should name its image)",
                shown.id
            ),
        ),
        (Hint::NoImage, ShareState::Unshared, None) => (
            Some(UnmetCondition::Leftover),
            format!(
                "{problem}; sharekeeper has shared it, so that its blueprint may be left over, and reading is denied (the manifest is right: \
                 {DELETE}, or allow lighthouse:DescribeBlueprints for this key in CAM)"
            ),
        ),
        (Hint::NotShared, ShareState::Unshared, Some(shown)) => {
            let way = match &shown.state {
                crate::observation::BlueprintState::Unusable(why) => way_out(*why),
                _ => DELETE,
            };
            (
                Some(UnmetCondition::Leftover),
                format!(
                    "{problem}, and yet it shows as {}: a blueprint that is left over (the manifest is right: {way})",
                    shown.id
                ),
            )
        }
        _ => (
            problem.unmet,
            format!(
                "{problem}; the answer was the same {times} times, and the image is not as desired (if the code does not tell what to \
                 mend, ask the vendor's support, with the RequestId)"
            ),
        ),
    };
    Problem {
        message,
        unmet,
        ..problem.clone()
    }
}
