//! Which source is meant, and where it is: documents and surroundings → a place to fetch credentials from.

use std::path::PathBuf;
use std::rc::Rc;

use super::Keys;
use super::disk;
use super::environment::Surroundings;
use super::error::KeyError;
use super::file::{File, Format};
use super::oidc::Oidc;
use crate::api::sign::Credentials;
use crate::desired::{CredentialSource, Role};
use crate::model::{Endpoint, Timestamp};

/// Names the profile of tccli, unless a document does.
const PROFILE: &str = "TCCLI_PROFILE";
/// Where the Go SDK looks for its file.
const FILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
/// What tccli and the SDKs take where nothing is said.
const DEFAULT: &str = "default";

/// Where credentials are fetched from.
pub(super) enum Origin {
    /// Read once.
    Fixed(Rc<Credentials>),
    /// Read whenever it changes.
    File(File),
    /// Assumed with the credentials of another source.
    Role { role: Role, source: Rc<Keys> },
    /// The machine's own.
    Metadata(Metadata),
    /// The pod's own.
    Oidc(Oidc),
}

/// The machine's own role.
pub(super) struct Metadata {
    /// Its name, if a document gives it.
    pub(super) role: Option<String>,
    pub(super) url: String,
    /// What was tried before, where nobody has asked for the machine's role by name.
    pub(super) tried: Option<String>,
}

/// The place that `source` means, and what was tried before it, each with why not.
pub(super) fn resolve(
    source: &CredentialSource,
    around: &Rc<Surroundings>,
    sts: &Endpoint,
    now: Timestamp,
) -> Result<(Origin, Vec<String>), KeyError> {
    let origin = match source {
        CredentialSource::Ambient => return ambient(around, now),
        CredentialSource::Environment => Origin::Fixed(Rc::new(around.credentials()?)),
        CredentialSource::Profile(name) => Origin::File(profile(around, name.as_deref())?),
        CredentialSource::File { path, section } => {
            Origin::File(file(around, path.as_ref(), section.as_deref())?)
        }
        CredentialSource::CvmRole(role) => Origin::Metadata(Metadata {
            role: role.clone(),
            url: around.metadata()?,
            tried: None,
        }),
        CredentialSource::TkeOidc => Origin::Oidc(Oidc::of(around)?),
        CredentialSource::AssumeRole(assume) => Origin::Role {
            role: assume.role.clone(),
            source: Keys::new(assume.source.clone(), Rc::clone(around), sts.clone()),
        },
    };
    Ok((origin, Vec::new()))
}

/// The first source that is there. One that is there and broken is not passed over: it would be to call as somebody
/// else than was meant.
fn ambient(around: &Rc<Surroundings>, now: Timestamp) -> Result<(Origin, Vec<String>), KeyError> {
    let mut tried = Vec::new();
    match around.credentials() {
        Ok(credentials) => return Ok((Origin::Fixed(Rc::new(credentials)), tried)),
        Err(KeyError::Absent(why)) => tried.push(why),
        Err(error) => return Err(error),
    }
    let is_named = around.text(PROFILE)?.is_some();
    match profile(around, None) {
        Ok(file) => match file.is_there(now) {
            Err(why) if !is_named => tried.push(format!("{file} ({why})")),
            _ => return Ok((Origin::File(file), tried)),
        },
        Err(KeyError::Absent(why)) => tried.push(why),
        Err(error) => return Err(error),
    }
    let is_named = around.text(FILE)?.is_some();
    match file(around, None, None) {
        Ok(file) => match file.is_there(now) {
            Err(why) if !is_named => tried.push(format!("{file} ({why})")),
            _ => return Ok((Origin::File(file), tried)),
        },
        Err(KeyError::Absent(why)) => tried.push(why),
        Err(error) => return Err(error),
    }
    match Oidc::of(around) {
        Ok(oidc) => return Ok((Origin::Oidc(oidc), tried)),
        Err(KeyError::Absent(why)) => tried.push(why),
        Err(error) => return Err(error),
    }
    let machine = Metadata {
        role: None,
        url: around.metadata()?,
        tried: Some(tried.join(", ")),
    };
    Ok((Origin::Metadata(machine), tried))
}

fn profile(around: &Rc<Surroundings>, name: Option<&str>) -> Result<File, KeyError> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => around.text(PROFILE)?.unwrap_or_else(|| DEFAULT.into()),
    };
    // A document's name has been checked; a variable's has not.
    if name.contains('/') || name.starts_with('.') {
        return Err(KeyError::Broken(format!(
            "{PROFILE} is not the name of a profile"
        )));
    }
    let Some(home) = around.home() else {
        return Err(KeyError::Absent(format!(
            "profile `{name}` (HOME is not set)"
        )));
    };
    let path = home.join(".tccli").join(format!("{name}.credential"));
    Ok(File::new(path, Format::Tccli(name), Rc::clone(around)))
}

fn file(
    around: &Rc<Surroundings>,
    path: Option<&PathBuf>,
    section: Option<&str>,
) -> Result<File, KeyError> {
    let path = match path {
        Some(path) => match path.strip_prefix("~") {
            Ok(rest) => around
                .home()
                .ok_or_else(|| KeyError::Absent("file (HOME is not set)".into()))?
                .join(rest),
            Err(_) => path.clone(),
        },
        None => usual_file(around)?,
    };
    let section = section.unwrap_or(DEFAULT).to_owned();
    Ok(File::new(path, Format::Ini(section), Rc::clone(around)))
}

/// The first of the places that the SDKs look at where there is something.
fn usual_file(around: &Surroundings) -> Result<PathBuf, KeyError> {
    if let Some(path) = around.text(FILE)? {
        return Ok(path.into());
    }
    let of_user = around
        .home()
        .map(|home| home.join(".tencentcloud/credentials"));
    let of_all = around.system_file();
    Ok(match of_user {
        Some(path) if !disk::is_missing(&path) || disk::is_missing(of_all) => path,
        _ => of_all.to_owned(),
    })
}
