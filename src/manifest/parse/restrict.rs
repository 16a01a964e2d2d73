//! Checks each document against the `Restriction`s of the directories it is in.
//!
//! All of them must allow what it names, so that one further down can only narrow what the others allow: somebody who may
//! write to one directory only cannot widen the limits on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Arguments;
use std::path::{Path, PathBuf};

use super::document::{Document, Image, Share};
use super::resolve::report_duplicate;
use super::restriction::{Allowed, Restriction};
use crate::manifest::UNSHARE;
use crate::manifest::diagnostic::{Place, Sink};
use crate::manifest::source_text::SourceText;
use crate::manifest::suggest::did_you_mean;
use crate::model::AccountName;

/// `Restriction`s that may apply to one file.
const RESTRICTIONS_PER_FILE_MAX: usize = 32;
/// `Restriction`s that are reported as unused. For the hint, each is compared with all directories.
const UNUSED_MAX: usize = 20;

/// Checks the documents against the `Restriction`s among them. `count` is the number of documents, including those
/// that could not be decoded.
pub(super) fn check(
    sources: &[SourceText],
    documents: &[Document],
    count: usize,
    sink: &mut Sink<'_>,
) {
    let restrictions = documents.iter().filter_map(|document| match document {
        Document::Restriction(restriction) => Some(restriction),
        Document::Share(_) | Document::Account { .. } => None,
    });
    let restrictions: Vec<_> = restrictions.collect();
    let Some(first) = restrictions.first() else {
        return;
    };
    // If all manifests are removed by mistake and only a Restriction is left, that must be an error.
    if restrictions.len() == count {
        sink.error(
            first.place,
            "there are only Restrictions, and no manifest for them",
        )
        .help(format!(
            "add one, or check what emptied the others; {UNSHARE}"
        ));
    }
    each_name_once(&restrictions, sink);
    let mut active = ActiveRestrictions::new(sources, restrictions, sink);
    for document in documents {
        match document {
            Document::Share(share) => active.share(share, sink),
            Document::Account { name, place, .. } => active.account(name, *place, sink),
            Document::Restriction(_) => {}
        }
    }
    active.report_unused(sink);
}

fn each_name_once(restrictions: &[&Restriction], sink: &mut Sink<'_>) {
    let mut names: BTreeMap<&str, Place> = BTreeMap::new();
    for Restriction { name, place, .. } in restrictions {
        match names.get(name.as_str()) {
            Some(&first) => {
                let message = format!("two Restriction documents are named `{name}`");
                report_duplicate(sink, *place, first, &message);
            }
            None => {
                names.insert(name, *place);
            }
        }
    }
}

/// The restrictions of a set, by the sources they apply to.
struct ActiveRestrictions<'d> {
    sources: &'d [SourceText],
    restrictions: Vec<&'d Restriction>,
    /// For each source: indices of the restrictions that apply to it.
    by_source: Vec<Vec<usize>>,
    /// Restrictions that some document was checked against.
    used: BTreeSet<usize>,
}

impl<'d> ActiveRestrictions<'d> {
    fn new(
        sources: &'d [SourceText],
        restrictions: Vec<&'d Restriction>,
        sink: &mut Sink<'_>,
    ) -> Self {
        let mut by_directory: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
        for (index, restriction) in restrictions.iter().enumerate() {
            // A file that is linked from several directories restricts each of them.
            for base in sources[restriction.place.file as usize].directories() {
                let directory = base.join(&restriction.directory);
                let here = by_directory.entry(directory).or_default();
                // One more than allowed is kept, to detect the excess.
                if here.len() <= RESTRICTIONS_PER_FILE_MAX {
                    here.push(index);
                }
            }
        }
        let by_source = |source: &SourceText| -> Vec<usize> {
            let directories = source.directories().iter();
            let levels = directories.flat_map(|directory| directory.ancestors());
            let found: BTreeSet<_> = levels
                .filter_map(|level| by_directory.get(level))
                .flatten()
                .collect();
            found.into_iter().copied().collect()
        };
        let by_source: Vec<_> = sources.iter().map(by_source).collect();
        let excess: BTreeSet<_> = by_source
            .iter()
            .filter_map(|found| found.get(RESTRICTIONS_PER_FILE_MAX))
            .collect();
        for &index in excess {
            let message =
                format!("more than {RESTRICTIONS_PER_FILE_MAX} Restrictions are about one file");
            sink.error(restrictions[index].place, message)
                .help("one document can restrict accounts, regions and images");
        }
        Self {
            sources,
            restrictions,
            by_source,
            used: BTreeSet::new(),
        }
    }

