//! Reads the pages of DescribeBlueprints until a listing is consistent, and turns it into an observation.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select, try_join_all};
use smol_str::SmolStr;

use super::LISTINGS_MAX;
use super::pages::{Page, Row, join, page_count};
use super::unobserved::unobserved;
use crate::api::error::CallError;
use crate::api::protocol::wire::{Action, DescribeBlueprintsReply, PAGE_LIMIT_MAX};
use crate::api::{ReadClient, retry};
use crate::host::Host;
use crate::model::{ImageId, Region, Scope};
use crate::observation::{
    Blueprint, Observation, ObservationTimes, ObservedAt, Reading, Seen, Unobserved,
};
use crate::pace::CallGroup;
use crate::words::brief;

/// An observation that takes longer than this is reported once.
const REPORTED_AFTER: Duration = Duration::from_secs(10);

/// Why a listing did not become an observation.
enum ListingError {
    /// The first page failed; its error shows whether reading is allowed at all.
    First(CallError),
    /// A later page failed. Whatever the reason, the listing is incomplete.
    Later(CallError),
    /// The pages do not fit together.
    Inconsistent(String),
}

/// Reads which images of `scope` are shared.
pub async fn observe<H: Host>(client: &ReadClient<H>, scope: &Scope) -> Observation {
    observe_dated(client, scope, &|_| {}).await.0
}

/// Reads which images of `scope` are shared, and when each was seen. `tell` is called once if the observation takes
/// long.
pub async fn observe_dated<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    tell: &dyn Fn(Reading),
) -> (Observation, ObservationTimes) {
    let host = &client.context().host;
    let group = client.call_group(Action::DescribeBlueprints, scope.region);
    let progress = ListingProgress::default();
    let observing = pin!(list_until_consistent(client, scope, &group, &progress));
    let patience = pin!(host.sleep_until(host.monotonic() + REPORTED_AFTER));
    match select(observing, patience).await {
        Either::Left((seen, _)) => seen,
        Either::Right(((), observing)) => {
            tell(Reading {
                read: progress.read.get(),
                pages: progress.pages.get(),
                before: group.calls_before(),
                per_second: group.rate(),
            });
            observing.await
        }
    }
}

/// The progress of a listing.
#[derive(Default)]
struct ListingProgress {
    read: Cell<u32>,
    pages: Cell<Option<u32>>,
}

async fn list_until_consistent<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    group: &CallGroup,
    progress: &ListingProgress,
) -> (Observation, ObservationTimes) {
    let host = &client.context().host;
    let began = ObservationTimes::at(ObservedAt::new(host.monotonic(), host.now()));
    let mut listing = 1;
    let observation = loop {
        match list(client, scope.region, group, progress).await {
            Ok((rows, pages)) => {
                let seen = seen(rows);
                let times = pages.times(&seen, began.oldest);
                return (Observation::Seen(seen), times);
            }
            Err(ListingError::First(error)) => break unobserved(error),
            Err(ListingError::Later(error)) => {
                break match unobserved(error) {
                    Observation::ReadDenied(denied) => Observation::Unobserved(denied),
                    other => other,
                };
            }
            Err(ListingError::Inconsistent(how)) if listing < LISTINGS_MAX => {
                tracing::debug!(%scope, how, listing, "inconsistent listing, reading again");
                retry::pause(client.context(), listing).await;
                listing += 1;
            }
            Err(ListingError::Inconsistent(how)) => {
                break Observation::Unobserved(Unobserved {
                    reason: format!(
                        "DescribeBlueprints gave {listing} inconsistent listings: {how}"
                    ),
                    code: None,
                    request_id: None,
                    account_broken: false,
                    remedy: None,
                    is_stop: false,
                });
            }
        }
    };
    (observation, began)
}

/// A row, reduced to the needed fields. Whole rows of thousands of blueprints would hold memory that the allocator does
/// not return.
#[derive(Clone)]
struct BlueprintRow {
    id: String,
    image: Option<String>,
    state: String,
    name: String,
}

impl Row for BlueprintRow {
    const ROWS: &'static str = "blueprints";

    fn id(&self) -> &str {
        &self.id
    }
}

