use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Nobody is passed over for longer by those who came later. And no more is begun at once than can end within it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Those who wait at one bucket, each with the calls that it still has to make: a single call, or the pages of a
/// listing. Pure; how fast the bucket is drawn from is an argument.
///
/// Whoever has the fewest calls left goes first, and of those with as many whoever came first: single calls go in
/// first-come order. Whoever has been passed over for [`PATIENCE`] by others who came later goes before them, call by
/// call, until that is made up for: it advances, and so do they.
///
/// A listing of more than one page asks before it goes on. Together, those that have begun have no more pages left than
/// leave within [`PATIENCE`]. A listing that is larger than that by itself begins when nothing else is under way, or has
/// been passed over for long enough; the others begin as if it were not there, and go before it.
#[derive(Debug, Default)]
pub(super) struct Line {
    next: u64,
    parties: BTreeMap<PartyId, Party>,
}

/// Whoever waits. In the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PartyId(u64);

/// One call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TicketId(u64);

#[derive(Debug)]
struct Party {
    /// Calls that it still has to make.
    left: u32,
    progress: Progress,
    /// Its calls that wait for their turn, each with its number among them: one that is made again goes first.
    tickets: BTreeSet<(u32, TicketId)>,
    /// For how long calls of others that came later have gone before it, and it has not made up for.
    passed_over: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It asks for nothing, or for a call that needs no leave.
    Free,
    /// It waits until it may go on.
    Seeking,
    /// It goes on.
    Begun,
    /// It goes on, and is larger than all that may be begun.
    BegunLarge,
}

impl Party {
    fn is_patient(&self) -> bool {
        self.passed_over < PATIENCE
    }

    /// The smallest goes first.
    fn rank(&self, id: PartyId) -> (bool, u32, PartyId) {
        match self.is_patient() {
            true => (true, self.left, id),
            false => (false, 0, id),
        }
    }

    fn waits(&self) -> bool {
        !self.tickets.is_empty() || self.progress == Progress::Seeking
    }
}

impl Line {
    /// Somebody comes, with one call to make as far as is known.
    pub(super) fn arrive(&mut self) -> PartyId {
        let id = PartyId(self.number());
        let party = Party {
            left: 1,
            progress: Progress::Free,
            tickets: BTreeSet::new(),
            passed_over: Duration::ZERO,
        };
        self.parties.insert(id, party);
        id
    }

    /// Somebody has no more calls to make, or has given up.
    pub(super) fn depart(&mut self, id: PartyId) {
        self.parties.remove(&id);
    }

    /// A call of somebody waits for its turn: of those of its own, the one with the smallest number goes first.
    pub(super) fn enter(&mut self, id: PartyId, number: u32) -> TicketId {
        let ticket = TicketId(self.number());
        if let Some(party) = self.parties.get_mut(&id) {
            party.tickets.insert((number, ticket));
        }
        ticket
    }

    /// A call was given up.
    pub(super) fn leave(&mut self, id: PartyId, ticket: TicketId) {
        if let Some(party) = self.parties.get_mut(&id) {
            party.tickets.retain(|(_, other)| *other != ticket);
        }
    }

    /// Whose turn is next.
    pub(super) fn first(&self) -> Option<TicketId> {
        let waiting = self.parties.iter();
        let waiting =
            waiting.filter_map(|(id, party)| Some((party.rank(*id), party.tickets.first()?.1)));
        waiting.min().map(|(_, ticket)| ticket)
    }

    /// The turn of somebody's call has come, where so many leave a second.
    pub(super) fn granted(&mut self, id: PartyId, ticket: TicketId, rate: f64) {
        let turn = Duration::from_secs_f64(1.0 / rate);
        self.leave(id, ticket);
        for (_, earlier) in self.parties.range_mut(..id) {
            if earlier.waits() {
                earlier.passed_over += turn;
            }
        }
        if let Some(party) = self.parties.get_mut(&id)
            && !party.is_patient()
        {
            party.passed_over -= turn;
        }
    }

    /// One of somebody's calls came to a good end.
    pub(super) fn done(&mut self, id: PartyId) {
        if let Some(party) = self.parties.get_mut(&id) {
            party.left = party.left.saturating_sub(1);
        }
    }

    /// Somebody wants to make so many calls; [`Self::admit`] says when it may.
    pub(super) fn seek(&mut self, id: PartyId, left: u32) {
        if let Some(party) = self.parties.get_mut(&id) {
            party.left = left;
            party.progress = Progress::Seeking;
        }
    }

    /// Lets those go on that may, where so many calls leave a second, and says whom.
    pub(super) fn admit(&mut self, rate: f64) -> Vec<PartyId> {
        let most = PATIENCE.as_secs_f64() * rate;
        let mut admitted = Vec::new();
        while let Some((id, progress)) = self.next_to_begin(most) {
            if let Some(party) = self.parties.get_mut(&id) {
                party.progress = progress;
                admitted.push(id);
            }
        }
        admitted
    }

    fn next_to_begin(&self, most: f64) -> Option<(PartyId, Progress)> {
        let of = |progress| {
            let parties = self.parties.values();
            parties.filter(move |party| party.progress == progress)
        };
        let begun: u32 = of(Progress::Begun).map(|party| party.left).sum();
        let (nobody, no_large) = (
            of(Progress::Begun).next().is_none(),
            of(Progress::BegunLarge).next().is_none(),
        );
        let seeking = self.parties.iter();
        let seeking = seeking.filter(|(_, party)| party.progress == Progress::Seeking);
        let mut seeking: Vec<_> = seeking
            .map(|(id, party)| (party.rank(*id), *id, party))
            .collect();
        seeking.sort_unstable_by_key(|(rank, ..)| *rank);
        for (_, id, party) in seeking {
            if f64::from(party.left) > most {
                if !party.is_patient() || (nobody && no_large) {
                    return Some((id, Progress::BegunLarge));
                }
            } else if f64::from(begun.saturating_add(party.left)) <= most {
                return Some((id, Progress::Begun));
            } else if !party.is_patient() {
                // Those behind it have passed it over for long enough.
                return None;
            }
        }
        None
    }

    /// Whether somebody may go on.
    pub(super) fn is_admitted(&self, id: PartyId) -> bool {
        let party = self.parties.get(&id);
        party.is_none_or(|party| party.progress != Progress::Seeking)
    }

    /// Calls that go before somebody's, as things stand.
    pub(super) fn before(&self, id: PartyId) -> u32 {
        let Some(rank) = self.parties.get(&id).map(|party| party.rank(id)) else {
            return 0;
        };
        let others = self.parties.iter();
        let ahead = others.filter(|(other, party)| party.waits() && party.rank(**other) < rank);
        ahead.map(|(_, party)| party.left).sum()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
