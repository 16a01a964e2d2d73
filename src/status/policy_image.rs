//! Images that policies leave as they are. They have no decision, but a person wants to know why nothing happens to them.

use std::sync::Arc;

use crate::model::{ImageId, ImageName, Timestamp};
use crate::plan::Plan;
use crate::resolve::ResolvedVerdict;

/// An image that a policy keeps, leaves alone or lets wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyImage {
    pub id: ImageId,
    pub name: Option<ImageName>,
    /// Word of the verdict, such as `kept`.
    pub verdict: &'static str,
    /// The reason, where there is more to say than the word and the time.
    pub reason: Option<Arc<str>>,
    /// When the verdict ends by itself, if a time is known.
    pub until: Option<Timestamp>,
}

/// The images of a plan that policies leave as they are, in order of their ids.
pub(super) fn of_plan(plan: &Plan) -> Vec<PolicyImage> {
    let images = plan.resolution.images.iter();
    let at_rest = images.filter_map(|(id, image)| {
        let reason = match &image.verdict {
            ResolvedVerdict::Kept(why)
            | ResolvedVerdict::Waiting(why)
            | ResolvedVerdict::Ineligible(why)
            | ResolvedVerdict::Broken(why)
            | ResolvedVerdict::Excluded(why) => Some(Arc::clone(why)),
            ResolvedVerdict::Overlap(_) | ResolvedVerdict::Soaking(_) => None,
            _ => return None,
        };
        Some(PolicyImage {
            id: id.clone(),
            name: image.name.clone(),
            verdict: image.verdict.word(),
            reason,
            until: image.verdict.until(),
        })
    });
    at_rest.collect()
}
