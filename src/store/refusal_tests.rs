//! S18: a state that cannot be trusted is refused with a reason and a remedy, and is not changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::fixtures_tests::{block_on, by_hand, dump, files, noon, open, options, share, ticking};
use super::schema::{self, MIGRATIONS, Migration};
use super::{OpenError, OperatorStore, Reader, Store};
use crate::ledger::{Ledger, WriteRefused};

/// A directory that has been used, and is closed.
fn used() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(store.record_intent(&share("a"))).expect("recorded");
    drop(store);
    dir
}

/// Asserts that each type refuses the directory for the same reason, and that nothing in it changes.
fn refused(dir: &Path) -> OpenError {
    let is_dir = dir.is_dir();
    let before = is_dir.then(|| files(dir));
    let error = Store::open(dir, &options(), ticking())
        .err()
        .expect("refused");
    let operator = OperatorStore::open(dir, &options(), ticking()).err();
    assert_eq!(operator.as_ref(), Some(&error));
    assert_eq!(Reader::open(dir).err().as_ref(), Some(&error));
    assert_eq!(is_dir.then(|| files(dir)), before);
    let text = error.to_string();
    assert!(text.contains(&dir.display().to_string()), "{text}");
    assert!(!text.contains('\n'), "{text}");
    error
}

#[test]
fn s18_a_database_that_is_gone_is_not_replaced_by_an_empty_one() {
    let dir = used();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        fs::remove_file(dir.path().join(name)).expect("removed");
    }
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("restore the directory from a backup"),
        "{text}"
    );

    let dir = used();
    fs::remove_file(dir.path().join("state.db")).expect("removed");
    fs::remove_file(dir.path().join("owner")).expect("removed");
    fs::write(dir.path().join("state.db-wal"), "a log").expect("written");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn s18_a_lost_owner_file_is_written_again() {
    let dir = used();
    let before = fs::read_to_string(dir.path().join("owner")).expect("an owner");
    fs::remove_file(dir.path().join("owner")).expect("removed");
    Reader::open(dir.path()).expect("a reader");
    assert!(!dir.path().join("owner").exists());
    let store = open(dir.path());
    assert_eq!(store.owner(), before.trim());
    assert_eq!(
        fs::read_to_string(dir.path().join("owner")).expect("an owner"),
        before
    );
}

#[test]
fn s18_m18_another_installations_state_is_refused() {
    let (dir, other) = (used(), used());
    fs::copy(other.path().join("owner"), dir.path().join("owner")).expect("copied");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::OwnerMismatch { .. }), "{error}");
    fs::write(dir.path().join("owner"), "").expect("written");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::OwnerMismatch { .. }), "{error}");
}

