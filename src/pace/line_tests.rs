use proptest::prelude::*;

use super::*;

/// Listings at a bucket from which one call leaves in each turn, and is answered in it.
struct Bucket {
    line: Line,
    rate: f64,
    listings: Vec<Listing>,
    turn: usize,
}

struct Listing {
    id: PartyId,
    pages: u32,
    /// Of pages that wait for their turn.
    tickets: Vec<TicketId>,
    /// The turns in which its pages left.
    left_in: Vec<usize>,
    may_go_on: bool,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self {
            line: Line::default(),
            rate,
            listings: Vec::new(),
            turn: 0,
        }
    }

    /// Somebody comes who is to read so many pages, and knows it from the first one.
    fn arrive(&mut self, pages: u32) -> usize {
        let id = self.line.arrive();
        self.line.seek(id, 1);
        self.listings.push(Listing {
            id,
            pages,
            tickets: Vec::new(),
            left_in: Vec::new(),
            may_go_on: false,
        });
        self.admit();
        self.listings.len() - 1
    }

    fn admit(&mut self) {
        for id in self.line.admit(self.rate) {
            let listing = self.listings.iter_mut().find(|listing| listing.id == id);
            let listing = listing.expect("is there");
            let pages = match listing.left_in.len() {
                0 => 1,
                _ => listing.pages - 1,
            };
            listing.may_go_on = true;
            let tickets = (0..pages).map(|number| self.line.enter(id, number));
            listing.tickets.extend(tickets);
        }
    }

    /// One call leaves; whose.
    fn tick(&mut self) -> Option<usize> {
        self.turn += 1;
        let ticket = self.line.first()?;
        let mut listings = self.listings.iter_mut().enumerate();
        let (index, listing) = listings
            .find(|(_, listing)| listing.tickets.contains(&ticket))
            .expect("somebody's");
        listing.tickets.retain(|other| *other != ticket);
        listing.left_in.push(self.turn);
        self.line.granted(listing.id, ticket, self.rate);
        self.line.done(listing.id);
        let read = u32::try_from(listing.left_in.len()).expect("few");
        if read == listing.pages {
            self.line.depart(listing.id);
        } else if read == 1 {
            listing.may_go_on = false;
            self.line.seek(listing.id, listing.pages - 1);
        }
        self.admit();
        Some(index)
    }

    /// The order in which they end, if nobody else comes.
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

    /// Pages that are left of those that go on, and of how many that are larger than all that may be begun.
    fn begun(&self) -> (f64, usize) {
        let (mut sum, mut large) = (0, 0);
        for party in self.line.parties.values() {
            match party.progress {
                Progress::Begun => sum += party.left,
                Progress::BegunLarge => large += 1,
                Progress::Seeking | Progress::Free => {}
            }
        }
        (f64::from(sum), large)
    }
}

#[test]
fn single_calls_go_in_first_come_order() {
    let mut line = Line::default();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let id = line.arrive();
            (id, line.enter(id, 0))
        })
        .collect();
    for (id, ticket) in calls {
        assert_eq!(line.first(), Some(ticket));
        line.granted(id, ticket, 19.0);
        line.depart(id);
    }
    assert_eq!(line.first(), None);
}

#[test]
fn c8_the_listing_with_the_fewest_pages_left_ends_first() {
    let mut bucket = Bucket::new(10.0);
    for pages in [200, 30, 1, 50, 2] {
        bucket.arrive(pages);
    }
    assert_eq!(bucket.ends(), [2, 4, 1, 3, 0]);
}

