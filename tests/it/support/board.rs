//! Boards for the tests of the status page and the metrics. The same plans and answers as in the daemon make them,
//! and the clock of the server stands still.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use sharekeeper::attempts::{Problem, UnmetCondition};
use sharekeeper::desired::Source;
use sharekeeper::history::WriteResult;
use sharekeeper::host::{Clock, SystemClock};
use sharekeeper::inventory::UnexpectedLoss;
use sharekeeper::model::{
    Cause, ImageId, ImageKey, Monotonic, Permission, Region, Scope, ShareState, Timestamp,
};
use sharekeeper::observation::Unobserved;
use sharekeeper::plan::{Actual, Awaiting, Decision, Plan, Unmanaged, Verdict, View, Withheld};
use sharekeeper::serve::{Health, Snapshot, StatusServer, StatusSource, border};
use sharekeeper::status::{Activity, Board, Change, LoadedManifests, PassResult, WriteBucket};
use tokio::sync::Notify;

pub(crate) use super::cloud::scope_of as scope;

/// The time at a number of seconds after noon, which is the first instant of all boards.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// The time at which the boards are shown.
pub(crate) fn now() -> Timestamp {
    at(600)
}

pub(crate) fn id(n: usize) -> ImageId {
    ImageId::new(&format!("img-{n:08}")).expect("an id")
}

pub(crate) fn key(scope: &Scope, n: usize) -> ImageKey {
    ImageKey {
        scope: scope.clone(),
        image: id(n),
    }
}

pub(crate) fn source(file: &str, line: u32) -> Source {
    Source {
        file: file.into(),
        line,
    }
}

/// A decision about an image whose desired state is shared.
pub(crate) fn decision(verdict: Verdict) -> Decision {
    Decision {
        desired: ShareState::Shared,
        cause: Cause::Declared,
        source: Some(source("manifests/golden.yaml", 10)),
        actual: match verdict {
            Verdict::InSync => Actual::Shared(Some("lhbp-1a2b3c4d".into())),
            Verdict::Unobserved(_) => Actual::Unknown,
            _ => Actual::Unshared,
        },
        until: None,
        verdict,
        name: None,
        entry: None,
    }
}

/// A decision about an image whose share is to be cancelled.
pub(crate) fn cancel(cause: Cause, verdict: Verdict) -> Decision {
    Decision {
        desired: ShareState::Unshared,
        cause,
        source: (cause != Cause::Pruned).then(|| source("manifests/old/partners.yaml", 7)),
        actual: Actual::Shared(Some("lhbp-9z8y7x6w".into())),
        ..decision(verdict)
    }
}

pub(crate) fn problem(message: &str, code: Option<&str>, unmet: Option<UnmetCondition>) -> Problem {
    Problem {
        message: message.into(),
        code: code.map(Into::into),
        request_id: code.map(|_| "0c8d6f0e-4f6c-4b0e-9d0e-52a7b0c1d2e3".into()),
        unmet,
        remedy: None,
    }
}

