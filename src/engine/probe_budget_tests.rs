//! Passes over several scopes of one account whose key may write to none of them.

use super::*;
use crate::model::{AccountName, Region};

fn scopes(budget: &Rc<ProbeBudget>, count: usize) -> Vec<ScopeBudget> {
    let regions = Region::all().take(count);
    let scopes = regions.map(|region| Scope {
        account: AccountName::default(),
        region,
    });
    scopes
        .map(|scope| ScopeBudget::join(budget, &scope))
        .collect()
}

/// Makes a call that is denied. Returns whether the call was allowed.
fn is_denied(scope: &ScopeBudget) -> bool {
    let grant = scope.request();
    let may = matches!(grant, Grant::Granted(_));
    if may {
        scope.denied(Problem::new("no"));
    }
    may
}

fn is_paused(scope: &ScopeBudget) -> bool {
    matches!(scope.request(), Grant::Exhausted(_))
}

#[test]
fn c2_l4_three_paused_scopes_pause_the_account() {
    let budget = Rc::default();
    let all = scopes(&budget, 6);
    for scope in &all[..3] {
        assert!((0..5).all(|_| is_denied(scope)));
        scope.paused();
    }
    for scope in &all[3..] {
        assert!(
            is_denied(scope),
            "whatever becomes of others, it finds out for itself"
        );
        assert!(!is_denied(scope));
        assert!(is_paused(scope));
    }
    let Grant::Exhausted(pause) = all[0].request() else {
        panic!("it pauses")
    };
    assert!(pause.of_account);
    assert!(
        pause
            .problem
            .message
            .contains("in 6 regions, were denied: no"),
        "{pause}"
    );
}

#[test]
fn c2_l4_a_success_resumes_the_account() {
    let budget = Rc::default();
    let all = scopes(&budget, 4);
    all[..3].iter().for_each(ScopeBudget::paused);
    assert!(is_denied(&all[3]) && is_paused(&all[3]));
    all[0].permitted();
    assert!(is_denied(&all[3]));
    // Two paused scopes are not enough.
    all[..2].iter().for_each(ScopeBudget::paused);
    assert!(is_denied(&all[3]));
}

#[test]
fn c2_l4_however_many_scopes_there_are_sixty_calls_are_denied_at_most() {
    for count in [13, 15] {
        let budget = Rc::default();
        let all = scopes(&budget, count);
        let mut denied = 0;
        // All calls are in flight at once, before the result of any is known.
        let mut in_flight = Vec::new();
        for _ in 0..5 {
            for scope in &all {
                if let Grant::Granted(probe) = scope.request() {
                    in_flight.push((scope, probe));
                }
            }
        }
        assert_eq!(in_flight.len(), 60);
        assert!(matches!(all[count - 1].request(), Grant::NotYet));
        for (scope, probe) in in_flight {
            scope.denied(Problem::new("no"));
            drop(probe);
            denied += 1;
        }
        denied += all.iter().filter(|scope| is_denied(scope)).count();
        assert_eq!(denied, 60, "{count}");
    }
}

#[test]
fn c2_a_scope_that_has_made_no_call_yet_keeps_its_own() {
    let budget = Rc::default();
    let all = scopes(&budget, 15);
    let (late, others) = all.split_last().expect("some");
    let mut denied = 0;
    for _ in 0..5 {
        denied += others.iter().filter(|scope| is_denied(scope)).count();
    }
    assert_eq!(denied, 59);
    assert!(is_denied(late), "who is slow is not starved");
}

#[test]
fn c2_a_scope_that_ends_without_a_call_gives_its_own_up() {
    let budget = Rc::default();
    let mut all = scopes(&budget, 15);
    all.truncate(14);
    let mut denied = 0;
    for _ in 0..5 {
        denied += all.iter().filter(|scope| is_denied(scope)).count();
    }
    assert_eq!(denied, 60);
}

#[test]
fn c2_the_next_pass_counts_anew_and_one_scope_pauses_no_account() {
    let budget = Rc::default();
    for _ in 0..100 {
        let all = scopes(&budget, 1);
        assert!((0..5).all(|_| is_denied(&all[0])));
        all[0].paused();
    }
}

#[test]
fn c2_scopes_that_paused_once_and_do_not_any_longer_pause_no_account() {
    let budget = Rc::default();
    for _ in 0..5 {
        // Each scope pauses in one pass, and has nothing left to do in the next.
        for first in 0..3 {
            let all = scopes(&budget, 3);
            all[first].paused();
            assert!((0..5).all(|_| is_denied(&all[first])));
        }
    }
}