    fn share(&mut self, share: &Share, sink: &mut Sink<'_>) {
        self.used.extend(&self.by_source[share.file as usize]);
        let accounts = |restriction: &'d Restriction| restriction.accounts.as_ref();
        let regions = |restriction: &'d Restriction| restriction.regions.as_ref();
        let images = |restriction: &'d Restriction| restriction.images.as_ref();
        if let Some((name, place)) = &share.account {
            let message = format_args!("account `{name}` is not allowed here");
            self.check_name(*place, name.as_str(), accounts, message, sink);
        }
        if let Some(place) = share.default_account {
            let name = AccountName::DEFAULT;
            let message =
                format_args!("account `{name}`, meant without `account`, is not allowed here");
            self.check_name(place, name, accounts, message, sink);
        }
        for (region, place) in &share.regions {
            let message = format_args!("region `{region}` is not allowed here");
            self.check_name(*place, region.as_str(), regions, message, sink);
        }
        for Image { id, place, .. } in &share.images {
            let message = format_args!("image `{id}` is not allowed here");
            self.check_name(*place, id.as_str(), images, message, sink);
        }
    }

    /// An account that may not be used may not be declared either.
    fn account(&mut self, name: &AccountName, place: Place, sink: &mut Sink<'_>) {
        self.used.extend(&self.by_source[place.file as usize]);
        let accounts = |restriction: &'d Restriction| restriction.accounts.as_ref();
        let message = format_args!("account `{name}` may not be declared here");
        self.check_name(place, name.as_str(), accounts, message, sink);
    }

    /// Reports `name` at `place` unless every restriction on its file allows it.
    fn check_name(
        &self,
        place: Place,
        name: &str,
        list: impl Fn(&'d Restriction) -> Option<&'d Allowed>,
        message: Arguments<'_>,
        sink: &mut Sink<'_>,
    ) {
        let about_file = self.by_source[place.file as usize].iter();
        let against: Vec<_> = about_file
            .take(RESTRICTIONS_PER_FILE_MAX)
            .filter_map(|&index| {
                let restriction = self.restrictions[index];
                let allowed = list(restriction)?;
                (!allowed.allows(name)).then_some((restriction, allowed))
            })
            .collect();
        if against.is_empty() {
            return;
        }
        let reasons = against.iter().map(|(restriction, allowed)| {
            let source = &self.sources[allowed.place.file as usize];
            let (line, column) = source.position(allowed.place.start);
            format!(
                "Restriction `{}` ({}:{line}:{column}) allows only {}",
                restriction.name,
                source.name(),
                allowed.listed()
            )
        });
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let mut problem = sink
            .error(place, message.to_string())
            .help(format!("{reasons}; keep to that, or have it changed there"));
        for (_, allowed) in against {
            problem = problem.mention(allowed.place, "what is allowed");
        }
    }

    /// An unused restriction was probably meant for another directory.
    fn report_unused(&self, sink: &mut Sink<'_>) {
        let unused = (0..self.restrictions.len()).filter(|index| !self.used.contains(index));
        for restriction in unused
            .take(UNUSED_MAX)
            .map(|index| self.restrictions[index])
        {
            let inside = self.directories_beside(restriction);
            let directory = restriction.directory.to_string_lossy();
            let shown = if directory.is_empty() {
                "."
            } else {
                &directory
            };
            let message = format!(
                "Restriction `{}` restricts nothing: no ImageShare or Account stands in `{shown}` or below it",
                restriction.name
            );
            let help = did_you_mean(&directory, inside.iter().map(String::as_str)).unwrap_or_else(|| {
                "`directory` begins at the directory of this file: correct it, move the file up, or give the path that is missing"
                    .to_owned()
            });
            sink.warning(restriction.directory_place, message)
                .help(help);
        }
    }

    /// The directories that it could name, relative to its own file.
    fn directories_beside(&self, restriction: &Restriction) -> BTreeSet<String> {
        let bases = self.sources[restriction.place.file as usize].directories();
        let found = self.sources.iter().flat_map(SourceText::directories);
        let inside = found.flat_map(|directory| {
            bases
                .iter()
                .filter_map(|base| directory.strip_prefix(base).ok())
        });
        let levels = inside.flat_map(Path::ancestors);
        let names = levels.map(|level| level.to_string_lossy().into_owned());
        names.filter(|name| !name.is_empty()).collect()
    }
}