pub(crate) fn plan(
    scope: &Scope,
    decisions: impl IntoIterator<Item = (ImageId, Decision)>,
) -> Plan {
    Plan {
        scope: scope.clone(),
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        view: View::Seen,
        prune_skipped: false,
        decisions: decisions.into_iter().collect(),
        unmanaged: Unmanaged::default(),
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

/// A board with an origin of manifests and nothing else.
pub(crate) fn empty() -> Board {
    let origin = "https://git.example.com/platform/images.git, main";
    loaded(origin, "3f786850e387550fdab836ed7e6dc881de23001b", 3)
}

fn loaded(origin: &str, commit: &str, images: usize) -> Board {
    let mut board = Board::new(at(0), false).with_origin(origin.into());
    load(&mut board, commit, images, at(30));
    board
}

/// Loads manifests that name this number of images and have no problem.
pub(crate) fn load(board: &mut Board, commit: &str, images: usize, now: Timestamp) {
    let set = LoadedManifests {
        commit: Some(commit.into()),
        images,
        policies: 0,
        problems: Vec::new(),
    };
    board.manifests_loaded(set, now);
}

/// Adds a finished pass to the board.
pub(crate) fn pass(board: &mut Board, plan: &Plan, result: PassResult) {
    board.pass_began(&plan.scope, at(500));
    board.planned(plan, at(510));
    let idle = Activity::Idle { next: at(800) };
    let took = Duration::from_secs(2);
    board.pass_ended(&plan.scope, result, took, idle, at(512));
}

/// The same as [`empty`], with manifests that name this number of images.
fn sized(images: usize) -> Board {
    let manifests = empty().manifests().clone();
    let commit = manifests.commit.expect("it is known");
    loaded(&manifests.origin, &commit, images)
}

/// A board on which everything is as desired.
pub(crate) fn good() -> Board {
    let mut board = sized(1_204);
    for (account, region, images) in [
        ("default", "ap-singapore", 700),
        ("default", "eu-frankfurt", 400),
        ("prod", "ap-singapore", 104),
    ] {
        let images = (0..images).map(|n| {
            let mut decision = decision(Verdict::InSync);
            decision.until = (n % 50 == 7).then(|| at(3_600 * (n as i64 + 1)));
            (id(n), decision)
        });
        let plan = plan(&scope(account, region), images);
        pass(&mut board, &plan, PassResult::Synced);
    }
    for n in 0..13 {
        board.answered(change(n, WriteResult::Applied));
    }
    board
}

pub(crate) fn change(n: usize, result: WriteResult) -> Change {
    let failed = result == WriteResult::Rejected;
    Change {
        at: at(400 + n as i64),
        key: key(&scope("default", "ap-singapore"), n),
        permission: if n.is_multiple_of(3) {
            Permission::Cancel
        } else {
            Permission::Share
        },
        cause: Cause::Declared,
        result,
        code: failed.then(|| "ResourceInUse.ImageInUse".into()),
        message: failed.then(|| "instances use the image; terminate them first".into()),
        request_id: Some("9a1b2c3d-0000-4000-8000-52a7b0c1d2e3".into()),
        source: Some(source("manifests/golden.yaml", 10)),
    }
}

/// A board with an example of everything that can go wrong.
pub(crate) fn bad() -> Board {
    let mut board = good();
    mixed(&mut board);
    guarded(&mut board);
    dark(&mut board);
    board.answered(change(30, WriteResult::Rejected));
    board.answered(change(31, WriteResult::Unknown));
    let problems = vec![
        "manifests/golden.yaml:14:9: `CANEL` is no state; did you mean `unshared`?".into(),
        "manifests/partners.yaml:3:1: unknown field `regoin`; did you mean `region`?".into(),
    ];
    board.manifests_failed(problems, at(540));
    board
}

/// Adds one scope with an image of each kind.
fn mixed(board: &mut Board) {
    let place = scope("default", "ap-singapore");
    let not_eligible = problem(
        "full-instance images cannot be shared; make a system-disk image",
        Some("UnsupportedOperation.ImageUnableToShare"),
        Some(UnmetCondition::Never),
    );
    let in_use = problem(
        "instances use the image; terminate them, or leave it shared",
        Some("ResourceInUse.ImageInUse"),
        None,
    );
    let occupied = problem(
        "another operation holds the image",
        Some("UnsupportedOperation.ImageOccupied"),
        None,
    );
    let lag = Verdict::Await {
        until: Monotonic::new(Duration::from_secs(9_999)),
        reason: Box::new(Awaiting::OwnWrite),
    };
    let images = [
        decision(Verdict::InSync),
        decision(Verdict::Act),
        decision(Verdict::Blocked(Box::new(not_eligible))),
        cancel(Cause::Declared, Verdict::Blocked(Box::new(in_use))),
        cancel(Cause::Declared, Verdict::Act),
        cancel(
            Cause::Pruned,
            Verdict::Withheld(Box::new(Withheld::NotOwned)),
        ),
        cancel(
            Cause::Expired,
            Verdict::Withheld(Box::new(Withheld::Protected)),
        ),
        decision(Verdict::Withheld(Box::new(Withheld::Parked(at(-4_000))))),
        decision(Verdict::Failed(Box::new(occupied))),
        decision(lag),
    ];
    let mut plan = plan(&place, (0..).map(id).zip(images));
    plan.unmanaged.foreign.insert(id(90));
    board.pass_began(&plan.scope, at(510));
    board.planned(&plan, at(520));
    board.pass_began(&place, at(590));
    let bucket = WriteBucket {
        host: "lighthouse.intl.tencentcloudapi.com".into(),
        per_second: 19.0,
    };
    board.write_rate_changed(&place, bucket);
    board.retries_scheduled(&place, [(id(8), at(660))].into_iter());
    board.answered(change(1, WriteResult::Applied));
}

/// Adds one scope in which a guard withholds many changes.
fn guarded(board: &mut Board) {
    let place = scope("prod", "ap-singapore");
    let loss = UnexpectedLoss { lost: 40, of: 104 };
    let lost = (0..40).map(|n| {
        let withheld = decision(Verdict::Withheld(Box::new(Withheld::Lost(
            place.clone(),
            loss,
        ))));
        (id(n), withheld)
    });
    let kept = (40..104).map(|n| (id(n), decision(Verdict::InSync)));
    let mut plan = plan(&place, lost.chain(kept));
    plan.loss = Some(loss);
    pass(board, &plan, PassResult::Incomplete);
}

/// Adds a scope that was not observed, and a scope that the daemon no longer tries.
fn dark(board: &mut Board) {
    let place = scope("prod", "na-ashburn");
    let unobserved = Unobserved {
        reason: "page 3 of 7 failed: the connection was reset".into(),
        code: Some("InternalError".into()),
        request_id: Some("77777777-0000-4000-8000-52a7b0c1d2e3".into()),
        account_broken: false,
        remedy: None,
        is_stop: false,
    };
    let images = (0..12).map(|n| {
        (
            id(n),
            decision(Verdict::Unobserved(Box::new(unobserved.clone()))),
        )
    });
    let mut plan = plan(&place, images);
    plan.view = View::Unobserved(unobserved);
    pass(board, &plan, PassResult::Unobserved);
    let place = scope("prod", "sa-saopaulo");
    board.pass_began(&place, at(550));
    let halted = Activity::Halted {
        why: "a fault in sharekeeper; please report it".into(),
    };
    board.pass_ended(
        &place,
        PassResult::Panicked,
        Duration::ZERO,
        halted,
        at(551),
    );
}

/// A board of fifteen regions with 2,000 images each. A tenth of them is not as desired, each for a reason of its
/// own.
pub(crate) fn huge() -> Board {
    let mut board = sized(30_000);
    for region in Region::all() {
        let images = (0..2_000).map(|n| {
            let verdict = match n % 10 {
                3 => Verdict::Failed(Box::new(problem(
                    &format!("fault {n} of many"),
                    Some("Odd"),
                    None,
                ))),
                _ => Verdict::InSync,
            };
            let mut decision = decision(verdict);
            decision.until = Some(at(10_000 + n as i64));
            (id(n), decision)
        });
        let plan = plan(&scope("default", region.as_str()), images);
        pass(&mut board, &plan, PassResult::Incomplete);
    }
    board
}

/// A board of accounts with 15 regions of 20 images each. `verdict` gives the verdict of the images of an account and
/// region, by their numbers.
pub(crate) fn fleet(accounts: usize, verdict: impl Fn(usize, usize) -> Verdict) -> Board {
    let mut board = sized(accounts * 15 * 20);
    for account in 0..accounts {
        for (n, region) in Region::all().enumerate() {
            let verdict = verdict(account, n);
            let images = (0..20).map(|image| (id(image), decision(verdict.clone())));
            let scope = scope(&format!("team-{account:03}"), region.as_str());
            let mut plan = plan(&scope, images);
            if let Verdict::Unobserved(why) = verdict {
                plan.view = View::Unobserved(*why);
            }
            pass(&mut board, &plan, PassResult::Incomplete);
        }
    }
    board
}

/// A board in which every text from outside contains `evil`, which must not break a page, a line or a document.
pub(crate) fn hostile(evil: &str) -> Board {
    let mut board = loaded(evil, evil, 3);
    let place = scope("default", "ap-singapore");
    let bad = Problem {
        message: evil.into(),
        code: Some(evil.into()),
        request_id: Some(evil.into()),
        unmet: None,
        remedy: None,
    };
    let unobserved = Unobserved {
        reason: evil.into(),
        code: Some(evil.into()),
        request_id: Some(evil.into()),
        account_broken: true,
        remedy: None,
        is_stop: false,
    };
    let mut shared = decision(Verdict::InSync);
    shared.actual = Actual::Shared(Some(evil.into()));
    shared.source = Some(source(evil, 1));
    shared.until = Some(at(9_000));
    let mut blocked = decision(Verdict::Blocked(Box::new(bad)));
    blocked.source = Some(source(evil, 2));
    let mut seen = plan(&place, [(id(1), shared), (id(2), blocked)]);
    seen.view = View::ReadDenied(unobserved.clone());
    pass(&mut board, &seen, PassResult::Incomplete);
    let dark = scope("default", "eu-frankfurt");
    let mut plan = plan(
        &dark,
        [(
            id(3),
            decision(Verdict::Unobserved(Box::new(unobserved.clone()))),
        )],
    );
    plan.view = View::Unobserved(unobserved);
    pass(&mut board, &plan, PassResult::Unobserved);
    let halted = Activity::Halted { why: evil.into() };
    board.pass_ended(&dark, PassResult::Panicked, Duration::ZERO, halted, at(551));
    for scope in [&place, &dark] {
        let bucket = WriteBucket {
            host: evil.into(),
            per_second: 19.0,
        };
        board.write_rate_changed(scope, bucket);
    }
    board.answered(Change {
        code: Some(evil.into()),
        message: Some(evil.into()),
        request_id: Some(evil.into()),
        source: Some(source(evil, 3)),
        ..change(4, WriteResult::Rejected)
    });
    board.manifests_failed(vec![evil.into()], at(540));
    board
}

/// A board with very long names and errors in several scripts, in three accounts of two regions each.
pub(crate) fn wordy() -> Board {
    let mut board = sized(36);
    let sentence = "The image cannot be shared because the operation that was asked for is not supported by <b>it</b>; ";
    for (n, script) in [
        "latin_name.with-parts",
        "\u{5bab}\u{5edf}\u{955c}\u{50cf}",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}",
    ]
    .into_iter()
    .enumerate()
    {
        let account = format!("{n}-a-tenant-of-the-platform-with-a-name-of-sixty-characters");
        let name: String = script.chars().cycle().take(60).collect();
        for region in ["ap-singapore", "sa-saopaulo"] {
            let place = scope(&account, region);
            let images = (0..6).map(|image| {
                let code = format!("UnsupportedOperation.{}", "ImageUnableToShare".repeat(3));
                let message: String = sentence.chars().cycle().take(300).collect();
                let problem = problem(&format!("{message} {image}"), Some(&code), None);
                let mut decision = decision(Verdict::Blocked(Box::new(problem)));
                decision.name = Some(name.as_str().into());
                decision.until = Some(at(9_000));
                decision.source = Some(source(
                    &format!("manifests/{}/{account}.yaml", "of_a_team".repeat(5)),
                    1_234,
                ));
                (id(image), decision)
            });
            let plan = plan(&place, images);
            pass(&mut board, &plan, PassResult::Incomplete);
            let lost = Change {
                key: key(&place, 1),
                message: Some(sentence.chars().cycle().take(300).collect()),
                ..change(1, WriteResult::Rejected)
            };
            board.answered(lost);
        }
        let place = scope(&account, "ap-singapore");
        board.pass_began(&place, at(590));
        let ahead = (0..2_000).map(|image| (id(image), decision(Verdict::Act)));
        if n == 1 {
            board.planned(&plan(&place, ahead), at(591));
        }
        let host = "lighthouse.ap-singapore.intl.tencentcloudapi.com".into();
        board.write_rate_changed(
            &place,
            WriteBucket {
                host,
                per_second: 19.0,
            },
        );
    }
    board
}

/// A board of accounts with 15 regions of `images` images each, in every possible state.
pub(crate) fn many(accounts: usize, images: usize) -> Board {
    let mut board = sized(accounts * 15 * images);
    let denied = Problem {
        remedy: Some("allow `lighthouse:ShareBlueprintAcrossAccounts` for the key in CAM".into()),
        ..problem(
            "UnauthorizedOperation.NoPermission: not allowed (allow `lighthouse:ShareBlueprintAcrossAccounts` for the key in CAM)",
            Some("UnauthorizedOperation.NoPermission"),
            None,
        )
    };
    for account in 0..accounts {
        for (n, region) in Region::all().enumerate() {
            let images = (0..images).map(|image| {
                let verdict = match (n, image % 10) {
                    (2, _) => Verdict::Act,
                    (4..=6, 3) => Verdict::Blocked(Box::new(denied.clone())),
                    (8, 1) => Verdict::Withheld(Box::new(Withheld::Parked(at(-4_000)))),
                    _ => Verdict::InSync,
                };
                let cancels = n == 2 && image % 2 == 0;
                let decision = match cancels {
                    true => cancel(Cause::Declared, verdict),
                    false => decision(verdict),
                };
                (id(image), decision)
            });
            let place = scope(&format!("team-{account}"), region.as_str());
            let plan = plan(&place, images);
            pass(&mut board, &plan, PassResult::Incomplete);
        }
    }
    board
}

/// A board that is served while a test changes it.
pub(crate) struct Shown {
    pub(crate) board: RefCell<Board>,
    pub(crate) health: RefCell<Health>,
    /// If this is set, rendering the metrics panics.
    pub(crate) faulty: Cell<bool>,
    /// How often the server asked the engine for a snapshot.
    pub(crate) snapshots: Cell<usize>,
    /// How often the server rendered a document.
    pub(crate) rendered: Arc<AtomicUsize>,
    changes: Notify,
}

struct ShownSnapshot {
    /// The thread that made the snapshot. No document is rendered on it.
    made_on: ThreadId,
    board: Board,
    faulty: bool,
    rendered: Arc<AtomicUsize>,
}

/// A clock whose wall time stands still. The server uses it to show boards.
pub(crate) struct StandStill(SystemClock);

impl StandStill {
    pub(crate) fn start() -> Self {
        Self(SystemClock::start())
    }
}

impl Clock for StandStill {
    fn now(&self) -> Timestamp {
        now()
    }

    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.0.sleep_until(at)
    }
}

