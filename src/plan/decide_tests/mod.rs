//! Tests the truth table in `decide`, for one image: what is observed, what was tried, and which verdict follows.

mod earlier_runs;
mod pruning;
mod repeated_answers;
mod rows;

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{TimeDelta, TimeZone};

use super::*;
use crate::attempts::LastResult;
use crate::desired::{Completeness, DesiredImage, DesiredShare};
use crate::inventory::{IntentId, Inventory, InventoryEntry, LAG_MAX, OpenIntent};
use crate::model::fixtures_tests::{elapsed, img_a, tokyo};
use crate::model::{Clocks, Permission, Selector, Timestamp};
use crate::observation::{OwnImages, Precondition, Unobserved};
use crate::plan::fixtures_tests::{blueprint, no_instances, own, wanted};
use crate::plan::own_writes::UNCLEAR_MAX;
use crate::plan::{
    Inputs, Plan, Policy, Prune, ScopeAccount, Withheld, needs_own_images, plan, share_candidates,
};
use crate::resolve::ResolvedScope;
use crate::windows::Windows;

const SHARED: DesiredShare = DesiredShare::Shared {
    from: None,
    until: None,
};

fn unobserved() -> Unobserved {
    Unobserved {
        reason: "page 3 of 7 failed".into(),
        code: None,
        request_id: None,
        account_broken: false,
        remedy: None,
        is_stop: false,
    }
}

fn seen(shared: bool, eligibility: Option<Eligibility>) -> Observation {
    let mut seen = Seen::default();
    if shared {
        seen.shared.insert(img_a(), blueprint("lhbp-1"));
    }
    seen.eligibility.extend(eligibility.map(|e| (img_a(), e)));
    seen.own = own([img_a()]);
    seen.instances = no_instances();
    Observation::Seen(seen)
}

fn tried(towards: ShareState, last: LastResult) -> AttemptLog {
    let mut attempts = AttemptLog::default();
    attempts.record(img_a(), towards, last);
    attempts
}

fn acknowledged(seconds: u64) -> LastResult {
    LastResult::Acknowledged {
        at: elapsed(seconds),
        blueprint_id: None,
        request_id: None,
    }
}

fn unclear(seconds: u64) -> LastResult {
    LastResult::Unclear {
        at: elapsed(seconds),
        problem: Problem::new("lost"),
    }
}

fn noon() -> Timestamp {
    let date = chrono::Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0);
    date.single().expect("a date")
}

fn planned(
    image: &DesiredImage,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Plan {
    planned_with(&Inventory::default(), image, observation, attempts, seconds)
}

/// Like [`planned`], with an inventory that an earlier process left in the store.
fn planned_with(
    inventory: &Inventory,
    image: &DesiredImage,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Plan {
    let now = noon();
    let id = img_a();
    let selector = Selector::default();
    let wanted = ResolvedScope::by_id(
        Cow::Owned(BTreeMap::from([(&id, image)])),
        &selector,
        &Completeness::Whole,
    );
    plan(&Inputs {
        scope: &tokyo(),
        account: &ScopeAccount::default(),
        desired: &wanted,
        observation,
        inventory,
        attempts,
        windows: &Windows::default(),
        policy: &Policy::default(),
        approved: None,
        clocks: Clocks::machine_only(now),
        present: now.into(),
        monotonic: elapsed(seconds),
    })
}

fn verdict(
    intent: DesiredShare,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Verdict {
    planned(&wanted(intent), observation, attempts, seconds).decisions[&img_a()]
        .verdict
        .clone()
}

/// An answer that leaves the outcome open.
fn answered(seconds: u64, code: &str) -> LastResult {
    let problem = Problem {
        code: Some(code.into()),
        ..Problem::new(format!("{code}: no"))
    };
    LastResult::Unclear {
        at: elapsed(seconds),
        problem,
    }
}

/// `times` such answers to CANCEL, ten seconds apart.
fn answers(code: &str, times: u64) -> AttemptLog {
    let mut attempts = AttemptLog::default();
    for n in 0..times {
        attempts.record(img_a(), ShareState::Unshared, answered(10 * n, code));
    }
    attempts
}

const GONE: &str = "ResourceNotFound.ImageIdNotFound";

/// The plan at second 500 if no manifest names anything.
fn unnamed(
    observation: &Observation,
    inventory: &Inventory,
    attempts: &AttemptLog,
    prune: Prune,
) -> Plan {
    let policy = Policy {
        prune,
        ..Policy::default()
    };
    plan(&Inputs {
        scope: &tokyo(),
        account: &ScopeAccount::default(),
        desired: &ResolvedScope::by_id(
            Cow::Owned(BTreeMap::new()),
            &Selector::default(),
            &Completeness::Whole,
        ),
        observation,
        inventory,
        attempts,
        windows: &Windows::default(),
        policy: &policy,
        approved: None,
        clocks: Clocks::machine_only(noon()),
        present: noon().into(),
        monotonic: elapsed(500),
    })
}