impl From<DescribeBlueprintsReply> for Page<BlueprintRow> {
    fn from(reply: DescribeBlueprintsReply) -> Self {
        let rows = reply
            .blueprint_set
            .into_iter()
            .map(|blueprint| BlueprintRow {
                id: blueprint.blueprint_id,
                image: blueprint.image_id,
                state: blueprint.blueprint_state.unwrap_or_default(),
                name: blueprint.blueprint_name.unwrap_or_default(),
            });
        Self {
            total: reply.total_count,
            rows: rows.collect(),
        }
    }
}

/// The time of each page's request, with the blueprints on the page.
#[derive(Default)]
struct PageTimes(Vec<(ObservedAt, Vec<SmolStr>)>);

impl PageTimes {
    fn add(&mut self, asked: ObservedAt, page: &Page<BlueprintRow>) {
        let ids = page.rows.iter().map(|row| brief(&row.id).into());
        self.0.push((asked, ids.collect()));
    }

    /// When each image was seen.
    fn times(self, seen: &Seen, began: ObservedAt) -> ObservationTimes {
        let asked = self.0.iter().map(|(asked, _)| *asked);
        let oldest = asked.reduce(ObservedAt::earlier).unwrap_or(began);
        let by_id = self.0.iter().flat_map(|(asked, ids)| {
            let ids = ids.iter();
            ids.map(|id| (id.as_str(), *asked))
        });
        let by_id: HashMap<&str, ObservedAt> = by_id.collect();
        let images = seen.shared.iter().filter_map(|(image, blueprint)| {
            let asked = by_id.get(blueprint.id.as_str())?;
            Some((image.clone(), *asked))
        });
        ObservationTimes {
            oldest,
            images: images.collect(),
        }
    }
}

async fn list<H: Host>(
    client: &ReadClient<H>,
    region: Region,
    group: &CallGroup,
    progress: &ListingProgress,
) -> Result<(Vec<BlueprintRow>, PageTimes), ListingError> {
    // A listing that waits for its permit counts as one queued call.
    let wait_to_start = async |pages| {
        let context = client.context();
        let _waits = context
            .calls
            .enqueue(Action::DescribeBlueprints, context.host.monotonic());
        group.wait_to_start(pages).await;
    };
    let page = async |offset| {
        let ask = || client.describe_blueprints(region, offset, Some(group.call(offset)));
        let answered = client
            .repeat(Action::DescribeBlueprints, region, ask)
            .await?;
        group.call_done();
        progress.read.set(progress.read.get() + 1);
        Ok((answered.asked, Page::from(answered.reply)))
    };
    progress.read.set(0);
    wait_to_start(1).await;
    let (asked, first) = page(0).await.map_err(ListingError::First)?;
    let pages = page_count(first.total).map_err(ListingError::Inconsistent)?;
    progress.pages.set(Some(pages));
    if pages > 1 {
        wait_to_start(pages - 1).await;
    }
    let rest = (1..pages).map(|n| page(n * PAGE_LIMIT_MAX));
    let rest = try_join_all(rest).await.map_err(ListingError::Later)?;
    let mut dated = PageTimes::default();
    dated.add(asked, &first);
    rest.iter()
        .for_each(|(asked, page)| dated.add(*asked, page));
    let rest = rest.into_iter().map(|(_, page)| page);
    let rows = join(std::iter::once(first).chain(rest).collect());
    Ok((rows.map_err(ListingError::Inconsistent)?, dated))
}

/// Whether the blueprint is being deleted, so that it no longer shares its image.
pub(super) fn is_leaving(state: &str) -> bool {
    matches!(state, "DELETING" | "DESTROYING")
}

