//! CLOUD → OBSERVED: pages a scope to its end, and refuses what does not add up.
//!
//! Offset pages are no snapshot. A listing counts only if every page succeeded, all agree on
//! `TotalCount`, and the distinct rows are as many; else it is read again, and after a few times the
//! scope is unseen. Knows nothing of what should be.

mod again;
mod own;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select, try_join_all};
use smol_str::SmolStr;

use crate::api::error::{CallError, Class, Refusal};
use crate::api::protocol::wire::{Action, CustomImage, DescribeBlueprintsReply, PAGE_LIMIT_MAX};
use crate::api::{ReadClient, TimedReply, retry};
use crate::host::Host;
use crate::model::{ImageId, Region, Scope};
use crate::observation::{
    Blueprint, Eligibility, Observation, Precondition, Reading, Seen, SeenAt, Sightings, Unobserved,
};
use crate::pace::CallGroup;
use crate::words::brief;

pub use again::{Again, Unanswered, still_shareable, still_shared};
pub use own::own_images;

/// Listings of one scope before it is given up as inconsistent.
const LISTINGS_MAX: u32 = 4;
/// 100,000 blueprints; an API that ignores the offset would go on for ever.
const PAGES_MAX: u32 = 1_000;

/// A look that takes longer is told of.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// Why a listing gave no observation.
enum ListError {
    /// The first page, which tells whether reading is allowed at all.
    First(CallError),
    /// A page after one that was read: whatever the reason, the listing is incomplete.
    Later(CallError),
    /// The pages do not fit together.
    Inconsistent(String),
}

/// Reads which images of `scope` are shared.
pub async fn observe<H: Host>(client: &ReadClient<H>, scope: &Scope) -> Observation {
    observe_dated(client, scope, &|_| {}).await.0
}

/// Reads which images of `scope` are shared, and how old that is. `tell` hears once of a look that takes long.
pub async fn observe_dated<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    tell: &dyn Fn(Reading),
) -> (Observation, Sightings) {
    let host = &client.context().host;
    let place = client.call_group(Action::DescribeBlueprints, scope.region);
    let so_far = SoFar::default();
    let look = pin!(look(client, scope, &place, &so_far));
    let patience = pin!(host.sleep_until(host.monotonic() + TOLD_AFTER));
    match select(look, patience).await {
        Either::Left((seen, _)) => seen,
        Either::Right(((), look)) => {
            tell(Reading {
                read: so_far.read.get(),
                pages: so_far.pages.get(),
                before: place.calls_before(),
                per_second: place.rate(),
            });
            look.await
        }
    }
}

/// How far a listing is.
#[derive(Default)]
struct SoFar {
    read: Cell<u32>,
    pages: Cell<Option<u32>>,
}

async fn look<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    place: &CallGroup,
    so_far: &SoFar,
) -> (Observation, Sightings) {
    let host = &client.context().host;
    let began = Sightings::at(SeenAt::new(host.monotonic(), host.now()));
    let mut listing = 1;
    let observation = loop {
        match list(client, scope.region, place, so_far).await {
            Ok((rows, pages)) => {
                let seen = seen(rows);
                let sightings = pages.sightings(&seen, began.oldest);
                return (Observation::Seen(seen), sightings);
            }
            Err(ListError::First(error)) => break unobserved(error),
            Err(ListError::Later(error)) => {
                break match unobserved(error) {
                    Observation::ReadDenied(denied) => Observation::Unobserved(denied),
                    other => other,
                };
            }
            Err(ListError::Inconsistent(how)) if listing < LISTINGS_MAX => {
                tracing::debug!(%scope, how, listing, "inconsistent listing, reading again");
                retry::pause(client.context(), listing).await;
                listing += 1;
            }
            Err(ListError::Inconsistent(how)) => {
                break Observation::Unobserved(Unobserved {
                    reason: format!(
                        "DescribeBlueprints gave {listing} inconsistent listings: {how}"
                    ),
                    code: None,
                    request_id: None,
                    account_broken: false,
                });
            }
        }
    };
    (observation, began)
}

