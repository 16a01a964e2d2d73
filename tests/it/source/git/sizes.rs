//! How much of a repository is fetched and written.

use super::*;

#[tokio::test]
async fn d12_s21_the_private_copy_does_not_grow_with_the_number_of_commits() {
    let Some(remote) = Remote::new() else { return };
    remote
        .run(async |mut fed| {
            fed.loaded().await;
            let mut most = 0;
            for number in 0..25 {
                remote
                    .files
                    .write("m/img-a.yaml", &format!("{}# {number}\n", share("img-a")));
                remote.commit();
                fed.reload.notify_one();
                fed.loaded().await;
                most = most.max(names(&remote.copy().join("objects/pack")).len());
            }
            assert!(most <= 64, "{most} files");
            remote.cut_off();
            fed.reload.notify_one();
            holds(&fed.broken().await, &["could not fetch"]);
        })
        .await;
}

/// Runs the real git and measures the most bytes that its checkouts write. A file that begins with a zero byte is a
/// placeholder and does not count.
struct Measured<'a>(&'a std::cell::Cell<u64>);

impl CommandRunner for Measured<'_> {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        fn size(directory: &Path) -> u64 {
            let entries = fs::read_dir(directory).expect("a directory");
            let sizes = entries.map(|entry| {
                let path = entry.expect("an entry").path();
                let metadata = fs::symlink_metadata(&path).expect("is there");
                if metadata.is_dir() {
                    return size(&path);
                }
                let mut first = [0];
                let file = fs::File::open(&path);
                let read = file.and_then(|mut file| file.read(&mut first));
                match (read, first) {
                    (Ok(_), [0]) => 0,
                    _ => metadata.len(),
                }
            });
            sizes.sum()
        }
        let tree = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--work-tree=").map(PathBuf::from)
        });
        let answer = SystemCommandRunner.run(program).await;
        if let Some(tree) = tree {
            self.0.set(self.0.get().max(size(&tree)));
        }
        answer
    }
}

#[tokio::test]
async fn b12_what_is_no_manifest_takes_no_room_and_nothing_seems_to_be_missing() {
    let Some(remote) = Remote::new() else { return };
    fs::write(remote.files.path("m/film.mp4"), vec![b'x'; 8 << 20]).expect("writes");
    remote.files.write("m/notes.txt", "words");
    remote.files.write("m/c.YAML", "near");
    remote
        .files
        .write("m/.gitattributes", "*.yaml text eol=crlf\n");
    remote.files.write("m/_real/b.txt", &share("img-b"));
    symlink("_real/b.txt", remote.files.path("m/b.yaml")).expect("links");
    symlink("film.mp4", remote.files.path("m/film")).expect("links");
    remote.files.write("elsewhere/broken.yaml", "nonsense: [");
    remote.commit();
    let most = std::cell::Cell::new(0);
    let settings = remote.settings("main");
    run(settings, Measured(&most), Unwatched, async |mut fed| {
        let loaded = fed.loaded().await;
        assert_eq!(images(&loaded), ["img-a", "img-b"]);
        holds(&loaded.warnings, &["m/c.YAML: the file is not read"]);
        // This link gives a file that is no manifest the name of a manifest.
        symlink("film.mp4", remote.files.path("m/film.yaml")).expect("links");
        fs::write(remote.files.path("m/film.mp4"), "nonsense: [").expect("writes");
        remote.commit();
        fed.reload.notify_one();
        holds(&fed.broken().await, &["m/film.yaml:1"]);
    })
    .await;
    assert!((1..1 << 20).contains(&most.get()), "{most:?} bytes");
}

#[tokio::test]
async fn b12_a_manifest_that_is_too_large_is_an_error_and_not_written() {
    let Some(remote) = Remote::new() else { return };
    let large = vec![b'#'; (256 << 20) + 7];
    fs::write(remote.files.path("m/large.yaml"), large).expect("writes");
    remote.commit();
    let most = std::cell::Cell::new(0);
    let limit = "m/large.yaml: the file is larger than 256 MiB";
    run(
        remote.settings("main"),
        Measured(&most),
        Unwatched,
        async |mut fed| {
            let problems = fed.broken().await;
            holds(
                &problems,
                &[
                    limit,
                    "it has 257 MiB (268435463 bytes)",
                    "nothing is decided",
                ],
            );
            // With this setting, the server may omit the large file.
            remote.git(&["config", "uploadpack.allowFilter", "true"]);
            fs::remove_dir_all(remote.copy()).expect("removes");
            remote.share("img-b");
            fed.reload.notify_one();
            let problems = fed.broken().await;
            holds(&problems, &[limit, "split it"]);
            assert_eq!(problems.len(), 2, "{problems:?}");
            let object = remote.git(&["rev-parse", "HEAD:m/large.yaml"]);
            let has = real_git::command(&remote.copy(), &remote.copy())
                .env("GIT_NO_LAZY_FETCH", "1")
                .args(["cat-file", "-e", &object])
                .output()
                .expect("git runs");
            assert!(!has.status.success(), "it was fetched");
            remote.git(&["rm", "--quiet", "m/large.yaml"]);
            remote.commit();
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        },
    )
    .await;
    assert!((1..1 << 20).contains(&most.get()), "{most:?} bytes");
}

#[tokio::test]
async fn b12_d4_a_file_that_the_copy_lost_is_fetched_anew() {
    for allows_filter in ["true", "false"] {
        let Some(remote) = Remote::new() else { return };
        remote.git(&["config", "uploadpack.allowFilter", allows_filter]);
        remote
            .run(async |mut fed| {
                assert_eq!(fed.images().await, ["img-a"]);
                let packs = remote.copy().join("objects/pack");
                let first = names(&packs);
                remote.share("img-b");
                fed.reload.notify_one();
                fed.loaded().await;
                for name in first {
                    fs::remove_file(packs.join(name)).expect("removes");
                }
                remote.share("img-c");
                fed.reload.notify_one();
                assert_eq!(fed.images().await, ["img-a", "img-b", "img-c"]);
            })
            .await;
    }
}
