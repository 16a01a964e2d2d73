//! The remedies that errors about half a checkout name, carried out.

use super::*;

#[tokio::test]
async fn g3_the_remedy_for_a_half_checkout_keeps_what_was_edited() {
    let Some(place) = Place::new() else { return };
    place.clone(&["--no-checkout"]);
    place.write("c/m/a.yaml", &share("img-edited"));
    let errors = place.errors(&["c/m"]).await;
    let [(_, _, help)] = &errors[..] else {
        panic!("{errors:#?}")
    };
    assert!(!help.contains("--hard"), "{help}");
    follow(&place, help);
    assert_eq!(place.images(&["c/m"]).await, ["img-b", "img-edited"]);
}

/// Runs those commands of a help text that begin with `git -C`, in a directory outside any repository.
fn follow(place: &Place, help: &str) {
    let commands = help.split('`').skip(1).step_by(2);
    for command in commands.filter(|command| command.starts_with("git -C ")) {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir("/")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("HOME", place.0.path())
            .output()
            .expect("runs");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        // git may exit with 1 where files differ from the commit.
        assert!(!printed.contains("fatal"), "{command}: {printed}");
    }
}

#[tokio::test]
async fn g3_a_remedy_works_wherever_it_is_copied_to() {
    let Some(place) = Place::new() else { return };
    let odd = "it's a \u{e9} [x]*";
    place.repository(odd, &[]);
    for (index, name) in ["-a b'c", "[x]", "x"].iter().enumerate() {
        let image = format!("img-{index}");
        place.write(&format!("{odd}/m/{name}.yaml"), &share(&image));
    }
    place.commit(odd);
    place.remove(&format!("{odd}/m/-a b'c.yaml"));
    let path = format!("{odd}/m");
    let errors = place.errors(&[&path]).await;
    let restore = errors[0].2.split_once("if not, ").expect("two ways").1;
    follow(&place, restore);
    assert_eq!(place.images(&[&path]).await.len(), 3);
    // The file name is not used as a pattern, which would also match another file.
    place.remove(&format!("{odd}/m/[x].yaml"));
    let errors = place.errors(&[&path]).await;
    let confirm = errors[0].2.split_once("if not, ").expect("two ways").0;
    follow(&place, confirm);
    assert_eq!(place.images(&[&path]).await.len(), 2);
    // The removal of a submodule can be confirmed in the same way.
    place.with_submodule();
    place.remove("r/m/sub");
    let errors = place.errors(&["r/m"]).await;
    let confirm = errors[0].2.split_once("on purpose").expect("two ways").1;
    follow(&place, confirm);
    assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b"]);
}
