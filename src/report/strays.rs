//! Blueprints whose image is not one of the account's own, for `plan` and `reconcile`.

use serde::Serialize;

use crate::engine::ScopeOutcome;
use crate::model::Uin;
use crate::plan::Plan;
use crate::words::{first_of, plural};

/// A blueprint whose image is not one of the account's own, so that it is left alone.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StrayReport {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    image_id: String,
    image_name: Option<String>,
    blueprint_id: String,
    shared_by_sharekeeper: bool,
}

/// The strays in the plans of all scopes.
pub(super) fn strays(scopes: &[ScopeOutcome]) -> Vec<StrayReport> {
    let plans = scopes.iter().map(|scope| &scope.plan);
    plans.flat_map(strays_of).collect()
}

fn strays_of(plan: &Plan) -> impl Iterator<Item = StrayReport> {
    let strays = plan.unmanaged.strays.iter();
    strays.map(|(image, stray)| StrayReport {
        account: plan.scope.account.to_string(),
        uin: plan.uin.clone(),
        region: plan.scope.region.as_str(),
        image_id: image.to_string(),
        image_name: plan
            .resolution
            .images
            .get(image)
            .and_then(|resolved| resolved.name.as_ref().map(ToString::to_string)),
        blueprint_id: stray.blueprint.to_string(),
        shared_by_sharekeeper: stray.ours,
    })
}

/// Describes the strays for a person.
pub(super) fn described(strays: &[StrayReport]) -> String {
    let (ours, others): (Vec<_>, Vec<_>) =
        strays.iter().partition(|stray| stray.shared_by_sharekeeper);
    let named = |strays: &[&StrayReport]| {
        let names: Vec<_> = strays
            .iter()
            .map(|stray| format!("{} of {}", stray.blueprint_id, stray.image_id))
            .collect();
        first_of(&names)
    };
    let mut text = String::new();
    if !ours.is_empty() {
        text.push_str(&format!(
            "Left over: {} of deleted images that sharekeeper shared: {}. CANCEL has no effect on them; delete them in \
             the Lighthouse console or with DeleteBlueprints.\n",
            plural(ours.len() as u64, "blueprint"),
            named(&ours)
        ));
    }
    if !others.is_empty() {
        text.push_str(&format!(
            "Not this account's own images: {} of another account or left over from deleted images, never pruned: {}.\n",
            plural(others.len() as u64, "blueprint"),
            named(&others)
        ));
    }
    text
}
