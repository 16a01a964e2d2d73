//! Decides which of the scopes that are due get a pass now. Pure: the running passes and the due scopes are arguments,
//! and the scopes that begin are the result.
//!
//! A pass over a host that hangs holds its slot for minutes, so no account may take slots that another one will need.
//! An account that is due begins another pass only while more slots are free than it holds. However many accounts take
//! all they can get, some slots stay free, and an account that holds none gets one at once.

use std::collections::BTreeMap;

use crate::model::{AccountName, Monotonic, Uin};

/// The number of passes that may run at a time.
pub(super) const PASSES_MAX: usize = 64;
/// The number of passes that may run at a time over scopes that the last pass did not observe. There may be more
/// hanging accounts than slots; the remaining slots are for accounts that answer.
const UNOBSERVED_MAX: usize = 48;

/// The account that a slot is counted for. Several names of one account share its slots if the uin is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AccountKey {
    /// The uin from the account's document.
    Uin(Uin),
    Name(AccountName),
}

/// The use of one slot by a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PassSlot {
    pub(super) account: AccountKey,
    /// Whether the previous pass did not observe the scope.
    pub(super) was_unobserved: bool,
}

/// A scope whose next pass is due.
#[derive(Clone, Debug)]
pub(super) struct Due<T> {
    pub(super) scope: T,
    /// The slot that the pass would take.
    pub(super) slot: PassSlot,
    /// When the scope became due.
    pub(super) since: Monotonic,
}

