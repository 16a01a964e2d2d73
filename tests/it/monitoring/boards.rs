//! Builds boards and call counts for the tests of monitoring, among them a board of any size with every kind of
//! trouble.

use crate::support::board::id;
use crate::support::cloud::live::scope;
use std::time::Duration;

use chrono::TimeDelta;
use sharekeeper::api::error::{CallError, Class, Refusal};
use sharekeeper::api::protocol::wire::Action;
use sharekeeper::api::{CallBreakdown, CallStats};
use sharekeeper::attempts::{Problem, UnmetCondition, WritePause};
use sharekeeper::history::WriteResult;
use sharekeeper::host::ProcessCounts;
use sharekeeper::inventory::Suspension;
use sharekeeper::metrics::{MetricsExtra, WebhookCounts};
use sharekeeper::model::{
    AccountName, Cause, ImageKey, Monotonic, Permission, Region, Scope, Selector, ShareState,
    Timestamp,
};
use sharekeeper::observation::Unobserved;
use sharekeeper::plan::{
    Actual, Awaiting, Decision, Plan, Stray, Unmanaged, Verdict, View, Withheld,
};
use sharekeeper::status::{
    Activity, Board, Change, ClosedWindow, Holds, LoadedManifests, PassResult, Reason, WriteBucket,
};
use sharekeeper::windows::Closed;

/// Codes that the API does not document. It may send them in the future, or an attacker may.
pub(crate) const HOSTILE: [&str; 6] = [
    "Brand.NewCode",
    "InternalError.img-6pb6lrmy",
    "\"} 1\nevil_metric{x=\"y",
    "",
    "RequestLimitExceeded.\u{202e}\\n",
    "A.B.C.D.E.F",
];
/// Codes that the API does document.
pub(crate) const KNOWN: [&str; 20] = [
    "AuthFailure.SecretIdNotFound",
    "FailedOperation.ImageOperationFailed",
    "FailedOperation.RequestError",
    "FailedOperation",
    "InternalError.RequestError",
    "InternalError",
    "InvalidParameterValue.InvalidImageIdMalformed",
    "RequestLimitExceeded",
    "ResourceInUse.ImageInUse",
    "ResourceNotFound.ImageIdNotFound",
    "ResourceNotFound.RoleNotFound",
    "ResourceUnavailable",
    "ServiceUnavailable",
    "UnauthorizedOperation.NoPermission",
    "UnauthorizedOperation",
    "UnsupportedOperation.AssumeRoleFailed",
    "UnsupportedOperation.ImageAlreadyShared",
    "UnsupportedOperation.ImageOccupied",
    "UnsupportedOperation.ImageUnableToShare",
    "UnsupportedRegion",
];
const WEBHOOKS: [WebhookCounts<'static>; 2] = [
    WebhookCounts {
        name: "ops",
        sent: 5,
        failed: 1,
        dropped: 0,
    },
    WebhookCounts {
        name: "a \"quoted\\name",
        sent: 0,
        failed: 0,
        dropped: 3,
    },
];

pub(crate) fn now() -> Timestamp {
    "2026-09-01T12:00:00Z".parse().expect("a time")
}

pub(crate) fn extra() -> MetricsExtra<'static> {
    MetricsExtra {
        ready: true,
        clock_offset: TimeDelta::milliseconds(-1_500),
        webhooks: &WEBHOOKS,
        log_dropped: 12,
        process: Some(ProcessCounts {
            resident_bytes: 31_457_280,
            cpu: Duration::from_millis(12_250),
        }),
    }
}

fn problem(code: &str, unmet: Option<UnmetCondition>) -> Problem {
    Problem {
        message: format!("img-00000001 of {code}"),
        code: Some(code.into()),
        request_id: Some("req-1".into()),
        unmet,
        remedy: None,
    }
}

fn suspension(selector: Selector) -> Suspension {
    Suspension {
        id: 1,
        reason: "img-00000001 is being looked into".into(),
        until: None,
        since: now(),
        by: "root@host".into(),
        selector,
    }
}

/// Adds suspensions and a closed window: they hold back the first image of each scope, and pruning in one account.
pub(crate) fn held(board: &mut Board) {
    let selector = Selector {
        images: [id(1)].into(),
        ..Selector::default()
    };
    board.holds_now(Holds {
        suspensions: vec![suspension(selector)],
        windows: vec![ClosedWindow {
            account: AccountName::default(),
            causes: vec![Cause::Pruned],
            opens: None,
            reason: "img-00000001".into(),
        }],
    });
}