/// Asks what hinders sharing `images`, 100 to a call, the calls side by side. Images of a call that
/// failed are missing from the answer: unknown, not unshareable. Each answer comes with the moment it was asked for.
pub async fn eligibility<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    images: &[ImageId],
) -> BTreeMap<ImageId, (Eligibility, SeenAt)> {
    let place = client.call_group(Action::DescribeImagesToShare, scope.region);
    let chunks = images.chunks(PAGE_LIMIT_MAX as usize);
    place
        .wait_to_start(u32::try_from(chunks.len()).unwrap_or(u32::MAX))
        .await;
    let chunks = (0..).zip(chunks).map(async |(number, ids)| {
        let ask = || client.describe_images(scope.region, ids, Some(place.call(number)));
        let reply = retry::while_it_helps(client.context(), ask).await;
        place.call_done();
        match reply {
            Ok(TimedReply { reply, asked, .. }) if reply.total_count == reply.image_set.len() as u64 && reply.image_set.len() <= ids.len() => {
                let judged = judge(ids, &reply.image_set).into_iter();
                judged.map(|(id, eligibility)| (id, (eligibility, asked))).collect()
            }
            Ok(TimedReply { reply, .. }) => {
                let (asked, total) = (ids.len(), reply.total_count);
                tracing::warn!(%scope, asked, total, "DescribeImagesToShare answered for other images than asked; going on without it");
                BTreeMap::new()
            }
            Err(error) => {
                tracing::warn!(%scope, %error, "cannot ask what hinders sharing; going on without it");
                BTreeMap::new()
            }
        }
    });
    futures_util::future::join_all(chunks)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// One page, and of its rows what is needed: the rest of thousands of rows at a time is memory that nobody gives back.
#[derive(Clone)]
struct Page {
    total: u64,
    rows: Vec<Row>,
}

/// A blueprint.
#[derive(Clone)]
struct Row {
    id: String,
    image: Option<String>,
    state: String,
    name: String,
}

impl From<DescribeBlueprintsReply> for Page {
    fn from(reply: DescribeBlueprintsReply) -> Self {
        let rows = reply.blueprint_set.into_iter().map(|blueprint| Row {
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

/// When each page was asked for, and which blueprints it shows.
#[derive(Default)]
struct Pages(Vec<(SeenAt, Vec<SmolStr>)>);

impl Pages {
    fn add(&mut self, asked: SeenAt, page: &Page) {
        let ids = page.rows.iter().map(|row| brief(&row.id).into());
        self.0.push((asked, ids.collect()));
    }

    /// How old what they show is.
    fn sightings(self, seen: &Seen, began: SeenAt) -> Sightings {
        let asked = self.0.iter().map(|(asked, _)| *asked);
        let oldest = asked.reduce(SeenAt::earlier).unwrap_or(began);
        let by_id = self.0.iter().flat_map(|(asked, ids)| {
            let ids = ids.iter();
            ids.map(|id| (id.as_str(), *asked))
        });
        let by_id: HashMap<&str, SeenAt> = by_id.collect();
        let images = seen.shared.iter().filter_map(|(image, blueprint)| {
            let asked = by_id.get(blueprint.id.as_str())?;
            Some((image.clone(), *asked))
        });
        Sightings {
            oldest,
            images: images.collect(),
        }
    }
}

async fn list<H: Host>(
    client: &ReadClient<H>,
    region: Region,
    place: &CallGroup,
    so_far: &SoFar,
) -> Result<(Vec<Row>, Pages), ListError> {
    // Of a listing that is waited for, a call stands in line.
    let wait_to_start = async |pages| {
        let context = client.context();
        let _waits = context
            .calls
            .enqueue(Action::DescribeBlueprints, context.host.monotonic());
        place.wait_to_start(pages).await;
    };
    let page = async |offset| {
        let ask = || client.describe_blueprints(region, offset, Some(place.call(offset)));
        let answered = retry::while_it_helps(client.context(), ask).await?;
        place.call_done();
        so_far.read.set(so_far.read.get() + 1);
        Ok((answered.asked, Page::from(answered.reply)))
    };
    so_far.read.set(0);
    wait_to_start(1).await;
    let (asked, first) = page(0).await.map_err(ListError::First)?;
    let total = first.total;
    let limit = u64::from(PAGE_LIMIT_MAX);
    let pages = u32::try_from(total.div_ceil(limit)).unwrap_or(u32::MAX);
    if pages > PAGES_MAX {
        return Err(ListError::Inconsistent(format!(
            "TotalCount {total} is beyond {PAGES_MAX} pages"
        )));
    }
    so_far.pages.set(Some(pages));
    if pages > 1 {
        wait_to_start(pages - 1).await;
    }
    let rest = (1..pages).map(|n| page(n * PAGE_LIMIT_MAX));
    let rest = try_join_all(rest).await.map_err(ListError::Later)?;
    let mut dated = Pages::default();
    dated.add(asked, &first);
    rest.iter()
        .for_each(|(asked, page)| dated.add(*asked, page));
    let rest = rest.into_iter().map(|(_, page)| page).collect();
    Ok((join(first, rest)?, dated))
}

/// Puts pages together if they fit.
fn join(first: Page, rest: Vec<Page>) -> Result<Vec<Row>, ListError> {
    let total = first.total;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for page in std::iter::once(first).chain(rest) {
        if page.total != total {
            let how = format!(
                "TotalCount was {total} on the first page and {} on another",
                page.total
            );
            return Err(ListError::Inconsistent(how));
        }
        rows.extend(page.rows.into_iter().map(|row| (row.id.clone(), row)));
    }
    if rows.len() as u64 != total {
        let how = format!(
            "TotalCount is {total}, but {} distinct blueprints were listed",
            rows.len()
        );
        return Err(ListError::Inconsistent(how));
    }
    Ok(rows.into_values().collect())
}

/// A blueprint on its way out no longer offers its image.
fn is_leaving(state: &str) -> bool {
    matches!(state, "DELETING" | "DESTROYING")
}

/// Blueprints without an image id were not shared from CVM (received from other accounts, or
/// Lighthouse's own); an id outside the grammar can be named by no manifest.
fn seen(rows: Vec<Row>) -> Seen {
    let mut shared: BTreeMap<ImageId, Blueprint> = BTreeMap::new();
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
            name: brief(&row.name),
        };
        // Of several blueprints for one image, the most usable one tells most: servers can be started from it whatever
        // the others are. Alike, the first of them.
        match shared.entry(image) {
            std::collections::btree_map::Entry::Occupied(mut known)
                if blueprint.state < known.get().state =>
            {
                known.insert(blueprint);
            }
            std::collections::btree_map::Entry::Occupied(_) => {}
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(blueprint);
            }
        }
    }
    Seen {
        shared,
        ..Seen::default()
    }
}

fn judge(ids: &[ImageId], rows: &[CustomImage]) -> BTreeMap<ImageId, Eligibility> {
    let by_id: BTreeMap<&str, &CustomImage> = rows
        .iter()
        .map(|row| (row.image_id.as_str(), row))
        .collect();
    let judged = ids.iter().map(|id| {
        let eligibility = match by_id.get(id.as_str()) {
            None => Eligibility::Absent,
            Some(row) if row.is_shareable => Eligibility::Shareable,
            Some(row) => Eligibility::Unshareable {
                failed: failed(row),
                reason: brief(row.unshareable_reason.as_deref().unwrap_or_default()),
            },
        };
        (id.clone(), eligibility)
    });
    judged.collect()
}

/// The preconditions that the row itself shows as failed. What it does not say is no failure.
fn failed(row: &CustomImage) -> Vec<Precondition> {
    let mut failed = Vec::new();
    if row.image_source.as_deref() == Some("EXTERNAL_IMPORT") {
        failed.push(Precondition::NotImported);
    }
    if row.image_class.as_deref() == Some("InstanceImage") {
        failed.push(Precondition::NotWholeInstance);
    }
    if row.is_support_cloudinit == Some(false) {
        failed.push(Precondition::CloudInit);
    }
    match row.image_state.as_deref() {
        None | Some("NORMAL" | "USING" | "") => {}
        Some(other) => failed.push(Precondition::Normal(brief(other))),
    }
    failed
}

fn unobserved(error: CallError) -> Observation {
    let reason = error.to_string();
    match error {
        CallError::NotSent(_) | CallError::Unclear(_) => Observation::Unobserved(Unobserved {
            reason,
            code: None,
            request_id: None,
            account_broken: false,
        }),
        CallError::AccountBroken(refusal) => Observation::Unobserved(Unobserved {
            account_broken: true,
            ..of_refusal(reason, refusal)
        }),
        CallError::Refused(refusal) => {
            let (class, of_region) = (refusal.class, refusal.is_of_region());
            let unobserved = of_refusal(reason, refusal);
            match class {
                // Not the region, which no write would reach either.
                Class::ScopeBlocked if !of_region => Observation::ReadDenied(unobserved),
                Class::AccountBlocked | Class::ClockOff => Observation::Unobserved(Unobserved {
                    account_broken: true,
                    ..unobserved
                }),
                _ => Observation::Unobserved(unobserved),
            }
        }
    }
}

fn of_refusal(reason: String, refusal: Refusal) -> Unobserved {
    Unobserved {
        reason,
        code: Some(refusal.code),
        request_id: refusal.request_id,
        account_broken: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, image: &str, state: &str) -> Row {
        Row {
            id: id.into(),
            image: Some(image.into()),
            state: state.into(),
            name: String::new(),
        }
    }

    fn page(total: u64, rows: &[Row]) -> Page {
        Page {
            total,
            rows: rows.to_vec(),
        }
    }

    #[test]
    fn a2_a3_s2_pages_that_do_not_add_up_are_no_observation() {
        let (a, b) = (
            row("lhbp-1", "img-a", "NORMAL"),
            row("lhbp-2", "img-b", "NORMAL"),
        );
        let both = page(2, &[a.clone(), b.clone()]);
        assert!(join(both, vec![]).is_ok_and(|rows| rows.len() == 2));
        let twice = page(2, &[a.clone(), a.clone()]);
        assert!(
            matches!(join(twice, vec![]), Err(ListError::Inconsistent(_))),
            "a duplicate hides a skipped row"
        );
        let fewer = page(2, std::slice::from_ref(&a));
        assert!(
            matches!(join(fewer.clone(), vec![]), Err(ListError::Inconsistent(_))),
            "a row is missing"
        );
        let changed = page(3, &[b]);
        assert!(
            matches!(join(fewer, vec![changed]), Err(ListError::Inconsistent(_))),
            "the total changed"
        );
    }

    #[test]
    fn t4_a21_of_blueprints_of_one_image_the_most_usable_counts_in_whatever_order() {
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
        let twins = [
            row("lhbp-1", "img-a", "OFFLINE"),
            row("lhbp-2", "img-a", "OFFLINE"),
        ];
        let seen = seen(twins.to_vec());
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
    fn what_an_image_fails_is_read_off_its_fields() {
        let id = ImageId::new("img-a").expect("valid");
        let good = CustomImage {
            image_id: "img-a".into(),
            image_state: Some("NORMAL".into()),
            is_support_cloudinit: Some(true),
            is_shareable: true,
            ..Default::default()
        };
        let judge_one = |row: &CustomImage| {
            judge(std::slice::from_ref(&id), std::slice::from_ref(row))[&id].clone()
        };
        assert_eq!(judge_one(&good), Eligibility::Shareable);
        let bad = CustomImage {
            is_shareable: false,
            is_support_cloudinit: Some(false),
            image_source: Some("EXTERNAL_IMPORT".into()),
            image_class: Some("InstanceImage".into()),
            image_state: Some("CREATING".into()),
            ..good
        };
        let Eligibility::Unshareable { failed, .. } = judge_one(&bad) else {
            panic!("is not shareable")
        };
        assert_eq!(failed.len(), 4);
        let silent = CustomImage {
            image_id: "img-a".into(),
            ..Default::default()
        };
        let nothing = Eligibility::Unshareable {
            failed: Vec::new(),
            reason: String::new(),
        };
        assert_eq!(
            judge_one(&silent),
            nothing,
            "c14_t2: what is not said is no failure"
        );
        assert_eq!(
            judge(std::slice::from_ref(&id), &[])[&id],
            Eligibility::Absent
        );
    }
}
