//! Tests that need a process of their own: the holder of the lock, a kill, resource limits and file modes. The child is
//! this test binary again; an environment variable gives its role.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::files::Files;
use super::fixtures_tests::{block_on, dump, open, options, share, ticking};
use super::write_ahead_log::oversized_log;
use super::{
    HistoryQuery, OpenError, OperatorStore, Reader, Store, SuspensionFilter, VerifyResult,
};
use crate::ledger::{Ledger, WriteRefused};

const ROLE: &str = "SHAREKEEPER_TEST_ROLE";
const DIR: &str = "SHAREKEEPER_TEST_DIR";

/// Starts this binary in a role, under a shell that has run `limits`.
fn child(role: &str, dir: &Path, limits: &str) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg(format!("{limits} exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "store::process_tests::in_a_role", "--nocapture"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // The test harness complains there when we stop listening.
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

/// The lines that the child writes for us, without those of the test harness.
fn lines(child: &mut Child) -> impl Iterator<Item = String> {
    let out = BufReader::new(child.stdout.take().expect("its output"));
    out.lines().map_while(Result::ok).filter_map(|line| {
        let at = line.find("> ")?;
        Some(line[at + 2..].to_owned())
    })
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "> {line}")
        .and_then(|()| out.flush())
        .expect("said");
}

#[test]
fn in_a_role() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else {
        return;
    };
    let dir = Path::new(&dir);
    match role.as_str() {
        "hold" => {
            let store = open(dir);
            block_on(store.record_intent(&share("held"))).expect("recorded");
            say("holding");
            let _ = std::io::stdin().read(&mut [0]);
        }
        "write" => {
            let store = open(dir);
            for attempt in 0.. {
                match block_on(store.record_intent(&share(&format!("a{attempt}")))) {
                    Ok(intent) => say(&intent.0.to_string()),
                    Err(refused) => {
                        say(&refused.to_string());
                        let again = block_on(store.record_intent(&share("again")));
                        say(&again.expect_err("refused").to_string());
                        say(&store.failure().expect("a failure").to_string());
                        say(&store.close().expect_err("a failure").to_string());
                        break;
                    }
                }
            }
        }
        "starve" => {
            let mut taken = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                taken.push(file);
            }
            for error in [
                Reader::open(dir).err(),
                Store::open(dir, &options(), ticking()).err(),
            ] {
                drop(taken.pop());
                say(&error.expect("refused").to_string());
            }
        }
        "recover" => {
            let store = open(dir);
            while block_on(store.record_intent(&share("a"))).is_ok() {}
            say(&store.failure().expect("it fails").to_string());
            let mut limit = getrlimit(Resource::Fsize);
            limit.current = limit.maximum;
            setrlimit(Resource::Fsize, limit).expect("lifted");
            say(&format!("{:?}", block_on(store.recover())));
            let intent = block_on(store.record_intent(&share("b")));
            say(&intent.expect("recorded").0.to_string());
            store.close().expect("closed");
        }
        "read" => {
            let conn = Connection::open(dir.join("state.db")).expect("a database");
            conn.execute_batch("BEGIN; SELECT * FROM chain")
                .expect("read");
            say("reading");
            let _ = std::io::stdin().read(&mut [0]);
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn d9_the_second_process_learns_who_holds_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut holding = child("hold", dir.path(), "");
    assert_eq!(lines(&mut holding).next().as_deref(), Some("holding"));
    let error = Store::open(dir.path(), &options(), ticking()).err();
    let Some(OpenError::Locked {
        holder: Some(holder),
        ..
    }) = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(holder.pid, holding.id());
    let text = error.as_ref().expect("an error").to_string();
    for part in [
        "build-7",
        "reconcile manifests",
        "since 2026-03-01T12:00:0",
        "wait until",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // Readers and short writes of people do not wait for it.
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("a summary");
    assert_eq!(summary.holder.as_ref(), Some(holder.as_ref()));
    assert_eq!(summary.history.entries, 1);
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let suspended = operator.suspend(Default::default(), None, "ann@desk", "so");
    let ended = operator.resume(
        &SuspensionFilter::Ids(vec![suspended.expect("suspended").id]),
        "ann@desk",
    );
    assert_eq!(ended.expect("ended").len(), 1);
    drop(operator);

    holding.kill().expect("killed");
    holding.wait().expect("gone");
    // The content of the lock file means nothing once the process is gone.
    assert!(
        !fs::read(dir.path().join("lock"))
            .expect("the file")
            .is_empty()
    );
    assert_eq!(reader.summary().expect("a summary").holder, None);
    assert_eq!(reader.summary().expect("a summary").history.entries, 3);
    drop(open(dir.path()));
    assert_eq!(
        reader
            .verify()
            .map(|verified| matches!(verified, Some(VerifyResult::Intact { .. }))),
        Ok(true)
    );
}

#[test]
fn s9_d4_everything_acknowledged_before_kill_9_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 1..=3 {
        let mut writing = child("write", dir.path(), "");
        let printed: Vec<u64> = lines(&mut writing)
            .take(20 * round)
            .map(|line| line.parse().expect(&line))
            .collect();
        writing.kill().expect("killed");
        writing.wait().expect("gone");
        let reader = Reader::open(dir.path()).expect("a reader");
        let entries = reader.history(&HistoryQuery::default()).expect("a history");
        for seq in printed {
            assert!(entries.iter().any(|entry| entry.seq == seq), "{seq}");
        }
        let (_, verified) = dump(dir.path()).expect("readable");
        assert!(
            matches!(verified, VerifyResult::Intact { .. }),
            "{verified:?}"
        );
    }
}

#[test]
fn d3_after_a_failed_write_nothing_is_written_until_it_is_reopened() {
    let dir = tempfile::tempdir().expect("a directory");
    // A limit on the size of files makes `write` fail with an error that is not the lack of space.
    let mut writing = child("write", dir.path(), "trap '' XFSZ; ulimit -f 800;");
    let printed: Vec<_> = lines(&mut writing).collect();
    writing.wait().expect("gone");
    let (seqs, errors) = printed.split_at(printed.len() - 4);
    assert!(!seqs.is_empty());
    assert!(errors[0].contains("disk I/O error"), "{errors:?}");
    for error in &errors[1..] {
        assert!(
            error.contains("no more is written since an earlier failure"),
            "{errors:?}"
        );
    }
    let store = open(dir.path());
    let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
    let kept: Vec<_> = entries.iter().map(|entry| entry.seq.to_string()).collect();
    assert!(kept.starts_with(seqs), "{kept:?} {seqs:?}");
    let free: Result<_, WriteRefused> = block_on(store.record_intent(&share("b")));
    free.expect("recorded");
}

#[test]
fn c7_once_the_disk_is_repaired_it_is_written_to_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut failing = child("recover", dir.path(), "trap '' XFSZ; ulimit -S -f 400;");
    let printed: Vec<_> = lines(&mut failing).collect();
    failing.wait().expect("gone");
    let [failure, well, intent] = printed.as_slice() else {
        panic!("{printed:?}")
    };
    assert!(failure.contains("disk I/O error"), "{failure}");
    assert_eq!(well, "Writable");
    let (_, verified) = dump(dir.path()).expect("readable");
    let VerifyResult::Intact { head, .. } = verified else {
        panic!("{verified:?}")
    };
    assert_eq!(*intent, head.to_string());
}

