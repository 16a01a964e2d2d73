//! Desired state → manifest text, for `import`. Parsing is the inverse; a test checks that they agree.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::{AccountName, ImageId, Scope};
use crate::words::safe;

/// Images to declare `shared`, by scope, each with a note that may be empty.
pub type Sharing = BTreeMap<Scope, BTreeMap<ImageId, String>>;

/// Renders one document for each scope, named after it. `modeline` is the comment on top.
pub fn render(sharing: &Sharing, modeline: &str) -> String {
    let mut text = format!("# {}\n", safe(modeline));
    for (scope, images) in sharing.iter().filter(|(_, images)| !images.is_empty()) {
        if text.lines().count() > 1 {
            text.push_str("---\n");
        }
        document(&mut text, scope, images);
    }
    text
}

fn document(text: &mut String, scope: &Scope, images: &BTreeMap<ImageId, String>) {
    let name = format!("imported-{}-{}", scope.account, scope.region);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata:\n  name: {name}\nspec:\n"
    );
    if scope.account != AccountName::default() {
        let _ = writeln!(text, "  account: {}", quoted(scope.account.as_str()));
    }
    let _ = writeln!(text, "  region: {}\n  images:", scope.region);
    for (image, note) in images {
        let _ = writeln!(text, "    - id: {image}\n      state: shared");
        if !note.is_empty() {
            let _ = writeln!(text, "      note: {}", quoted(note));
        }
    }
}

/// A double-quoted YAML scalar: a JSON string is valid YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(safe(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{SourceText, parse};
    use crate::model::Region;

    #[test]
    fn o1_what_is_written_is_read_as_meant_whatever_the_names() {
        let region = Region::new("ap-tokyo").expect("a region");
        let other = Region::new("eu-frankfurt").expect("a region");
        let scope = |region| Scope {
            account: AccountName::default(),
            region,
        };
        let notes = [
            "plain",
            "",
            "no: \"really\"",
            "a\n- id: img-evil",
            "\u{202e}x # y",
            "~",
        ];
        let images = notes.iter().enumerate().map(|(n, note)| {
            (
                ImageId::new(&format!("img-{n}")).expect("an id"),
                (*note).to_owned(),
            )
        });
        let images: BTreeMap<_, _> = images.collect();
        let sharing = Sharing::from([(scope(region), images.clone()), (scope(other), images)]);
        let text = render(&sharing, "written by a\ntest");
        let loaded = parse(vec![SourceText::new("imported.yaml", text.clone())]);
        let loaded = loaded.unwrap_or_else(|_| panic!("valid:\n{text}"));
        assert_eq!(loaded.documents, 2);
        assert_eq!(loaded.desired.images.len(), 12);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn nothing_shared_is_a_comment() {
        assert_eq!(render(&Sharing::new(), "nothing"), "# nothing\n");
    }
}