#[test]
fn c8_a_small_listing_that_comes_later_waits_for_one_page_of_a_large_one() {
    for (rate, pages) in [(10.0, 50), (10.0, 200), (1.0, 50), (1.0, 200), (1.0, 1_000)] {
        let mut bucket = Bucket::new(rate);
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
fn c8_no_more_is_begun_than_can_end_within_a_minute() {
    let mut bucket = Bucket::new(1.0);
    for _ in 0..15 {
        bucket.arrive(20);
    }
    let (mut most, mut at_once) = (0.0, 0);
    while bucket.tick().is_some() {
        let (sum, large) = bucket.begun();
        assert!(sum <= 60.0 && large == 0, "{sum}, {large}");
        most = sum.max(most);
        let going_on = bucket.listings.iter();
        let going_on =
            going_on.filter(|listing| listing.left_in.len() > 1 && listing.left_in.len() < 20);
        at_once = at_once.max(going_on.count());
    }
    assert!(most > 40.0, "and no less than that: {most}");
    assert_eq!(at_once, 1, "each goes through in one go");
}

#[test]
fn c8_one_that_is_larger_than_all_that_may_be_begun_goes_on_all_the_same() {
    let mut bucket = Bucket::new(1.0);
    let large = bucket.arrive(200);
    let larger = bucket.arrive(300);
    assert_eq!(bucket.ends(), [large, larger]);
}

#[test]
fn c8_who_gives_up_makes_room_for_others() {
    let mut line = Line::default();
    let parties: Vec<_> = (0..4).map(|_| line.arrive()).collect();
    for &id in &parties {
        line.seek(id, 30);
    }
    assert_eq!(line.admit(1.0), parties[..2]);
    assert!(!line.is_admitted(parties[2]));
    line.depart(parties[0]);
    assert_eq!(line.admit(1.0), [parties[2]]);
    let given_up = line.enter(parties[1], 0);
    let next = line.enter(parties[2], 0);
    assert_eq!(line.first(), Some(given_up));
    line.leave(parties[1], given_up);
    assert_eq!(line.first(), Some(next));
}

#[test]
fn c8_l2_a_large_listing_among_small_ones_without_end_advances() {
    const RATE: f64 = 2.0;
    for pages in [50, 100, 400] {
        let mut bucket = Bucket::new(RATE);
        let large = bucket.arrive(pages);
        let (mut passed_over, mut most) = (0, 0);
        let mut in_a_row = 0;
        while !bucket.is_over(large) {
            assert!(bucket.turn < 10_000, "{pages}: it does not end");
            bucket.arrive(1);
            if bucket.tick() == Some(large) {
                (passed_over, in_a_row) = (0, in_a_row + 1);
            } else {
                (passed_over, in_a_row) = (passed_over + 1, 0);
            }
            most = most.max(passed_over);
            assert!(
                bucket.turn < 10 || in_a_row <= 2,
                "{pages}: small ones wait"
            );
        }
        // A minute's calls, and then every other one.
        assert!(most <= 121, "{pages}: passed over by {most}");
        assert!(most >= 100, "{pages}: small ones go first: {most}");
        let took = bucket.turn;
        assert!(took <= 125 + 2 * pages as usize, "{pages}: {took}");
    }
}

proptest! {
    /// Whoever comes when, and however many pages each has.
    #[test]
    fn c8_l2_each_ends_and_none_is_passed_over_for_long(
        rate in prop::sample::select(vec![1.0, 2.5, 10.0]),
        arrivals in prop::collection::vec((0usize..40, 1u32..160), 1..16),
    ) {
        let mut bucket = Bucket::new(rate);
        let minute = 60.0 * rate;
        // For how many turns each has been passed over in a row.
        let mut passed_over = vec![0usize; arrivals.len()];
        let mut arrivals = arrivals.into_iter().peekable();
        let mut rest = 0;
        loop {
            while let Some((after, _)) = arrivals.peek() && rest >= *after {
                rest = 0;
                bucket.arrive(arrivals.next().expect("is there").1);
            }
            rest += 1;
            prop_assert!(bucket.begun().0 <= minute);
            let Some(index) = bucket.tick() else {
                if arrivals.peek().is_none() {
                    break;
                }
                continue;
            };
            passed_over[index] = 0;
            for earlier in (0..index).filter(|earlier| !bucket.is_over(*earlier)) {
                passed_over[earlier] += 1;
            }
            // Of several that have waited for long, each goes in its turn; and what is begun comes to its end before.
            let most = passed_over.iter().max().copied().unwrap_or(0);
            prop_assert!(most as f64 <= 2.0 * minute + 40.0, "{most}");
        }
        prop_assert!((0..bucket.listings.len()).all(|index| bucket.is_over(index)));
    }
}

#[test]
fn c8_a_page_that_is_read_again_goes_before_the_others_of_its_listing() {
    let mut line = Line::default();
    let id = line.arrive();
    let [first, second] = [0, 1].map(|number| line.enter(id, number));
    line.granted(id, first, 10.0);
    assert_eq!(line.first(), Some(second));
    let again = line.enter(id, 0);
    assert_eq!(line.first(), Some(again));
}
