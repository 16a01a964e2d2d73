//! Repositories that cannot be asked, so that it is unknown what is missing.

use super::*;

#[tokio::test]
async fn g3_a_git_directory_that_git_ignores_is_no_repository() {
    type Make = fn(&Place, &str);
    let makes: [(&str, Make); 3] = [
        ("empty", |place, at| {
            fs::create_dir_all(place.path(&format!("{at}/.git"))).expect("makes");
        }),
        ("without a HEAD", |place, at| {
            place.write(&format!("{at}/.git/index"), "x");
        }),
        ("with a HEAD of zeros", |place, at| {
            fs::create_dir_all(place.path(&format!("{at}/.git/objects"))).expect("makes");
            fs::create_dir_all(place.path(&format!("{at}/.git/refs"))).expect("makes");
            place.write(&format!("{at}/.git/HEAD"), "\0\0");
        }),
    ];
    for (what, make) in makes {
        for at in ["r/m", "r/m/team"] {
            let Some(place) = Place::new() else { return };
            make(&place, at);
            for path in ["r", "r/m", "r/m/team", at] {
                let there = usize::from(path != "r/m/team") + 1;
                assert_eq!(
                    place.images(&[path]).await.len(),
                    there,
                    "{what} {at} {path}"
                );
            }
            // The outer repository reports the missing file.
            place.write("r/m/team/new.yaml", &share("img-new"));
            place.remove("r/m/team/b.yaml");
            for path in ["r", "r/m", "r/m/team"] {
                let errors = place.errors(&[path]).await;
                let [(file, message, help)] = &errors[..] else {
                    panic!("{what} {at} {path}: {errors:#?}")
                };
                assert_eq!(file, "r/m/team/b.yaml", "{what} {at} {path}");
                assert!(
                    message.contains("git has it, but it is missing"),
                    "{message}"
                );
                assert!(!help.contains("reset"), "{help}");
            }
        }
    }
    // A submodule does not count as fetched only because it has an entry with the name `.git`.
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    place.clone(&[]);
    fs::create_dir(place.path("c/m/sub/.git")).expect("makes");
    place.write("c/m/sub/x.yaml", &share("img-x"));
    for path in ["c", "c/m", "c/m/sub"] {
        place.refuses(path, "c/m/sub", &SUBMODULE).await;
    }
}

#[tokio::test]
async fn g3_a_bare_repository_misses_nothing_an_unreadable_one_may() {
    let Some(place) = Place::new() else { return };
    place.git(".", &["clone", "--quiet", "--bare", "r", "n/.git"]);
    place.write("n/m/a.yaml", &share("img-a"));
    assert_eq!(place.images(&["n/m"]).await, ["img-a"]);
    // A worktree of the repository is checked like any other checkout.
    place.git("n", &["worktree", "add", "--quiet", "main"]);
    assert_eq!(place.images(&["n/main"]).await, ["img-a", "img-b"]);
    place.remove("n/main/m/team/b.yaml");
    place
        .refuses("n/main", "n/main/m/team/b.yaml", &["git has it"])
        .await;
    for (setting, value) in [("core.bare", "true"), ("core.worktree", "/nowhere")] {
        let Some(place) = Place::new() else { return };
        place.git("r", &["config", setting, value]);
        let loaded = place.load(&["r/m"]).await.expect("is a set");
        let unknown = matches!(loaded.desired.completeness, Completeness::Unknown(_));
        assert!(unknown, "{setting}");
        assert!(loaded.warnings[0].to_string().contains("git"), "{setting}");
    }
}

#[tokio::test]
async fn g1_g3_an_unreadable_directory_is_reported_once_not_as_deleted() {
    let Some(place) = Place::new() else { return };
    let deep = "d/".repeat(34);
    place.write(&format!("r/m/{deep}x.yaml"), &share("img-x"));
    place.commit("r");
    let errors = place.errors(&["r/m"]).await;
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].1.contains("nested too deeply"), "{errors:#?}");
}

/// A fake git that gives the same answer to every question, after it has confirmed that there is a work tree.
struct Answers(Result<Vec<u8>, CommandError>);

impl CommandRunner for Answers {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        let is_first = program
            .arguments
            .iter()
            .any(|argument| argument == "--is-inside-work-tree");
        let answer = match &self.0 {
            Ok(_) if is_first => Ok(b"true\n".to_vec()),
            answer => answer.clone(),
        };
        ready(answer.map(|mut bytes| {
            // The runner returns no more bytes than were requested.
            bytes.truncate(usize::try_from(program.output_max).unwrap_or(usize::MAX));
            bytes
        }))
    }
}

fn failed(reason: &str) -> Answers {
    Answers(Err(CommandError::Failed {
        code: Some(128),
        name: "git",
        status: "exit status: 128".into(),
        reason: reason.into(),
    }))
}

