use super::*;
use crate::model::{AccountName, Region};

fn scopes(denials: &Rc<Denials>, count: usize) -> Vec<Share> {
    let regions = Region::all().take(count);
    let scopes = regions.map(|region| Scope {
        account: AccountName::default(),
        region,
    });
    scopes.map(|scope| Share::begin(denials, &scope)).collect()
}

/// Makes a call, and has it denied; whether it may be made.
fn is_denied(share: &Share) -> bool {
    let chance = share.chance();
    let may = matches!(chance, Chance::Now(_));
    if may {
        share.denied(Problem::new("no"));
    }
    may
}

fn rests(share: &Share) -> bool {
    matches!(share.chance(), Chance::Never(_))
}

#[test]
fn c2_l4_three_scopes_at_rest_rest_the_account_and_each_other_one_makes_one_call() {
    let denials = Rc::default();
    let all = scopes(&denials, 6);
    for share in &all[..3] {
        assert!((0..5).all(|_| is_denied(share)));
        share.rests();
    }
    for share in &all[3..] {
        assert!(
            is_denied(share),
            "whatever becomes of others, it finds out for itself"
        );
        assert!(!is_denied(share));
        assert!(rests(share));
    }
    let Chance::Never(rest) = all[0].chance() else {
        panic!("it rests")
    };
    assert!(rest.of_account);
    assert!(
        rest.problem
            .message
            .contains("in 6 regions, was denied: no"),
        "{rest}"
    );
}

#[test]
fn c2_l4_a_success_wakes_the_account() {
    let denials = Rc::default();
    let all = scopes(&denials, 4);
    all[..3].iter().for_each(Share::rests);
    assert!(is_denied(&all[3]) && rests(&all[3]));
    all[0].permitted();
    assert!(is_denied(&all[3]));
    // Two that rest are not enough.
    all[..2].iter().for_each(Share::rests);
    assert!(is_denied(&all[3]));
}

#[test]
fn c2_l4_however_many_scopes_there_are_sixty_calls_are_denied_at_most() {
    for count in [13, 15] {
        let denials = Rc::default();
        let all = scopes(&denials, count);
        let mut denied = 0;
        // All are under way at once, before it is known of any how it ends.
        let mut under_way = Vec::new();
        for _ in 0..5 {
            for share in &all {
                if let Chance::Now(probe) = share.chance() {
                    under_way.push((share, probe));
                }
            }
        }
        assert_eq!(under_way.len(), 60);
        assert!(matches!(all[count - 1].chance(), Chance::Later));
        for (share, probe) in under_way {
            share.denied(Problem::new("no"));
            drop(probe);
            denied += 1;
        }
        denied += all.iter().filter(|share| is_denied(share)).count();
        assert_eq!(denied, 60, "{count}");
    }
}

#[test]
fn c2_a_scope_that_has_made_no_call_yet_keeps_its_own() {
    let denials = Rc::default();
    let all = scopes(&denials, 15);
    let (late, others) = all.split_last().expect("some");
    let mut denied = 0;
    for _ in 0..5 {
        denied += others.iter().filter(|share| is_denied(share)).count();
    }
    assert_eq!(denied, 59);
    assert!(is_denied(late), "who is slow is not starved");
}

#[test]
fn c2_a_scope_that_ends_without_a_call_gives_its_own_up() {
    let denials = Rc::default();
    let mut all = scopes(&denials, 15);
    all.truncate(14);
    let mut denied = 0;
    for _ in 0..5 {
        denied += all.iter().filter(|share| is_denied(share)).count();
    }
    assert_eq!(denied, 60);
}

#[test]
fn c2_the_next_pass_over_a_scope_counts_anew_and_one_scope_never_rests_its_account() {
    let denials = Rc::default();
    for _ in 0..100 {
        let all = scopes(&denials, 1);
        assert!((0..5).all(|_| is_denied(&all[0])));
        all[0].rests();
    }
}

#[test]
fn c2_scopes_that_rested_once_and_do_not_any_longer_rest_no_account() {
    let denials = Rc::default();
    for _ in 0..5 {
        // Each comes to rest in one pass, and has nothing left to do in the next.
        for first in 0..3 {
            let all = scopes(&denials, 3);
            all[first].rests();
            assert!((0..5).all(|_| is_denied(&all[first])));
        }
    }
}
