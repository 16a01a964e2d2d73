//! The order in which calls that wait at one bucket leave: fair queueing, shortest group first, with a bound on how long
//! a group is overtaken. Pure: the rate is an argument and nothing waits here; `queue` wakes the next call.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// No group is overtaken for longer than this by groups that came later. The groups that have started also have no more
/// calls left than can leave within it.
pub(super) const OVERTAKEN_MAX: Duration = Duration::from_secs(60);

/// The groups that wait at one bucket, each with the calls that it still has to make: a single call, or the pages of a
/// listing.
///
/// The group with the fewest calls left goes first; of groups with equally many, the one that came first. So single calls
/// leave in first-come order. A group that has been overtaken for [`OVERTAKEN_MAX`] goes before the groups that came
/// later, one call at a time, until its delay falls below the limit: both it and they advance.
///
/// A group of more than one call asks before it starts. Together, the groups that have started have no more calls left
/// than can leave within [`OVERTAKEN_MAX`]. A group that is larger than that by itself starts when no other group has
/// started, or once it has been overtaken for long enough. The other groups start without regard to it, and their calls
/// go first.
#[derive(Debug, Default)]
pub(super) struct FairOrder {
    last_number: u64,
    groups: BTreeMap<GroupId, Group>,
}

/// Identifies a group. Ids are in the order in which groups came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(u64);

/// Identifies a waiting call. Ids are in the order in which calls came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CallId(u64);

#[derive(Debug)]
struct Group {
    /// Calls that the group still has to make.
    left: u32,
    progress: Progress,
    /// Its waiting calls, sorted by their number in the group, so that a repeated call goes first.
    calls: BTreeSet<(u32, CallId)>,
    /// How long calls of later groups have gone before it, minus the time that it has caught up.
    overtaken: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The group makes no calls, or a single one, which needs no admission.
    Idle,
    /// The group waits to be admitted.
    Requested,
    Started,
    /// The group has started, and has more calls than all groups together may start.
    StartedLarge,
}

impl Group {
    fn is_overdue(&self) -> bool {
        self.overtaken >= OVERTAKEN_MAX
    }

    /// The group with the smallest rank goes first.
    fn rank(&self, id: GroupId) -> (bool, u32, GroupId) {
        match self.is_overdue() {
            true => (false, 0, id),
            false => (true, self.left, id),
        }
    }

    fn waits(&self) -> bool {
        !self.calls.is_empty() || self.progress == Progress::Requested
    }
}

impl FairOrder {
    /// Adds a group, with one call to make as far as is known.
    pub(super) fn add_group(&mut self) -> GroupId {
        let id = GroupId(self.next_number());
        let group = Group {
            left: 1,
            progress: Progress::Idle,
            calls: BTreeSet::new(),
            overtaken: Duration::ZERO,
        };
        self.groups.insert(id, group);
        id
    }

    /// Removes a group that has no more calls to make or is given up.
    pub(super) fn remove_group(&mut self, id: GroupId) {
        self.groups.remove(&id);
    }

    /// Adds a waiting call. Within a group, the call with the smallest number goes first.
    pub(super) fn add_call(&mut self, id: GroupId, number: u32) -> CallId {
        let call = CallId(self.next_number());
        if let Some(group) = self.groups.get_mut(&id) {
            group.calls.insert((number, call));
        }
        call
    }

    /// Removes a call that no longer waits.
    pub(super) fn remove_call(&mut self, id: GroupId, call: CallId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.calls.retain(|(_, other)| *other != call);
        }
    }

    /// The call that leaves next.
    pub(super) fn next_call(&self) -> Option<CallId> {
        let waiting = self.groups.iter();
        let waiting =
            waiting.filter_map(|(id, group)| Some((group.rank(*id), group.calls.first()?.1)));
        waiting.min().map(|(_, call)| call)
    }

    /// Lets a call leave, at a bucket with a rate of `rate` calls a second.
    pub(super) fn grant(&mut self, id: GroupId, call: CallId, rate: f64) {
        let interval = Duration::from_secs_f64(1.0 / rate);
        self.remove_call(id, call);
        for (_, earlier) in self.groups.range_mut(..id) {
            if earlier.waits() {
                earlier.overtaken += interval;
            }
        }
        if let Some(group) = self.groups.get_mut(&id)
            && group.is_overdue()
        {
            group.overtaken -= interval;
        }
    }

    /// Records that a call of a group succeeded and need not be repeated.
    pub(super) fn call_done(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.left = group.left.saturating_sub(1);
        }
    }

    /// Requests that a group may make `left` calls. [`Self::admit`] returns it when it may start.
    pub(super) fn request_start(&mut self, id: GroupId, left: u32) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.left = left;
            group.progress = Progress::Requested;
        }
    }

    /// Admits and returns the groups that may start, at a rate of `rate` calls a second.
    pub(super) fn admit(&mut self, rate: f64) -> Vec<GroupId> {
        let most = OVERTAKEN_MAX.as_secs_f64() * rate;
        let mut admitted = Vec::new();
        while let Some((id, progress)) = self.next_to_start(most) {
            if let Some(group) = self.groups.get_mut(&id) {
                group.progress = progress;
                admitted.push(id);
            }
        }
        admitted
    }

    fn next_to_start(&self, most: f64) -> Option<(GroupId, Progress)> {
        let of = |progress| {
            let groups = self.groups.values();
            groups.filter(move |group| group.progress == progress)
        };
        let started: u32 = of(Progress::Started).map(|group| group.left).sum();
        let (none_started, no_large_started) = (
            of(Progress::Started).next().is_none(),
            of(Progress::StartedLarge).next().is_none(),
        );
        let requested = self.groups.iter();
        let requested = requested.filter(|(_, group)| group.progress == Progress::Requested);
        let mut requested: Vec<_> = requested
            .map(|(id, group)| (group.rank(*id), *id, group))
            .collect();
        requested.sort_unstable_by_key(|(rank, ..)| *rank);
        for (_, id, group) in requested {
            if f64::from(group.left) > most {
                if group.is_overdue() || (none_started && no_large_started) {
                    return Some((id, Progress::StartedLarge));
                }
            } else if f64::from(started.saturating_add(group.left)) <= most {
                return Some((id, Progress::Started));
            } else if group.is_overdue() {
                // The groups behind it have overtaken it for long enough.
                return None;
            }
        }
        None
    }

    /// Whether a group may make its calls.
    pub(super) fn is_admitted(&self, id: GroupId) -> bool {
        let group = self.groups.get(&id);
        group.is_none_or(|group| group.progress != Progress::Requested)
    }

    /// The number of calls that go before those of a group in the current order.
    pub(super) fn calls_before(&self, id: GroupId) -> u32 {
        let Some(rank) = self.groups.get(&id).map(|group| group.rank(id)) else {
            return 0;
        };
        let others = self.groups.iter();
        let ahead = others.filter(|(other, group)| group.waits() && group.rank(**other) < rank);
        ahead.map(|(_, group)| group.left).sum()
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

#[cfg(test)]
#[path = "fair_order_tests.rs"]
mod tests;
