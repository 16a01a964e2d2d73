//! The survey of an account's own images for commands: the images and the blueprints of each region, without regard to
//! manifests.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::import::AccountListing;
use crate::api::ReadClient;
use crate::host::Host;
use crate::listing;
use crate::model::{Scope, Selector};
use crate::observation::{Observation, OwnImages};

/// A scope, as far as it was observed.
pub(super) struct SurveyedScope<'l, H> {
    pub(super) scope: Scope,
    pub(super) client: &'l ReadClient<H>,
    /// The shared images, as observed.
    pub(super) observation: Observation,
    pub(super) own: OwnImages,
}

/// Lists images and blueprints of the selected regions, each account's regions once. `within` limits this to some
/// scopes, if given.
pub(super) async fn survey<'l, H: Host>(
    listings: &'l [AccountListing<H>],
    selector: &Selector,
    within: Option<&BTreeSet<Scope>>,
) -> Vec<SurveyedScope<'l, H>> {
    let scopes = listings.iter().flat_map(|listing| {
        listing.regions.iter().map(|&region| {
            let account = listing.name.clone();
            (Scope { account, region }, &listing.client)
        })
    });
    let asked = scopes.filter(|(scope, _)| {
        selector.reaches(scope) && within.is_none_or(|within| within.contains(scope))
    });
    let seen = asked.map(async |(scope, client)| {
        let observation = listing::observe(client, &scope).await;
        let own = listing::own_images(client, &scope).await;
        SurveyedScope {
            scope,
            client,
            observation,
            own,
        }
    });
    join_all(seen).await
}