/// Returns every kind of verdict in turn.
fn verdict(number: usize) -> Verdict {
    let suspension = suspension(Selector::default());
    let closed = Closed {
        opens: None,
        reason: "a freeze".into(),
    };
    let unobserved = |account_broken| Unobserved {
        account_broken,
        ..Unobserved::new("not read")
    };
    let await_ = Verdict::Await {
        until: Monotonic::default(),
        reason: Box::new(Awaiting::OwnWrite),
    };
    let kinds = [
        Verdict::InSync,
        Verdict::Act,
        await_,
        Verdict::Blocked(Box::new(problem("x", Some(UnmetCondition::Absent)))),
        Verdict::Blocked(Box::new(problem("x", Some(UnmetCondition::NotYet)))),
        Verdict::Blocked(Box::new(problem("x", Some(UnmetCondition::Never)))),
        Verdict::Blocked(Box::new(problem("ResourceInUse.ImageInUse", None))),
        Verdict::Failed(Box::new(problem(
            "UnsupportedOperation.ImageOccupied",
            None,
        ))),
        Verdict::Failed(Box::new(problem("RequestLimitExceeded", None))),
        Verdict::Blocked(Box::new(problem(
            "UnauthorizedOperation.NoPermission",
            None,
        ))),
        Verdict::Blocked(Box::new(problem("ResourceNotFound.RoleNotFound", None))),
        Verdict::Blocked(Box::new(problem("AuthFailure.SecretIdNotFound", None))),
        Verdict::Failed(Box::new(problem(HOSTILE[number % HOSTILE.len()], None))),
        Verdict::Blocked(Box::new(problem(HOSTILE[number % HOSTILE.len()], None))),
        Verdict::Pending(Box::new(problem("x", None))),
        Verdict::Blocked(Box::new(problem("x", Some(UnmetCondition::Usable)))),
        Verdict::Blocked(Box::new(problem("x", Some(UnmetCondition::Leftover)))),
        Verdict::Withheld(Box::new(Withheld::PartialManifests)),
        Verdict::Withheld(Box::new(Withheld::OwnImagesUnknown("x".into()))),
        Verdict::Withheld(Box::new(Withheld::NotOwnImage)),
        Verdict::Withheld(Box::new(Withheld::Protected)),
        Verdict::Withheld(Box::new(Withheld::Suspended(suspension))),
        Verdict::Withheld(Box::new(Withheld::WindowClosed(closed))),
        Verdict::Withheld(Box::new(Withheld::Parked(now()))),
        Verdict::Withheld(Box::new(Withheld::NotOwned)),
        Verdict::Withheld(Box::new(Withheld::Held("x".into()))),
        Verdict::Withheld(Box::new(Withheld::InUse(vec!["lhins-1".into()]))),
        Verdict::Withheld(Box::new(Withheld::NotOwnedByPolicy)),
        Verdict::NotTried(Box::new(WritePause::of_account(problem(
            "UnauthorizedOperation",
            None,
        )))),
        Verdict::Unobserved(Box::new(unobserved(false))),
        Verdict::Unobserved(Box::new(unobserved(true))),
    ];
    kinds[number % kinds.len()].clone()
}

fn decision(number: usize) -> Decision {
    let verdict = verdict(number);
    // The prime 5 is not a divisor of the number of verdicts, so that each verdict occurs with both states.
    let desired = if number % 5 < 3 {
        ShareState::Shared
    } else {
        ShareState::Unshared
    };
    let other = match desired {
        ShareState::Shared => Actual::Unshared,
        ShareState::Unshared => Actual::Shared(Some("lhbp-1".into())),
    };
    let actual = match (&verdict, desired) {
        (Verdict::InSync, ShareState::Shared) => Actual::Shared(Some("lhbp-1".into())),
        (Verdict::InSync, ShareState::Unshared) => Actual::Unshared,
        (Verdict::Unobserved(_), _) => Actual::Unknown,
        _ => other,
    };
    let days = i64::try_from(number % 60).expect("a day");
    Decision {
        desired,
        cause: match &verdict {
            Verdict::Withheld(why) if **why == Withheld::NotOwnedByPolicy => Cause::Retention,
            _ => Cause::Declared,
        },
        source: None,
        actual,
        until: (desired == ShareState::Shared).then(|| now() + TimeDelta::days(days)),
        verdict,
        name: None,
        entry: None,
    }
}

/// The same decision as before anything went wrong.
fn in_sync(mut decision: Decision) -> Decision {
    decision.verdict = Verdict::InSync;
    decision.actual = match decision.desired {
        ShareState::Shared => Actual::Shared(Some("lhbp-1".into())),
        ShareState::Unshared => Actual::Unshared,
    };
    decision
}