/// A root with a directory of manifests beside a `.git`, and with a directory without one.
fn plain() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["r/m", "r/.git", "n"] {
        fs::create_dir_all(root.path().join(directory)).expect("makes");
    }
    fs::write(root.path().join("r/.git/index"), "x").expect("writes");
    for file in ["r/m/a.yaml", "n/a.yaml"] {
        fs::write(root.path().join(file), share("img-a")).expect("writes");
    }
    root
}

fn load(path: PathBuf, programs: &impl CommandRunner) -> Result<Loaded, Broken> {
    let clock = Scripted::new(|_| {}).much_later();
    manifest::load(&[path], GitBusyPolicy::Wait, &clock, programs)
        .now_or_never()
        .expect("nothing is waited for")
}

#[test]
fn g3_s3_if_git_cannot_answer_completeness_is_unknown_with_a_remedy() {
    let deadline = Duration::from_secs(5);
    // The answer looks complete wherever it is cut, because each record is short and valid by itself.
    let huge = b"H 100644 1 0\tzz\0".repeat(5 << 20);
    for (answer, words) in [
        (
            Answers(Err(CommandError::NotRun {
                name: "git",
                reason: "not found".into(),
            })),
            ["not found", "install git", "outside of this repository"],
        ),
        (
            Answers(Err(CommandError::TooSlow {
                name: "git",
                deadline,
            })),
            [
                "longer than 5 s",
                "narrower paths",
                "outside of this repository",
            ],
        ),
        (
            failed("fatal: detected dubious ownership in repository at '/x'"),
            [
                "dubious ownership",
                "git config --global --add safe.directory",
                "outside of this repository",
            ],
        ),
        (
            failed("fatal: not a git repository: /nowhere"),
            [
                "not a git repository",
                "r status",
                "outside of this repository",
            ],
        ),
        (
            Answers(Ok(b"H 100644 nonsense".to_vec())),
            [
                "unknown format",
                "another version of git",
                "git cannot be asked",
            ],
        ),
        (
            Answers(Ok(b"H 777 1 0\tx\0".to_vec())),
            [
                "unknown format",
                "another version of git",
                "git cannot be asked",
            ],
        ),
        // A list that was cut off must not count as the whole list.
        (
            Answers(Ok(huge)),
            ["too long", "narrower paths", "git cannot be asked"],
        ),
    ] {
        let root = plain();
        let loaded = load(root.path().join("r/m"), &answer).expect("is a set");
        assert_eq!(names(&loaded), ["img-a"], "what is there is asked for");
        let Completeness::Unknown(why) = &loaded.desired.completeness else {
            panic!("{words:?}: it is taken for whole")
        };
        let [warning] = &loaded.warnings[..] else {
            panic!("{:?}", loaded.warnings)
        };
        let warning = warning.to_string();
        assert!(
            warning.contains("images that no manifest names are not cancelled"),
            "{warning}"
        );
        for word in words {
            assert!(why.contains(word), "no `{word}` in: {why}");
            assert!(warning.contains(word), "no `{word}` in: {warning}");
        }
        // Without a repository, git is not asked.
        let loaded = load(root.path().join("n"), &answer).expect("is a set");
        assert_eq!(loaded.desired.completeness, Completeness::Whole);
        assert_eq!(loaded.warnings, []);
        // Paths that are single files are complete by themselves.
        let loaded = load(root.path().join("r/m/a.yaml"), &answer).expect("is a set");
        assert_eq!(loaded.desired.completeness, Completeness::Whole);
    }
}

#[tokio::test]
async fn g3_s3_a_repository_of_another_user_is_one_that_cannot_be_asked() {
    let Some(place) = Place::new() else { return };
    for path in ["r", "r/.git"] {
        if chown(place.path(path), Some(54321), None).is_err() {
            let _ = writeln!(std::io::stderr(), "skipped: files cannot be given away");
            return;
        }
    }
    let loaded = place.load(&["r/m"]).await.expect("is a set");
    let Completeness::Unknown(why) = &loaded.desired.completeness else {
        panic!("it is taken for whole")
    };
    let top = place.path("r").canonicalize().expect("is there");
    let way_out = format!("git config --global --add safe.directory {}", top.display());
    assert!(why.contains(&way_out), "{why}");
}

#[tokio::test]
async fn g3_s3_a_git_file_that_leads_nowhere_is_an_unknown_repository() {
    let Some(place) = Place::new() else { return };
    place.write("n/m/a.yaml", &share("img-a"));
    place.write("n/.git", "gitdir: /nowhere/worktrees/n\n");
    let loaded = place.load(&["n/m"]).await.expect("is a set");
    assert!(matches!(
        loaded.desired.completeness,
        Completeness::Unknown(_)
    ));
}