#[test]
fn r13_a_process_that_holds_a_large_log_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(store.record_intent(&share("a"))).expect("recorded");
    drop(store);
    let files = Files::new(dir.path());
    let mut reading = child("read", dir.path(), "");
    assert_eq!(lines(&mut reading).next().as_deref(), Some("reading"));
    assert_eq!(oversized_log(&files), None);
    let log = fs::File::options().write(true).open(files.wal());
    log.expect("a log").set_len(65 << 20).expect("grown");
    let warning = oversized_log(&files).expect("it is large");
    drop(reading.stdin.take());
    reading.wait().expect("gone");
    assert!(warning.contains("has 65 MB"), "{warning}");
    assert!(
        warning.contains(&format!("process {}", reading.id())),
        "{warning}"
    );
}

#[test]
fn d14_even_with_umask_0_only_the_owner_can_use_the_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    let mut holding = child("hold", &state, "umask 000;");
    assert_eq!(lines(&mut holding).next().as_deref(), Some("holding"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&state).expect("a directory") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    assert_eq!(
        names,
        ["lock", "owner", "state.db", "state.db-shm", "state.db-wal"]
    );
    drop(holding.stdin.take());
    holding.wait().expect("gone");
}

#[test]
fn d15_without_free_file_handles_no_file_is_taken_for_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(store.record_intent(&share("a"))).expect("recorded");
    drop(store);
    let mut starving = child("starve", dir.path(), "ulimit -n 32;");
    let printed: Vec<_> = lines(&mut starving).collect();
    starving.wait().expect("gone");
    assert_eq!(printed.len(), 2);
    for error in printed {
        let why = error.contains("Too many open files") || error.contains("unable to open");
        assert!(why, "{error}");
    }
    assert_eq!(
        Reader::open(dir.path())
            .expect("a reader")
            .summary()
            .expect("one")
            .history
            .entries,
        1
    );
}
