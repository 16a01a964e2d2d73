//! S19, D7 and D12: any change of the history is found, and the entries that rotation leaves can still be proved.

use rusqlite::Connection;

use super::fixtures_tests::{answer, block_on, dump, key, noon, open, options, share, ticking};
use super::{HistoryQuery, OperatorStore, Options, Reader, Store, VerifyResult, chain, verify};
use crate::history::{HistoryEvent, WriteResult};
use crate::inventory::OwnedShare;
use crate::ledger::{Ledger, LedgerReader};

/// Writes a history of eight entries of all kinds.
fn written(dir: &std::path::Path) {
    let store = open(dir);
    for name in ["a", "b"] {
        let intent = block_on(store.record_intent(&share(name))).expect("recorded");
        let outcome = answer(intent, &share(name), WriteResult::Rejected);
        block_on(store.record_outcome(outcome, None)).expect("kept");
    }
    let mut operator = OperatorStore::open(dir, &options(), ticking()).expect("an operator store");
    let owned = OwnedShare::adopted("lhbp-1", noon());
    let adopted = operator.adopt(
        vec![(key("c"), owned)],
        &Default::default(),
        "ann@desk",
        "by hand",
    );
    adopted.expect("adopted");
    let suspended = operator.suspend(Default::default(), Some(noon()), "ann@desk", "a \"pause\"");
    suspended.expect("suspended");
    let unknown = block_on(store.record_intent(&share("d"))).expect("recorded");
    let outcome = answer(unknown, &share("d"), WriteResult::Unknown);
    block_on(store.record_outcome(outcome, None)).expect("kept");
    block_on(store.record_intent(&share("d"))).expect("recorded");
}

/// Returns the result of `verify` after `sql`, which is then rolled back.
fn after(conn: &Connection, sql: &str) -> VerifyResult {
    conn.execute_batch("BEGIN").expect("begun");
    conn.execute_batch(sql).expect(sql);
    let verified = verify::verify(conn).expect("walked");
    conn.execute_batch("ROLLBACK").expect("undone");
    verified
}

fn broken_at(verified: &VerifyResult) -> Option<u64> {
    match verified {
        VerifyResult::Broken { seq, .. } => Some(*seq),
        VerifyResult::Intact { .. } => None,
    }
}

#[test]
fn s19_d7_every_flipped_byte_is_found_at_its_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path());
    let conn = Connection::open(dir.path().join("state.db")).expect("a database");
    let unguarded = "DROP TRIGGER history_is_not_changed;";
    let intact = after(&conn, unguarded);
    assert!(
        matches!(
            intact,
            VerifyResult::Intact {
                entries: 9,
                head: 9,
                ..
            }
        ),
        "{intact:?}"
    );
    let mut flips = 0;
    for seq in 1..=9_u64 {
        for column in ["body", "hash", "at", "event", "account", "region", "image"] {
            let sql = format!("SELECT CAST({column} AS BLOB) FROM history WHERE seq = {seq}");
            let bytes: Option<Vec<u8>> = conn.query_row(&sql, [], |row| row.get(0)).expect("read");
            let kind = if column == "hash" { "BLOB" } else { "TEXT" };
            let Some(bytes) = bytes else { continue };
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << (at % 8);
                let verified = after(
                    &conn,
                    &format!(
                        "{unguarded} UPDATE history SET {column} = CAST(x'{}' AS {kind}) WHERE seq = {seq}",
                        hex::encode(bytes)
                    ),
                );
                assert_eq!(
                    broken_at(&verified),
                    Some(seq),
                    "{column} {at}: {verified:?}"
                );
                flips += 1;
            }
        }
    }
    assert!(flips > 2_000, "{flips}");
}

