//! Tests the order in which listings and single calls leave a bucket: which goes first, and how long others are
//! overtaken.

use proptest::prelude::*;

use super::*;

/// Listings at a bucket from which one call leaves in each turn. The call is answered in the same turn.
struct SimulatedBucket {
    order: FairOrder,
    rate: f64,
    listings: Vec<Listing>,
    turn: usize,
}

struct Listing {
    id: GroupId,
    pages: u32,
    /// Waiting pages, by number and id.
    calls: Vec<CallId>,
    /// The turns in which its pages left.
    left_in: Vec<usize>,
    is_admitted: bool,
}

impl SimulatedBucket {
    fn new(rate: f64) -> Self {
        Self {
            order: FairOrder::default(),
            rate,
            listings: Vec::new(),
            turn: 0,
        }
    }

    /// Adds a listing of `pages` pages. Its first page reveals their number.
    fn arrive(&mut self, pages: u32) -> usize {
        let id = self.order.add_group();
        self.order.request_start(id, 1);
        self.listings.push(Listing {
            id,
            pages,
            calls: Vec::new(),
            left_in: Vec::new(),
            is_admitted: false,
        });
        self.admit();
        self.listings.len() - 1
    }

    fn admit(&mut self) {
        for id in self.order.admit(self.rate) {
            let listing = self.listings.iter_mut().find(|listing| listing.id == id);
            let listing = listing.expect("the listing exists");
            let pages = match listing.left_in.len() {
                0 => 1,
                _ => listing.pages - 1,
            };
            listing.is_admitted = true;
            let calls = (0..pages).map(|number| self.order.add_call(id, number));
            listing.calls.extend(calls);
        }
    }

    /// Lets one call leave, and returns the listing that it belongs to.
    fn tick(&mut self) -> Option<usize> {
        self.turn += 1;
        let call = self.order.next_call()?;
        let mut listings = self.listings.iter_mut().enumerate();
        let (index, listing) = listings
            .find(|(_, listing)| listing.calls.contains(&call))
            .expect("a call belongs to a listing");
        listing.calls.retain(|other| *other != call);
        listing.left_in.push(self.turn);
        self.order.grant(listing.id, call, self.rate);
        self.order.call_done(listing.id);
        let read = u32::try_from(listing.left_in.len()).expect("fewer than 2^32 pages");
        if read == listing.pages {
            self.order.remove_group(listing.id);
        } else if read == 1 {
            listing.is_admitted = false;
            self.order.request_start(listing.id, listing.pages - 1);
        }
        self.admit();
        Some(index)
    }

    /// The order in which the listings end, if no other listing comes.
    fn ends(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        while let Some(index) = self.tick() {
            if self.is_over(index) {
                ended.push(index);
            }
        }
        ended
    }

    fn is_over(&self, index: usize) -> bool {
        let listing = &self.listings[index];
        listing.left_in.len() == listing.pages as usize
    }

    /// Pages left of the listings that have started, and the number of started listings that are larger than the limit.
    fn started(&self) -> (f64, usize) {
        let (mut sum, mut large) = (0, 0);
        for group in self.order.groups.values() {
            match group.progress {
                Progress::Started => sum += group.left,
                Progress::StartedLarge => large += 1,
                Progress::Requested | Progress::Idle => {}
            }
        }
        (f64::from(sum), large)
    }
}

#[test]
fn single_calls_go_in_first_come_order() {
    let mut order = FairOrder::default();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let id = order.add_group();
            (id, order.add_call(id, 0))
        })
        .collect();
    for (id, call) in calls {
        assert_eq!(order.next_call(), Some(call));
        order.grant(id, call, 19.0);
        order.remove_group(id);
    }
    assert_eq!(order.next_call(), None);
}

#[test]
fn c8_the_listing_with_the_fewest_pages_left_ends_first() {
    let mut bucket = SimulatedBucket::new(10.0);
    for pages in [200, 30, 1, 50, 2] {
        bucket.arrive(pages);
    }
    assert_eq!(bucket.ends(), [2, 4, 1, 3, 0]);
}

#[test]
fn c8_a_small_listing_that_comes_later_waits_for_one_page_of_a_large_one() {
    for (rate, pages) in [(10.0, 50), (10.0, 200), (1.0, 50), (1.0, 200), (1.0, 1_000)] {
        let mut bucket = SimulatedBucket::new(rate);
        bucket.arrive(pages);
        for _ in 0..10 {
            bucket.tick();
        }
        let small = bucket.arrive(2);
        let turns: Vec<_> = (0..3).map(|_| bucket.tick()).collect();
        let own = turns.iter().filter(|turn| **turn == Some(small)).count();
        assert_eq!(own, 2, "{rate}, {pages}: {turns:?}");
    }
}

