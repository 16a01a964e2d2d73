//! Fetches that hang or are killed, and what they leave behind.

use super::*;

/// The command lines of running processes that contain these words.
fn processes(words: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux");
    let lines = entries.filter_map(|entry| {
        let line = fs::read(entry.expect("an entry").path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(words)).collect()
}

/// The pause between two checks of real processes.
async fn pause() {
    let clock = SystemClock::start();
    let until = clock.monotonic() + Duration::from_millis(20);
    clock.sleep_until(until).await;
}

#[tokio::test]
async fn b7_g8_of_a_fetch_that_hangs_nothing_is_left_after_its_time() {
    let Some(remote) = Remote::new() else { return };
    // The system accepts connections, and the server never answers.
    let server = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = server.local_addr().expect("an address").to_string();
    for (reference, step) in [("refs/heads/main", "fetch"), ("main", "ls-remote")] {
        let mut settings = remote.settings(reference);
        if let Origin::Git(repository) = &mut settings.origin {
            repository.url = GitUrl::new(&format!("http://{address}/x.git")).expect("a URL");
            repository.timeout = Duration::from_secs(4);
        }
        run(settings, SystemCommandRunner, Unwatched, async |mut fed| {
            let mut most = 0;
            let problem = {
                let mut broken = std::pin::pin!(fed.broken());
                loop {
                    tokio::select! {
                        problem = &mut broken => break problem,
                        () = pause() => {
                            most = most.max(processes(&address).len());
                        }
                    }
                }
            };
            holds(
                &problem,
                &["took longer than 4 s", "`--git-timeout` gives it more time"],
            );
            assert!(most > 1, "{step}: {most} processes beside git itself");
            assert_eq!(processes(&address), [""; 0], "{step}");
        })
        .await;
    }
    // If the caller drops the feed, git ends as well.
    let mut settings = remote.settings("refs/heads/main");
    if let Origin::Git(repository) = &mut settings.origin {
        repository.url = GitUrl::new(&format!("http://{address}/x.git")).expect("a URL");
    }
    run(settings, SystemCommandRunner, Unwatched, async |fed| {
        while processes(&address).len() < 2 {
            pause().await;
        }
        drop(fed);
    })
    .await;
    while !processes(&address).is_empty() {
        pause().await;
    }
}

/// The files that a killed git leaves in its repository.
const LEFTOVERS: [&str; 10] = [
    "objects/pack/tmp_pack_abc",
    "objects/pack/tmp_idx_abc",
    "objects/pack/.tmp-1-pack-1.pack",
    "objects/pack/pack-1.keep",
    "objects/pack/pack-1.pack",
    "objects/00/tmp_obj_abc",
    "shallow.lock",
    "shallow_abc",
    "config.lock",
    "refs/sharekeeper/fetched.lock",
];

fn leave_halves(repository: &Path) {
    for name in LEFTOVERS {
        let path = repository.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, "half").expect("writes");
    }
}

fn halves(repository: &Path) -> Vec<&'static str> {
    let is_left = |name: &&&str| repository.join(name).exists();
    LEFTOVERS.iter().filter(is_left).copied().collect()
}

/// Runs the real git, but kills each fetch half-way.
struct KilledFetches;

impl CommandRunner for KilledFetches {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        if !program.arguments.iter().any(|argument| argument == "fetch") {
            return SystemCommandRunner.run(program).await;
        }
        let repository = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--git-dir=").map(PathBuf::from)
        });
        leave_halves(&repository.expect("a repository"));
        Err(CommandError::TooSlow {
            name: "git",
            deadline: program.deadline,
        })
    }
}

#[tokio::test]
async fn g8_what_a_killed_fetch_leaves_is_removed_at_once_and_at_the_next_start() {
    let Some(remote) = Remote::new() else { return };
    let settings = remote.settings("main");
    run(settings, KilledFetches, Unwatched, async |mut fed| {
        holds(&fed.broken().await, &["took longer than"]);
        assert_eq!(halves(&remote.copy()), [""; 0]);
    })
    .await;
    leave_halves(&remote.copy());
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            assert_eq!(halves(&remote.copy()), [""; 0]);
            // The packs that git itself has made are not removed with the leftovers.
            remote.share("img-b");
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        })
        .await;
}

#[tokio::test]
async fn g8_in_a_repository_that_is_not_the_private_copy_nothing_is_removed() {
    let Some(remote) = Remote::new() else { return };
    remote.run(async |mut fed| drop(fed.loaded().await)).await;
    let copy = remote.copy();
    let other = tempfile::tempdir().expect("a directory");
    let moved = other.path().join("other.git");
    fs::rename(&copy, &moved).expect("renames");
    leave_halves(&moved);
    symlink(&moved, &copy).expect("links");
    remote
        .run(async |mut fed| assert_eq!(fed.images().await, ["img-a"]))
        .await;
    assert_eq!(halves(&moved), LEFTOVERS);
    assert!(
        fs::symlink_metadata(remote.copy())
            .expect("is there")
            .is_dir()
    );
    // Nothing is removed through a symbolic link inside the private copy, either.
    let packs = remote.copy().join("objects/pack");
    fs::remove_dir_all(&packs).expect("removes");
    symlink(moved.join("objects/pack"), &packs).expect("links");
    remote.run(async |mut fed| drop(fed.next().await)).await;
    assert_eq!(halves(&moved), LEFTOVERS);
}
