//! Checks each call as it leaves a process: its pace, its host, and how many calls an outage costs.

use std::time::Duration;

use super::{Checker, Departure, MODIFY, OUTAGE, OUTAGE_CALLS_MAX, Process, State, forget};
use crate::listing::Listing;
use crate::scenario::Mode;

impl Checker {
    /// A call is sent. Returns the number that identifies its answer.
    pub(crate) fn departed(&self, call: Departure) -> usize {
        let mut state_guard = self.state.borrow_mut();
        let state = &mut *state_guard;
        let number = state.departures.len();
        let words = [&*call.key, &*call.host, &*call.region, &*call.action];
        let from = (call.at, call.process);
        state.record.left(number, from, words, &call.bytes);
        let mut found = self.rate(state, &call);
        let process = &mut state.processes[call.process];
        let is_other = process.mode == Mode::WrongKeys && call.action != "GetCallerIdentity";
        if is_other && self.scenario.uins {
            found.push("S13: a call with a key of another account".to_owned());
        }
        if process.is_stopped && call.action == MODIFY {
            found.push("L7: a write after a stop".to_owned());
        }
        found.extend(self.host(&call));
        found.extend(self.storm(process, &call));
        found.extend(process.refusals.departed(&call));
        if call.action == "DescribeBlueprints" && call.body.get("BlueprintIds").is_none() {
            let scope = (call.key.clone(), call.region.clone());
            if call.body["Offset"].as_u64().unwrap_or(0) == 0 {
                process.pruned.remove(&scope);
                let mut listing = Listing::new(call.at);
                let before = process.listings.get(&scope);
                listing.is_after_denied = before.is_some_and(Listing::is_denied);
                process.listings.insert(scope, listing);
            }
        }
        if self.scenario.has_documents()
            && let Some(place) = process.observations.departed(&call)
        {
            let memory = state.memories.entry(call.installation).or_default();
            memory.looks_anew(place, call.process);
        }
        if call.action == MODIFY {
            found.extend(self.write(state, &call));
        }
        state.departures.push(call);
        drop(state_guard);
        found.into_iter().for_each(|what| self.violate(what));
        number
    }

    /// L5: a process that has had no successful answer for long makes few calls.
    fn storm(&self, process: &mut Process, call: &Departure) -> Option<String> {
        let (since, calls) = &mut process.outage;
        let is_write = call.action == MODIFY;
        if is_write || call.at.since(*since.get_or_insert(call.at)) < OUTAGE {
            return None;
        }
        forget(calls, call.at, OUTAGE);
        calls.push_back(call.at);
        let many = calls.len();
        // Names and policies need additional lists.
        let lists = 1 + usize::from(self.scenario.has_documents());
        let most = OUTAGE_CALLS_MAX * self.scopes * lists;
        (many > most).then(|| format!("L5: {many} calls within ten minutes of an outage"))
    }

    /// S14: signed requests go to the configured host, and to no other host.
    fn host(&self, call: &Departure) -> Option<String> {
        let service = match call.action.as_str() {
            "GetCallerIdentity" => "sts",
            "DescribeImages" => "cvm",
            _ => "lighthouse",
        };
        let place = match self.scenario.regional {
            // Only Lighthouse has regional access points.
            true if service != "lighthouse" => String::new(),
            true => format!("{}.", call.region),
            false => "intl.".to_owned(),
        };
        let is_right = call.host == format!("{service}.{place}tencentcloudapi.com");
        (!is_right).then(|| format!("S14: {} to {}", call.action, call.host))
    }

    /// S6: the number of calls within any second stays below the rate limit.
    fn rate(&self, state: &mut State, call: &Departure) -> Vec<String> {
        let bucket = (call.key.clone(), call.host.clone(), call.action.clone());
        let recent = &mut state.processes[call.process].recent;
        let recent = recent.entry(bucket).or_default();
        forget(recent, call.at, Duration::from_secs(1));
        recent.push_back(call.at);
        let most = match call.action.as_str() {
            MODIFY => self.scenario.rate as usize,
            _ => 20,
        };
        let many = recent.len();
        if many > most {
            return vec![format!("S6: {many} calls of {} in a second", call.action)];
        }
        Vec::new()
    }
}
