//! A small builder for the metric families of the `prometheus` crate. The values are read from other places; nothing is
//! counted here.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::model::Timestamp;
use crate::pace::DurationHistogram;

/// A label's name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Metric families in the order in which they are shown.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

/// One metric with all its series.
pub(super) struct Family {
    kind: MetricType,
    name: &'static str,
    help: &'static str,
    series: Vec<Metric>,
}

/// A metric whose value can rise and fall.
pub(super) fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(MetricType::GAUGE, name, help)
}

/// A metric that only rises while the process lives.
pub(super) fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(MetricType::COUNTER, name, help)
}

/// A metric of durations, counted in buckets.
pub(super) fn histogram(name: &'static str, help: &'static str) -> Family {
    Family::new(MetricType::HISTOGRAM, name, help)
}

/// A point in time as seconds since 1970, the form that Prometheus uses.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.timestamp_millis() as f64 / 1e3
}

impl Families {
    /// Adds a family. A family without a series is left out, because the format cannot show it.
    pub(super) fn keep(&mut self, family: Family) {
        if family.series.is_empty() {
            return;
        }
        let mut kept = MetricFamily::default();
        kept.set_name(family.name.into());
        kept.set_help(family.help.into());
        kept.set_field_type(family.kind);
        kept.set_metric(family.series);
        self.0.push(kept);
    }

    pub(super) fn into_vec(self) -> Vec<MetricFamily> {
        self.0
    }
}

impl Family {
    fn new(kind: MetricType, name: &'static str, help: &'static str) -> Self {
        Self {
            kind,
            name,
            help,
            series: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, labels: &[Label<'_>], value: f64) {
        let mut series = labelled(labels);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
        self.series.push(series);
    }

    /// The same family with one more series.
    pub(super) fn with(mut self, labels: &[Label<'_>], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    /// Adds a series to a histogram.
    pub(super) fn add_durations(&mut self, labels: &[Label<'_>], durations: &DurationHistogram) {
        let mut so_far = 0;
        let buckets = DurationHistogram::BOUNDS.iter().zip(durations.within);
        let buckets = buckets.map(|(bound, within)| {
            so_far += within;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(so_far);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.count);
        histogram.set_sample_sum(durations.sum.as_secs_f64());
        let mut series = labelled(labels);
        series.set_histogram(histogram);
        self.series.push(series);
    }
}

fn labelled(labels: &[Label<'_>]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    });
    Metric::from_label(pairs.collect())
}
