use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;

use super::args::{Common, ImportArguments, ImportBy, Output, Paths};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{connect, simulated, state, validate};
use crate::api::{Owner, ReadClient};
use crate::desired::Desired;
use crate::host::Host;
use crate::manifest::{self, Sharing};
use crate::model::{AccountName, ImageKey, Labels, Region, Scope, Selector};
use crate::observe;
use crate::observed::Observation;
use crate::report::{ExitStatus, ImportDocument, ImportedFile, UnseenScope};

/// `import`: reads what is shared, and writes manifests that ask for it.
pub(super) async fn run(arguments: &ImportArguments, common: &Common) -> Result<u8, Failure> {
    let desired = match known(&arguments.paths, common.output).await? {
        Ok(desired) => desired,
        Err(exit) => return Ok(exit.code()),
    };
    let selector = arguments.narrow.selector();
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    // Those that the flags leave out are told apart from the others.
    let accounts = connect::known(&desired, &Selector::default());
    let mut session = Session::open(&arguments.target, &directory, &desired, &accounts).await?;
    let shared = session::shared()?;
    let clients = session
        .clients(&shared, |name| {
            selector.accounts.is_empty() || selector.accounts.contains(name)
        })
        .await?;
    let clients = one_name_each(clients, &desired).await;
    let looks = survey(&clients, &selector).await;
    session.close().await?;
    let document = write(arguments, &desired, &selector, looks)?;
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_code())
}

/// What manifests name already. None at all is no error here: to make them is what this is for.
pub(super) async fn known(
    paths: &Paths,
    output: Output,
) -> Result<Result<Desired, ExitStatus>, Failure> {
    if paths.paths.iter().all(|path| is_vacant(path)) {
        return Ok(Ok(Desired::default()));
    }
    Ok(validate::load(paths, output).await?)
}

