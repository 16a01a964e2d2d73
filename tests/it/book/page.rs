//! Parses a page of the book as Markdown and gives its links, anchors, tables and code blocks to the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The root of the repository, which holds the pages and the files that they show.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One Markdown file of the repository.
pub(super) struct Page {
    /// Its path from the root of the repository.
    pub name: String,
    text: String,
}

/// One fenced block of code.
pub(super) struct Block {
    /// The first word after the fence, such as `console`.
    pub language: String,
    /// The file name that `file=` gives after the language.
    pub file: Option<String>,
    pub text: String,
}

/// One row of a table, with the heading above the table.
pub(super) struct Row {
    pub heading: String,
    /// The cells of the table's first row, as Markdown.
    pub header: Vec<String>,
    pub cells: Vec<String>,
}

impl Page {
    pub(super) fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).expect("a page");
        let name = name.to_owned();
        Self { name, text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, std::ops::Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    /// The targets of links and images, as they are written.
    pub(super) fn links(&self) -> Vec<String> {
        let targets = self.events().filter_map(|(event, _)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        });
        targets.collect()
    }

    /// The text of each heading, in order.
    pub(super) fn headings(&self) -> Vec<String> {
        let mut headings = Vec::new();
        let mut heading: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => headings.extend(heading.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => (),
            }
        }
        headings
    }

    /// The anchors of all headings, in the form in which common hosts derive them from the text of the heading.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let mut times = BTreeMap::new();
        let headings = self.headings().into_iter();
        let anchors = headings.map(|heading| {
            let is_kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
            let heading = heading.to_lowercase();
            let anchor: String = heading.chars().filter(is_kept).collect();
            let anchor = anchor.replace(' ', "-");
            let count = times.entry(anchor.clone()).or_insert(0);
            *count += 1;
            match *count {
                1 => anchor,
                count => format!("{anchor}-{}", count - 1),
            }
        });
        anchors.collect()
    }

    /// Every fenced block of code, in order.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_inside = false;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let mut words = info.split_whitespace();
                    let language = words.next().unwrap_or_default().to_owned();
                    let file = words.find_map(|word| word.strip_prefix("file="));
                    is_inside = true;
                    blocks.push(Block {
                        language,
                        file: file.map(str::to_owned),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => is_inside = false,
                Event::Text(text) if is_inside => {
                    blocks.last_mut().expect("a block").text.push_str(&text);
                }
                _ => (),
            }
        }
        blocks
    }

    /// Every row of every table, without the header rows.
    pub(super) fn rows(&self) -> Vec<Row> {
        let (mut rows, mut cells, mut header) = (Vec::new(), Vec::new(), Vec::new());
        let (mut heading, mut is_heading) = (String::new(), false);
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => {
                    heading.clear();
                    is_heading = true;
                }
                Event::End(TagEnd::Heading(_)) => is_heading = false,
                Event::Text(text) | Event::Code(text) if is_heading => heading.push_str(&text),
                Event::End(TagEnd::TableCell) => {
                    let cell = self.text[range].trim_matches('|').trim();
                    cells.push(cell.to_owned());
                }
                Event::End(TagEnd::TableHead) => header = std::mem::take(&mut cells),
                Event::End(TagEnd::TableRow) => rows.push(Row {
                    heading: heading.clone(),
                    header: header.clone(),
                    cells: std::mem::take(&mut cells),
                }),
                _ => (),
            }
        }
        rows
    }
}

impl Row {
    /// The first header cell of the table. It says what the rows are about.
    pub(super) fn subject(&self) -> &str {
        &self.header[0]
    }

    /// The cell below a column's name.
    pub(super) fn cell(&self, column: &str) -> Option<&str> {
        let position = self.header.iter().position(|name| name == column)?;
        Some(&self.cells[position])
    }
}

/// The texts between backticks, in order.
pub(super) fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// All pages of the book: README.md and the files in docs/.
pub(super) fn book() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    names.extend(markdown_in(Path::new("docs")));
    names.iter().map(|name| Page::read(name)).collect()
}

/// The book, the pages for contributors, and the pages beside the examples.
pub(super) fn all() -> Vec<Page> {
    let names = ["ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"];
    let names = names.map(|name| format!("{name}.md")).into_iter();
    let names = names.chain(markdown_in(Path::new("examples")));
    let others = names.map(|name| Page::read(&name));
    book().into_iter().chain(others).collect()
}

/// Every Markdown file below a folder, as a path from the root of the repository.
fn markdown_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    for entry in entries {
        let path = folder.join(entry.expect("an entry").file_name());
        if root().join(&path).is_dir() {
            names.extend(markdown_in(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            names.push(path.to_str().expect("text").to_owned());
        }
    }
    names.sort();
    names
}
