//! Text → desired state, or all diagnostics. Pure: it must not know files, git or the clock.

mod account;
mod credentials;
mod decode;
mod document;
mod entries;
mod fields;
mod header;
mod image_share;
pub(super) mod lock;
mod parallel;
mod policies;
mod policy;
mod policy_images;
mod policy_schema;
mod resolve;
mod restrict;
mod restriction;
pub(super) mod schema;
mod shared_fields;
mod time_zone;
mod uin_conflicts;
mod values;
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

/// Parses sources that are sorted by name. `problems` are those of paths without a source.
pub(super) fn parse_in_order(
    sources: &[SourceText],
    mut problems: Vec<Diagnostic>,
) -> Result<Loaded, Diagnostics> {
    if problems.is_empty() && sources.iter().all(SourceText::is_blank) {
        let first = sources.first().map_or("", |source| source.name());
        let help = format!("write a document, or check why it is empty; {UNSHARE}");
        problems.push(Diagnostic::of_path(first, "contains no document", help));
    }
    let mut sink = Sink::new(sources, problems);
    let (documents, count) = parallel::decode_all(sources, &mut sink);
    refuse_if_nothing_is_asked(&documents, count, &mut sink);
    restrict::check(sources, &documents, &mut sink);
    let images = documents.iter().map(Document::images).sum();
    let desired = resolve::resolve(documents, &mut sink);
    let files = sources.len();
    let warnings = sink.finish(count, images)?;
    Ok(Loaded {
        desired,
        documents: count,
        files,
        warnings,
    })
}

/// If all manifests are removed by mistake, and only documents that restrict or lock others are left, that must be an
/// error. `count` is the number of documents, including those that could not be decoded.
fn refuse_if_nothing_is_asked(documents: &[Document], count: usize, sink: &mut Sink<'_>) {
    if documents.len() < count || !documents.iter().all(Document::asks_for_nothing) {
        return;
    }
    let (place, message) = match documents.first() {
        Some(Document::Restriction(first)) => (
            first.place,
            "there are only Restrictions, but no manifest that they restrict",
        ),
        Some(Document::Lock(first)) => (
            first.place,
            "there is only a lock file, but no manifest for it",
        ),
        _ => return,
    };
    sink.error(place, message).help(format!(
        "add one, or check why the others are empty; {UNSHARE}"
    ));
}