#[test]
fn c8_no_more_is_started_than_can_end_within_a_minute() {
    let mut bucket = SimulatedBucket::new(1.0);
    for _ in 0..15 {
        bucket.arrive(20);
    }
    let (mut most, mut at_once) = (0.0, 0);
    while bucket.tick().is_some() {
        let (sum, large) = bucket.started();
        assert!(sum <= 60.0 && large == 0, "{sum}, {large}");
        most = sum.max(most);
        let going_on = bucket.listings.iter();
        let going_on =
            going_on.filter(|listing| listing.left_in.len() > 1 && listing.left_in.len() < 20);
        at_once = at_once.max(going_on.count());
    }
    assert!(most > 40.0, "the limit is used almost fully: {most}");
    assert_eq!(at_once, 1, "each is admitted without a break");
}

#[test]
fn c8_a_listing_larger_than_the_limit_still_advances() {
    let mut bucket = SimulatedBucket::new(1.0);
    let large = bucket.arrive(200);
    let larger = bucket.arrive(300);
    assert_eq!(bucket.ends(), [large, larger]);
}

#[test]
fn c8_a_group_that_gives_up_makes_room_for_others() {
    let mut order = FairOrder::default();
    let groups: Vec<_> = (0..4).map(|_| order.add_group()).collect();
    for &id in &groups {
        order.request_start(id, 30);
    }
    assert_eq!(order.admit(1.0), groups[..2]);
    assert!(!order.is_admitted(groups[2]));
    order.remove_group(groups[0]);
    assert_eq!(order.admit(1.0), [groups[2]]);
    let given_up = order.add_call(groups[1], 0);
    let next = order.add_call(groups[2], 0);
    assert_eq!(order.next_call(), Some(given_up));
    order.remove_call(groups[1], given_up);
    assert_eq!(order.next_call(), Some(next));
}

#[test]
fn c8_l2_a_large_listing_advances_among_endless_small_ones() {
    const RATE: f64 = 2.0;
    for pages in [50, 100, 400] {
        let mut bucket = SimulatedBucket::new(RATE);
        let large = bucket.arrive(pages);
        let (mut overtaken, mut most) = (0, 0);
        let mut in_a_row = 0;
        while !bucket.is_over(large) {
            assert!(bucket.turn < 10_000, "{pages}: it does not end");
            bucket.arrive(1);
            if bucket.tick() == Some(large) {
                (overtaken, in_a_row) = (0, in_a_row + 1);
            } else {
                (overtaken, in_a_row) = (overtaken + 1, 0);
            }
            most = most.max(overtaken);
            assert!(
                bucket.turn < 10 || in_a_row <= 2,
                "{pages}: small listings wait"
            );
        }
        // It is overtaken by a minute's calls, and then by every other call.
        assert!(most <= 121, "{pages}: overtaken by {most}");
        assert!(most >= 100, "{pages}: small listings go first: {most}");
        let took = bucket.turn;
        assert!(took <= 125 + 2 * pages as usize, "{pages}: {took}");
    }
}

proptest! {
    /// Holds for all arrival times of listings, and all numbers of pages.
    #[test]
    fn c8_l2_each_listing_ends_and_none_is_overtaken_for_long(
        rate in prop::sample::select(vec![1.0, 2.5, 10.0]),
        arrivals in prop::collection::vec((0usize..40, 1u32..160), 1..16),
    ) {
        let mut bucket = SimulatedBucket::new(rate);
        let minute = 60.0 * rate;
        // For how many turns in a row each listing has been overtaken.
        let mut overtaken = vec![0usize; arrivals.len()];
        let mut arrivals = arrivals.into_iter().peekable();
        let mut rest = 0;
        loop {
            while let Some((after, _)) = arrivals.peek() && rest >= *after {
                rest = 0;
                bucket.arrive(arrivals.next().expect("a peeked arrival").1);
            }
            rest += 1;
            prop_assert!(bucket.started().0 <= minute);
            let Some(index) = bucket.tick() else {
                if arrivals.peek().is_none() {
                    break;
                }
                continue;
            };
            overtaken[index] = 0;
            for earlier in (0..index).filter(|earlier| !bucket.is_over(*earlier)) {
                overtaken[earlier] += 1;
            }
            // Several overdue listings alternate, and listings that have started end first.
            let most = overtaken.iter().max().copied().unwrap_or(0);
            prop_assert!(most as f64 <= 2.0 * minute + 40.0, "{most}");
        }
        prop_assert!((0..bucket.listings.len()).all(|index| bucket.is_over(index)));
    }
}

#[test]
fn c8_a_page_that_is_read_again_goes_first_in_its_listing() {
    let mut order = FairOrder::default();
    let id = order.add_group();
    let [first, second] = [0, 1].map(|number| order.add_call(id, number));
    order.grant(id, first, 10.0);
    assert_eq!(order.next_call(), Some(second));
    let again = order.add_call(id, 0);
    assert_eq!(order.next_call(), Some(again));
}
