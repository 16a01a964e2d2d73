//! Checks which events count as a change of which watched path.

use futures_util::FutureExt;
use notify::event::{AccessKind, CreateKind, Flag, RemoveKind, RenameMode};

use super::*;

fn watching(place: impl FnOnce(&mut Places)) -> Shared {
    let shared = Shared::default();
    place(&mut lock(&shared.places));
    shared
}

fn event(kind: EventKind, path: &Path) -> Event {
    Event::new(kind).add_path(path.to_owned())
}

fn is_told(shared: &Shared, event: Result<Event, notify::Error>) -> bool {
    shared.take_in(event);
    shared.changed.notified().now_or_never().is_some()
}

#[test]
fn m15_an_access_is_no_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = watching(|places| places.add(directory.path()));
    let file = directory.path().join("a.yaml");
    for (kind, is_passed_on) in [
        (EventKind::Access(AccessKind::Any), false),
        (EventKind::Create(CreateKind::File), true),
        (EventKind::Modify(ModifyKind::Any), true),
        (EventKind::Remove(RemoveKind::File), true),
        (EventKind::Any, true),
    ] {
        assert_eq!(
            is_told(&shared, Ok(event(kind, &file))),
            is_passed_on,
            "{kind:?}"
        );
    }
}

#[test]
fn m15_notifications_of_our_own_reading_are_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a.yaml");
    fs::write(&file, "x").expect("writes");
    let shared = watching(|places| places.add(directory.path()));
    let (sender, events) = std::sync::mpsc::channel();
    let take_in = move |event: Result<Event, notify::Error>| {
        let event = event.expect("an event");
        let is_passed_on = is_told(&shared, Ok(event.clone()));
        let _ = sender.send((event, is_passed_on));
    };
    let mut watcher = notify::recommended_watcher(take_in).expect("watches");
    let real = directory.path().canonicalize().expect("is there");
    watcher
        .watch(&real, RecursiveMode::NonRecursive)
        .expect("watches");
    fs::read(&file).expect("reads");
    assert!(fs::read_dir(directory.path()).expect("reads").count() > 0);
    fs::write(real.join("last.yaml"), "x").expect("writes");
    let mut dropped = 0;
    // The system reports events in the order in which they happened.
    for (event, is_passed_on) in events {
        if is_passed_on {
            assert!(event.paths[0].ends_with("last.yaml"), "{event:?}");
            break;
        }
        dropped += 1;
    }
    assert!(dropped > 0, "the reading was notified, and dropped");
}

#[test]
fn m13_an_overflow_and_an_error_count_as_a_change() {
    let shared = watching(|_| {});
    let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert!(is_told(&shared, Ok(overflow)));
    assert!(is_told(&shared, Err(notify::Error::generic("lost"))));
}

#[test]
fn m14_changes_beside_the_watched_paths_are_not_notified() {
    let directory = tempfile::tempdir().expect("a directory");
    let inner = directory.path().join("manifests");
    fs::create_dir(&inner).expect("makes");
    let shared = watching(|places| {
        places.add_for(directory.path(), OsStr::new("manifests"));
        places.add_for(directory.path(), OsStr::new("current"));
        places.add(&inner);
    });
    let kind = EventKind::Modify(ModifyKind::Any);
    for (path, is_passed_on) in [
        (directory.path().join("run.log"), false),
        (directory.path().join("current"), true),
        (inner.join("a.yaml"), true),
        (inner.clone(), true),
    ] {
        assert_eq!(
            is_told(&shared, Ok(event(kind, &path))),
            is_passed_on,
            "{path:?}"
        );
    }
}

#[test]
fn m1_a_directory_that_is_moved_is_watched_anew_when_it_returns() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = watching(|places| places.add(directory.path()));
    let file = directory.path().join("a.yaml");
    let moved = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    shared.take_in(Ok(event(moved, &file)));
    assert!(!shared.is_stale.load(Ordering::Acquire));
    shared.take_in(Ok(event(moved, directory.path())));
    assert!(shared.is_stale.load(Ordering::Acquire));
}

#[tokio::test]
async fn m1_m12_only_what_is_another_directory_is_watched_anew() {
    let root = tempfile::tempdir().expect("a directory");
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    fs::create_dir(&first).expect("makes");
    fs::create_dir(&second).expect("makes");
    let places = |paths: &[&Path]| {
        let mut places = Places::default();
        for path in paths {
            places.add(path);
        }
        places
    };
    let mut watch = SystemWatch::new();
    assert!(watch.follow(&places(&[&first])).await);
    assert!(!watch.follow(&places(&[&first])).await);
    assert!(watch.follow(&places(&[&first, &second])).await);
    assert!(!watch.follow(&places(&[&first])).await, "one less");
    fs::rename(&second, root.path().join("third")).expect("renames");
    fs::rename(&first, &second).expect("renames");
    fs::rename(root.path().join("third"), &first).expect("renames");
    assert!(watch.follow(&places(&[&first])).await, "another one");
    fs::write(first.join("a.yaml"), "x").expect("writes");
    watch.changed().await;
    let missing = root.path().join("missing");
    assert!(places(&[&missing]).is_empty());
}
