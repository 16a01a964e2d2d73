//! Chooses the source and its place: from documents and the environment to a place that credentials can be fetched
//! from. It must not know how they are fetched.

use std::path::PathBuf;
use std::rc::Rc;

use super::credentials_file::{CredentialsFile, Format};
use super::environment::Environment;
use super::error::CredentialError;
use super::oidc::Oidc;
use super::redirect::{RoleChoice, refuse_terraform};
use super::tccli::OwnRole;
use super::{CredentialProvider, watched_file};
use crate::api::protocol::sign::Credentials;
use crate::desired::{CredentialSource, Role};
use crate::model::Timestamp;

/// The variable that names tccli's profile, unless a document does.
const PROFILE: &str = "TCCLI_PROFILE";
/// The variable that names the Go SDK's file.
const FILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
/// The default name in tccli and the SDKs.
const DEFAULT: &str = "default";

/// The place that credentials are fetched from.
pub(super) enum ProviderKind {
    /// They never change, such as those in variables.
    Fixed(Rc<Credentials>),
    /// Read again whenever it changes.
    File(CredentialsFile),
    /// Assumed with the credentials of another source.
    Role {
        role: Role,
        source: Rc<CredentialProvider>,
        named_by: NamedBy,
    },
    /// Those of the machine's own role.
    Metadata(Metadata),
    /// Those of the pod's own role.
    Oidc(Oidc),
}

/// Where a role is named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    Document,
    Environment,
}

/// The machine's own role.
pub(super) struct Metadata {
    /// The role's name, if a document gives it.
    pub(super) role: Option<String>,
    pub(super) url: String,
    /// The sources that were tried before, if the machine's role is only the last resort.
    pub(super) tried: Option<String>,
}

impl CredentialProvider {
    /// The place that the source means, and the sources that were tried before it, each with the reason why not.
    pub(super) fn choose_kind(
        &self,
        now: Timestamp,
    ) -> Result<(ProviderKind, Vec<String>), CredentialError> {
        let environment = &self.environment;
        let beneath = |source: &CredentialSource, role_choice| {
            Self::new(
                source.clone(),
                role_choice,
                Rc::clone(environment),
                self.sts.clone(),
            )
        };
        if let Some(role) = self.role_choice.of_environment(&self.source, environment)? {
            let kind = ProviderKind::Role {
                role,
                source: beneath(&self.source, RoleChoice::None),
                named_by: NamedBy::Environment,
            };
            return Ok((kind, Vec::new()));
        }
        let kind = match &self.source {
            CredentialSource::Ambient => return self.ambient(now),
            CredentialSource::Environment => {
                ProviderKind::Fixed(Rc::new(environment.credentials()?))
            }
            CredentialSource::Profile(name) => ProviderKind::File(self.profile(name.as_deref())?),
            CredentialSource::File { path, section } => {
                ProviderKind::File(file(environment, path.as_ref(), section.as_deref())?)
            }
            CredentialSource::CvmRole(role) => ProviderKind::Metadata(Metadata {
                role: role.clone(),
                url: environment.metadata()?,
                tried: None,
            }),
            CredentialSource::TkeOidc => ProviderKind::Oidc(Oidc::of(environment)?),
            CredentialSource::AssumeRole(assume) => ProviderKind::Role {
                role: assume.role.clone(),
                source: beneath(&assume.source, RoleChoice::Source),
                named_by: NamedBy::Document,
            },
        };
        Ok((kind, Vec::new()))
    }