fn plan(scope: &Scope, view: View, decisions: impl Iterator<Item = Decision>) -> Plan {
    let stray = Stray {
        blueprint: "lhbp-2".into(),
        ours: false,
    };
    let unmanaged = Unmanaged {
        ours: [id(90_000_001)].into(),
        foreign: [id(90_000_002), id(90_000_003)].into(),
        strays: [(id(90_000_004), stray)].into(),
    };
    Plan {
        scope: scope.clone(),
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        view,
        prune_skipped: false,
        decisions: decisions
            .enumerate()
            .map(|(number, decision)| (id(number), decision))
            .collect(),
        unmanaged,
        undocumented_states: Default::default(),
        presumed_unshared: Default::default(),
        loss: None,
        next_change_at: None,
        unresolved: Vec::new(),
        policy_holds: Default::default(),
        in_use: Default::default(),
        resolution: Default::default(),
    }
}

/// Adds one account and region with every kind of trouble.
fn troubled(board: &mut Board, region: Region, images: usize) {
    let (scope, at) = (scope(region.as_str()), now() - TimeDelta::seconds(90));
    let earlier = now() - TimeDelta::minutes(10);
    let before = (0..images).map(|number| in_sync(decision(number)));
    let before = plan(&scope, View::Seen, before);
    board.pass_began(&before.scope, earlier);
    board.planned(&before, earlier);
    for (result, took) in PassResult::ALL
        .into_iter()
        .zip([20, 300, 4_000, 90_000, 700_000])
    {
        board.pass_began(&scope, at);
        let rest = Activity::Idle { next: now() };
        board.pass_ended(&scope, result, Duration::from_millis(took), rest, at);
    }
    let view = View::ReadDenied(Unobserved::new("reading is denied"));
    board.planned(&plan(&scope, view, (0..images).map(decision)), at);
    let bucket = WriteBucket {
        host: format!("lighthouse.{region}.example.com"),
        per_second: 9.5,
    };
    board.write_rate_changed(&scope, bucket);
    every_change(board, &scope);
}

/// Adds a write of each kind with each possible result.
pub(crate) fn every_change(board: &mut Board, scope: &Scope) {
    for (permission, cause) in [
        (Permission::Share, Cause::Declared),
        (Permission::Cancel, Cause::Declared),
        (Permission::Cancel, Cause::Expired),
        (Permission::Cancel, Cause::Pruned),
        (Permission::Cancel, Cause::Retention),
        (Permission::Share, Cause::Policy),
        (Permission::Cancel, Cause::Revoked),
    ] {
        for result in [
            WriteResult::Applied,
            WriteResult::AlreadyShared,
            WriteResult::Rejected,
            WriteResult::Unknown,
            WriteResult::NotSent,
        ] {
            if (permission, result) == (Permission::Cancel, WriteResult::AlreadyShared) {
                continue;
            }
            board.answered(Change {
                at: now() - TimeDelta::seconds(90),
                key: ImageKey {
                    scope: scope.clone(),
                    image: id(1),
                },
                permission,
                cause,
                result,
                code: Some(HOSTILE[2].into()),
                message: Some("img-00000001".into()),
                request_id: None,
                source: None,
            });
        }
    }
}

/// Makes a scope in which images are blocked, withheld, pending and drifted at the same time.
pub(crate) fn bad_day(board: &mut Board, scope: &Scope) {
    let of = |number, desired, verdict| {
        let mut decision = decision(number);
        (decision.desired, decision.until) = (desired, None);
        decision = in_sync(decision);
        decision.actual = match desired {
            _ if verdict == Verdict::InSync => decision.actual,
            ShareState::Shared => Actual::Unshared,
            ShareState::Unshared => Actual::Shared(None),
        };
        Decision {
            verdict,
            ..decision
        }
    };
    let failed = Verdict::Failed(Box::new(problem("InternalError", None)));
    let decisions = [
        of(0, ShareState::Shared, Verdict::InSync),
        of(0, ShareState::Shared, failed),
        of(0, ShareState::Shared, Verdict::Act),
        of(
            0,
            ShareState::Unshared,
            Verdict::Withheld(Box::new(Withheld::Suspended(suspension(
                Selector::default(),
            )))),
        ),
    ];
    board.pass_began(scope, now());
    let mut plan = plan(scope, View::Seen, decisions.into_iter());
    plan.unmanaged = Unmanaged::default();
    board.planned(&plan, now());
}

/// A board of `scopes` accounts and regions, each with `images` images in every kind of trouble.
pub(crate) fn board(scopes: usize, images: usize) -> Board {
    let mut board = Board::new(now() - TimeDelta::hours(6), false).with_origin("manifests".into());
    for region in Region::all().take(scopes) {
        troubled(&mut board, region, images);
    }
    let set = LoadedManifests {
        commit: Some("0f1e2d3c4b5a69788796a5b4c3d2e1f001234567".into()),
        images: scopes * images,
        policies: 0,
        problems: Vec::new(),
    };
    board.manifests_loaded(set, now() - TimeDelta::hours(1));
    for _ in 0..4 {
        let problem = "manifests/a.yaml:3: img-00000001 is set twice";
        board.manifests_failed(vec![problem.into()], now());
    }
    board
}