#[test]
fn s18_d5_a_zero_filled_emptied_or_truncated_file_is_refused() {
    let sound = used();
    let database = fs::read(sound.path().join("state.db")).expect("a database");
    assert!(database.len() > 3 * 4096);
    let mut smashed = database.clone();
    smashed[..100].fill(0);
    let mut hole = database.clone();
    hole[2 * 4096..3 * 4096].fill(0);
    let damage: [(&str, Vec<u8>); 6] = [
        ("emptied", Vec::new()),
        ("zero-filled", vec![0; database.len()]),
        ("truncated", database[..2 * 4096].to_vec()),
        ("truncated within a page", database[..4096 + 100].to_vec()),
        ("without its header", smashed),
        (
            "text",
            b"not a database at all, and longer than a header is: one hundred bytes of plain \
            text, to be exact, and some"
                .to_vec(),
        ),
    ];
    for (name, bytes) in damage {
        let dir = used();
        fs::write(dir.path().join("state.db"), bytes).expect("written");
        let error = refused(dir.path());
        let fits = match name {
            "emptied" => matches!(error, OpenError::Emptied { .. }),
            _ => matches!(error, OpenError::Damaged { .. }),
        };
        assert!(fits, "{name}: {error:?}");
    }
    // Damage inside the file is found by the check of all pages, which only a process that will write makes.
    let dir = used();
    fs::write(dir.path().join("state.db"), hole).expect("written");
    let error = Store::open(dir.path(), &options(), ticking())
        .err()
        .expect("refused");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn s18_d8_a_newer_schema_is_refused_and_not_rewritten() {
    let dir = used();
    let ours = schema::latest(MIGRATIONS);
    by_hand(dir.path(), &format!("PRAGMA user_version = {}", ours + 2));
    let error = refused(dir.path());
    let OpenError::NewerSchema { found, known, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((found, known), (ours + 2, ours));
    assert!(
        error.to_string().contains("use the newer sharekeeper"),
        "{error}"
    );
}

#[test]
fn s18_somebody_elses_database_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    by_hand(
        dir.path(),
        "CREATE TABLE songs (title TEXT); PRAGMA user_version = 1",
    );
    let error = refused(dir.path());
    assert!(
        matches!(
            error,
            OpenError::OtherApplication {
                application_id: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn d2_a_path_that_is_not_a_directory_or_cannot_be_made_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(refused(&file), OpenError::NotADirectory(file.clone()));
    let below = file.join("state");
    let error = refused(&below);
    assert!(matches!(error, OpenError::Access { .. }), "{error}");
    // No user may make a directory here, not even root.
    let error = Store::open(Path::new("/proc/self/state"), &options(), ticking()).err();
    let error = error.expect("refused");
    assert!(matches!(error, OpenError::Access { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("/proc/self/state: cannot make the state directory")
    );
}

#[test]
fn d14_a_state_that_everybody_can_write_is_refused() {
    let dir = used();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    };
    mode(dir.path(), 0o777);
    let error = refused(dir.path());
    assert!(
        matches!(error, OpenError::WorldWritable { mode: 0o777, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("chmod o-w"), "{error}");
    mode(dir.path(), 0o770);
    open(dir.path());
    mode(&dir.path().join("state.db"), 0o666);
    let error = refused(dir.path());
    assert!(
        matches!(error, OpenError::WorldWritable { mode: 0o666, .. }),
        "{error}"
    );
}

#[test]
fn a_path_cannot_add_a_parameter_to_the_databases_address() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in [
        "a?mode=memory",
        "b#c",
        "d%20e f",
        "gästebuch",
        "?immutable=1&x=%",
    ] {
        let state = dir.path().join(name);
        let store = open(&state);
        block_on(store.record_intent(&share("a"))).expect("recorded");
        drop(store);
        assert!(
            fs::metadata(state.join("state.db")).expect("a file").len() > 4096,
            "{name}"
        );
        assert_eq!(
            Reader::open(&state)
                .expect("a reader")
                .summary()
                .expect("one")
                .history
                .entries,
            1
        );
    }
}

#[test]
fn an_older_schema_is_migrated_step_by_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let next: Migration = |conn| conn.execute_batch("ALTER TABLE images ADD COLUMN remark TEXT");
    let failing: Migration = |conn| conn.execute_batch("DROP TABLE chain; DROP TABLE nowhere");
    let mut conn = Connection::open(dir.path().join("state.db")).expect("a database");
    let version = |conn: &Connection| schema::file_header(conn).expect("a label").version;
    let known = schema::latest(MIGRATIONS);
    schema::migrate(&mut conn, MIGRATIONS, noon()).expect("made");
    assert_eq!(version(&conn), known);
    let owner = schema::owner(&conn).expect("an owner");
    let before = dump(dir.path()).expect("readable").0;
    let broken = [MIGRATIONS, &[failing]].concat();
    schema::migrate(&mut conn, &broken, noon()).expect_err("a step that fails");
    assert_eq!(version(&conn), known);
    assert_eq!(
        dump(dir.path()).expect("readable").0,
        before,
        "it is undone as a whole"
    );
    let steps = [MIGRATIONS, &[next]].concat();
    for _ in 0..2 {
        schema::migrate(&mut conn, &steps, noon()).expect("brought up to date");
        assert_eq!(version(&conn), known + 1);
        conn.execute_batch("SELECT remark FROM images")
            .expect("the new column");
    }
    assert_eq!(schema::owner(&conn).expect("an owner"), owner);
    let error = Store::open(dir.path(), &options(), ticking()).err();
    assert!(
        matches!(error, Some(OpenError::NewerSchema { .. })),
        "{error:?}"
    );
}

#[test]
fn s9_d1_without_space_the_write_is_refused_and_nothing_is_half_written() {
    let dir = used();
    let store = open(dir.path());
    let limit = |pages: &'static str| {
        block_on(store.read(move |conn| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            Ok(conn.query_row(&limit, [], |_| Ok(()))?)
        }))
        .expect("limited");
    };
    limit("1"); // SQLite makes it no smaller than the present number.
    let mut before = dump(dir.path()).expect("readable");
    let refused = loop {
        match block_on(store.record_intent(&share("b"))) {
            Ok(_) => before = dump(dir.path()).expect("readable"),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, WriteRefused::Failed(_)), "{refused:?}");
    assert!(
        refused.to_string().contains("full: free some space"),
        "{refused}"
    );
    assert_eq!(dump(dir.path()).expect("readable"), before);
    // Other requests of the same transaction are refused as well, or are stored completely.
    let (b, c) = (share("b"), share("c"));
    let both = block_on(async { tokio::join!(store.record_intent(&b), store.record_intent(&c)) });
    assert!(both.0.is_err() || both.1.is_err(), "{both:?}");
    limit("1000");
    block_on(store.record_intent(&share("b"))).expect("there is space again");
}
