use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::account::{Account, BlueprintType};
use super::faults::Rule;
use super::offered::Offered;
use super::role_config::Metadata;
use super::roles::RolePlace;
use super::units::{Offset, Span};
use crate::model::{Region, Uin};

/// Everything a simulated cloud consists of, as its YAML file gives it. Every field may be left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Seeds the dice for latency, faults and ids: the same seed, the same run.
    pub seed: u64,
    /// Whose keys are known, and which images they have.
    pub accounts: Vec<Account>,
    /// Calls in a sliding second, per account, host and action; an account's roles count with its key.
    pub limits: BTreeMap<String, u32>,
    /// There and back; half of it passes before a call counts as arrived.
    pub latency: Latency,
    /// Further time on the way there, drawn evenly up to this for each call: calls that leave evenly arrive unevenly.
    pub jitter: Span,
    /// How long DescribeBlueprints lags behind writes.
    pub read_lag: Span,
    /// Server time minus real time, such as `-10m`.
    pub clock_offset: Offset,
    /// How the blueprint of a shared image shows. The real service's answer is not documented.
    pub blueprint_type: BlueprintType,
    /// What CANCEL of an image that is not shared answers. Not documented either; the code of the
    /// refusal is borrowed from cross-account sharing.
    pub cancel_unshared: CancelUnshared,
    /// How long a new blueprint stays SYNCING.
    pub sync_time: Span,
    /// Temporary keys live no longer than this, whatever is asked for; whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<Span>,
    /// The role that the metadata service gives out; without it, it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// What goes wrong.
    pub faults: Vec<Rule>,
}

/// What CANCEL of an image that is not shared answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CancelUnshared {
    /// An error.
    #[default]
    Fail,
    /// Nothing happens, and that is a success.
    Succeed,
}

/// A range of time, drawn from evenly.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// At least.
    pub min: Span,
    /// At most.
    pub max: Span,
    /// What it is drawn for.
    pub each: Each,
}

/// What a latency is drawn for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Each {
    /// Every call anew.
    #[default]
    Call,
    /// Every access point once: how far away it is.
    Host,
}

/// Why a world cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The file cannot be read.
    #[error("cannot read the world file {0}: {1}")]
    Read(String, #[source] std::io::Error),
    /// It is not YAML of this shape.
    #[error("the world is not valid: {0}")]
    Shape(String),
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: vec![Account::default()],
            limits: Offered::all()
                .map(|action| (action.as_str().into(), action.limit_per_second()))
                .collect(),
            latency: Latency::default(),
            jitter: Span::default(),
            read_lag: Span::default(),
            clock_offset: Offset::default(),
            blueprint_type: BlueprintType::default(),
            cancel_unshared: CancelUnshared::default(),
            sync_time: Span::default(),
            token_lifetime: None,
            metadata: None,
            faults: Vec::new(),
        }
    }
}

impl World {
    /// Reads a world from YAML (or JSON, which is YAML).
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let world: Self =
            serde_saphyr::from_str(text).map_err(|error| WorldError::Shape(error.to_string()))?;
        world.check().map_err(WorldError::Shape)?;
        Ok(world)
    }

    /// Reads a world file.
    pub fn load(path: &Path) -> Result<Self, WorldError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| WorldError::Read(name, error))?;
        Self::parse(&text)
    }

    /// The account of this name; made, with a key of its own, if there is none.
    pub fn account(&mut self, name: &str) -> &mut Account {
        let index = self
            .accounts
            .iter()
            .position(|account| account.name == name)
            .unwrap_or_else(|| {
                let number = self.accounts.len() + 1;
                self.accounts.push(Account {
                    name: name.into(),
                    uin: format!("1000000000{number:02}"),
                    secret_id: format!("AKIDsim{number:029}"),
                    secret_key: format!("simulated-key-of-{name}"),
                    ..Account::default()
                });
                self.accounts.len() - 1
            });
        &mut self.accounts[index]
    }

    /// What serde cannot check.
    pub(super) fn check(&self) -> Result<(), String> {
        for name in self
            .limits
            .keys()
            .chain(self.accounts.iter().flat_map(|account| &account.deny))
        {
            if Offered::named(name).is_none() {
                return Err(format!("`{name}` is not an action of the simulator"));
            }
        }
        let images = self.accounts.iter().flat_map(|account| &account.images);
        let generated = self.accounts.iter().flat_map(|account| &account.generate);
        let beside = self.accounts.iter().flat_map(|account| &account.blueprints);
        let regions = images
            .flat_map(|image| &image.regions)
            .chain(generated.flat_map(|generate| &generate.regions))
            .chain(beside.flat_map(|blueprint| &blueprint.regions));
        for region in regions {
            Region::new(region).map_err(|error| format!("`{region}`: {error}"))?;
        }
        for (index, account) in self.accounts.iter().enumerate() {
            if self.accounts[..index]
                .iter()
                .any(|other| other.secret_id == account.secret_id)
            {
                return Err(format!(
                    "two accounts have the secretId `{}`",
                    account.secret_id
                ));
            }
        }
        if self.latency.min.0 > self.latency.max.0 {
            return Err("latency: `min` is above `max`".into());
        }
        if self
            .token_lifetime
            .is_some_and(|span| span.0.as_secs() == 0)
        {
            return Err("tokenLifetime: at least 1s".into());
        }
        check_roles(self)
    }
}

/// What serde cannot check of a world's roles.
fn check_roles(world: &World) -> Result<(), String> {
    for account in &world.accounts {
        for (index, role) in account.roles.iter().enumerate() {
            let name = &role.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!(
                    "`{name}` is not a role's name: letters, digits and +=,.@_-"
                ));
            }
            if account.roles[..index]
                .iter()
                .any(|other| other.name == *name)
            {
                return Err(format!("account `{}` has two roles `{name}`", account.name));
            }
            if let Some(bad) = role
                .trust
                .accounts
                .iter()
                .find(|uin| Uin::new(uin).is_err())
            {
                return Err(format!("role `{name}` trusts `{bad}`, which is not a uin"));
            }
            if let Some(bad) = role
                .deny
                .iter()
                .find(|action| Offered::named(action).is_none())
            {
                return Err(format!("`{bad}` is not an action of the simulator"));
            }
        }
    }
    match &world.metadata {
        Some(metadata) if RolePlace::of_metadata(&world.accounts, metadata).is_none() => {
            let Metadata { account, role } = metadata;
            Err(format!(
                "metadata: account `{account}` has no role `{role}`"
            ))
        }
        _ => Ok(()),
    }
}