impl Shown {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board: RefCell::new(board),
            health: RefCell::new(Health {
                alive: Ok(()),
                ready: Ok(()),
            }),
            faulty: Cell::new(false),
            snapshots: Cell::new(0),
            rendered: Arc::default(),
            changes: Notify::new(),
        }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board.borrow_mut());
        self.changes.notify_waiters();
    }

    pub(crate) fn rendered(&self) -> usize {
        self.rendered.load(Ordering::Relaxed)
    }

    /// Serves the board on the thread of the caller, without an end.
    pub(crate) async fn serve(&self, port: StatusServer) -> Infallible {
        let (engine, its_port) = border(StandStill::start());
        tokio::select! {
            // With this order, a change is known before the next request is read.
            biased;
            never = engine.feed(self) => never,
            served = port.serve(its_port) => panic!("it serves for ever: {served:?}"),
        }
    }
}

impl StatusSource for Shown {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.snapshots.set(self.snapshots.get() + 1);
        Arc::new(ShownSnapshot {
            made_on: thread::current().id(),
            board: self.board.borrow().clone(),
            faulty: self.faulty.get(),
            rendered: Arc::clone(&self.rendered),
        })
    }

    fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    fn is_state_lost(&self) -> bool {
        self.board.borrow().state().lost.is_some()
    }

    fn version(&self) -> u64 {
        self.board.borrow().version()
    }

    async fn changed(&self, version: u64) {
        loop {
            let next = self.changes.notified();
            if self.board.borrow().version() > version {
                return;
            }
            next.await;
        }
    }
}

impl ShownSnapshot {
    fn assert_elsewhere(&self) {
        let here = thread::current().id();
        assert_ne!(here, self.made_on, "the engine's thread renders nothing");
    }
}

impl Snapshot for ShownSnapshot {
    fn board(&self) -> &Board {
        &self.board
    }

    /// The server calls this once for each document.
    fn taken_at(&self) -> Timestamp {
        self.assert_elsewhere();
        self.rendered.fetch_add(1, Ordering::Relaxed);
        now()
    }

    fn metrics(&self) -> String {
        self.assert_elsewhere();
        assert!(!self.faulty, "a fault, as asked for");
        "sharekeeper_build_info 1\n".into()
    }
}

/// The images of a scope by their ids, for tests that look one up.
pub(crate) fn by_id(images: &serde_json::Value) -> BTreeMap<String, &serde_json::Value> {
    let images = images.as_array().expect("a list");
    let named = images.iter().map(|image| {
        let id = image["image_id"].as_str().expect("an id");
        (id.to_owned(), image)
    });
    named.collect()
}