/// Not there, or a directory with nothing in it that could be a manifest.
fn is_vacant(path: &Path) -> bool {
    let ignored = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.map(|entry| entry.file_name());
        name.is_ok_and(|name| name.to_string_lossy().starts_with(['.', '_']))
    };
    match fs::read_dir(path) {
        Ok(entries) => entries.into_iter().all(ignored),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// An account name, and the regions that are listed under it.
struct Listed<H> {
    name: AccountName,
    client: ReadClient<H>,
    regions: BTreeSet<Region>,
}

/// Lists each region of an account once: under the name that the manifests use there, else under the first of its names.
/// A manifest that named a region under a second name would be refused.
async fn one_name_each<H: Host>(
    clients: BTreeMap<AccountName, ReadClient<H>>,
    desired: &Desired,
) -> Vec<Listed<H>> {
    // Where there is one name, there is nothing to tell apart.
    let several = clients.len() > 1;
    let owned = clients.into_iter().map(async |(name, client)| {
        let owner = match several {
            true => client.owner(Region::first()).await.ok(),
            false => None,
        };
        let owner = match owner {
            None if several => client.key(Region::first()).await,
            owner => owner,
        };
        (name, client, owner)
    });
    let used: BTreeMap<_, _> = Region::all()
        .map(|region| (region, desired.names_in(region)))
        .collect();
    let mut listed: Vec<(Listed<H>, Option<Owner>)> = Vec::new();
    for (name, client, owner) in join_all(owned).await {
        let same = |other: &&mut (Listed<H>, Option<Owner>)| match (&owner, &other.1) {
            (Some(a), Some(b)) => a.key == b.key || (a.uin.is_some() && a.uin == b.uin),
            _ => false,
        };
        let mut regions: BTreeSet<_> = Region::all().collect();
        for (earlier, _) in listed.iter_mut().filter(|other| same(other)) {
            for (region, names) in &used {
                if names.contains_key(&name) && !names.contains_key(&earlier.name) {
                    earlier.regions.remove(region);
                } else if earlier.regions.contains(region) {
                    regions.remove(region);
                }
            }
        }
        let entry = Listed {
            name,
            client,
            regions,
        };
        listed.push((entry, owner));
    }
    listed.into_iter().map(|(listed, _)| listed).collect()
}

async fn survey<H: Host>(clients: &[Listed<H>], selector: &Selector) -> Vec<(Scope, Observation)> {
    let scopes = clients.iter().flat_map(|listed| {
        listed
            .regions
            .iter()
            .map(|&region| {
                let scope = Scope {
                    account: listed.name.clone(),
                    region,
                };
                (scope, &listed.client)
            })
            .filter(|(scope, _)| selector.reaches(scope))
    });
    let looks = scopes.map(async |(scope, client)| {
        let observation = observe::observe(client, &scope).await;
        (scope, observation)
    });
    join_all(looks).await
}

fn write(
    arguments: &ImportArguments,
    desired: &Desired,
    selector: &Selector,
    looks: Vec<(Scope, Observation)>,
) -> Result<ImportDocument, Failure> {
    let (mut sharing, mut unseen, mut named_already) = (Sharing::new(), Vec::new(), 0);
    for (scope, observation) in looks {
        let seen = match observation {
            Observation::Seen(seen) => seen,
            Observation::Blind(why) | Observation::Unseen(why) => {
                output::warn(format_args!("{scope}: not read: {why}"));
                unseen.push(UnseenScope {
                    account: scope.account.to_string(),
                    region: scope.region.as_str(),
                    reason: why.reason,
                });
                continue;
            }
        };
        let mut images = BTreeMap::new();
        for (image, blueprint) in seen.shared {
            let key = ImageKey {
                scope: scope.clone(),
                image,
            };
            if !selector.matches(&key, &Labels::new()) {
                continue;
            }
            if desired.images.contains_key(&key) {
                named_already += 1;
            } else {
                images.insert(key.image, blueprint.name);
            }
        }
        if !images.is_empty() {
            sharing.insert(scope, images);
        }
    }
    let out = arguments
        .out
        .as_ref()
        .or(arguments.paths.paths.first())
        .ok_or_else(|| Failure::new("say where to write to: `--out DIR`"))?;
    let files = plan_files(arguments.by, out, sharing, &unseen);
    let written = write_files(out, &files)?;
    Ok(ImportDocument::new(written, named_already, unseen))
}

/// File by file. A file for a whole account is written only if the whole account was read.
fn plan_files(
    by: ImportBy,
    out: &Path,
    sharing: Sharing,
    unseen: &[UnseenScope],
) -> BTreeMap<PathBuf, Sharing> {
    let mut files: BTreeMap<PathBuf, Sharing> = BTreeMap::new();
    for (scope, images) in sharing {
        let name = match by {
            ImportBy::Region => format!("{}-{}.yaml", scope.account, scope.region),
            ImportBy::Account => format!("{}.yaml", scope.account),
        };
        let torn = by == ImportBy::Account
            && unseen
                .iter()
                .any(|other| other.account == scope.account.as_str());
        if !torn {
            files
                .entry(out.join(name))
                .or_default()
                .insert(scope, images);
        }
    }
    files
}

/// All or none: a file that is in the way stops the whole before anything is written.
fn write_files(
    out: &Path,
    files: &BTreeMap<PathBuf, Sharing>,
) -> Result<Vec<ImportedFile>, Failure> {
    let failure = |path: &Path, what: &dyn std::fmt::Display| {
        Failure::new(format_args!("cannot write {}: {what}", path.display()))
    };
    for path in files.keys() {
        if path.exists() {
            return Err(failure(
                path,
                &"it is there already; move it away, or write elsewhere with `--out DIR`",
            ));
        }
    }
    if out.is_file() {
        return Err(failure(
            out,
            &"it is a file, and import writes into a directory; give one with `--out DIR`",
        ));
    }
    if !files.is_empty() {
        fs::create_dir_all(out).map_err(|error| failure(out, &error))?;
    }
    let modeline = format!(
        "What was shared when `sharekeeper import` looked, {}",
        state::now().format("%Y-%m-%dT%H:%M:%SZ")
    );
    let mut written = Vec::new();
    for (path, sharing) in files {
        let text = manifest::render(sharing, &modeline);
        fs::write(path, text).map_err(|error| failure(path, &error))?;
        written.push(ImportedFile {
            file: path.to_string_lossy().into_owned(),
            images: sharing.values().map(BTreeMap::len).sum(),
        });
    }
    Ok(written)
}
