//! Text → desired state, or every diagnostic. Pure: it knows nothing of files, git or the clock.

mod account;
mod credentials;
mod decode;
mod document;
mod fields;
mod image_share;
mod parallel;
mod resolve;
mod restrict;
mod restriction;
pub(super) mod schema;
mod shared_fields;
mod uin_conflicts;
mod windows;
mod yaml;

use super::diagnostic::{Diagnostic, Diagnostics, Sink};
use super::source_text::SourceText;
use super::{Loaded, UNSHARE};
use document::Document;

/// Parses texts that were already read. The same texts, in any order, give the same result.
pub fn parse(sources: Vec<SourceText>) -> Result<Loaded, Diagnostics> {
    parse_in_order(&in_order(sources), Vec::new())
}

pub(super) fn in_order(mut sources: Vec<SourceText>) -> Vec<SourceText> {
    sources.sort_by(|a, b| a.name().cmp(b.name()));
    sources
}

/// Parses sources that are sorted by name. `problems` are those of paths, which have no source.
pub(super) fn parse_in_order(
    sources: &[SourceText],
    mut problems: Vec<Diagnostic>,
) -> Result<Loaded, Diagnostics> {
    if problems.is_empty() && sources.iter().all(SourceText::is_blank) {
        let first = sources.first().map_or("", |source| source.name());
        let help = format!("write a document, or check what emptied it; {UNSHARE}");
        problems.push(Diagnostic::of_path(first, "holds no document", help));
    }
    let mut sink = Sink::new(sources, problems);
    let (documents, count) = parallel::decode_all(sources, &mut sink);
    restrict::check(sources, &documents, count, &mut sink);
    let images = documents.iter().map(Document::images).sum();
    let desired = resolve::resolve(sources, documents, &mut sink);
    let files = sources.len();
    let warnings = sink.finish(count, images)?;
    Ok(Loaded {
        desired,
        documents: count,
        files,
        warnings,
    })
}
