//! The environment: variables that hold keys, and variables that say where to look.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::CredentialError;
use super::value::{KeyParts, NamedValue};
use crate::api::protocol::sign::Credentials;
use crate::host::METADATA_HOST;
use crate::model::Endpoint;

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
/// tccli's name, then Terraform's.
const TOKENS: [&str; 2] = ["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"];
/// Where a simulator plays the machine's metadata.
const METADATA_URL: &str = "SHAREKEEPER_METADATA_URL";
/// Where the Python SDK looks last.
const SYSTEM_FILE: &str = "/etc/tencentcloud/credentials";

/// Tells a variable's value.
type Lookup = dyn Fn(&str) -> Option<OsString>;

/// The world as sources of credentials see it: variables and well-known places.
pub struct Environment {
    lookup: Box<Lookup>,
    system_file: PathBuf,
    /// Files that were warned of.
    warned: RefCell<BTreeSet<PathBuf>>,
}

impl Environment {
    /// Variables as `lookup` tells them.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString> + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            system_file: SYSTEM_FILE.into(),
            warned: RefCell::default(),
        }
    }

    /// Looks for the SDK's file of all users elsewhere.
    #[must_use]
    pub fn with_system_file(mut self, path: PathBuf) -> Self {
        self.system_file = path;
        self
    }

    pub(super) fn system_file(&self) -> &Path {
        &self.system_file
    }

    /// Whether a file has not been warned of, which it has been from now on.
    pub(super) fn is_news(&self, path: &Path) -> bool {
        self.warned.borrow_mut().insert(path.to_owned())
    }

    /// A variable that is no secret. Set to nothing is not set, as tccli and the SDKs have it.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, CredentialError> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        match value.into_string() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(CredentialError::Broken(format!(
                "{name} holds bytes that are not text"
            ))),
        }
    }

    /// Whether a variable says something, whatever that is.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// A variable that says yes or no. What is neither is not guessed at, because it lifts a guard.
    pub(super) fn switch(&self, name: &str) -> Result<bool, CredentialError> {
        let value = self.text(name)?.unwrap_or_default();
        match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(CredentialError::Broken(format!(
                "{name} is neither yes (`1`, `true`) nor no (`0`, `false`)"
            ))),
        }
    }

    fn given(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The user's own directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.given("HOME").map(PathBuf::from)
    }

    /// The SDK's variables. A pair that is set to nothing is broken, and not absent: whoever passes it over calls as
    /// somebody else than was meant. A token is one of them that may be missing.
    pub(super) fn credentials(&self) -> Result<Credentials, CredentialError> {
        let token = TOKENS.into_iter().find(|name| self.is_set(name));
        let token = token.map(|name| self.secret(name)).transpose()?;
        let parts = KeyParts {
            id: self.secret(SECRET_ID)?,
            key: self.secret(SECRET_KEY)?,
            token: token.unwrap_or_default(),
        };
        match parts.into_credentials() {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => Err(CredentialError::Absent(format!(
                "environment ({SECRET_ID} and {SECRET_KEY} are not set)"
            ))),
            Err(problem) => Err(CredentialError::Broken(format!(
                "{problem} (source tried: environment)"
            ))),
        }
    }

    fn secret(&self, name: &'static str) -> Result<NamedValue<'static>, CredentialError> {
        let value = match (self.lookup)(name).map(OsString::into_string) {
            None => None,
            Some(Ok(value)) => Some(Zeroizing::new(value)),
            Some(Err(_)) => {
                return Err(CredentialError::Broken(format!(
                    "{name} holds bytes that are not text (source tried: environment)"
                )));
            }
        };
        Ok(NamedValue { name, value })
    }

    /// Where the machine tells of itself. Another place than the machine's own network would be another's key, so
    /// that only a simulator on this machine can take its place.
    pub(super) fn metadata(&self) -> Result<String, CredentialError> {
        let Some(url) = self.text(METADATA_URL)? else {
            return Ok(format!("http://{METADATA_HOST}"));
        };
        let url = url.strip_suffix('/').unwrap_or(&url);
        let is_loopback =
            url.starts_with("http://") && !url.contains('{') && Endpoint::new(url).is_ok();
        if is_loopback {
            return Ok(url.to_owned());
        }
        Err(CredentialError::Broken(format!(
            "{METADATA_URL} must be the `http://` address of a loopback host, such as `http://127.0.0.1:7980`; unset it on a real machine"
        )))
    }
}
