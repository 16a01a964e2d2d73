//! Reads mappings and values of a YAML tree. Each problem is reported, and reading continues. It must not know any
//! document's fields.

use super::yaml::{Node, Value, meaning};
use crate::manifest::diagnostic::{DiagnosticBuilder, Place, Sink};
use crate::manifest::secret_words::is_secret_word;
use crate::manifest::suggest::{did_you_mean, nearest};
use crate::model::ImageId;

/// Far longer than any field name. Longer text in the place of one may be a line of anything.
const NAME_LEN_MAX: usize = 64;

/// Reads the nodes of one file, reporting to the sink.
pub(super) struct Reader<'s, 'a> {
    pub file: u32,
    pub sink: &'s mut Sink<'a>,
}

/// The known fields of a mapping.
pub(super) struct Fields<'n, 'a> {
    pub place: Place,
    /// Known fields that an unknown one was probably meant to be. They are not reported as missing.
    meant: Vec<&'static str>,
    found: Vec<(&'static str, &'n Node<'a>)>,
}

impl<'n, 'a> Fields<'n, 'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node<'a>> {
        self.found
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, node)| *node)
    }
}

impl Fields<'_, '_> {
    /// Whether `name` is missing only because of a typo that was reported.
    pub(super) fn seems_meant(&self, name: &str) -> bool {
        self.meant.contains(&name)
    }
}

/// An example for fields whose form is not obvious from their name.
fn how_to_write(name: &str) -> Option<&'static str> {
    Some(match name {
        "match" => "name the images that it applies to: `match: {name: \"golden-*\"}`",
        "keep" => "give the number of versions that stay shared: `keep: {newest: 3}`",
        "newest" => "give the number of versions that stay shared: `newest: 3`",
        "range" => "write it like `range: \">=1.4, <2\"`, or omit `semver`",
        "names" => "list the names of the images to share instead of the newest",
        "policies" => "`sharekeeper lock` makes a new lock file",
        _ => return None,
    })
}

/// A word that can be shown in an example. In a file that is not a manifest, any text can be anywhere.
fn example<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Scalar { text, .. } => {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let is_short = !text.is_empty() && text.len() <= NAME_LEN_MAX;
            (is_short && text.chars().all(is_word)).then_some(&**text)
        }
        Value::List(_) | Value::Map(_) => None,
    }
}

/// The field by which an entry would name such an image.
fn id_or_name(text: &str) -> &'static str {
    match ImageId::new(text) {
        Ok(_) => "id",
        Err(_) => "name",
    }
}

/// How to write a list instead of a single value.
fn how_to_list(node: &Node<'_>, what: &str) -> String {
    let name = what.trim_matches('`');
    match (name, example(node).filter(|_| !node.is_null())) {
        ("images", Some(item)) => {
            let field = id_or_name(item);
            format!("write it as a list: `images: [{{{field}: {item}, state: shared}}]`")
        }
        ("regions" | "accounts" | "names" | "days" | "causes", Some(item)) => {
            format!("write it as a list: `{name}: [{item}]`")
        }
        _ => "write its items between `[` and `]`, or each on a line of its own after `- `"
            .to_owned(),
    }
}

/// How to write one value instead of a list.
fn one_of_list(items: &[Node<'_>], what: &str) -> String {
    let quoted = what
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    let name = quoted.unwrap_or(what.trim_start_matches("a "));
    match items {
        [item] => match example(item).filter(|_| quoted.is_some() || name == "region") {
            Some(item) => format!("give one text, without brackets: `{name}: {item}`"),
            None => "give one text".to_owned(),
        },
        _ if name == "region" => "give one region; the field for several is `regions`".to_owned(),
        _ => "give one text".to_owned(),
    }
}

/// How to write a mapping instead of a single value.
fn how_to_write_fields(node: &Node<'_>, known: &[&'static str]) -> String {
    let fields = format!("known fields: {}", known.join(", "));
    match example(node).filter(|_| known.contains(&"id") && known.contains(&"name")) {
        Some(text) => format!("write `- {}: {text}`; {fields}", id_or_name(text)),
        None => fields,
    }
}

impl Reader<'_, '_> {
    pub(super) fn place(&self, node: &Node<'_>) -> Place {
        Place {
            file: self.file,
            start: node.start,
            end: node.end,
        }
    }

    /// The place to report. For a value with several lines, only its first line.
    fn head(&self, node: &Node<'_>) -> Place {
        let end = if matches!(node.value, Value::Scalar { .. }) {
            node.end
        } else {
            node.start + 1
        };
        Place {
            end,
            ..self.place(node)
        }
    }

    pub(super) fn error(
        &mut self,
        node: &Node<'_>,
        message: impl Into<String>,
    ) -> DiagnosticBuilder<'_, '_> {
        let place = self.head(node);
        self.sink.error(place, message)
    }

