//! The environment: variables that hold keys, and variables that name the places of keys.

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
/// tccli's name first, then Terraform's.
const TOKENS: [&str; 2] = ["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"];
/// The address of a simulator of the machine's metadata.
const METADATA_URL: &str = "SHAREKEEPER_METADATA_URL";
/// The last place in which the Python SDK looks.
const SYSTEM_FILE: &str = "/etc/tencentcloud/credentials";

/// A function that returns a variable's value.
type Lookup = dyn Fn(&str) -> Option<OsString>;

/// The variables and well-known places that sources of credentials use.
pub struct Environment {
    lookup: Box<Lookup>,
    system_file: PathBuf,
    /// Files that were already warned about.
    warned: RefCell<BTreeSet<PathBuf>>,
}

impl Environment {
    /// An environment with the variables that `lookup` returns.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString> + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            system_file: SYSTEM_FILE.into(),
            warned: RefCell::default(),
        }
    }

    /// Uses another path for the SDK's system-wide file.
    #[must_use]
    pub fn with_system_file(mut self, path: PathBuf) -> Self {
        self.system_file = path;
        self
    }

    pub(super) fn system_file(&self) -> &Path {
        &self.system_file
    }

    /// Whether a file was not warned about before. From now on, it counts as warned about.
    pub(super) fn is_news(&self, path: &Path) -> bool {
        self.warned.borrow_mut().insert(path.to_owned())
    }

    /// A variable that is not a secret. An empty one counts as not set, as for tccli and the SDKs.
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

    /// Whether a variable has any value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// A variable that means yes or no. An unclear value is an error, because the variable removes a guard.
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

    /// The SDK's variables. An empty pair is broken, not absent: skipping it would mean to call as another identity
    /// than intended. Only the token may be missing.
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

    /// The address of the machine's metadata. An address outside the machine's own network could belong to somebody
    /// else, so only a simulator on this machine may replace it.
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
