//! Scrapes `/metrics` of a daemon on a paused clock at fixed intervals, as Prometheus does.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sharekeeper::metrics::{MetricsExtra, metrics};

use crate::support::cloud::live::Live;

/// The seconds between two scrapes. Every retry with its observations takes longer, so that no retry falls between
/// two scrapes.
pub(crate) const EVERY: u64 = 5;

/// The value of each series at each scrape, or `None` where the series was not shown.
#[derive(Default)]
pub(crate) struct Scrapes {
    pub(crate) count: usize,
    pub(crate) series: BTreeMap<String, Vec<Option<f64>>>,
}

/// The current text of `/metrics` of a daemon.
pub(crate) fn shown(live: &Live<'_>) -> String {
    let context = &live.world.context;
    live.publisher.board(|board| {
        let extra = MetricsExtra {
            ready: board.ready().is_ok(),
            clock_offset: TimeDelta::zero(),
            webhooks: &[],
            log_dropped: 0,
            process: None,
        };
        metrics(board, &context.calls.breakdown(), &extra, context.now())
    })
}

impl Scrapes {
    /// Scrapes for this number of minutes.
    pub(crate) async fn take(&mut self, live: &Live<'_>, minutes: u64) {
        for _ in 0..minutes * 60 / EVERY {
            live.pass(EVERY).await;
            for line in shown(live).lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let values = self.series.entry(series.to_owned()).or_default();
                values.resize(self.count, None);
                values.push(Some(value.parse().expect("a number")));
            }
            self.count += 1;
            for values in self.series.values_mut() {
                values.resize(self.count, None);
            }
        }
    }

    /// The sum of the series of a metric at each scrape. A series that is not shown counts as 0.
    pub(crate) fn sum(&self, metric: &str) -> Vec<f64> {
        let of_metric = |series: &str| series.split('{').next() == Some(metric);
        let series = self.series.iter().filter(|(name, _)| of_metric(name));
        let mut sums = vec![0.0; self.count];
        for (_, values) in series {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value.unwrap_or_default();
            }
        }
        sums
    }
}
