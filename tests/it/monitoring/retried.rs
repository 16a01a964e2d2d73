//! Tests the metrics and alerts for images whose writes fail permanently and are retried again and again.

use std::io::Write;

use super::boards::KNOWN;
use super::promtool;
use super::scrapes::{EVERY, Scrapes};
use crate::support::cloud::live::{Live, reconciling};
use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, Fault, desired};

const TOKYO: &str = "ap-tokyo";
const WRITE: &str = "ModifyImageSharePermission";
/// The number of images. Only the first has a problem, unless all calls fail.
const IMAGES: usize = 3;
/// Faults that no number of retries can overcome.
const LASTING: [Fault; 5] = [
    Fault::NotSent,
    Fault::LostBefore,
    Fault::Html503,
    Fault::Internal,
    Fault::Shapeless,
];

/// The result of each write.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The API refuses the first image with this code.
    Refused(&'static str),
    Fault(Fault),
}

/// Runs a daemon whose images are to be shared or to be cancelled. Every write ends with `end`, permanently.
async fn failing(end: End, to_share: bool, script: impl AsyncFnOnce(&Live<'_>)) {
    let world = World::new(1, REGIONAL);
    for n in 0..IMAGES {
        world.cloud().add(TOKYO, &id(n), !to_share);
    }
    let wanted = desired((0..IMAGES).map(|n| (TOKYO, id(n), to_share)));
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, body| match end {
            End::Refused(code) => (action == WRITE && body["ImageId"] == id(0)).then_some(code),
            End::Fault(_) => None,
        }),
        fault: Box::new(move |action, _, _| match end {
            End::Refused(_) => None,
            End::Fault(fault) => (action == WRITE).then_some(fault),
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        script(live).await;
    })
    .await;
}

/// The number of images that count as blocked.
fn blocked(live: &Live<'_>) -> usize {
    live.publisher.board(|board| {
        let scopes = board.scopes().values();
        scopes.map(|scope| scope.counts().blocked).sum()
    })
}

/// Whether a refusal with this code is permanent. `ImageAlreadyShared` is no failure of a SHARE.
fn lasts(code: &str, to_share: bool) -> bool {
    !(to_share && code == "UnsupportedOperation.ImageAlreadyShared")
}

#[tokio::test(start_paused = true)]
async fn r2_whatever_fails_for_ever_counts_as_blocked_at_each_instant() {
    let mut seen = 0;
    for to_share in [true, false] {
        let codes = KNOWN.into_iter().filter(|code| lasts(code, to_share));
        let ends = codes.map(End::Refused).chain(LASTING.map(End::Fault));
        for end in ends {
            failing(end, to_share, async |live| {
                let took = live.until(|live| blocked(live) > 0).await;
                assert!(took < 300, "{end:?}: blocked only after {took} s");
                let writes = live.world.cloud().calls_of(WRITE).len();
                for second in 0..1_200 {
                    live.pass(1).await;
                    assert!(blocked(live) > 0, "{end:?}: not blocked {second} s later");
                }
                // Some images are retried only after a person asks for it.
                seen += usize::from(live.world.cloud().calls_of(WRITE).len() > writes);
            })
            .await;
        }
    }
    assert!(seen > 30, "only {seen} were tried again");
}

#[tokio::test(start_paused = true)]
async fn r2_it_is_over_as_soon_as_the_image_is_as_desired() {
    let end = End::Refused("FailedOperation.ImageOperationFailed");
    failing(end, true, async |live| {
        live.until(|live| blocked(live) > 0).await;
        let since = live.image(TOKYO, &id(0)).stalled.since;
        live.pass(1_200).await;
        let image = live.image(TOKYO, &id(0));
        assert_eq!(image.stalled.since, since, "trying again is no new failure");
        live.world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 330, "{took} s");
        assert!(!live.image(TOKYO, &id(0)).stalled.holds());
    })
    .await;
}

/// The scrapes of the daemon as the input of a rule test, which expects the alert about blocked images and no
/// critical alert.
fn rule_test(scrapes: &Scrapes) -> String {
    let mut text = format!(
        "rule_files: [{rules}]\nevaluation_interval: 30s\ntests:\n  - interval: {EVERY}s\n    input_series:\n",
        rules = super::path("examples/monitoring/alerts.yaml").display()
    );
    for (series, values) in &scrapes.series {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let series =
            format!("{name}{{job=\"sharekeeper\",instance=\"a\",{labels}").replace(",}", "}");
        // Prometheus marks a series as stale when it is no longer shown.
        let values = values.iter().map(|value| match value {
            Some(value) => value.to_string(),
            None => "stale".to_owned(),
        });
        let values: Vec<_> = values.collect();
        text += &format!(
            "      - {{series: '{series}', values: '{}'}}\n",
            values.join(" ")
        );
    }
    text + "    promql_expr_test:\n\
            \x20     - expr: count by (alertname, account, region) (ALERTS{alertstate=\"firing\", alertname!=\"SharekeeperDown\"})\n\
            \x20       eval_time: 45m\n\
            \x20       exp_samples:\n\
            \x20         - {labels: '{alertname=\"SharekeeperImagesBlocked\", account=\"default\", region=\"ap-tokyo\"}', value: 1}\n"
}

#[tokio::test(start_paused = true)]
async fn r2_the_alert_fires_for_an_image_that_fails_for_ever_whatever_the_code() {
    for code in [
        "FailedOperation.ImageOperationFailed",
        "ResourceUnavailable",
        "UnauthorizedOperation.NoPermission",
    ] {
        let mut scrapes = Scrapes::default();
        failing(End::Refused(code), true, async |live| {
            scrapes.take(live, 50).await;
        })
        .await;
        let blocked = scrapes.sum("sharekeeper_blocked");
        let first = blocked.iter().position(|count| *count > 0.0);
        let first = first.unwrap_or_else(|| panic!("{code} is never blocked"));
        assert!(blocked[first..].iter().all(|count| *count > 0.0), "{code}");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let test = rule_test(&scrapes);
        file.write_all(test.as_bytes()).expect("can be written");
        let path = file.path().to_str().expect("a path");
        promtool::passes(&["test", "rules", path]);
    }
}