#[test]
fn s19_d7_missing_added_and_moved_entries_are_found() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path());
    let conn = Connection::open(dir.path().join("state.db")).expect("a database");
    let unguarded = "DROP TRIGGER history_is_not_changed; DROP TRIGGER history_is_not_shortened; \
        DROP TRIGGER history_grows_by_one;";
    for (sql, seq) in [
        ("DELETE FROM history WHERE seq = 1", 1),
        ("DELETE FROM history WHERE seq = 5", 5),
        ("DELETE FROM history WHERE seq >= 8", 8),
        ("DELETE FROM history", 1),
        ("UPDATE history SET seq = 20 WHERE seq = 9", 9),
        (
            "INSERT INTO history SELECT 10, at, event, account, region, image, body, hash FROM history WHERE seq = 9",
            10,
        ),
        (
            "INSERT INTO history SELECT 0, at, event, account, region, image, body, hash FROM history WHERE seq = 9",
            0,
        ),
        ("UPDATE chain SET head_seq = 8", 9),
        ("UPDATE chain SET head_hash = zeroblob(32)", 9),
        ("UPDATE chain SET anchor_hash = zeroblob(32)", 0),
        ("UPDATE about SET owner = 'another'", 0),
        // Moving the anchor cannot hide the entries before it.
        (
            "UPDATE chain SET anchor_seq = 2; DELETE FROM history WHERE seq <= 2",
            3,
        ),
    ] {
        let verified = after(&conn, &format!("{unguarded}{sql}"));
        assert_eq!(broken_at(&verified), Some(seq), "{sql}: {verified:?}");
    }
}

#[test]
fn s19_the_history_is_guarded_against_accidents() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path());
    let conn = Connection::open(dir.path().join("state.db")).expect("a database");
    for sql in [
        "UPDATE history SET body = '{}' WHERE seq = 1",
        "DELETE FROM history WHERE seq = 1",
        "DELETE FROM history",
        "INSERT INTO history SELECT seq + 20, at, event, account, region, image, body, hash FROM history",
        "INSERT OR REPLACE INTO history SELECT * FROM history WHERE seq = 2",
    ] {
        conn.execute_batch(sql).expect_err(sql);
    }
    let (_, verified) = dump(dir.path()).expect("readable");
    assert_eq!(broken_at(&verified), None);
}

#[test]
fn d12_the_oldest_entries_are_removed_and_the_rest_is_still_proved() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        history_max: 20,
        ..options()
    };
    let store = Store::open(dir.path(), &options, ticking()).expect("a store");
    for _ in 0..50 {
        let intent = block_on(store.record_intent(&share("a"))).expect("recorded");
        let outcome = answer(intent, &share("a"), WriteResult::Rejected);
        block_on(store.record_outcome(outcome, None)).expect("kept");
        let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
        assert!(entries.len() <= 20);
    }
    let reader = Reader::open(dir.path()).expect("a reader");
    let sound = |entries| match reader.verify() {
        Ok(Some(VerifyResult::Intact { entries: found, .. })) => assert_eq!(found, entries),
        other => panic!("{other:?}"),
    };
    sound(20);
    let extent = reader.summary().expect("a summary").history;
    assert_eq!((extent.entries, extent.rotated), (20, 80));
    let entries = reader.history(&HistoryQuery::default()).expect("a history");
    assert_eq!(extent.first, Some(entries[0].at));
    assert_eq!(extent.last, Some(entries[19].at));

    // An open intent keeps its entry as long as the history is shorter than twice its limit.
    let open = block_on(store.record_intent(&share("open"))).expect("recorded");
    let holds = |store: &Store| {
        let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
        entries
            .iter()
            .any(|entry| entry.seq == open.0 && matches!(entry.event, HistoryEvent::Intent(_)))
    };
    let fill = |times: usize| {
        for _ in 0..times {
            let intent = block_on(store.record_intent(&share("a"))).expect("recorded");
            let outcome = answer(intent, &share("a"), WriteResult::Rejected);
            block_on(store.record_outcome(outcome, None)).expect("kept");
        }
    };
    fill(19);
    assert!(holds(&store));
    sound(39);
    fill(19);
    assert!(
        !holds(&store),
        "a scope that is never seen again must not fill the disk"
    );
    sound(20);
    let inventory = block_on(store.inventory(&share("open").key.scope)).expect("an inventory");
    assert_eq!(
        inventory.open_intents[&share("open").key.image][0].intent,
        open
    );
}

#[test]
fn s19_the_chain_is_as_the_schema_documents_it() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path());
    let conn = Connection::open(dir.path().join("state.db")).expect("a database");
    let owner: String = conn
        .query_row("SELECT owner FROM about", [], |row| row.get(0))
        .expect("read");
    let mut hash = chain::genesis(&owner);
    let mut statement = conn
        .prepare("SELECT body, hash FROM history ORDER BY seq")
        .expect("sql");
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let body: String = row.get(0).expect("a body");
        hash = chain::link(&hash, &body);
        assert_eq!(row.get::<_, chain::Hash>(1).expect("a hash"), hash);
    }
}
