//! Tests saved plans: exactly what was reviewed is carried out, and changed files are refused.

use chrono::DateTime;

use super::*;
use crate::desired::Source;
use crate::model::{AccountName, Region, ShareState};
use crate::plan::{Actual, Decision, Unmanaged, View, Withheld};
use crate::windows::Closed;

fn plan(decisions: &[(&str, ShareState, Verdict)]) -> Plan {
    let decisions = decisions.iter().map(|(id, desired, verdict)| {
        let decision = Decision {
            desired: *desired,
            cause: Cause::Declared,
            source: Some(Source {
                file: "a.yaml".into(),
                line: 7,
            }),
            actual: Actual::Unknown,
            until: None,
            verdict: verdict.clone(),
            name: None,
            entry: None,
        };
        (ImageId::new(id).expect("an id"), decision)
    });
    Plan {
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        scope: Scope {
            account: AccountName::default(),
            region: Region::new("ap-tokyo").expect("a region"),
        },
        view: View::Seen,
        prune_skipped: false,
        loss: None,
        next_change_at: None,
        unresolved: Vec::new(),
        policy_holds: Default::default(),
        in_use: Default::default(),
        resolution: Default::default(),
        decisions: decisions.collect(),
        unmanaged: Unmanaged::default(),
        undocumented_states: Default::default(),
        presumed_unshared: Default::default(),
    }
}

fn saved(plan: &Plan) -> SavedPlan {
    let policy = Policy {
        prune: Prune::Owned,
        max_cancels: 3,
        ..Policy::DEFAULT
    };
    let commit = Some("0123abc".into());
    SavedPlan::new(
        [plan],
        &Selector::default(),
        &policy,
        BTreeMap::new(),
        commit,
        DateTime::UNIX_EPOCH,
    )
}

const SHARE: (&str, ShareState, Verdict) = ("img-a", ShareState::Shared, Verdict::Act);
const CANCEL: (&str, ShareState, Verdict) = ("img-b", ShareState::Unshared, Verdict::Act);

#[test]
fn a_saved_plan_is_read_back_as_written() {
    let saved = saved(&plan(&[
        SHARE,
        CANCEL,
        ("img-c", ShareState::Shared, Verdict::InSync),
    ]));
    let again = SavedPlan::parse(&saved.text()).expect("valid");
    assert_eq!(again, saved);
    let within = again.policy_within(&Policy {
        prune: Prune::Exclusive,
        ..Policy::DEFAULT
    });
    let within = within.expect("its own bounds are stricter");
    assert_eq!((within.prune, within.max_cancels), (Prune::Owned, 3));
    assert_eq!(again.actions.len(), 2, "an image in sync needs no action");
    let approved = again
        .approved_by_scope()
        .into_values()
        .next()
        .expect("one scope");
    assert_eq!(approved.len(), 2);
    assert!(
        again
            .text()
            .contains("\"image_id\": \"img-b\",\n      \"action\": \"cancel\""),
        "{}",
        again.text()
    );
}

#[test]
fn p9_only_real_differences_are_shown() {
    let saved = saved(&plan(&[SHARE, CANCEL]));
    assert_eq!(saved.differences([&plan(&[CANCEL, SHARE])]), []);
    let withheld = Verdict::Withheld(Box::new(Withheld::Protected));
    let now = plan(&[
        SHARE,
        ("img-b", ShareState::Unshared, withheld),
        ("img-c", ShareState::Shared, Verdict::Act),
    ]);
    let differences: Vec<_> = saved
        .differences([&now])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[0].contains("img-b: planned CANCEL, now nothing (the image is protected"));
    assert!(differences[1].contains("img-c: planned nothing, now SHARE"));
    let turned = plan(&[("img-a", ShareState::Unshared, Verdict::Act), CANCEL]);
    assert_eq!(
        saved.differences([&turned]).len(),
        1,
        "the opposite action is a difference"
    );
    let mut left_alone = plan(&[SHARE]);
    let image = ImageId::new("img-b").expect("an id");
    left_alone.unmanaged.foreign.insert(image);
    let gone = saved.differences([&left_alone]);
    assert!(gone[0].to_string().contains("no manifest asks for it"));
    assert_eq!(
        saved.differences([&plan(&[SHARE])]),
        [],
        "no longer named and not shared: it was pruned before the kill"
    );
}

#[test]
fn a_file_that_was_cut_edited_or_is_newer_is_refused() {
    let text = saved(&plan(&[SHARE, CANCEL])).text();
    let edited = text.replace("img-b", "img-x");
    assert_eq!(SavedPlan::parse(&edited), Err(SavedPlanError::Digest));
    let cut = &text[..text.len() / 2];
    assert!(matches!(
        SavedPlan::parse(cut),
        Err(SavedPlanError::Form(_))
    ));
    let newer = text.replace("\"format_version\": 1", "\"format_version\": 2");
    assert_eq!(SavedPlan::parse(&newer), Err(SavedPlanError::Version(2)));
    let other = text.replace("sharekeeper-plan", "terraform-plan");
    assert!(matches!(
        SavedPlan::parse(&other),
        Err(SavedPlanError::Form(_))
    ));
}

