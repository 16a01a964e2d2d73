//! Checks each document against the `Restriction`s of its directories.
//!
//! All of them must allow what the document names, so a restriction further down can only narrow the others: a person
//! who may write to one directory only cannot widen the limits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Arguments;
use std::path::{Path, PathBuf};

use super::document::{Document, Header, Image, Lock, PolicyDocument, Share};
use super::restriction::{Allowed, Restriction};
use crate::desired::ImageRef;
use crate::manifest::diagnostic::{Place, Sink};
use crate::manifest::source_text::SourceText;
use crate::manifest::suggest::did_you_mean;
use crate::model::{AccountName, ImageName};

/// The number of `Restriction`s that may apply to one file.
const RESTRICTIONS_PER_FILE_MAX: usize = 32;
/// The number of `Restriction`s that are reported as unused. For the hint, each is compared with all directories.
const UNUSED_MAX: usize = 20;

/// Checks the documents against the `Restriction`s among them.
pub(super) fn check(sources: &[SourceText], documents: &[Document], sink: &mut Sink<'_>) {
    let restrictions = documents.iter().filter_map(|document| match document {
        Document::Restriction(restriction) => Some(&**restriction),
        _ => None,
    });
    let restrictions: Vec<_> = restrictions.collect();
    if restrictions.is_empty() {
        return;
    }
    each_name_once(&restrictions, sink);
    let mut active = ActiveRestrictions::new(sources, restrictions, sink);
    let mut policies: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for document in documents {
        match document {
            Document::Share(share) => active.share(share, sink),
            Document::Policy(policy) => {
                active.policy(policy, sink);
                if let Some((name, _)) = &policy.header.name {
                    policies.entry(name).or_default().push(policy.header.file);
                }
            }
            Document::Account { name, place, .. } => active.account(name, *place, sink),
            Document::Lock(_) | Document::Restriction(_) => {}
        }
    }
    for document in documents {
        if let Document::Lock(lock) = document {
            active.lock(lock, &policies, sink);
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
                sink.duplicate(*place, first, &message);
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
    /// Restrictions that at least one document was checked against.
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
            // A file that is linked from several directories restricts all of them.
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
                format!("more than {RESTRICTIONS_PER_FILE_MAX} Restrictions apply to one file");
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

    /// Checks the account and the regions of a document.
    fn header(&mut self, header: &Header, sink: &mut Sink<'_>) {
        self.used.extend(&self.by_source[header.file as usize]);
        let accounts = |restriction: &'d Restriction| restriction.accounts.as_ref();
        let regions = |restriction: &'d Restriction| restriction.regions.as_ref();
        if let Some((name, place)) = &header.account {
            let message = format_args!("account `{name}` is not allowed here");
            self.check_name(*place, name.as_str(), accounts, message, sink);
        }
        if let Some(place) = header.default_account {
            let name = AccountName::DEFAULT;
            let message =
                format_args!("account `{name}`, meant without `account`, is not allowed here");
            self.check_name(place, name, accounts, message, sink);
        }
        for (region, place) in &header.regions {
            let message = format_args!("region `{region}` is not allowed here");
            self.check_name(*place, region.as_str(), regions, message, sink);
        }
    }

    fn share(&mut self, share: &Share, sink: &mut Sink<'_>) {
        self.header(&share.header, sink);
        for Image { image, place, .. } in &share.images {
            self.image(image, *place, sink);
        }
    }

    fn image(&self, image: &ImageRef, place: Place, sink: &mut Sink<'_>) {
        match image {
            ImageRef::Id(id) => {
                let images = |restriction: &'d Restriction| restriction.images.as_ref();
                let message = format_args!("image `{id}` is not allowed here");
                self.check_name(place, id.as_str(), images, message, sink);
            }
            ImageRef::Name(name) => self.image_name(name, place, sink),
        }
    }

    /// Only an observation of the region shows which image a name means. So a pattern for names must allow the name,
    /// whatever ids are allowed.
    fn image_name(&self, name: &ImageName, place: Place, sink: &mut Sink<'_>) {
        let names = |restriction: &'d Restriction| restriction.image_names.as_ref();
        let message = format_args!("an image named `{name}` is not allowed here");
        self.check_name(place, name.as_str(), names, message, sink);
    }

    /// A policy may select images that do not exist yet, so its pattern for names must be within the allowed ones. Its
    /// other conditions only narrow that.
    fn policy(&mut self, policy: &PolicyDocument, sink: &mut Sink<'_>) {
        self.header(&policy.header, sink);
        if let Some((pattern, place)) = &policy.matched {
            let names = |restriction: &'d Restriction| restriction.image_names.as_ref();
            let allows = |allowed: &Allowed| {
                let pattern = pattern.as_ref();
                pattern.is_some_and(|pattern| allowed.covers(pattern))
            };
            let shown;
            let message = match pattern {
                Some(pattern) => {
                    shown = format!(
                        "`match` selects images named `{pattern}`, which are not all allowed here"
                    );
                    &shown
                }
                None => {
                    "`match` selects images of any name, but not all are allowed here: it needs a `name`"
                }
            };
            self.check(*place, names, allows, format_args!("{message}"), sink);
        }
        for (image, place) in &policy.revoked {
            self.image(image, *place, sink);
        }
        for (name, place) in policy.pinned.iter().chain(&policy.replacements) {
            self.image_name(name, *place, sink);
        }
    }

    /// A lock file may hold only policies that are covered by every restriction on it; otherwise, one directory could
    /// decide what a policy of another one shares. `policies` are the files of each policy.
    fn lock(&self, lock: &Lock, policies: &BTreeMap<&str, Vec<u32>>, sink: &mut Sink<'_>) {
        for (name, place, _) in &lock.policies {
            let here = &self.by_source[place.file as usize];
            let mut files = policies.get(&**name).into_iter().flatten();
            let is_elsewhere = |file: &&u32| {
                let there = &self.by_source[**file as usize];
                here.iter().any(|index| !there.contains(index))
            };
            let Some(against) = files.find(is_elsewhere).and_then(|file| {
                let there = &self.by_source[*file as usize];
                here.iter().find(|index| !there.contains(index))
            }) else {
                continue;
            };
            let restriction = self.restrictions[*against];
            let message = format!("policy `{name}` may not be locked here");
            sink.error(*place, message)
                .help(format!(
                    "Restriction `{}` does not cover it: keep its lock next to it, or above both",
                    restriction.name
                ))
                .mention(restriction.place, "the Restriction");
        }
    }

    /// An account that may not be used may not be declared, either.
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
        self.check(place, list, |allowed| allowed.allows(name), message, sink);
    }

    /// Reports `message` at `place` unless every restriction on its file allows it.
    fn check(
        &self,
        place: Place,
        list: impl Fn(&'d Restriction) -> Option<&'d Allowed>,
        allows: impl Fn(&Allowed) -> bool,
        message: Arguments<'_>,
        sink: &mut Sink<'_>,
    ) {
        let about_file = self.by_source[place.file as usize].iter();
        let against: Vec<_> = about_file
            .take(RESTRICTIONS_PER_FILE_MAX)
            .filter_map(|&index| {
                let restriction = self.restrictions[index];
                let allowed = list(restriction)?;
                (!allows(allowed)).then_some((restriction, allowed))
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
            .help(format!("{reasons}; stay within this, or change it there"));
        for (_, allowed) in against {
            problem = problem.mention(allowed.place, "allowed here");
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
                "Restriction `{}` restricts nothing: no ImageShare, ImageSharePolicy or Account is in `{shown}` or below it",
                restriction.name
            );
            let help = did_you_mean(&directory, inside.iter().map(String::as_str)).unwrap_or_else(|| {
                "`directory` is relative to the directory of this file: correct it, move the file up, or add the missing path"
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
