//! Asks again, by id, about images that were observed a while ago and will be written soon.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::blueprints::is_leaving;
use super::eligibility::judge;
use crate::api::ReadClient;
use crate::api::error::{CallError, Class};
use crate::api::protocol::wire::{self, Action, CustomImage, PAGE_LIMIT_MAX};
use crate::host::Host;
use crate::model::{ImageId, Scope};
use crate::observation::{Eligibility, ObservedAt};
use crate::words::brief;

/// The answer to a recheck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecheckAnswer {
    /// When the answer was requested.
    pub asked: ObservedAt,
    /// The images that are unchanged: still shared for a CANCEL, still shareable for a SHARE.
    pub still: BTreeSet<ImageId>,
}

/// Why it is not known whether images are unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// One line for a person.
    pub why: String,
    /// Whether the key may not make this call, so that asking again is pointless.
    pub is_denied: bool,
}

/// Which images are still shared as the blueprint that the observation showed. Takes up to 100 images.
pub async fn still_shared<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    images: &BTreeMap<ImageId, SmolStr>,
) -> Result<RecheckAnswer, Unanswered> {
    debug_assert!(images.len() <= PAGE_LIMIT_MAX as usize);
    let ids: Vec<_> = images.values().map(ToString::to_string).collect();
    let ask = || client.describe_blueprints_by_id(scope.region, ids.clone());
    let answered = client
        .repeat(Action::DescribeBlueprints, scope.region, ask)
        .await;
    let answered = answered.map_err(|error| failed("DescribeBlueprints", &error))?;
    let reply = answered.reply;
    let shown = reply.blueprint_set.iter();
    let shown = shown.map(|row| row.blueprint_id.as_str());
    is_answer("DescribeBlueprints", reply.total_count, shown, |id| {
        ids.iter().any(|asked| asked == id)
    })
    .map_err(Unanswered::of_answer)?;
    let rows = reply.blueprint_set.iter();
    let rows = rows.map(|row| (row.blueprint_id.as_str(), row));
    let rows: BTreeMap<&str, &wire::Blueprint> = rows.collect();
    let is_still_shared = |image: &ImageId, blueprint: &SmolStr| {
        rows.get(blueprint.as_str()).is_some_and(|row| {
            row.image_id.as_deref() == Some(image.as_str())
                && !is_leaving(row.blueprint_state.as_deref().unwrap_or_default())
        })
    };
    let still = images.iter();
    let still = still.filter(|(image, blueprint)| is_still_shared(image, blueprint));
    Ok(RecheckAnswer {
        asked: answered.asked,
        still: still.map(|(image, _)| image.clone()).collect(),
    })
}

/// Which images can still be shared and have not been shared by somebody else. Takes up to 100 images.
pub async fn still_shareable<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    images: &[ImageId],
) -> Result<RecheckAnswer, Unanswered> {
    debug_assert!(images.len() <= PAGE_LIMIT_MAX as usize);
    let ask = || client.describe_images(scope.region, images, None);
    let answered = client
        .repeat(Action::DescribeImagesToShare, scope.region, ask)
        .await;
    let answered = answered.map_err(|error| failed("DescribeImagesToShare", &error))?;
    let rows: &[CustomImage] = &answered.reply.image_set;
    let shown = rows.iter().map(|row| row.image_id.as_str());
    let total = answered.reply.total_count;
    is_answer("DescribeImagesToShare", total, shown, |id| {
        images.iter().any(|asked| asked.as_str() == id)
    })
    .map_err(Unanswered::of_answer)?;
    let judged = judge(images, rows).into_iter();
    let still = judged.filter(|(_, eligibility)| *eligibility == Eligibility::Shareable);
    Ok(RecheckAnswer {
        asked: answered.asked,
        still: still.map(|(image, _)| image).collect(),
    })
}

fn failed(action: &str, error: &CallError) -> Unanswered {
    let is_denied = matches!(error, CallError::Refused(refusal)
        if refusal.class == Class::ScopeBlocked && !refusal.is_of_region());
    Unanswered {
        why: format!("{action} by id: {error}"),
        is_denied,
    }
}

impl Unanswered {
    /// The answer does not match the question.
    fn of_answer(why: String) -> Self {
        Self {
            why,
            is_denied: false,
        }
    }
}

/// Checks that an answer matches the question: it has as many rows as its count says, each was asked for, and none
/// comes twice.
fn is_answer<'r>(
    action: &str,
    total: u64,
    shown: impl Iterator<Item = &'r str>,
    is_asked: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let (mut distinct, mut rows) = (BTreeSet::new(), 0);
    for id in shown {
        if !is_asked(id) {
            let id = brief(id);
            return Err(format!(
                "{action} by id answered about {id}, which was not asked for"
            ));
        }
        rows += 1;
        distinct.insert(id);
    }
    if total != rows || distinct.len() as u64 != rows {
        let distinct = distinct.len();
        return Err(format!(
            "{action} by id gave {rows} rows, of which {distinct} are distinct, and TotalCount {total}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_s4_an_answer_that_does_not_add_up_is_none() {
        let asked = |id: &str| matches!(id, "a" | "b" | "c");
        let judged = |total, shown: &[&'static str]| {
            is_answer("Describe", total, shown.iter().copied(), asked).is_ok()
        };
        assert!(judged(0, &[]));
        assert!(judged(2, &["a", "c"]), "what is gone is not shown");
        assert!(!judged(3, &["a", "c"]), "a row is missing");
        assert!(!judged(1, &["a", "c"]), "a row is too many");
        assert!(!judged(2, &["a", "a"]), "one of them twice");
        assert!(!judged(2, &["a", "x"]), "not asked for");
    }
}
