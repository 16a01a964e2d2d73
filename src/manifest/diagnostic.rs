//! Problems in manifests, with the place, an excerpt of the source and a remedy. [`Sink`] collects them, so that one run
//! shows every error. Excerpts are made safe to print, and a file that may hold a secret is never quoted.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::source_text::{SourceText, boundary};
use crate::desired::Source;
use crate::words::{masked, plural, safe, without_secrets, without_url_secrets};

/// The number of errors that are listed; a file of the wrong kind can have a million.
const ERRORS_MAX: usize = 100;
/// The number of bytes of a source line that are kept for display; the renderer trims them to the terminal's width.
const LINE_BYTES_MAX: usize = 4096;

/// Severity of a diagnostic: only an error prevents a desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem in a manifest. Serializes as `validate -o json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    #[serde(skip)]
    severity: Severity,
    pub file: String,
    /// Counts from 1; 0 if the problem is the file itself.
    pub line: u32,
    /// Counts characters from 1; 0 if the problem is the file itself.
    pub column: u32,
    /// Begins in lower case and has no final period.
    pub message: String,
    /// What the user can do about it.
    pub help: Option<String>,
    /// Other places that belong to the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// Another place that a problem belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    pub file: String,
    pub line: u32,
    /// Counts characters from 1.
    pub column: u32,
    pub message: String,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// A source line, and the byte range of it to underline.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    start: usize,
    end: usize,
}

/// A byte range in one of the sources; `file` is the index of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

/// The problems of a set of manifests, among them at least one error.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
    /// Indices of the sources with an error or with the other half of one, even if the error is not listed.
    faulty: BTreeSet<u32>,
    documents: usize,
    images: usize,
}

/// Collects problems while sources are read.
pub(super) struct Sink<'a> {
    sources: &'a [SourceText],
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
    faulty: BTreeSet<u32>,
}

impl Diagnostic {
    /// A problem with a path as a whole.
    pub(super) fn of_path(file: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            // The typed path may be something else, such as a URL with a password.
            file: safe(&without_url_secrets(file)),
            line: 0,
            column: 0,
            message: without_url_secrets(&message.into()),
            help: Some(without_url_secrets(&help.into())),
            related: Vec::new(),
            excerpt: None,
        }
    }

    /// A warning about a path as a whole.
    pub(super) fn warning_of_path(
        file: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::of_path(file, message, help)
        }
    }

    /// The problem with its source line and a caret, as rustc prints it.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let Some(excerpt) = &self.excerpt else {
            let place = match self.line {
                0 => self.file.clone(),
                line => format!("{}:{line}:{}", self.file, self.column),
            };
            let title = level.primary_title(format!("{place}: {}", self.message));
            return format!(
                "{}\n",
                renderer.render(&[title.elements(self.help_element())])
            );
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .element(excerpt.snippet(&self.file, self.line, AnnotationKind::Primary, None));
        for related in &self.related {
            let label = Some(related.message.as_str());
            let Some(excerpt) = &related.excerpt else {
                continue;
            };
            let snippet =
                excerpt.snippet(&related.file, related.line, AnnotationKind::Context, label);
            group = group.element(snippet);
        }
        format!(
            "{}\n",
            renderer.render(&[group.elements(self.help_element())])
        )
    }

    fn help_element(&self) -> Option<annotate_snippets::Message<'_>> {
        self.help.as_deref().map(|help| Level::HELP.message(help))
    }

    fn position(&self) -> (&str, u32, u32) {
        (&self.file, self.line, self.column)
    }
}

impl fmt::Display for Diagnostic {
    /// On one line: `file:line:column: message; help`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        for related in &self.related {
            let Related {
                file,
                line,
                column,
                message,
                ..
            } = related;
            write!(f, " ({message}: {file}:{line}:{column})")?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Excerpt {
    fn snippet<'a>(
        &'a self,
        file: &'a str,
        line: u32,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let annotation = kind.span(self.start..self.end).label(label);
        Snippet::source(self.text.as_str())
            .line_start(line as usize)
            .path(file)
            .annotation(annotation)
    }
}

