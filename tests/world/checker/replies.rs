//! Learns from each reply what its process and its installation know from then on.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta};
use serde_json::Value;
use sharekeeper::host::{Clock, Reply, TransportError};
use sharekeeper::model::Permission;

use super::{Checker, Departure, MODIFY};
use crate::books::Books;
use crate::listing::Listing;
use crate::manifests::account_of_key;
use crate::observations::Completed;
use crate::scenario::{Mode, REGIONS};

impl Checker {
    /// An installation received a complete list of a scope. `is_kept` says whether it keeps what the list shows.
    fn listed(
        &self,
        books: &RefCell<BTreeMap<(usize, usize, usize), Books>>,
        call: &Departure,
        listing: &Listing,
        is_kept: bool,
    ) {
        let region = REGIONS.iter().position(|region| *region == call.region);
        let (Some(account), Some(region)) = (account_of_key(&call.key), region) else {
            return;
        };
        let shown = listing.all_shown();
        let shown = shown.filter_map(|(image, blueprint)| {
            let index = self.images.get(image)?;
            Some((*index, blueprint))
        });
        let shown: BTreeMap<_, _> = shown.collect();
        let mut books = books.borrow_mut();
        let books = books.entry((call.installation, account, region));
        let books = books.or_default();
        books.showed(shown.keys().copied().collect());
        if is_kept {
            books.listed(listing.began, &shown);
        }
    }

    /// The image to which a blueprint id belongs.
    pub(super) fn image_of(&self, blueprint: &str) -> Option<String> {
        let id = blueprint.trim_start_matches("lhbp-");
        // The id of an image's first share has no number, and later ones have one.
        let plain = id.rsplit_once('-').map_or(id, |(image, _)| image);
        let mut known = [id, plain].into_iter();
        let known = known.find(|id| self.images.contains_key(*id))?;
        Some(known.to_owned())
    }

    /// The answer to a call arrives.
    pub(crate) fn replied(&self, number: usize, reply: &Result<Reply, TransportError>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let call = &state.departures[number];
        let now = self.cloud.monotonic();
        let body = reply.as_ref().ok();
        let body = body.and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok());
        state.record.came(number, now, reply);
        let date = reply.as_ref().ok().and_then(|reply| reply.date.as_deref());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            // The server sent the date after the call left, and the date has whole seconds.
            let high = date.to_utc() - self.cloud.now() + TimeDelta::seconds(1);
            let took = TimeDelta::from_std(now.since(call.at)).expect("a few seconds");
            let ahead = (high - TimeDelta::seconds(1), high + took);
            let at = (call.key.clone(), call.host.clone());
            state.processes[call.process].api_ahead.insert(at, ahead);
        }
        let response = body
            .map(|mut body| body["Response"].take())
            .unwrap_or_default();
        let is_good = response.is_object() && response.get("Error").is_none();
        let is_full = state.ledger(call.installation).full.get();
        let process = &mut state.processes[call.process];
        process.refusals.replied(call, &response, now);
        if self.scenario.has_documents()
            && let Completed::Region(place, observation) =
                process.observations.replied(call, &response)
            && let Some((since, manifests)) = process.loaded.last()
        {
            let is_kept = self.keeps_all
                && process.mode == Mode::Reconcile
                && *since < observation.began
                && !manifests.is_partial;
            let memory = state.memories.entry(call.installation).or_default();
            let entries = manifests.entries(place.0, place.1);
            memory.observed((place, call.process), observation, &entries, is_kept);
        }
        if response["Error"]["Code"] == "RequestLimitExceeded" {
            // A throttled call does not count: the product has its own delay for it, and asks again.
            let _ = process.outage.1.pop_back();
            let image = call.body["ImageId"].as_str();
            let index = image.and_then(|image| self.images.get(image));
            let written = index.and_then(|index| process.written.get_mut(index));
            let _ = written.and_then(VecDeque::pop_back);
        }
        if is_good {
            process.outage = (None, VecDeque::new());
        }
        match call.action.as_str() {
            MODIFY => {
                let id = call.body["ImageId"].as_str().expect("an id");
                process.in_flight.remove(id);
                if matches!(reply, Err(TransportError::Lost(_))) {
                    process.lost.insert(id.to_owned(), now);
                }
                if is_good && response.get("RequestId").is_some() {
                    let key = (call.installation, id.to_owned());
                    let permission = match call.body["Permission"].as_str() {
                        Some("SHARE") => Permission::Share,
                        _ => Permission::Cancel,
                    };
                    state.acknowledged.insert(key, permission);
                    let blueprint = response["BlueprintId"].as_str();
                    if let Some(blueprint) = blueprint {
                        let owned = (call.installation, blueprint.to_owned());
                        state.owned.insert(owned);
                    }
                    if let Some(&index) = self.images.get(id) {
                        let image = &self.scenario.images[index];
                        let scope = (call.installation, image.account, image.region);
                        let books = state.books.get_mut().entry(scope).or_default();
                        books.acknowledged(index, permission, blueprint, now);
                    }
                }
            }
            "DescribeBlueprints" => {
                if let Some(ids) = call.body.get("BlueprintIds") {
                    let image = |id: &Value| self.image_of(id.as_str()?);
                    let ids = ids.as_array().expect("a list").iter();
                    let asked = ids.filter_map(image).map(|image| (image, call.at));
                    process.asked.extend(asked.filter(|_| is_good));
                    return;
                }
                let scope = (call.key.clone(), call.region.clone());
                let offset = call.body["Offset"].as_u64().unwrap_or(0);
                let listing = process.listings.get_mut(&scope);
                // The answer may belong to an earlier list, and then it is not part of this one.
                let listing = listing.filter(|listing| listing.began <= call.at);
                if let Some(listing) = listing {
                    listing.answered(offset, &response);
                    let is_kept = process.mode == Mode::Reconcile && !is_full;
                    if listing.is_complete() {
                        self.listed(&state.books, call, listing, is_kept);
                    }
                }
            }
            "DescribeImagesToShare" if !is_good => {
                let code = response["Error"]["Code"].as_str().unwrap_or_default();
                let scope = (call.key.clone(), call.region.clone());
                if code.starts_with("UnauthorizedOperation")
                    && call.body.get("ImageIds").is_some()
                    && let Some(listing) = process.listings.get_mut(&scope)
                {
                    listing.is_asking_denied = true;
                }
            }
            "DescribeImagesToShare" => {
                let ids = call.body["ImageIds"].as_array();
                let ids = ids.into_iter().flatten().filter_map(Value::as_str);
                process.asked.extend(ids.map(|id| (id.to_owned(), call.at)));
            }
            _ => {}
        }
    }
}
