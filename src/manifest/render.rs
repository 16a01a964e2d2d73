//! Desired state → manifest text, for `import`. Parsing is the inverse; a test checks that they agree.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::{AccountName, Glob, ImageId, ImageName, Scope};
use crate::words::safe;

/// Images to declare `shared`, by scope.
pub type Sharing = BTreeMap<Scope, Vec<Imported>>;

/// An image to declare `shared`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub id: ImageId,
    /// The image's name, if no other image of the region has it.
    pub name: Option<ImageName>,
    /// A note; empty if there is none.
    pub note: String,
}

impl Imported {
    /// The name for the declaration. A name that looks like an id or a pattern would mislead people, so it is not used.
    fn name(&self) -> Option<&ImageName> {
        let is_plain = |name: &&ImageName| {
            ImageId::new(name.as_str()).is_err() && !Glob::new(name.as_str()).is_pattern()
        };
        self.name.as_ref().filter(is_plain)
    }
}

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

fn document(text: &mut String, scope: &Scope, images: &[Imported]) {
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
    for image in images {
        let name = image.name();
        let _ = match name {
            Some(name) => writeln!(text, "    - name: {}", quoted(name.as_str())),
            None => writeln!(text, "    - id: {}", image.id),
        };
        let _ = writeln!(text, "      state: shared");
        let is_said = name.map_or(image.id.as_str(), ImageName::as_str) == image.note;
        if !image.note.is_empty() && !is_said {
            let _ = writeln!(text, "      note: {}", quoted(&image.note));
        }
    }
}

/// A double-quoted YAML scalar: a JSON string is valid YAML.
pub(super) fn quoted(text: &str) -> String {
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
        let images = |letter: &str| -> Vec<_> {
            let image = |(n, note): (usize, &&str)| Imported {
                id: ImageId::new(&format!("img-{letter}{n}")).expect("an id"),
                name: None,
                note: (*note).to_owned(),
            };
            notes.iter().enumerate().map(image).collect()
        };
        let sharing = Sharing::from([(scope(region), images("a")), (scope(other), images("b"))]);
        let text = render(&sharing, "written by a\ntest");
        let loaded = parse(vec![SourceText::new("imported.yaml", text.clone())]);
        let loaded = loaded.unwrap_or_else(|_| panic!("valid:\n{text}"));
        assert_eq!(loaded.documents, 2);
        assert_eq!(loaded.desired.images.len(), 12);
        assert!(loaded.warnings.is_empty());
        let kept = loaded.desired.images.values();
        let kept: Vec<_> = kept.filter_map(|image| image.note.as_deref()).collect();
        assert_eq!(kept[..2], ["plain", "no: \"really\""]);
    }

    #[test]
    fn o1_names_are_written_where_they_are_read_as_meant() {
        let scope = Scope {
            account: AccountName::default(),
            region: Region::new("ap-tokyo").expect("a region"),
        };
        let named = [
            "golden-1.5.1",
            "yes",
            "1.50",
            "# a: [b]\"",
            "名前",
            // These are written by id.
            "img-looks",
            "golden-*",
        ];
        let image = |(n, name): (usize, &str)| Imported {
            id: ImageId::new(&format!("img-{n}")).expect("an id"),
            name: Some(ImageName::new(name).expect("a name")),
            note: ["golden-1.5.1", "imported"][n.min(1)].to_owned(),
        };
        let images = named.into_iter().enumerate().map(image).collect();
        let text = render(&Sharing::from([(scope.clone(), images)]), "test");
        let loaded = parse(vec![SourceText::new("imported.yaml", text.clone())]);
        let loaded = loaded.unwrap_or_else(|_| panic!("valid:\n{text}"));
        assert!(loaded.warnings.is_empty(), "{text}");
        let names = &loaded.desired.names[&scope];
        let read: Vec<_> = names.keys().map(ImageName::as_str).collect();
        assert_eq!(read, ["# a: [b]\"", "1.50", "golden-1.5.1", "yes", "名前"]);
        let notes = |name: &str| names[&ImageName::new(name).expect("a name")].note.clone();
        assert_eq!(notes("golden-1.5.1"), None, "it would say the name again");
        assert_eq!(notes("yes").as_deref(), Some("imported"));
        let ids: Vec<_> = loaded
            .desired
            .images
            .keys()
            .map(|key| key.image.as_str())
            .collect();
        assert_eq!(ids, ["img-5", "img-6"]);
    }

    #[test]
    fn nothing_shared_is_a_comment() {
        assert_eq!(render(&Sharing::new(), "nothing"), "# nothing\n");
    }
}