    /// The first source that is present. A present source that is broken is not skipped, because that would mean to
    /// call as another identity than intended.
    fn ambient(&self, now: Timestamp) -> Result<(ProviderKind, Vec<String>), CredentialError> {
        let (environment, mut tried) = (&self.environment, Vec::new());
        refuse_terraform(environment)?;
        match environment.credentials() {
            Ok(credentials) => {
                self.tell_of_a_profiles_role(now);
                return Ok((ProviderKind::Fixed(Rc::new(credentials)), tried));
            }
            Err(CredentialError::Absent(why)) => tried.push(why),
            Err(error) => return Err(error),
        }
        let is_named = environment.is_set(PROFILE);
        match self.profile(None) {
            Ok(file) => match file.is_there(now) {
                Err(why) if !is_named => tried.push(format!("{file} ({why})")),
                _ => return Ok((ProviderKind::File(file), tried)),
            },
            Err(CredentialError::Absent(why)) => tried.push(why),
            Err(error) => return Err(error),
        }
        let is_named = environment.is_set(FILE);
        match file(environment, None, None) {
            Ok(file) => match file.is_there(now) {
                Err(why) if !is_named => tried.push(format!("{file} ({why})")),
                _ => return Ok((ProviderKind::File(file), tried)),
            },
            Err(CredentialError::Absent(why)) => tried.push(why),
            Err(error) => return Err(error),
        }
        match Oidc::of(environment) {
            Ok(oidc) => return Ok((ProviderKind::Oidc(oidc), tried)),
            Err(CredentialError::Absent(why)) => tried.push(why),
            Err(error) => return Err(error),
        }
        let machine = Metadata {
            role: None,
            url: environment.metadata()?,
            tried: Some(tried.join(", ")),
        };
        Ok((ProviderKind::Metadata(machine), tried))
    }

    /// tccli takes the key from the environment and the role from the profile, independently. Here, a source is used as
    /// a whole, so a person with both is told which one is used.
    fn tell_of_a_profiles_role(&self, now: Timestamp) {
        let file = self.profile(None).ok();
        let role = file
            .as_ref()
            .and_then(|file| Some((file, file.role_on_disk(now)?)));
        if let Some((file, role)) = role.filter(|(_, role)| role.session_name.is_some()) {
            tracing::warn!(
                "the environment's key is used as it is, though tccli would assume {} with it, which {file} names; name the one that \
                 is meant with `credentials: {{from: …}}` in an `Account` document",
                role.arn
            );
        }
    }

    fn profile(&self, name: Option<&str>) -> Result<CredentialsFile, CredentialError> {
        let environment = &self.environment;
        let name = match name {
            Some(name) => name.to_owned(),
            None => profile_of_environment(environment)?,
        };
        let Some(path) = tccli_file(environment, &name, "credential") else {
            return Err(CredentialError::Absent(format!(
                "profile `{name}` (HOME is not set)"
            )));
        };
        let role = match self.role_choice {
            RoleChoice::None => OwnRole::Ignored,
            RoleChoice::Environment | RoleChoice::Source => OwnRole::Assumed,
        };
        let format = Format::Tccli(name, role);
        Ok(CredentialsFile::new(path, format, Rc::clone(environment)))
    }
}

/// The profile that tccli uses if none is named.
pub(super) fn profile_of_environment(environment: &Environment) -> Result<String, CredentialError> {
    let name = environment.text(PROFILE)?.unwrap_or_else(|| DEFAULT.into());
    // A name from a document was already checked; a name from a variable was not.
    if name.contains('/') || name.starts_with('.') {
        return Err(CredentialError::Broken(format!(
            "{PROFILE} is not the name of a profile"
        )));
    }
    Ok(name)
}

/// A file of a tccli profile; `None` if its path cannot be determined.
pub(super) fn tccli_file(environment: &Environment, profile: &str, kind: &str) -> Option<PathBuf> {
    let directory = environment.home()?.join(".tccli");
    Some(directory.join(format!("{profile}.{kind}")))
}

fn file(
    environment: &Rc<Environment>,
    path: Option<&PathBuf>,
    section: Option<&str>,
) -> Result<CredentialsFile, CredentialError> {
    let path = match path {
        Some(path) => match path.strip_prefix("~") {
            Ok(rest) => environment
                .home()
                .ok_or_else(|| CredentialError::Absent("file (HOME is not set)".into()))?
                .join(rest),
            Err(_) => path.clone(),
        },
        None => usual_file(environment)?,
    };
    let section = section.unwrap_or(DEFAULT).to_owned();
    Ok(CredentialsFile::new(
        path,
        Format::Ini(section),
        Rc::clone(environment),
    ))
}

/// The first existing file among the places that the SDKs use.
fn usual_file(environment: &Environment) -> Result<PathBuf, CredentialError> {
    if let Some(path) = environment.text(FILE)? {
        return Ok(path.into());
    }
    let of_user = environment
        .home()
        .map(|home| home.join(".tencentcloud/credentials"));
    let of_all = environment.system_file();
    Ok(match of_user {
        Some(path) if !watched_file::is_missing(&path) || watched_file::is_missing(of_all) => path,
        _ => of_all.to_owned(),
    })
}