impl Diagnostics {
    /// A single error, if no source was read.
    pub(super) fn of(error: Diagnostic) -> Self {
        Self {
            errors: vec![error],
            warnings: Vec::new(),
            omitted: 0,
            faulty: BTreeSet::new(),
            documents: 0,
            images: 0,
        }
    }

    /// Adds more warnings to the problems.
    pub(super) fn with_warnings(mut self, warnings: Vec<Diagnostic>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The errors, in order of file, line and column.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// Warnings: content that is valid but looks wrong, or that makes the completeness of the set unknown.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Documents that were read.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Image entries that were read.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The sources with an error or with the other half of one, by their index.
    pub(super) fn faulty(&self) -> &BTreeSet<u32> {
        &self.faulty
    }

    /// The number of errors that are not among [`Self::errors`].
    pub fn unlisted(&self) -> usize {
        self.omitted
    }

    /// All problems, with a final line that counts them.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for diagnostic in self.warnings.iter().chain(&self.errors) {
            out.push_str(&diagnostic.render(color));
            out.push('\n');
        }
        let mut files: Vec<_> = self.errors.iter().map(|error| &error.file).collect();
        files.dedup();
        let errors = plural((self.errors.len() + self.omitted) as u64, "error");
        let places = plural(files.len() as u64, "file");
        let _ = write!(out, "{errors} in {places}");
        if self.omitted > 0 {
            let _ = write!(out, ", of which {} are not listed", self.omitted);
        }
        out.push_str("; nothing is decided until all are fixed\n");
        out
    }
}

impl<'a> Sink<'a> {
    pub(super) fn new(sources: &'a [SourceText], errors: Vec<Diagnostic>) -> Self {
        Self {
            sources,
            errors,
            warnings: Vec::new(),
            omitted: 0,
            faulty: BTreeSet::new(),
        }
    }

    /// The place as people know it.
    pub(super) fn source_of(&self, place: Place) -> Source {
        let source = &self.sources[place.file as usize];
        Source {
            file: source.name().clone(),
            line: source.line(place.start),
        }
    }

    /// Reports an error. The builder adds to its diagnostic, unless there are too many already.
    pub(super) fn error(
        &mut self,
        place: Place,
        message: impl Into<String>,
    ) -> DiagnosticBuilder<'_, 'a> {
        self.report(Severity::Error, place, message.into())
    }

    /// Reports something that is given twice, with both places.
    pub(super) fn duplicate(
        &mut self,
        place: Place,
        first: Place,
        message: &str,
    ) -> DiagnosticBuilder<'_, 'a> {
        self.error(place, message)
            .related(first, "first set here")
            .help("keep one of the two")
    }

    /// Reports something that is valid but probably not intended.
    pub(super) fn warning(
        &mut self,
        place: Place,
        message: impl Into<String>,
    ) -> DiagnosticBuilder<'_, 'a> {
        self.report(Severity::Warning, place, message.into())
    }

    fn report(
        &mut self,
        severity: Severity,
        place: Place,
        message: String,
    ) -> DiagnosticBuilder<'_, 'a> {
        let (list, faulty) = match severity {
            Severity::Error => (&mut self.errors, Some(&mut self.faulty)),
            Severity::Warning => (&mut self.warnings, None),
        };
        let mut problem = DiagnosticBuilder {
            sources: self.sources,
            faulty,
            diagnostic: None,
        };
        problem.blame(place);
        if list.len() >= ERRORS_MAX {
            self.omitted += usize::from(severity == Severity::Error);
            return problem;
        }
        let source = &self.sources[place.file as usize];
        let (line, column) = source.position(place.start);
        list.push(Diagnostic {
            severity,
            file: safe(source.name()),
            line,
            column,
            message: safe(&without_secrets(&message)),
            help: None,
            related: Vec::new(),
            excerpt: excerpt(source, place),
        });
        problem.diagnostic = list.last_mut();
        problem
    }

