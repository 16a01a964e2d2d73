//! The order in which a plan's writes are tried, so that few denied calls show whether a whole scope is denied. It
//! knows since when an image was denied, but not why.

use super::access::PROBES_MAX;
use crate::model::Timestamp;

/// Orders images for trying: first those without a known denial, then the denied ones, the oldest denial first, so that
/// each is retried in turn. Neighbouring ids are often denied together, so the first [`PROBES_MAX`] are spread evenly
/// over all images without a known denial.
pub fn probing_order<T>(
    actions: impl IntoIterator<Item = T>,
    denied: impl Fn(&T) -> Option<Timestamp>,
) -> Vec<T> {
    let (mut known, unknown): (Vec<T>, Vec<T>) = actions
        .into_iter()
        .partition(|image| denied(image).is_some());
    known.sort_by_key(|image| denied(image));
    let mut ordered = spread(unknown);
    ordered.extend(known);
    ordered
}

/// Moves images from evenly spaced positions to the front.
fn spread<T>(images: Vec<T>) -> Vec<T> {
    let count = images.len();
    let probes = (PROBES_MAX as usize).min(count);
    let places: Vec<_> = (0..probes)
        .map(|probe| (2 * probe + 1) * count / (2 * probes))
        .collect();
    let (mut first, mut rest) = (Vec::with_capacity(count), Vec::new());
    for (place, image) in images.into_iter().enumerate() {
        match places.binary_search(&place) {
            Ok(_) => first.push(image),
            Err(_) => rest.push(image),
        }
    }
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(actions: &[usize], denied: impl Fn(usize) -> Option<i64>) -> Vec<usize> {
        let since = |image: &usize| {
            denied(*image).map(|at| Timestamp::from_timestamp(at, 0).expect("a date"))
        };
        probing_order(actions.iter().copied(), since)
    }

    #[test]
    fn c2_the_first_that_are_tried_are_spread_over_all_that_are_undone() {
        let all: Vec<_> = (0..50).collect();
        let order = ordered(&all, |_| None);
        assert_eq!(order[..7], [5, 15, 25, 35, 45, 0, 1]);
        for count in 0..30 {
            let all: Vec<_> = (0..count).collect();
            let mut order = ordered(&all, |_| None);
            order.sort_unstable();
            assert_eq!(order, all, "each once");
        }
        assert_eq!(ordered(&[7, 8, 9], |_| None), [7, 8, 9]);
    }

    #[test]
    fn c2_what_is_known_as_denied_comes_last_and_takes_turns() {
        let all: Vec<_> = (0..8).collect();
        let since = |image: usize| {
            [None, Some(30), Some(10), None, Some(20)]
                .get(image)?
                .as_ref()
                .copied()
        };
        assert_eq!(ordered(&all, since), [0, 3, 5, 6, 7, 2, 4, 1]);
    }
}
