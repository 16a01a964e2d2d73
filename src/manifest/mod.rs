//! MANIFEST → DESIRED: files and YAML become a [`Desired`], or every diagnostic at once.
//!
//! Files are found and read (`files`, `twins`, `near`) until they stand still (`settle`, `checkout`), git is asked what of them is
//! missing (`tracked`, `index`, `lost`, `lacks`, `doubt`), and they are looked at without being read to tell whether they changed (`fingerprint`); the
//! rest is pure: text → spanned tree (`tree`) → documents (`decode`; many files
//! side by side, `spread`) → whether they may name what they name (`govern`) → desired state (`resolve`). A set with one error
//! anywhere gives no `Desired` at all; what is left of it is another type (`partial`). Knows nothing of the cloud, of plans or of
//! policy.

mod account;
mod changes;
mod checkout;
mod credentials;
mod decode;
mod diagnostic;
mod document;
mod doubt;
mod fields;
mod file_state;
mod files;
mod fingerprint;
mod git;
mod glob;
mod govern;
mod image_share;
mod index;
mod index_entry;
mod lacks;
mod lost;
mod near;
mod one_name;
mod partial;
mod paths;
mod read_options;
mod reading;
mod render;
mod resolve;
mod restriction;
mod revision;
mod revision_error;
mod schema;
mod searched;
mod secret_words;
mod settle;
mod shared_fields;
mod shell_paths;
mod source;
mod spread;
mod suggest;
mod tracked;
mod tree;
mod twins;
mod windows;

use std::path::PathBuf;

use crate::desired::Desired;
use crate::host::{Clock, CommandRunner};
use reading::Reading;
use tracked::Whole;

pub use diagnostic::{Diagnostic, Diagnostics, Related, Severity};
pub use fingerprint::Fingerprint;
pub use partial::{Broken, Partial};
pub use read_options::{Manner, WhileGitWorks};
pub use render::{Sharing, render};
pub use revision::{Checkout, Revision};
pub use revision_error::Unknown;
pub use schema::schema;
pub use source::SourceText;

/// The way out for who emptied something: emptiness is never taken for a wish.
const UNSHARE: &str = "to have images unshared, declare them `state: unshared`";

/// A set of manifests without an error.
#[derive(Debug)]
pub struct Loaded {
    /// What they ask for.
    pub desired: Desired,
    /// Documents read.
    pub documents: usize,
    /// Files read.
    pub files: usize,
    /// What is allowed but looks wrong.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and parses the manifests at `paths`: files, and directories that are searched for `*.yaml` and
/// `*.yml`. They are read until they are the same twice in a row; only if something changed a moment ago, or a git
/// operation is under way, does that take longer than the reading itself. Directories in a git work tree must have all
/// that git has of them; git is asked through `programs`.
pub async fn load<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    git: WhileGitWorks,
    clock: &C,
    programs: &P,
) -> Result<Loaded, Broken> {
    load_as(paths, &Manner::new(git), clock, programs).await
}

/// [`load`], in another manner. `clock` is held against the times of files, so it is the machine's own.
pub async fn load_as<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    manner: &Manner,
    clock: &C,
    programs: &P,
) -> Result<Loaded, Broken> {
    let whole = tracked::read(paths, manner, clock, programs).await;
    let Whole {
        reading,
        completeness,
        mut warnings,
    } = match whole {
        Ok(whole) => whole,
        // Of a set that does not stand still, no part can be trusted.
        Err(problem) => return Err(Broken::unsettled(problem)),
    };
    let Reading { sources, found, .. } = reading;
    warnings.extend(near::warnings(&found.near, manner));
    warnings.extend(twins::warnings(&found.files));
    let parse = move || {
        let sources = in_order(sources);
        match parse_sources(&sources, found.problems.clone()) {
            Ok(mut loaded) => {
                loaded.desired.completeness = completeness;
                loaded.warnings.extend(warnings);
                Ok(loaded)
            }
            Err(diagnostics) => {
                let diagnostics = diagnostics.with_warnings(warnings);
                Err(Broken::new(diagnostics, sources, &found))
            }
        }
    };
    manner.run(parse).await
}

/// Parses texts that were read already. Pure: the same texts, in any order, give the same result.
pub fn parse(sources: Vec<SourceText>) -> Result<Loaded, Diagnostics> {
    parse_sources(&in_order(sources), Vec::new())
}

fn in_order(mut sources: Vec<SourceText>) -> Vec<SourceText> {
    sources.sort_by(|a, b| a.name().cmp(b.name()));
    sources
}

/// Parses sources that are in order. `problems` are those of paths, which give no source.
fn parse_sources(
    sources: &[SourceText],
    mut problems: Vec<Diagnostic>,
) -> Result<Loaded, Diagnostics> {
    if problems.is_empty() && sources.iter().all(SourceText::is_blank) {
        let first = sources.first().map_or("", |source| source.name());
        let help = format!("write a document, or check what emptied it; {UNSHARE}");
        problems.push(Diagnostic::of_path(first, "holds no document", help));
    }
    let mut sink = diagnostic::Sink::new(sources, problems);
    let (documents, count) = spread::decode_all(sources, &mut sink);
    govern::check(sources, &documents, count, &mut sink);
    let images = documents.iter().map(document::Document::images).sum();
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