    /// Adds the problems that were collected from later sources.
    pub(super) fn join(&mut self, later: Self) {
        // Problems of paths are all listed.
        let listed = self.errors.len().max(ERRORS_MAX);
        self.errors.extend(later.errors);
        self.warnings.extend(later.warnings);
        self.omitted += later.omitted + self.errors.len().saturating_sub(listed);
        self.errors.truncate(listed);
        self.warnings.truncate(ERRORS_MAX);
        self.faulty.extend(later.faulty);
    }

    /// The warnings, or all diagnostics if there is an error.
    pub(super) fn finish(
        mut self,
        documents: usize,
        images: usize,
    ) -> Result<Vec<Diagnostic>, Diagnostics> {
        self.warnings
            .sort_by(|a, b| a.position().cmp(&b.position()));
        if self.errors.is_empty() {
            return Ok(self.warnings);
        }
        self.errors.sort_by(|a, b| a.position().cmp(&b.position()));
        Err(Diagnostics {
            errors: self.errors,
            warnings: self.warnings,
            omitted: self.omitted,
            faulty: self.faulty,
            documents,
            images,
        })
    }
}

/// A diagnostic that was just reported, to be completed.
pub(super) struct DiagnosticBuilder<'d, 'a> {
    sources: &'a [SourceText],
    /// `None` for a warning, which makes no source faulty.
    faulty: Option<&'d mut BTreeSet<u32>>,
    diagnostic: Option<&'d mut Diagnostic>,
}

impl DiagnosticBuilder<'_, '_> {
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        if let (Some(diagnostic), Some(help)) = (&mut self.diagnostic, help) {
            diagnostic.help = Some(safe(&without_secrets(&help)));
        }
        self
    }

    /// Adds another place that is the other half of the problem.
    pub(super) fn related(mut self, place: Place, message: &str) -> Self {
        self.blame(place);
        self.mention(place, message)
    }

    /// Adds another place, which has no error itself.
    pub(super) fn mention(mut self, place: Place, message: &str) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            let source = &self.sources[place.file as usize];
            let (line, column) = source.position(place.start);
            diagnostic.related.push(Related {
                file: safe(source.name()),
                line,
                column,
                message: message.to_owned(),
                excerpt: excerpt(source, place),
            });
        }
        self
    }

    /// Marks the source of `place` as faulty too, without adding it to the message.
    pub(super) fn blame(&mut self, place: Place) {
        if let Some(faulty) = &mut self.faulty {
            faulty.insert(place.file);
        }
    }
}

/// The line of `place`, made safe to print and with possible secrets masked, and the marked part of it. `None` for a
/// file that may hold a secret, because any line could be its value.
fn excerpt(source: &SourceText, place: Place) -> Option<Excerpt> {
    let line = source.line_around(place.start);
    if source.may_hold_secret() || line.len() > LINE_BYTES_MAX {
        return None;
    }
    let text = source.text();
    let start = boundary(text, place.start as usize);
    let end = boundary(text, (place.end as usize).clamp(start, line.end.max(start)));
    // Both replacements keep the number of characters.
    let shown = safe(&masked(&text[line.start..line.end.max(end)]));
    let (before, rest) = split(&shown, text[line.start..start].chars().count());
    let (marked, after) = split(rest, text[start..end].chars().count());
    let (start, end) = (before.len(), before.len() + marked.len());
    let text = format!("{before}{marked}{}", after.trim_end());
    Some(Excerpt { text, start, end })
}

/// Splits the text after the first `count` characters.
fn split(text: &str, count: usize) -> (&str, &str) {
    let at = text
        .char_indices()
        .nth(count)
        .map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}