/// Makes a scope in which everything is as desired, after `passes` passes.
pub(crate) fn calm(board: &mut Board, scope: &Scope, images: usize, passes: u64) {
    let mut plan = plan(
        scope,
        View::Seen,
        (0..images).map(|number| {
            let mut decision = in_sync(decision(number));
            (decision.desired, decision.until) = (ShareState::Shared, None);
            in_sync(decision)
        }),
    );
    plan.unmanaged = Unmanaged::default();
    for _ in 0..passes {
        // The times differ from scope to scope.
        let began = now() - TimeDelta::milliseconds(i64::from(fastrand::u16(..)));
        let seen = began + TimeDelta::milliseconds(i64::from(fastrand::u8(..)));
        let ended = seen + TimeDelta::milliseconds(i64::from(fastrand::u8(..)));
        board.pass_began(scope, began);
        board.planned(&plan, seen);
        let rest = Activity::Idle { next: now() };
        let took = Duration::from_millis(80);
        board.pass_ended(scope, PassResult::Synced, took, rest, ended);
    }
}

/// Makes a scope that was not observed in the last three passes.
fn lost(board: &mut Board, scope: &Scope) {
    let view = || View::Unobserved(Unobserved::new("down"));
    let unseen = || Verdict::Unobserved(Box::new(Unobserved::new("down")));
    for _ in 0..3 {
        board.pass_began(scope, now());
        let unseen = Decision {
            verdict: unseen(),
            actual: Actual::Unknown,
            ..decision(0)
        };
        board.planned(&plan(scope, view(), [unseen].into_iter()), now());
        let rest = Activity::Idle { next: now() };
        let took = Duration::from_secs(8);
        board.pass_ended(scope, PassResult::Unobserved, took, rest, now());
    }
}

/// A board with one scope of every kind: one with trouble, one in sync, and one that was not observed.
pub(crate) fn every_kind(images: usize) -> Board {
    let mut board = board(1, images);
    let of = |account: &str| Scope {
        account: AccountName::new(account).expect("a name"),
        region: Region::first(),
    };
    // A fixed seed makes the board the same each time.
    fastrand::seed(1);
    calm(&mut board, &of("calm"), 3, 1);
    by_word(&mut board, &of("denied"));
    lost(&mut board, &of("lost"));
    held(&mut board);
    board
}

/// Makes a scope that may not be read, with an image whose state is known only from the answer to a write.
fn by_word(board: &mut Board, scope: &Scope) {
    let acknowledged = Decision {
        actual: Actual::Unknown,
        ..in_sync(decision(0))
    };
    let view = View::ReadDenied(Unobserved::new("reading is denied"));
    board.pass_began(scope, now());
    board.planned(&plan(scope, view, [acknowledged].into_iter()), now());
}

/// Every reason that the images of the board have.
pub(crate) fn reasons(board: &Board) -> std::collections::BTreeSet<Reason> {
    let images = board
        .scopes()
        .values()
        .flat_map(|scope| scope.images.values());
    images.map(|image| image.reason).collect()
}

/// Calls of every action in `regions` regions, with every kind of result.
pub(crate) fn calls(regions: usize) -> CallBreakdown {
    let regions: Vec<_> = Region::all().take(regions).collect();
    calls_of(&regions)
}

/// The same call counts for the given regions.
pub(crate) fn calls_of(regions: &[Region]) -> CallBreakdown {
    let (calls, account) = (CallStats::default(), AccountName::default());
    let ms = Duration::from_millis;
    for action in Action::ALL {
        for region in regions.iter().copied() {
            for code in KNOWN.iter().chain(&HOSTILE) {
                let refusal = Refusal {
                    code: (*code).into(),
                    message: "img-00000001".into(),
                    request_id: None,
                    class: Class::of(code, None),
                    asked: None,
                    relay: None,
                };
                let error = CallError::Refused(refusal);
                calls.ended(&account, action, region, Some(&error));
            }
            for error in [
                CallError::NotSent("img-00000001".into()),
                CallError::Unclear("img-00000001".into()),
            ] {
                calls.ended(&account, action, region, Some(&error));
            }
            calls.ended(&account, action, region, None);
            calls.sent(action);
        }
        for took in [8, 60, 61, 9_000] {
            calls.took(action, ms(took));
        }
        let turn = calls.enqueue(action, Monotonic::default());
        turn.permitted(Monotonic::new(ms(53)));
    }
    calls.repeated();
    calls.breakdown().clone()
}
