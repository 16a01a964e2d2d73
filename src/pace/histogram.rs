//! A histogram of durations, for metrics and reports. This file must not know what took that long.

use std::time::Duration;

/// Durations, counted in buckets by their length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationHistogram {
    pub count: u64,
    pub sum: Duration,
    /// The number of durations within each of [`DurationHistogram::BOUNDS`], but above the previous bound.
    pub within: [u64; Self::BOUNDS.len()],
}

impl DurationHistogram {
    /// Upper bounds in seconds, from a reply of a nearby access point to a pass over thousands of images.
    pub const BOUNDS: [f64; 12] = [
        0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
    ];

    pub fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.sum += duration;
        let seconds = duration.as_secs_f64();
        if let Some(at) = Self::BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.within[at] += 1;
        }
    }

    /// Adds all durations of `other`.
    pub fn add_all(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        for (within, more) in self.within.iter_mut().zip(other.within) {
            *within += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let mut durations = DurationHistogram::default();
        for ms in [10, 11, 600_000, 600_001] {
            durations.add(Duration::from_millis(ms));
        }
        assert_eq!(durations.within, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let mut twice = durations.clone();
        twice.add_all(&durations);
        assert_eq!((twice.count, twice.within[0], twice.within[11]), (8, 2, 2));
        assert_eq!(twice.sum, durations.sum * 2);
    }
}
