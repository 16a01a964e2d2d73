//! Persists the changes that an observation makes to the inventory, before anything is done about it. It must not
//! decide these changes.

use super::context::ScopeContext;
use super::event::Event;
use super::plan_scope::PlannedScope;
use crate::host::Host;
use crate::inventory::{InventoryUpdate, Takeover};
use crate::ledger::{Ledger, LedgerError};
use crate::model::Scope;
use crate::observation::{Observation, Unobserved};

/// The number of rows that one transaction takes over at most.
const ROWS_PER_TRANSACTION_MAX: usize = 256;

/// Persists the sighting of the scope and the changes that follow from it. If the ledger cannot persist them, it would
/// refuse the next intent, too, so everything in the scope holds still then.
pub(super) async fn persist<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    mut planned: PlannedScope,
) -> PlannedScope {
    let update = std::mem::take(&mut planned.update);
    let is_seen = matches!(planned.observation, Observation::Seen(_));
    if !is_seen && update.is_empty() {
        return planned;
    }
    for change in &update.changes {
        if let Some(note) = &change.note {
            context.emit(Event::Noted {
                scope: context.task.scope,
                image: &change.image,
                note,
            });
        }
    }
    let ledger = context.engine.ledger;
    if let Err(error) = record(ledger, context.task.scope, is_seen, update).await {
        let unobserved = Unobserved::new(format!("the state cannot be written: {error}"));
        let task = context.task;
        planned.plan = task.unobserved(unobserved.clone(), context.client_context());
        planned.observation = Observation::Unobserved(unobserved);
    }
    planned
}

async fn record(
    ledger: &impl Ledger,
    scope: &Scope,
    is_seen: bool,
    update: InventoryUpdate,
) -> Result<(), LedgerError> {
    if is_seen {
        ledger.mark_observed().await?;
    }
    if update.is_empty() {
        return Ok(());
    }
    settle(ledger, scope, update).await
}

/// Records an update in transactions that are short enough for other users of the ledger, because it may take over many
/// rows.
async fn settle(
    ledger: &impl Ledger,
    scope: &Scope,
    update: InventoryUpdate,
) -> Result<(), LedgerError> {
    for part in parts(update) {
        ledger.apply_update(scope, part).await?;
    }
    Ok(())
}

/// The parts of the update in recording order. Changes from the observation come last, because they build on the rows
/// that are taken over.
fn parts(mut update: InventoryUpdate) -> Vec<InventoryUpdate> {
    let mut parts = Vec::new();
    while update.takeover.rows.len() > ROWS_PER_TRANSACTION_MAX {
        let later = update.takeover.rows.split_off(ROWS_PER_TRANSACTION_MAX);
        let rows = std::mem::replace(&mut update.takeover.rows, later);
        parts.push(InventoryUpdate {
            set_aside: update.set_aside.take(),
            takeover: Takeover {
                rows,
                expected: update.takeover.expected.clone(),
                ..Takeover::default()
            },
            ..InventoryUpdate::default()
        });
    }
    parts.push(update);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{MemoryUpdate, SAME_ACCOUNT, TakenOverRow};
    use crate::model::{AccountName, ImageId, ImageName, Uin};

    #[test]
    fn rows_of_another_account_go_first_and_what_is_remembered_goes_last() {
        let id = |n: usize| ImageId::new(&format!("img-{n}")).expect("an id");
        let row = |n| TakenOverRow {
            image: id(n),
            from: AccountName::default(),
            entry: None,
            reason: SAME_ACCOUNT,
        };
        let uin = Uin::new("100000000001").expect("a uin");
        let memory = MemoryUpdate {
            names: [(ImageName::new("golden").expect("a name"), Some(id(0)))].into(),
            ..MemoryUpdate::default()
        };
        for (rows, count) in [(0, 1), (256, 1), (257, 2), (600, 3)] {
            let update = InventoryUpdate {
                set_aside: Some(uin.clone()),
                takeover: Takeover {
                    rows: (0..rows).map(row).collect(),
                    ..Takeover::default()
                },
                memory: memory.clone(),
                ..InventoryUpdate::default()
            };
            let parts = parts(update);
            assert_eq!(parts.len(), count, "{rows}");
            let taken = parts.iter().flat_map(|part| &part.takeover.rows).cloned();
            assert!(taken.eq((0..rows).map(row)), "{rows}");
            for (n, part) in parts.iter().enumerate() {
                assert_eq!(part.set_aside.is_some(), n == 0, "{rows}");
                assert_eq!(part.memory == memory, n + 1 == count, "{rows}");
                assert_eq!(part.memory.is_empty(), n + 1 < count, "{rows}");
            }
        }
    }
}
