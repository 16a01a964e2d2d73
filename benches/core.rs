//! Benchmarks of the pure parts alone: images per second, and memory allocations per image.
//!
//!     cargo bench

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use sharekeeper::api::protocol::sign::{CONTENT_TYPE, Credentials, ToSign};
use sharekeeper::api::protocol::wire::{self, DescribeBlueprintsReply};
use sharekeeper::attempts::AttemptLog;
use sharekeeper::desired::Desired;
use sharekeeper::inventory::Inventory;
use sharekeeper::manifest::{SourceText, parse};
use sharekeeper::model::{Clocks, ImageId, Monotonic, Scope, Secret, Selector};
use sharekeeper::observation::{Blueprint, Observation, Seen};
use sharekeeper::plan::{Inputs, Plan, Policy, ScopeAccount, plan};
use sharekeeper::resolve::{Resolution, ResolvedScope};
use sharekeeper::windows::Windows;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 3] = [2_000, 100_000, 1_000_000];
const IMAGES_OF_A_FILE: usize = 1_000;

fn main() {
    divan::main();
}

fn id(number: usize) -> String {
    format!("img-{number:08}")
}

/// Manifest files that ask for `count` images to be shared in one region.
fn sources(count: usize) -> Vec<SourceText> {
    let file = |begin: usize| {
        let mut text = format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: bench-{begin}}}\n\
             spec:\n  region: ap-singapore\n  images:\n"
        );
        for number in begin..count.min(begin + IMAGES_OF_A_FILE) {
            text += &format!("    - {{id: {}, state: shared}}\n", id(number));
        }
        SourceText::new(format!("{begin:08}.yaml"), text)
    };
    (0..count).step_by(IMAGES_OF_A_FILE).map(file).collect()
}

fn desired(count: usize) -> Desired {
    parse(sources(count)).expect("manifests").desired
}

/// An observation in which all of `count` images are shared, or none.
fn observed(count: usize, shared: bool) -> Observation {
    let image = |number| ImageId::new(&id(number)).expect("an id");
    let blueprint = |number| Blueprint {
        id: format!("lhbp-{number:08}").into(),
        state: "NORMAL".into(),
        name: Default::default(),
    };
    let shown = if shared { count } else { 0 };
    Observation::Seen(Seen {
        shared: (0..shown)
            .map(|number| (image(number), blueprint(number)))
            .collect(),
        ..Seen::default()
    })
}

fn plan_of(bencher: Bencher<'_, '_>, count: usize, shared: bool) {
    let (desired, observation) = (desired(count), observed(count, shared));
    let (selector, policy, windows) = (Selector::default(), Policy::default(), Windows::default());
    let (inventory, attempts) = (Inventory::default(), AttemptLog::default());
    let account = ScopeAccount::default();
    let scope: Scope = desired.scopes().next().expect("one").clone();
    let wanted = desired.desired_scope(&scope, &selector).expect("images");
    let resolution = Resolution::default();
    let inputs = Inputs {
        scope: &scope,
        account: &account,
        desired: &ResolvedScope::new(&scope, &wanted, &resolution),
        observation: &observation,
        inventory: &inventory,
        attempts: &attempts,
        windows: &windows,
        policy: &policy,
        approved: None,
        clocks: Clocks::machine_only(chrono::DateTime::UNIX_EPOCH),
        present: chrono::DateTime::UNIX_EPOCH.into(),
        monotonic: Monotonic::new(std::time::Duration::from_secs(1)),
    };
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| -> Plan { plan(black_box(&inputs)) });
}

#[divan::bench(args = SIZES, max_time = 2)]
fn plan_in_sync(bencher: Bencher<'_, '_>, count: usize) {
    plan_of(bencher, count, true);
}

#[divan::bench(args = SIZES, max_time = 2)]
fn plan_to_share(bencher: Bencher<'_, '_>, count: usize) {
    plan_of(bencher, count, false);
}

#[divan::bench(args = SIZES, max_time = 2)]
fn select_what_is_wanted(bencher: Bencher<'_, '_>, count: usize) {
    let (desired, selector) = (desired(count), Selector::default());
    let scope: Scope = desired.scopes().next().expect("one").clone();
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| desired.desired_scope(&scope, &selector));
}

#[divan::bench(args = SIZES, max_time = 2)]
fn parse_manifests(bencher: Bencher<'_, '_>, count: usize) {
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| sources(count))
        .bench_local_values(parse);
}

/// A whole page of blueprints with every field that the API sends.
#[divan::bench]
fn read_page(bencher: Bencher<'_, '_>) {
    const ROWS: usize = 100;
    let samples = include_str!("../tests/data/describe-samples.json");
    let mut samples: serde_json::Value = serde_json::from_str(samples).expect("JSON");
    let page = &mut samples["DescribeBlueprints"]["success"];
    let row = page["Response"]["BlueprintSet"][0].clone();
    page["Response"]["BlueprintSet"] = vec![row; ROWS].into();
    let body = page.to_string();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| wire::response::<DescribeBlueprintsReply>(black_box(body.as_bytes())));
}

const TO_SIGN: ToSign<'static> = ToSign {
    service: "lighthouse",
    host: "lighthouse.ap-singapore.tencentcloudapi.com",
    content_type: CONTENT_TYPE,
    timestamp: 1_800_000_000,
    body: br#"{"ImageId":"img-00000001","Permission":"SHARE"}"#,
    extra_headers: &[],
};

fn credentials() -> Credentials {
    Credentials::new("AKIDbench".into(), Secret::new("bench-key".into()), None)
}

#[divan::bench]
fn sign_first_of_a_day(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(credentials)
        .bench_local_refs(|credentials| TO_SIGN.authorization(credentials));
}

#[divan::bench]
fn sign_next(bencher: Bencher<'_, '_>) {
    let credentials = credentials();
    bencher.bench_local(|| TO_SIGN.authorization(black_box(&credentials)));
}
