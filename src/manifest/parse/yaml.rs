//! YAML text → a tree with places, one document at a time, within limits on depth and aliases.
//!
//! Loaders based on serde stop at the first error; this one continues, so that all errors are found at once.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScanError, Span, options};

/// Parts of the parser's message for a line that begins in the wrong column.
const INDENTED: [&str; 6] = [
    "mapping values are not allowed",
    "block collection",
    "block mapping",
    "indent",
    "block end",
    "simple key",
];

/// The limit for levels of nesting; a manifest needs six.
const DEPTH_MAX: usize = 64;
/// The number of nodes that aliases may expand to in one file. Some reuse is fine; an alias bomb is not.
const ALIAS_NODES_MAX: usize = 100_000;

/// A node and its byte range.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub start: u32,
    pub end: u32,
    pub value: Value<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// `plain` means neither quoted nor a block, so YAML gives a meaning to words such as `no`.
    Scalar {
        text: Cow<'a, str>,
        plain: bool,
    },
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>),
}

/// Why a document cannot be parsed. The next one may still be.
#[derive(Debug)]
pub(super) struct TreeError {
    pub start: u32,
    pub message: String,
    pub help: Option<&'static str>,
}

/// One document of a file.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    Root(Node<'a>),
    /// It contains nothing except comments, or `null`.
    Empty,
    Broken(TreeError),
}

/// Reads documents one after another.
pub(super) struct Documents<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node<'a>, usize)>,
    alias_nodes: usize,
    ended: bool,
    /// Problems that do not keep the document from being read.
    pub problems: Vec<TreeError>,
}