#[test]
fn p9_waiting_changes_are_planned_and_done_ones_are_no_difference() {
    let closed = Verdict::Withheld(Box::new(Withheld::WindowClosed(Closed {
        opens: None,
        reason: "closed".into(),
    })));
    let waiting = saved(&plan(&[
        ("img-a", ShareState::Shared, closed.clone()),
        CANCEL,
    ]));
    assert_eq!(waiting.actions.len(), 2);
    assert_eq!(waiting.differences([&plan(&[SHARE, CANCEL])]), []);
    let half_done = plan(&[
        ("img-a", ShareState::Shared, Verdict::InSync),
        ("img-b", ShareState::Unshared, closed),
    ]);
    assert_eq!(waiting.differences([&half_done]), []);
}

#[test]
fn p9_the_same_call_for_another_cause_is_a_difference() {
    let saved = saved(&plan(&[CANCEL]));
    let mut now = plan(&[CANCEL]);
    now.decisions
        .values_mut()
        .for_each(|decision| decision.cause = Cause::Pruned);
    assert_eq!(
        saved.differences([&now])[0].to_string(),
        "default/ap-tokyo/img-b: planned CANCEL, now CANCEL (due for pruning: no manifest names it)"
    );
}

fn policy(prune: Prune, max_cancels: u32, max_cancels_percent: u32, accept_lost: u32) -> Policy {
    Policy {
        prune,
        max_cancels,
        max_cancels_percent,
        accept_lost: match accept_lost {
            0 => AcceptedLosses::NONE,
            lost => [(plan(&[]).scope, lost)].into_iter().collect(),
        },
        ..Policy::DEFAULT
    }
}

fn saved_with(policy: &Policy) -> SavedPlan {
    SavedPlan::new(
        [&plan(&[SHARE, CANCEL])],
        &Selector::default(),
        policy,
        BTreeMap::new(),
        None,
        DateTime::UNIX_EPOCH,
    )
}

#[test]
fn b1_s7_each_bound_of_the_command_line_limits_a_saved_plan() {
    use Prune::{Exclusive, None, Owned};
    // The bounds of the plan; the allowed bounds; the flags to repeat.
    for (made, allowed, repeat) in [
        ((None, 10, 25, 0), (None, 10, 25, 0), ""),
        ((Exclusive, 1000, 100, 0), (Exclusive, 1000, 100, 0), ""),
        (
            (Exclusive, 1000, 100, 7),
            (None, 10, 25, 0),
            "--prune exclusive --max-cancels 1000 --max-cancels-percent 100 --accept-lost default/ap-tokyo=7",
        ),
        ((Owned, 10, 25, 0), (None, 10, 25, 0), "--prune owned"),
        (
            (Exclusive, 10, 25, 0),
            (Owned, 10, 25, 0),
            "--prune exclusive",
        ),
        ((Owned, 10, 25, 0), (Exclusive, 10, 25, 0), ""),
        ((None, 11, 25, 0), (None, 10, 25, 0), "--max-cancels 11"),
        ((None, 9, 25, 0), (None, 10, 25, 0), ""),
        // A bound that equals the default counts like any other.
        ((Owned, 10, 25, 0), (Owned, 3, 25, 0), "--max-cancels 10"),
        (
            (None, 10, 26, 0),
            (None, 10, 25, 0),
            "--max-cancels-percent 26",
        ),
        ((None, 10, 0, 0), (None, 10, 25, 0), ""),
        (
            (None, 10, 25, 2),
            (None, 10, 25, 0),
            "--accept-lost default/ap-tokyo=2",
        ),
        ((None, 10, 25, 2), (None, 10, 25, 2), ""),
        // A loss is accepted at its exact size: a smaller one is not narrower.
        (
            (None, 10, 25, 2),
            (None, 10, 25, 3),
            "--accept-lost default/ap-tokyo=2",
        ),
        ((None, 10, 25, 0), (None, 10, 25, 3), ""),
        (
            (None, u32::MAX, 25, 0),
            (None, 10, 25, 0),
            "--max-cancels 4294967295",
        ),
    ] {
        let build = |(prune, cancels, percent, lost)| policy(prune, cancels, percent, lost);
        let (made, allowed) = (build(made), build(allowed));
        let saved = SavedPlan::parse(&saved_with(&made).text()).expect("valid");
        match saved.policy_within(&allowed) {
            Ok(within) => {
                assert_eq!(repeat, "", "{made:?} within {allowed:?}");
                let within = Policy {
                    cap_origins: made.cap_origins,
                    ..within
                };
                assert_eq!(within, made, "the stricter of both");
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!repeat.is_empty(), "{made:?} within {allowed:?}: {text}");
                assert!(text.ends_with(&format!("repeat: {repeat}")), "{text}");
            }
        }
    }
}

