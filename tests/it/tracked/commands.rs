//! How often git is asked, and that asking changes nothing.

use super::*;

#[tokio::test]
async fn g3_asking_leaves_the_repository_as_it_is() {
    let Some(place) = Place::new() else { return };
    // The file has the same contents and another time. Git would usually write the new time to its index.
    place.write("r/m/a.yaml", &share("img-a"));
    let index = || fs::read(place.path("r/.git/index")).expect("an index");
    let before = index();
    assert_eq!(place.images(&["r"]).await.len(), 2);
    assert!(before == index(), "the index was written");
}

/// Runs git, counts the runs, and calls a function at each of them.
struct Counted<F> {
    runs: Cell<usize>,
    asked: RefCell<F>,
}

impl<F: FnMut(usize)> CommandRunner for Counted<F> {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        assert_eq!(program.name, "git");
        assert!(program.environment.contains(&("GIT_OPTIONAL_LOCKS", "0")));
        let answer = SystemCommandRunner.run(program).await;
        self.runs.set(self.runs.get() + 1);
        (self.asked.borrow_mut())(self.runs.get());
        answer
    }
}

#[tokio::test]
async fn g3_s3_an_index_that_changes_as_git_is_asked_has_all_read_again() {
    let Some(place) = Place::new() else { return };
    let counted = Counted {
        runs: Cell::new(0),
        asked: RefCell::new(|run| {
            if run == 1 {
                place.git("r", &["rm", "--quiet", "m/team/b.yaml"]);
                place.write("r/m/c.yaml", &share("img-c"));
            }
        }),
    };
    let loaded = place.load_with(&["r"], &counted).await.expect("is good");
    assert_eq!(names(&loaded), ["img-a", "img-c"]);
    assert_eq!(counted.runs.get(), 4);
}

#[tokio::test]
async fn g3_git_is_asked_two_questions_of_each_repository() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    for (paths, runs) in [
        (&["r"] as &[_], 4),
        (&["r/m/team", "r/m/sub/deep"], 4),
        (&["r/m", "r/m/team"], 4),
        (&["r/m/a.yaml"], 0),
    ] {
        let counted = Counted {
            runs: Cell::new(0),
            asked: RefCell::new(|_| {}),
        };
        place.load_with(paths, &counted).await.expect("is good");
        assert_eq!(counted.runs.get(), runs, "{paths:?}");
    }
}
