//! Makes each answer to a read of sixteen stories wrong once in each way: stale, missing, from an earlier time, partial,
//! or after a restart. It also makes each call of six stories fail once. Whatever a process sees, the invariants must
//! hold, and the run must reach the end state of the unchanged run.

use std::collections::BTreeMap;

use super::perturbation::{Kind, Perturbation};
use super::setup::{CallFailure, FailedCall, Setup};
use super::stories;
use super::variations::{First, Variation, check};

/// One of this many runs is made, unless all runs are requested.
const ONE_OF: usize = 11;

#[test]
fn s2_s4_a6_each_answer_to_a_read_is_wrong_once_in_each_way() {
    let firsts = First::of(stories::all(), false);
    let mut runs = Vec::new();
    let (mut points, mut kinds) = (0, BTreeMap::<Kind, usize>::new());
    for first in &firsts {
        for (number, point) in (0..).zip(&first.outcome.notes.points) {
            points += 1;
            for (kind, wrong) in &point.ways {
                *kinds.entry(*kind).or_default() += 1;
                let perturbation = Perturbation {
                    point: number,
                    wrong: wrong.clone(),
                };
                runs.push(Variation {
                    first,
                    setup: Setup {
                        perturbation: Some(perturbation),
                        ..Setup::default()
                    },
                    what: format!("{} {number} is {kind:?}: {wrong:?}", point.action),
                });
            }
        }
    }
    let (stories, all) = (firsts.len(), runs.len());
    println!("{points} answers in {stories} stories can be wrong in {all} ways {kinds:?}");
    println!("{} of them were", check(&runs, ONE_OF));
}

#[test]
fn t1_t2_t7_a16_each_call_fails_once_in_each_way() {
    let firsts = First::of(stories::six(), false);
    let mut runs = Vec::new();
    for first in &firsts {
        let calls = 0..first.outcome.notes.calls;
        let failed = calls.flat_map(|number| CallFailure::all().map(move |how| (number, how)));
        runs.extend(failed.map(|(number, how)| Variation {
            first,
            setup: Setup {
                failed_call: Some(FailedCall { number, how }),
                ..Setup::default()
            },
            what: format!("call {number} fails: {how:?}"),
        }));
    }
    println!("in {} runs a call can fail", runs.len());
    println!("in {} of them it did", check(&runs, ONE_OF));
}