#[test]
fn b1_s7_of_two_policies_the_stricter_is_within_both() {
    let values = [
        policy(Prune::None, 3, 100, 0),
        policy(Prune::Owned, 10, 25, 2),
        policy(Prune::Exclusive, 1000, 0, 5),
        Policy {
            shares_only: true,
            ..Policy::DEFAULT
        },
    ];
    for one in &values {
        for other in &values {
            let both = one.stricter(other);
            assert_eq!(both.exceeds(one), []);
            assert_eq!(both.exceeds(other), []);
            assert_eq!(both.shares_only, one.shares_only || other.shares_only);
        }
    }
}

/// Changes the file's text like somebody who also computes the digest again.
fn forged(saved: &SavedPlan, from: &str, to: &str) -> String {
    let text = saved.text().replace(from, to);
    assert_ne!(text, saved.text(), "{from} occurs in the text");
    let mut forged: SavedPlan = serde_json::from_str(&text).expect("valid JSON of a plan");
    forged.digest = forged.digest();
    forged.text()
}

#[test]
fn b1_two_actions_for_one_image_and_absurd_bounds_are_refused() {
    let saved = saved(&plan(&[SHARE, CANCEL]));
    let twice =
        SavedPlan::parse(&forged(&saved, "img-b", "img-a")).expect_err("two actions for one image");
    assert!(matches!(twice, SavedPlanError::Twice(_)));
    assert!(
        twice
            .to_string()
            .contains("more than one action for default/ap-tokyo/img-a")
    );
    let absurd = forged(
        &saved,
        "\"max_cancels_percent\": 25",
        "\"max_cancels_percent\": 101",
    );
    assert!(matches!(
        SavedPlan::parse(&absurd),
        Err(SavedPlanError::Form(_))
    ));
    // The order of the actions does not matter.
    let mut turned = saved.clone();
    turned.actions.reverse();
    turned.digest = turned.digest();
    let turned = SavedPlan::parse(&turned.text()).expect("valid");
    assert_eq!(turned.approved_by_scope(), saved.approved_by_scope());
}

#[test]
fn b1_s22_an_error_shows_no_escape_from_the_file() {
    let text = saved(&plan(&[SHARE])).text();
    for (from, to) in [
        ("\"actions\":", "\"\u{1b}[2Jactions\":"),
        ("\"prune\": \"owned\"", "\"prune\": \"\u{1b}[2J\\u001b[2J\""),
        ("\"prune\": \"owned\"", "\"prune\": \"\\u001b[2J\""),
        ("\"kind\":", "\"\\u001b[2J\": 1, \"kind\":"),
    ] {
        let bad = text.replace(from, to);
        assert_ne!(bad, text);
        let error = SavedPlan::parse(&bad).expect_err("not a plan").to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn b1_s5_a_mac_is_valid_only_for_its_own_file() {
    let key = PlanKey::new(&[7; 32]).expect("a key");
    let other = PlanKey::new(&[8; 32]).expect("a key");
    let unsigned = saved(&plan(&[SHARE, CANCEL]));
    assert_eq!(unsigned.verify(&key), Err(SavedPlanError::Unsigned));
    assert!(!unsigned.text().contains("mac"), "as in earlier versions");
    let mut signed = unsigned.clone();
    signed.sign(&key);
    let read = SavedPlan::parse(&signed.text()).expect("valid");
    assert!(read.is_signed());
    assert_eq!(read.verify(&key), Ok(()));
    assert_eq!(read.verify(&other), Err(SavedPlanError::Mac));
    for (from, to) in [
        ("img-b", "img-x"),
        ("\"max_cancels\": 3", "\"max_cancels\": 4"),
    ] {
        let read = SavedPlan::parse(&forged(&signed, from, to)).expect("the digest matches");
        assert_eq!(read.verify(&key), Err(SavedPlanError::Mac));
    }
    let mut digest = signed.clone();
    digest.mac = Some(digest.digest.clone());
    assert_eq!(digest.verify(&key), Err(SavedPlanError::Mac));
}

#[test]
fn b1_p10_a_removed_or_added_uin_counts_as_different() {
    let name = AccountName::default();
    let uins = |uin: &str| BTreeMap::from([(name.clone(), uin.to_owned())]);
    let mut saved = saved(&plan(&[SHARE]));
    assert_eq!(saved.other_uin(&BTreeMap::new()), None);
    assert_eq!(saved.other_uin(&uins("1")), Some((&name, None)));
    saved.uins = uins("1");
    assert_eq!(saved.other_uin(&uins("1")), None);
    let was = "1".to_owned();
    assert_eq!(saved.other_uin(&uins("2")), Some((&name, Some(&was))));
    assert_eq!(saved.other_uin(&BTreeMap::new()), Some((&name, Some(&was))));
    saved.actions.clear();
    assert_eq!(saved.other_uin(&uins("2")), None, "it has no action there");
}
