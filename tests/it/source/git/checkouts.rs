//! Commits whose checkout lacks something: submodules, and files that were left out.

use super::*;

#[tokio::test]
async fn g3_s3_a_submodule_of_a_followed_repository_is_an_error_with_its_cause() {
    let Some(remote) = Remote::new() else { return };
    let head = remote.git(&["rev-parse", "HEAD"]);
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            let entry = format!("160000,{head},m/team");
            remote.git(&["update-index", "--add", "--cacheinfo", &entry]);
            remote.git(&["commit", "--quiet", "--message=x"]);
            fed.reload.notify_one();
            let problems = fed.broken().await;
            let kept = format!("commit {} stays in force", &head[..12]);
            holds(
                &problems,
                &[
                    "m/team: this is a submodule",
                    "sharekeeper fetches none",
                    "--path",
                    &kept,
                ],
            );
            // A submodule in a place where no manifests are read does no harm.
            let entry = format!("160000,{head},m/_team");
            remote.git(&["update-index", "--force-remove", "m/team"]);
            remote.git(&["update-index", "--add", "--cacheinfo", &entry]);
            remote.git(&["commit", "--quiet", "--message=x"]);
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a"]);
        })
        .await;
}

/// Runs the real git, but removes this file from each checkout.
struct LeavesOut(&'static str);

impl CommandRunner for LeavesOut {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        let work_tree = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--work-tree=").map(PathBuf::from)
        });
        let is_checkout = program
            .arguments
            .iter()
            .any(|argument| argument == "checkout-index");
        let answer = SystemCommandRunner.run(program).await;
        if is_checkout {
            let tree = work_tree.expect("a tree");
            fs::remove_file(tree.join(self.0)).expect("removes");
        }
        answer
    }
}

#[tokio::test]
async fn g3_s3_what_the_checkout_of_a_followed_commit_leaves_out_is_an_error() {
    let Some(remote) = Remote::new() else { return };
    remote.share("img-b");
    let settings = remote.settings("main");
    run(
        settings.clone(),
        LeavesOut("m/img-b.yaml"),
        Unwatched,
        async |mut fed| {
            holds(
                &fed.broken().await,
                &[
                    "m/img-b.yaml: the commit has it, but git did not check it out",
                    "nothing is decided until",
                ],
            );
        },
    )
    .await;
    // With `--partial-ok`, the other files are shared, and the set is marked as partial.
    let settings = Settings {
        partial_ok: true,
        ..settings
    };
    remote.files.write("m/deep/img-c.yaml", &share("img-c"));
    remote.commit();
    run(
        settings,
        LeavesOut("m/deep/img-c.yaml"),
        Unwatched,
        async |mut fed| {
            let loaded = fed.loaded().await;
            assert_eq!(images(&loaded), ["img-a", "img-b"]);
            holds(&problems(&loaded), &["m/deep/img-c.yaml"]);
        },
    )
    .await;
}

#[tokio::test]
async fn g3_s3_a_file_missing_in_a_checkout_is_broken_until_git_knows() {
    let Some(remote) = Remote::new() else { return };
    remote.share("img-b");
    let settings = remote.files.settings(Duration::from_millis(100));
    let watch = sharekeeper::host::SystemWatch::new();
    run(settings, SystemCommandRunner, watch, async |mut fed| {
        assert_eq!(fed.images().await, ["img-a", "img-b"]);
        fs::remove_file(remote.files.path("m/img-b.yaml")).expect("removes");
        holds(
            &fed.broken().await,
            &["m/img-b.yaml: git has it", "git rm", "rm -- m/img-b.yaml"],
        );
        // The manifests do not change here. Only the index of git changes.
        remote.git(&["rm", "--quiet", "--cached", "m/img-b.yaml"]);
        assert_eq!(fed.images().await, ["img-a"]);
    })
    .await;
}
