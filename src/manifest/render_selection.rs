//! A list of images → manifest text, for `images --write`: images by name, in all regions that have them. Parsing is the
//! inverse; a test checks that they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::render::quoted;
use crate::model::{AccountName, Glob, ImageId, ImageName, Region, is_object_name};
use crate::words::safe;

/// Images of one account to declare `shared`. They form one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedImages {
    account: AccountName,
    regions: BTreeSet<Region>,
    /// Images by name; each of the regions has one.
    pub names: BTreeSet<ImageName>,
    /// Images by id, each with a note that may be empty. Only used for a single region, because an id belongs to one.
    pub ids: BTreeMap<ImageId, String>,
}

impl SelectedImages {
    /// A document that names no image yet.
    pub fn new(account: AccountName, regions: BTreeSet<Region>) -> Self {
        Self {
            account,
            regions,
            names: BTreeSet::new(),
            ids: BTreeMap::new(),
        }
    }

    /// A name that can be used in a declaration. A name that looks like an id or a pattern would mislead people, so it
    /// is not used.
    pub fn plain_name(name: &str) -> Option<ImageName> {
        let is_plain = ImageId::new(name).is_err() && !Glob::new(name).is_pattern();
        let name = ImageName::new(name).ok();
        name.filter(|name| is_plain && safe(name.as_str()) == name.as_str())
    }
}

/// Renders a document for each of `documents`, named after `stem`. `modeline` is the comment on top.
pub fn render_selection(stem: &str, documents: &[SelectedImages], modeline: &str) -> String {
    let mut text = format!("# {}\n", safe(modeline));
    let stem = document_name(stem);
    for (number, selected) in (1..).zip(documents) {
        if number > 1 {
            text.push_str("---\n");
        }
        let name = match documents.len() {
            1 => stem.clone(),
            _ => format!("{stem}-{number}"),
        };
        document(&mut text, &name, selected);
    }
    text
}

fn document(text: &mut String, name: &str, selected: &SelectedImages) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata:\n  name: {}\nspec:\n",
        quoted(name)
    );
    if selected.account != AccountName::default() {
        let _ = writeln!(text, "  account: {}", quoted(selected.account.as_str()));
    }
    let regions: Vec<_> = selected.regions.iter().map(Region::to_string).collect();
    let _ = writeln!(text, "  regions: [{}]\n  images:", regions.join(", "));
    for name in &selected.names {
        let name = quoted(name.as_str());
        let _ = writeln!(text, "    - {{name: {name}, state: shared}}");
    }
    for (id, note) in &selected.ids {
        let note = match note.is_empty() {
            true => String::new(),
            false => format!(", note: {}", quoted(note)),
        };
        let _ = writeln!(text, "    - {{id: {id}, state: shared{note}}}");
    }
}

/// A valid document name that resembles `text`.
fn document_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = lower
        .chars()
        .map(|c| if allowed(c) || c == '-' { c } else { '-' })
        .take(200)
        .collect();
    let name = name.trim_matches('-');
    match is_object_name(name) {
        true => name.to_owned(),
        false => "images".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{SourceText, parse};
    use crate::model::Scope;

    #[test]
    fn o1_a_selection_is_read_as_meant_whatever_the_names() {
        let region = |name| Region::new(name).expect("a region");
        let (tokyo, frankfurt) = (region("ap-tokyo"), region("eu-frankfurt"));
        let account = AccountName::default();
        let mut both = SelectedImages::new(account.clone(), [tokyo, frankfurt].into());
        let names = ["golden-1.5.1", "yes", "1.50", "a: {b}, [c] # \"d\"", "名前"];
        for name in names {
            both.names
                .insert(SelectedImages::plain_name(name).expect("plain"));
        }
        let mut one = SelectedImages::new(account.clone(), [tokyo].into());
        one.ids
            .insert(ImageId::new("img-a").expect("an id"), "x}, y".into());
        let text = render_selection("My Images.v1", &[both, one], "a\nb");
        let loaded = parse(vec![SourceText::new("images.yaml", text.clone())]);
        let loaded = loaded.unwrap_or_else(|_| panic!("valid:\n{text}"));
        assert!(loaded.warnings.is_empty(), "{text}");
        assert_eq!(loaded.desired.images.len(), 1);
        for region in [tokyo, frankfurt] {
            let scope = Scope {
                account: account.clone(),
                region,
            };
            let read = loaded.desired.names[&scope].keys();
            let read: BTreeSet<_> = read.map(ImageName::as_str).collect();
            assert_eq!(read, BTreeSet::from(names));
        }
        assert!(text.contains("name: \"my-images-v1-2\""), "{text}");
    }

    #[test]
    fn what_people_would_misread_is_no_name() {
        for name in ["img-a", "golden-*", "what?", "", " a", "a\u{202e}b"] {
            assert_eq!(SelectedImages::plain_name(name), None, "{name:?}");
        }
        assert_eq!(document_name("名前"), "images");
        assert_eq!(document_name("--a_b--"), "a-b");
    }
}