    /// The fields of a mapping. Unknown and repeated fields, and keys that are not words, are reported.
    pub(super) fn fields<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        what: &str,
        known: &[&'static str],
    ) -> Option<Fields<'n, 'a>> {
        let Value::Map(pairs) = &node.value else {
            self.error(
                node,
                format!("{what} must be a mapping of fields, not {}", node.kind()),
            )
            .help(how_to_write_fields(node, known));
            return None;
        };
        let mut found: Vec<(&'static str, &Node<'_>, &Node<'_>)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Value::Scalar { text, .. } = &key.value else {
                self.error(
                    key,
                    format!("a field of {what} must be a word, not {}", key.kind()),
                )
                .help(format!("known fields: {}", known.join(", ")));
                continue;
            };
            let Some(name) = known.iter().find(|name| **name == &**text) else {
                self.unknown_field(key, text, what, known);
                continue;
            };
            if let Some((_, first, _)) = found.iter().find(|(other, ..)| other == name) {
                let first = self.place(first);
                self.error(key, format!("`{name}` is given twice in {what}"))
                    .related(first, "first given here")
                    .help("keep one of the two");
                continue;
            }
            found.push((name, key, value));
        }
        let meant = known.iter().copied().filter(|name| {
            pairs.iter().any(|(key, _)| match &key.value {
                Value::Scalar { text, .. } if !known.contains(&&**text) => {
                    nearest(text, known.iter().copied()) == Some(name)
                }
                _ => false,
            })
        });
        let meant = meant.collect();
        let found = found
            .into_iter()
            .map(|(name, _, value)| (name, value))
            .collect();
        Some(Fields {
            place: self.head(node),
            meant,
            found,
        })
    }

    fn unknown_field(&mut self, key: &Node<'_>, text: &str, what: &str, known: &[&str]) {
        if is_secret_word(text) {
            self.error(key, format!("a manifest never holds a secret, so {what} has no field `{text}`"))
                .help("remove it, treat the key as leaked, and set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY in the environment");
            return;
        }
        let help = if text == "<<" {
            Some("merge keys are not supported; write all fields explicitly".to_owned())
        } else {
            let list = || format!("known fields: {}", known.join(", "));
            Some(did_you_mean(text, known.iter().copied()).unwrap_or_else(list))
        };
        // In a file that is not a manifest, any line can look like a field.
        let is_name = text.len() <= NAME_LEN_MAX
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "_-./<".contains(c));
        let problem = match is_name {
            true => format!("{what} has no field `{text}`"),
            false => format!("{what} has no field of this name"),
        };
        self.error(key, problem).maybe_help(help);
    }

    /// A field that must be present, else it is reported.
    pub(super) fn required<'n, 'a>(
        &mut self,
        fields: &Fields<'n, 'a>,
        name: &str,
        what: &str,
    ) -> Option<&'n Node<'a>> {
        let node = fields.get(name);
        if node.is_none() && !fields.seems_meant(name) {
            self.sink
                .error(fields.place, format!("{what} lacks `{name}`"))
                .maybe_help(how_to_write(name).map(str::to_owned));
        }
        node
    }

    /// Reads a text. A plain word that YAML may interpret as something else must be quoted.
    pub(super) fn text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, plain } if !node.is_null() => {
                if *plain && let Some(meaning) = meaning(text) {
                    self.error(
                        node,
                        format!("{what} must be a text, but YAML reads `{text}` as {meaning}"),
                    )
                    .help(format!("quote it: \"{text}\""));
                    return None;
                }
                Some(text)
            }
            _ => {
                self.not_a_text(node, what);
                None
            }
        }
    }

    fn not_a_text(&mut self, node: &Node<'_>, what: &str) {
        let help = match &node.value {
            Value::List(items) => one_of_list(items, what),
            Value::Map(_) => "give a text; one that holds `{` or `: ` must be quoted".to_owned(),
            Value::Scalar { .. } => "give it a value, or omit it".to_owned(),
        };
        self.error(node, format!("{what} must be a text, not {}", node.kind()))
            .help(help);
    }

    /// Reads a text that may be any scalar, such as a note or a number.
    pub(super) fn scalar<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.not_a_text(node, what);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node<'_>, what: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => return Some(true),
            Value::Scalar { text, plain: true } if text == "false" => return Some(false),
            _ => {}
        }
        let help = match &node.value {
            Value::Scalar { text, .. } => match &*text.to_ascii_lowercase() {
                word @ ("true" | "false") => Some(format!("write {word}, without quotes")),
                "yes" | "on" | "y" => Some("write `true`".to_owned()),
                "no" | "off" | "n" => Some("write `false`".to_owned()),
                _ => None,
            },
            Value::List(_) | Value::Map(_) => None,
        };
        let help = help.unwrap_or_else(|| "write `true` or `false`".to_owned());
        self.error(node, format!("{what} must be `true` or `false`"))
            .help(help);
        None
    }

    /// Reads a list with at least one item. `empty` is the remedy if there is none.
    pub(super) fn list<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        what: &str,
        empty: &str,
    ) -> Option<&'n [Node<'a>]> {
        match &node.value {
            Value::List(items) if items.is_empty() => {
                self.error(node, format!("{what} is empty")).help(empty);
                None
            }
            Value::List(items) => Some(items),
            _ => {
                self.error(node, format!("{what} must be a list, not {}", node.kind()))
                    .help(how_to_list(node, what));
                None
            }
        }
    }

    /// The value and place of each item. Items that equal an earlier one are reported. Quadratic, for lists with few
    /// different items.
    pub(super) fn each_once<'n, 'a, T: PartialEq>(
        &mut self,
        items: &'n [Node<'a>],
        read: impl Fn(&mut Self, &'n Node<'a>) -> Option<T>,
    ) -> Vec<(T, Place)> {
        let mut found: Vec<(T, Place)> = Vec::new();
        for item in items {
            let Some(value) = read(self, item) else {
                continue;
            };
            let place = self.place(item);
            match found.iter().find(|(known, _)| *known == value) {
                Some((_, first)) => self.report_duplicate(item, *first),
                None => found.push((value, place)),
            }
        }
        found
    }

    /// Reports an item of a list that equals an earlier one.
    pub(super) fn report_duplicate(&mut self, item: &Node<'_>, first: Place) {
        let text = match &item.value {
            Value::Scalar { text, .. } => text,
            _ => item.kind(),
        };
        self.error(item, format!("`{text}` is listed twice"))
            .related(first, "first listed here")
            .help("remove one of the two");
    }
}
