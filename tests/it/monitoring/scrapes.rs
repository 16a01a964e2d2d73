//! What Prometheus scrapes of a daemon on a paused clock.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sharekeeper::metrics::{MetricsExtra, metrics};

use crate::support::cloud::live::Live;

/// Seconds between two scrapes: shorter than any retry with its looks, so that none falls between two.
pub(crate) const EVERY: u64 = 5;

/// Each series with its value at each scrape, where it was shown.
#[derive(Default)]
pub(crate) struct Scrapes {
    pub(crate) count: usize,
    pub(crate) series: BTreeMap<String, Vec<Option<f64>>>,
}

/// What `/metrics` shows of a daemon now.
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
    /// Scrapes for so many minutes.
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

    /// The sum of a metric's series at each scrape; those that are not shown count as 0.
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
