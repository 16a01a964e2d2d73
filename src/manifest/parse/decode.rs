//! YAML tree → documents: reads the fields that all kinds share and passes each document to its kind. Collects all
//! problems and continues.

use super::account;
use super::document::Document;
use super::fields::Reader;
use super::yaml::{Documents, Node, Parsed, TreeError};
use super::{lock, policy, restriction};
use crate::manifest::diagnostic::{Place, Sink};
use crate::manifest::source_text::SourceText;
use crate::manifest::suggest::did_you_mean;

const API_VERSION: &str = "sharekeeper.dev/v1";
const KINDS: [&str; 5] = [
    "ImageShare",
    "ImageSharePolicy",
    "ImageShareLock",
    "Account",
    "Restriction",
];

/// Reads the documents of one file. Returns how many there are, including those with errors.
pub(super) fn decode(
    file: u32,
    source: &SourceText,
    sink: &mut Sink<'_>,
    out: &mut Vec<Document>,
) -> usize {
    if let Some(at) = source.text().find('\0') {
        let start = u32::try_from(at).unwrap_or(0);
        let place = Place {
            file,
            start,
            end: start + 1,
        };
        sink.error(
            place,
            "the file contains a NUL byte, so it is not a text file",
        )
        .help("check the program that wrote it");
        return 0;
    }
    let mut documents = Documents::new(source.text());
    let mut count = 0;
    while let Some(document) = documents.next() {
        let mut problems = std::mem::take(&mut documents.problems);
        match document {
            Parsed::Empty => {}
            Parsed::Root(root) => {
                count += 1;
                out.extend(Reader { file, sink }.document(&root));
            }
            Parsed::Broken(problem) => problems.push(problem),
        }
        for TreeError {
            start,
            message,
            help,
        } in problems
        {
            let place = Place {
                file,
                start,
                end: start,
            };
            sink.error(place, message)
                .maybe_help(help.map(str::to_owned));
        }
    }
    count
}

impl Reader<'_, '_> {
    fn document(&mut self, root: &Node<'_>) -> Option<Document> {
        let fields = self.fields(
            root,
            "a document",
            &["apiVersion", "kind", "metadata", "spec"],
        )?;
        if let Some(version) = self.required(&fields, "apiVersion", "the document")
            && let Some(text) = self.text(version, "`apiVersion`")
            && text != API_VERSION
        {
            self.error(version, format!("unknown apiVersion `{text}`"))
                .help(format!("write `{API_VERSION}`"));
        }
        let kind = self.required(&fields, "kind", "the document")?;
        match self.text(kind, "`kind`")? {
            "ImageShare" => Some(Document::Share(self.share(&fields))),
            "Account" => account::read(self, &fields),
            "Restriction" => {
                let restriction = restriction::read(self, &fields)?;
                Some(Document::Restriction(Box::new(restriction)))
            }
            "ImageSharePolicy" => Some(Document::Policy(Box::new(policy::read(self, &fields)))),
            "ImageShareLock" => lock::read(self, &fields).map(Document::Lock),
            other => {
                let help = did_you_mean(other, KINDS)
                    .unwrap_or_else(|| format!("known kinds: {}", KINDS.join(", ")));
                self.error(kind, format!("unknown kind `{other}`"))
                    .help(help);
                None
            }
        }
    }
}
