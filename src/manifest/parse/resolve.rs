//! Documents → desired state: checks everything that concerns more than one document.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::document::{Document, Share};
use super::uin_conflicts::RegionUses;
use crate::desired::{Account, Completeness, Desired, DesiredImage, DocumentMetadata, Source};
use crate::manifest::diagnostic::{DiagnosticBuilder, Place, Sink};
use crate::manifest::source_text::SourceText;
use crate::manifest::suggest::did_you_mean;
use crate::model::{AccountName, ImageKey, Scope};

/// Accounts by name, each with the place of its name.
type Accounts = BTreeMap<AccountName, (Place, Account)>;

/// Joins the documents. If an error is reported, the result must not be used.
pub(super) fn resolve(
    sources: &[SourceText],
    documents: Vec<Document>,
    sink: &mut Sink<'_>,
) -> Desired {
    let (accounts, shares) = by_kind(sources, documents, sink);
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let mut entries: BTreeMap<ImageKey, (Place, DesiredImage)> = BTreeMap::new();
    let mut uses = RegionUses::default();
    for share in shares {
        if let Some((name, place)) = &share.name {
            note_name(&mut names, name, *place, sink);
        }
        if let Some((account, place)) = &share.account {
            known_account(sink, account, *place, &accounts);
        }
        let account = share.account.as_ref().map(|(name, _)| name.clone());
        uses.note(&account.unwrap_or_default(), &share.regions);
        add(sources, share, sink, &mut entries);
    }
    uses.check(&accounts, sink);
    Desired {
        images: entries
            .into_iter()
            .map(|(key, (_, image))| (key, image))
            .collect(),
        accounts: accounts
            .into_iter()
            .map(|(name, (_, account))| (name, account))
            .collect(),
        names: BTreeMap::new(),
        policies: BTreeMap::new(),
        locks: BTreeMap::new(),
        // `load` sets it; documents do not tell.
        completeness: Completeness::default(),
    }
}

/// The accounts, each declared once, and the shares.
fn by_kind(
    sources: &[SourceText],
    documents: Vec<Document>,
    sink: &mut Sink<'_>,
) -> (Accounts, Vec<Share>) {
    let (mut accounts, mut shares) = (Accounts::new(), Vec::new());
    for document in documents {
        match document {
            Document::Share(share) => shares.push(share),
            Document::Restriction(_) => {}
            Document::Account {
                name,
                place,
                mut account,
            } => {
                account.source = source_of(sources, place);
                match accounts.entry(name) {
                    Entry::Vacant(free) => {
                        free.insert((place, account));
                    }
                    Entry::Occupied(taken) => {
                        let message = format!("account `{}` is declared twice", taken.key());
                        report_duplicate(sink, place, taken.get().0, &message);
                    }
                }
            }
        }
    }
    (accounts, shares)
}

fn note_name(names: &mut BTreeMap<String, Place>, name: &str, place: Place, sink: &mut Sink<'_>) {
    match names.entry(name.to_owned()) {
        Entry::Vacant(free) => {
            free.insert(place);
        }
        Entry::Occupied(first) => {
            let message = format!("two ImageShare documents are named `{name}`");
            report_duplicate(sink, place, *first.get(), &message);
        }
    }
}

fn add(
    sources: &[SourceText],
    share: Share,
    sink: &mut Sink<'_>,
    entries: &mut BTreeMap<ImageKey, (Place, DesiredImage)>,
) {
    let account = share.account.map(|(name, _)| name).unwrap_or_default();
    let name = share.name.as_ref().map_or("", |(name, _)| name.as_str());
    let document = Arc::new(DocumentMetadata {
        name: name.into(),
        labels: Arc::clone(&share.labels),
    });
    for image in share.images {
        let source = source_of(sources, image.place);
        // Reported once for the entry, not for each of its regions.
        let mut conflict: Option<DiagnosticBuilder<'_, '_>> = None;
        for &(region, _) in &share.regions {
            let scope = Scope {
                account: account.clone(),
                region,
            };
            let key = ImageKey {
                scope,
                image: image.id.clone(),
            };
            let wanted = DesiredImage {
                share: image.desired,
                protect: image.protect,
                source: source.clone(),
                document: Arc::clone(&document),
                name: None,
                note: None,
                bounds: None,
            };
            match entries.entry(key) {
                Entry::Vacant(free) => {
                    free.insert((image.place, wanted));
                }
                Entry::Occupied(taken) => {
                    let (first, known) = taken.get();
                    if let Some(conflict) = &mut conflict {
                        conflict.blame(*first);
                        continue;
                    }
                    let same = known.share == wanted.share && known.protect == wanted.protect;
                    let how = if same {
                        "is set twice"
                    } else {
                        "is set twice, and differently"
                    };
                    let (id, scope) = (&taken.key().image, &taken.key().scope);
                    let message = format!("`{id}` in {scope} {how}");
                    conflict = Some(report_duplicate(sink, image.place, *first, &message));
                }
            }
        }
    }
}

pub(super) fn report_duplicate<'d, 'a>(
    sink: &'d mut Sink<'a>,
    place: Place,
    first: Place,
    message: &str,
) -> DiagnosticBuilder<'d, 'a> {
    sink.error(place, message)
        .related(first, "first set here")
        .help("keep one of the two")
}

fn known_account(sink: &mut Sink<'_>, name: &AccountName, place: Place, accounts: &Accounts) {
    if accounts.contains_key(name) || *name == AccountName::default() {
        return;
    }
    let known = accounts
        .keys()
        .map(AccountName::as_str)
        .chain([AccountName::DEFAULT]);
    let help = did_you_mean(name.as_str(), known).unwrap_or_else(|| {
        format!("add an `Account` document named `{name}`, or leave `account` out")
    });
    sink.error(place, format!("no Account document is named `{name}`"))
        .help(help);
}

fn source_of(sources: &[SourceText], place: Place) -> Source {
    let source = &sources[place.file as usize];
    Source {
        file: source.name().clone(),
        line: source.line(place.start),
    }
}