/// Chooses the passes that begin now. The account that holds the fewest slots goes first, with the scope that has been
/// due for longest.
pub(super) fn choose<'p, T>(
    running: impl Iterator<Item = &'p PassSlot>,
    mut due: Vec<Due<T>>,
) -> Vec<T> {
    let (mut held, mut taken, mut unobserved) = (BTreeMap::new(), 0, 0);
    let mut take = |held: &mut BTreeMap<AccountKey, usize>, slot: &PassSlot| {
        *held.entry(slot.account.clone()).or_default() += 1;
        taken += 1;
        unobserved += usize::from(slot.was_unobserved);
        (
            PASSES_MAX.saturating_sub(taken),
            unobserved < UNOBSERVED_MAX,
        )
    };
    let mut room = (PASSES_MAX, true);
    for slot in running {
        room = take(&mut held, slot);
    }
    let mut chosen = Vec::new();
    loop {
        let (free, unobserved_too) = room;
        let holds = |due: &Due<T>| held.get(&due.slot.account).copied().unwrap_or(0);
        let may_begin =
            |due: &Due<T>| holds(due) < free && (unobserved_too || !due.slot.was_unobserved);
        let candidates = due.iter().enumerate().filter(|(_, due)| may_begin(due));
        let first = candidates.min_by_key(|(_, due)| (holds(due), due.since));
        let Some((first, _)) = first else {
            return chosen;
        };
        let Due { scope, slot, .. } = due.remove(first);
        room = take(&mut held, &slot);
        chosen.push(scope);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn slot(account: usize, was_unobserved: bool) -> PassSlot {
        let name = AccountName::new(&format!("acc{account:03}")).expect("a name");
        PassSlot {
            account: AccountKey::Name(name),
            was_unobserved,
        }
    }

    /// Scopes of accounts, each with the number of seconds after the start at which it became due.
    fn due(scopes: impl IntoIterator<Item = (usize, u64, bool)>) -> Vec<Due<(usize, u64)>> {
        let due = scopes
            .into_iter()
            .map(|(account, since, was_unobserved)| Due {
                scope: (account, since),
                slot: slot(account, was_unobserved),
                since: Monotonic::new(Duration::from_secs(since)),
            });
        due.collect()
    }

    fn of_account(chosen: &[(usize, u64)], account: usize) -> usize {
        chosen.iter().filter(|(of, _)| *of == account).count()
    }

    #[test]
    fn c5_l2_those_that_are_due_for_longest_begin_first() {
        let chosen = choose(
            [].iter(),
            due([(1, 30, false), (1, 10, false), (1, 20, false)]),
        );
        assert_eq!(chosen, [(1, 10), (1, 20), (1, 30)]);
    }

    #[test]
    fn c5_l2_accounts_take_turns_whatever_their_names_and_times_are() {
        let many = (0..30).map(|n| (1, n, false));
        let chosen = choose(
            [].iter(),
            due(many.chain([(2, 100, false), (3, 200, false)])),
        );
        assert_eq!(chosen[..4], [(1, 0), (2, 100), (3, 200), (1, 1)]);
        // An account without a slot goes before one that holds a slot and has been due for longer.
        let running = [slot(1, false)];
        let chosen = choose(running.iter(), due([(1, 0, false), (2, 100, false)]));
        assert_eq!(chosen, [(2, 100), (1, 0)]);
    }

    #[test]
    fn c5_l2_two_names_of_one_account_have_one_share() {
        let uin = || AccountKey::Uin(Uin::new("100000000001").expect("a uin"));
        let of_uin = |since| Due {
            scope: (1, since),
            slot: PassSlot {
                account: uin(),
                was_unobserved: false,
            },
            since: Monotonic::new(Duration::from_secs(since)),
        };
        let mut all = vec![of_uin(0), of_uin(1)];
        all.extend(due([(2, 100, false)]));
        assert_eq!(choose([].iter(), all), [(1, 0), (2, 100), (1, 1)]);
    }

    #[test]
    fn c5_l2_a_few_accounts_in_all_regions_run_side_by_side() {
        for accounts in 1..=4 {
            let all = (0..accounts).flat_map(|account| (0..15).map(move |_| (account, 0, false)));
            let chosen = choose([].iter(), due(all));
            // The fourth account's last regions wait: some slots stay free.
            assert_eq!(chosen.len(), (accounts * 15).min(52), "{accounts}");
        }
    }

    #[test]
    fn c5_l2_more_accounts_that_hang_than_slots_leave_slots_for_others() {
        let hung = || (0..200).flat_map(|account| (0..15).map(move |_| (account, 0, true)));
        let first = choose([].iter(), due(hung()));
        assert_eq!(first.len(), UNOBSERVED_MAX);
        let running: Vec<_> = first
            .iter()
            .map(|(account, _)| slot(*account, true))
            .collect();
        let healthy = (500..505).map(|account| (account, 1_000, false));
        let chosen = choose(running.iter(), due(hung().chain(healthy)));
        assert_eq!(chosen.len(), 5, "{chosen:?}");
        assert!(chosen.iter().all(|(account, _)| *account >= 500));
    }

    proptest! {
        /// For any running passes and any due scopes.
        #[test]
        fn c5_l2_no_account_takes_what_another_one_needs(
            running in prop::collection::vec((0usize..30, any::<bool>()), 0..PASSES_MAX),
            waiting in prop::collection::vec((0usize..30, 0u64..100, any::<bool>()), 0..400),
        ) {
            let running: Vec<_> = running.iter().map(|&(account, was_unobserved)| slot(account, was_unobserved)).collect();
            let chosen = choose(running.iter(), due(waiting.clone()));
            prop_assert!(running.len() + chosen.len() <= PASSES_MAX);
            let held = |account| {
                let before = running.iter().filter(|at| **at == slot(account, true) || **at == slot(account, false));
                before.count() + of_account(&chosen, account)
            };
            let left_over = |account| waiting.iter().filter(|(of, ..)| *of == account).count() > of_account(&chosen, account);
            let free = PASSES_MAX - running.len() - chosen.len();
            let is_healthy = |account| waiting.iter().all(|(of, _, was_unobserved)| *of != account || !was_unobserved);
            for waits in (0..30).filter(|&account| left_over(account) && is_healthy(account)) {
                // An account that still waits holds its own share.
                prop_assert!(held(waits) >= free, "{waits} waits, {free} are free");
                // No other account was given more than the waiting one holds.
                for other in (0..30).filter(|&other| of_account(&chosen, other) > 0) {
                    prop_assert!(held(other) <= held(waits) + 1, "{other} got more than {waits}");
                }
            }
        }

        /// Accounts that take all slots they can get, and one that comes later.
        #[test]
        fn c5_l2_a_newcomer_finds_a_slot_at_once(greedy in 1usize..PASSES_MAX, scopes in 1usize..=15) {
            let all = (0..greedy).flat_map(|account| (0..scopes).map(move |_| (account, 0, false)));
            let first = choose([].iter(), due(all.clone()));
            prop_assert!(first.len() >= (greedy * scopes).min(PASSES_MAX / 2));
            let running: Vec<_> = first.iter().map(|(account, _)| slot(*account, false)).collect();
            let chosen = choose(running.iter(), due(all.chain([(99, 1_000, false)])));
            prop_assert!(chosen.contains(&(99, 1_000)), "{} run", running.len());
        }
    }
}
