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
        };
        (ImageId::new(id).expect("an id"), decision)
    });
    Plan {
        uin: None,
        scope: Scope {
            account: AccountName::default(),
            region: Region::new("ap-tokyo").expect("a region"),
        },
        view: View::Seen,
        unpruned: false,
        loss: None,
        turns_at: None,
        decisions: decisions.collect(),
        unmanaged: Unmanaged::default(),
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
fn what_is_written_is_read_back() {
    let saved = saved(&plan(&[
        SHARE,
        CANCEL,
        ("img-c", ShareState::Shared, Verdict::InSync),
    ]));
    let again = SavedPlan::parse(&saved.text()).expect("valid");
    assert_eq!(again, saved);
    assert_eq!(again.policy().prune, Prune::Owned);
    assert_eq!(again.policy().max_cancels, 3);
    assert_eq!(again.actions.len(), 2, "what is in sync is no action");
    let license = again.licenses().into_values().next().expect("one scope");
    assert_eq!(license.len(), 2);
    assert!(
        again
            .text()
            .contains("\"image_id\": \"img-b\",\n      \"action\": \"cancel\""),
        "{}",
        again.text()
    );
}

#[test]
fn p9_what_moved_is_shown_and_what_did_not_is_not() {
    let saved = saved(&plan(&[SHARE, CANCEL]));
    assert_eq!(saved.moved([&plan(&[CANCEL, SHARE])]), []);
    let withheld = Verdict::Withheld(Box::new(Withheld::Protected));
    let now = plan(&[
        SHARE,
        ("img-b", ShareState::Unshared, withheld),
        ("img-c", ShareState::Shared, Verdict::Act),
    ]);
    let moved: Vec<_> = saved
        .moved([&now])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert!(moved[0].contains("img-b: planned CANCEL, now nothing (the image is protected"));
    assert!(moved[1].contains("img-c: planned nothing, now SHARE"));
    let turned = plan(&[("img-a", ShareState::Unshared, Verdict::Act), CANCEL]);
    assert_eq!(
        saved.moved([&turned]).len(),
        1,
        "the other way is another action"
    );
    let mut left_alone = plan(&[SHARE]);
    let image = ImageId::new("img-b").expect("an id");
    left_alone.unmanaged.foreign.insert(image);
    let gone = saved.moved([&left_alone]);
    assert!(gone[0].to_string().contains("no manifest asks for it"));
    assert_eq!(
        saved.moved([&plan(&[SHARE])]),
        [],
        "named no longer and not shared either: it was pruned before a kill"
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
fn p9_what_waits_for_its_hour_is_planned_and_what_was_done_before_a_kill_has_not_moved() {
    let closed = Verdict::Withheld(Box::new(Withheld::WindowClosed(Closed {
        opens: None,
        reason: "closed".into(),
    })));
    let waiting = saved(&plan(&[
        ("img-a", ShareState::Shared, closed.clone()),
        CANCEL,
    ]));
    assert_eq!(waiting.actions.len(), 2);
    assert_eq!(waiting.moved([&plan(&[SHARE, CANCEL])]), []);
    let half_done = plan(&[
        ("img-a", ShareState::Shared, Verdict::InSync),
        ("img-b", ShareState::Unshared, closed),
    ]);
    assert_eq!(waiting.moved([&half_done]), []);
}

#[test]
fn p9_the_same_call_for_another_cause_has_moved() {
    let saved = saved(&plan(&[CANCEL]));
    let mut now = plan(&[CANCEL]);
    now.decisions
        .values_mut()
        .for_each(|decision| decision.cause = Cause::Pruned);
    assert_eq!(
        saved.moved([&now])[0].to_string(),
        "default/ap-tokyo/img-b: planned CANCEL, now CANCEL (because it is pruned)"
    );
}