/// Keeps the blueprints that were shared from a CVM image. One without an image id was received from another account or
/// belongs to Lighthouse; an id outside the grammar cannot be named by any manifest.
fn seen(rows: Vec<BlueprintRow>) -> Seen {
    let mut shared: BTreeMap<ImageId, Blueprint> = BTreeMap::new();
    let mut doubled: BTreeMap<ImageId, Vec<SmolStr>> = BTreeMap::new();
    for row in rows {
        let Some(image) = row.image.as_deref().and_then(|id| ImageId::new(id).ok()) else {
            continue;
        };
        if is_leaving(&row.state) {
            continue;
        }
        let blueprint = Blueprint {
            id: brief(&row.id).into(),
            state: brief(&row.state).as_str().into(),
            name: brief(&row.name).into(),
        };
        // Several blueprints may stand for one image. The most usable one counts, because servers can be started from
        // it, whatever the states of the others. Of equally usable ones, the first counts.
        match shared.entry(image) {
            Entry::Occupied(mut known) => {
                let ids = doubled
                    .entry(known.key().clone())
                    .or_insert_with(|| vec![known.get().id.clone()]);
                ids.push(blueprint.id.clone());
                if blueprint.state < known.get().state {
                    known.insert(blueprint);
                }
            }
            Entry::Vacant(free) => {
                free.insert(blueprint);
            }
        }
    }
    Seen {
        shared,
        doubled,
        ..Seen::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, image: &str, state: &str) -> BlueprintRow {
        BlueprintRow {
            id: id.into(),
            image: Some(image.into()),
            state: state.into(),
            name: String::new(),
        }
    }

    #[test]
    fn t4_a21_the_most_usable_blueprint_of_an_image_counts() {
        let states = [
            "NORMAL",
            "",
            "BRAND_NEW",
            "SYNCING",
            "CREATEFAILED",
            "OFFLINE",
        ];
        for (better, state) in states.iter().enumerate() {
            for worse in &states[better..] {
                for (first, second) in [(state, worse), (worse, state)] {
                    let seen = seen(vec![
                        row("lhbp-1", "img-a", first),
                        row("lhbp-2", "img-a", second),
                        row("lhbp-0", "img-a", "DELETING"),
                    ]);
                    let shown = seen.shared.values().next().expect("it is shared");
                    assert_eq!(shown.state, (*state).into(), "{first} and {second}");
                }
            }
        }
        let duplicates = [
            row("lhbp-1", "img-a", "OFFLINE"),
            row("lhbp-2", "img-a", "OFFLINE"),
        ];
        let seen = seen(duplicates.to_vec());
        assert_eq!(seen.shared.values().next().expect("shared").id, "lhbp-1");
    }

    #[test]
    fn only_blueprints_that_stand_for_an_image_count() {
        let mut foreign = row("lhbp-3", "", "NORMAL");
        let seen = seen(vec![
            row("lhbp-1", "img-a", "NORMAL"),
            row("lhbp-2", "img-b", "DELETING"),
            foreign.clone(),
            {
                foreign.image = None;
                foreign
            },
            row("lhbp-5", "img-a", "ISOLATED"),
        ]);
        assert_eq!(seen.shared.len(), 1);
        assert_eq!(
            seen.shared[&ImageId::new("img-a").expect("valid")].id,
            "lhbp-1"
        );
    }

    #[test]
    fn an_image_is_doubled_while_two_blueprints_stand_for_it() {
        let doubled = |rows: &[(&str, &str)]| {
            let rows = (0..).zip(rows);
            let rows = rows.map(|(n, (image, state))| row(&format!("lhbp-{n}"), image, state));
            let doubled = seen(rows.collect()).doubled.into_keys();
            doubled.map(|id| id.to_string()).collect::<Vec<_>>()
        };
        for leaving in ["DELETING", "DESTROYING"] {
            let rows = [("img-a", "NORMAL"), ("img-a", leaving), ("img-b", leaving)];
            assert!(doubled(&rows).is_empty(), "{leaving}");
            let rows = [
                ("img-a", "NORMAL"),
                ("img-a", leaving),
                ("img-a", "OFFLINE"),
            ];
            assert_eq!(doubled(&rows), ["img-a"], "{leaving}");
        }
        for state in ["NORMAL", "SYNCING", "CREATEFAILED", "ISOLATED", "", "NEW"] {
            let rows = [("img-a", state), ("img-b", "NORMAL"), ("img-a", "NORMAL")];
            assert_eq!(doubled(&rows), ["img-a"], "{state}");
        }
        let foreign = [
            ("", "NORMAL"),
            ("", "NORMAL"),
            ("x y", "NORMAL"),
            ("x y", "NORMAL"),
        ];
        assert!(doubled(&foreign).is_empty(), "they stand for no image");
    }
}
