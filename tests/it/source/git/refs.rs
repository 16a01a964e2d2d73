//! Names of branches, tags and commits, and what they mean in the repository.

use super::*;

#[tokio::test]
async fn a_branch_a_tag_a_full_name_and_a_hash_all_name_a_commit() {
    let Some(remote) = Remote::new() else { return };
    let first = remote.git(&["rev-parse", "HEAD"]);
    remote.git(&["tag", "--annotate", "v1", "--message=x"]);
    let second = remote.share("img-b");
    for (reference, commit) in [
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("main", &second),
        ("refs/heads/main", &second),
        ("HEAD", &second),
        (first.as_str(), &first),
    ] {
        run(
            remote.settings(reference),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(
                    fed.loaded().await.commit.as_ref(),
                    Some(commit),
                    "{reference}"
                );
            },
        )
        .await;
        remote.copy();
    }
}

#[tokio::test]
async fn a_ref_that_does_not_exist_says_so() {
    let Some(remote) = Remote::new() else { return };
    run(
        remote.settings("no-such"),
        SystemCommandRunner,
        Unwatched,
        async |mut fed| {
            let problems = fed.broken().await;
            holds(
                &problems,
                &[
                    "couldn't find remote ref no-such",
                    "nothing is decided until",
                ],
            );
            remote.git(&["branch", "no-such"]);
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a"]);
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_good_of_another_ref_is_not_good_here() {
    let Some(remote) = Remote::new() else { return };
    remote.run(async |mut fed| drop(fed.loaded().await)).await;
    remote.cut_off();
    run(
        remote.settings("other"),
        SystemCommandRunner,
        Unwatched,
        async |mut fed| {
            holds(
                &fed.broken().await,
                &["could not fetch", "nothing is decided until"],
            );
        },
    )
    .await;
}

/// Collects the log of this thread as long as the value exists.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines that were logged since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("one thread"));
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn g5_a_tag_with_a_branchs_name_does_not_replace_it_and_is_reported() {
    for name in ["main", "feature/x"] {
        let Some(remote) = Remote::new() else { return };
        let old = remote.git(&["rev-parse", "HEAD"]);
        if name != "main" {
            remote.git(&["checkout", "--quiet", "-b", name]);
        }
        let new = remote.share("img-b");
        let (log, _guard) = Log::listen();
        run(
            remote.settings(name),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(fed.loaded().await.commit.as_ref(), Some(&new));
                assert_eq!(log.take(), [""; 0], "there is but the branch");
                remote.git(&["tag", name, &old]);
                fed.reload.notify_one();
                let newer = remote.share("img-c");
                fed.reload.notify_one();
                let loaded = fed.loaded().await;
                assert_eq!(
                    loaded.commit.as_ref(),
                    Some(&newer),
                    "the branch is followed"
                );
                let lines = log.take();
                assert_eq!(lines.len(), 1, "{lines:?}");
                let (branch, tag) = (
                    format!("`refs/heads/{name}` is followed"),
                    format!("also refs/tags/{name}"),
                );
                holds(&lines, &[&branch, &tag, "WARN"]);
                remote.git(&["tag", "--delete", name]);
                let newest = remote.share("img-d");
                fed.reload.notify_one();
                assert_eq!(fed.loaded().await.commit, Some(newest));
                holds(&log.take(), &[&format!("is now `refs/heads/{name}` alone")]);
            },
        )
        .await;
        // The warning is logged at each start.
        remote.git(&["tag", name, &old]);
        run(
            remote.settings(name),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                fed.loaded().await;
                holds(&log.take(), &["is followed"]);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn g5_a_name_that_is_only_a_tag_works_and_asks_for_its_full_name() {
    let Some(remote) = Remote::new() else { return };
    let old = remote.git(&["rev-parse", "HEAD"]);
    remote.git(&["tag", "--annotate", "v1", "--message=x"]);
    remote.share("img-b");
    let (log, _guard) = Log::listen();
    for (reference, words) in [
        ("v1", &["give `refs/tags/v1`"] as &[_]),
        ("refs/tags/v1", &[]),
    ] {
        run(
            remote.settings(reference),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(fed.loaded().await.commit.as_ref(), Some(&old));
                let lines = log.take();
                assert_eq!(lines.len(), words.len(), "{lines:?}");
                holds(&lines, words);
            },
        )
        .await;
    }
}