impl<'a> Documents<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut options = options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX, emit_unresolved_aliases: true };
        options.set_emit_comments(false);
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            alias_nodes: 0,
            ended: false,
            problems: Vec::new(),
        }
    }

    /// The next document; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Option<Parsed<'a>> {
        if self.ended {
            return None;
        }
        match self.document() {
            Ok(None) => {
                self.ended = true;
                None
            }
            Ok(Some(document)) => Some(document),
            Err(error) => {
                self.ended = !matches!(self.parser.proceed_next_document(), Ok(true));
                Some(Parsed::Broken(error))
            }
        }
    }

    /// A document that is empty or valid; `None` at the end of the file.
    fn document(&mut self) -> Result<Option<Parsed<'a>>, TreeError> {
        loop {
            match self.event()? {
                (Event::StreamStart, _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(..), _) => break,
                (_, span) => return Err(self.error(span, "a document was expected here")),
            }
        }
        self.anchors.clear();
        let (event, span) = self.event()?;
        if matches!(event, Event::DocumentEnd) {
            return Ok(Some(Parsed::Empty));
        }
        let (root, _) = self.node(event, span)?;
        let (event, span) = self.event()?;
        match event {
            Event::DocumentEnd if root.is_null() => Ok(Some(Parsed::Empty)),
            Event::DocumentEnd => Ok(Some(Parsed::Root(root))),
            _ => Err(self.error(span, "the document should end here")),
        }
    }

    /// A node that begins with `event`, and how many nodes it holds. Recursion is bounded by the parser's
    /// nesting limits.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<(Node<'a>, usize), TreeError> {
        let start = self.offset(&span);
        let (anchor, value, end, inner) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let plain = style == granit_parser::ScalarStyle::Plain;
                (anchor, Value::Scalar { text, plain }, self.end(&span), 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let (value, end, inner) = self.list()?;
                (anchor, value, end, inner)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let (value, end, inner) = self.map()?;
                (anchor, value, end, inner)
            }
            Event::Alias(id) => return self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                self.report_unresolved(&name, start);
                let value = Value::Scalar {
                    text: name,
                    plain: false,
                };
                (0, value, self.end(&span), 0)
            }
            _ => return Err(self.error(span, "a value was expected here")),
        };
        let size = inner + 1;
        let node = Node {
            start,
            end: end.max(start),
            value,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    /// The rest of a list, its end, and the number of nodes in it.
    fn list(&mut self) -> Result<(Value<'a>, u32, usize), TreeError> {
        let (mut items, mut size) = (Vec::new(), 0);
        loop {
            let (event, span) = self.event()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((Value::List(items), self.end(&span), size));
            }
            let (item, nodes) = self.node(event, span)?;
            items.push(item);
            size += nodes;
        }
    }

    /// The rest of a mapping, its end, and the number of nodes in it.
    fn map(&mut self) -> Result<(Value<'a>, u32, usize), TreeError> {
        let (mut pairs, mut size) = (Vec::new(), 0);
        loop {
            let (event, span) = self.event()?;
            if matches!(event, Event::MappingEnd) {
                return Ok((Value::Map(pairs), self.end(&span), size));
            }
            let (key, key_nodes) = self.node(event, span)?;
            let (event, span) = self.event()?;
            let (value, value_nodes) = self.node(event, span)?;
            pairs.push((key, value));
            size += key_nodes + value_nodes;
        }
    }

    fn report_unresolved(&mut self, name: &str, start: u32) {
        let message = format!("no anchor `&{name}` comes before this alias");
        let help = "an anchor is valid only in its own document; quote a text that begins with `*`";
        self.problems.push(TreeError {
            start,
            message,
            help: Some(help),
        });
    }

    /// A copy of the anchored node. It keeps the place of the anchor, which is where a mistake must be fixed.
    fn alias(&mut self, id: usize, span: Span) -> Result<(Node<'a>, usize), TreeError> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(self.error(span, "this alias refers to the value that contains it"));
        };
        self.alias_nodes = self.alias_nodes.saturating_add(*size);
        if self.alias_nodes > ALIAS_NODES_MAX {
            let message = format!("aliases expand to more than {ALIAS_NODES_MAX} values");
            return Err(TreeError {
                start: self.offset(&span),
                message,
                help: Some("write the values explicitly"),
            });
        }
        Ok((node.clone(), *size))
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            let mark = span.tag_start().and_then(|mark| mark.byte_offset());
            let start = mark.map_or_else(|| self.offset(&span), |offset| to_u32(Some(offset)));
            let help = Some("remove the `!…` before the value");
            let message = "manifests have no YAML tags".into();
            self.problems.push(TreeError {
                start,
                message,
                help,
            });
        }
    }

    fn event(&mut self) -> Result<(Event<'a>, Span), TreeError> {
        loop {
            return match self.parser.next() {
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => continue,
                Some(Ok(event)) => Ok(event),
                Some(Err(error)) => Err(self.syntax(&error)),
                None => Ok((Event::StreamEnd, Span::default())),
            };
        }
    }

    fn syntax(&self, error: &ScanError) -> TreeError {
        let info = error.info();
        let help = if info.contains("tab") {
            Some("indent with spaces")
        } else if info.contains("anchor or alias") {
            Some("quote a text that begins with `*` or `&`")
        } else if info.contains("nest") || info.contains("depth") || info.contains("recursion") {
            Some("a manifest needs six levels")
        } else if INDENTED.iter().any(|words| info.contains(words)) {
            Some(
                "check the indentation: the fields of one mapping begin in the same column, as do the `-` of one list, and the content of a field is indented further than the field",
            )
        } else {
            None
        };
        let start = to_u32(error.marker().byte_offset()).min(to_u32(Some(self.text.len())));
        TreeError {
            start,
            message: format!("not valid YAML: {info}"),
            help,
        }
    }

    fn error(&self, span: Span, message: &str) -> TreeError {
        TreeError {
            start: self.offset(&span),
            message: message.into(),
            help: None,
        }
    }

    fn offset(&self, span: &Span) -> u32 {
        to_u32(span.start.byte_offset())
    }

    fn end(&self, span: &Span) -> u32 {
        to_u32(span.end.byte_offset())
    }
}

/// A byte offset. Files are far smaller than 4 GiB.
fn to_u32(offset: Option<usize>) -> u32 {
    offset
        .and_then(|offset| u32::try_from(offset).ok())
        .unwrap_or(0)
}

impl Node<'_> {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The kind of the value, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { text, plain: true } => meaning(text).unwrap_or("a text"),
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The meaning of a plain word in YAML 1.1 or 1.2, unless it is a text.
pub(super) fn meaning(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    if matches!(
        lower.as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    ) {
        return Some("a truth value");
    }
    let digits = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (lower.parse::<f64>().is_ok()
            || ["0x", "0o", "0b"]
                .iter()
                .any(|prefix| digits.starts_with(prefix))
            || digits
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'_' | b':')));
    is_number.then_some("a number")
}
