use super::machine::PROBES_MAX;
use crate::model::Timestamp;

/// The order in which images are tried: first those that are not known as denied, then those that are, the one that was
/// denied longest ago first, so that each has its turn. Images that are denied often stand together, as their ids do:
/// the first that are tried are spread over all that are undone.
pub fn probing_order<T>(
    undone: impl IntoIterator<Item = T>,
    denied: impl Fn(&T) -> Option<Timestamp>,
) -> Vec<T> {
    let (mut known, unknown): (Vec<T>, Vec<T>) = undone
        .into_iter()
        .partition(|image| denied(image).is_some());
    known.sort_by_key(|image| denied(image));
    let mut ordered = spread(unknown);
    ordered.extend(known);
    ordered
}

/// Brings those from evenly spread places to the front.
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

    fn ordered(undone: &[usize], denied: impl Fn(usize) -> Option<i64>) -> Vec<usize> {
        let since = |image: &usize| {
            denied(*image).map(|at| Timestamp::from_timestamp(at, 0).expect("a date"))
        };
        probing_order(undone.iter().copied(), since)
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
