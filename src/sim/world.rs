//! The world file: everything that a simulated cloud consists of, and the checks that serde cannot perform.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::account::{Account, BlueprintType};
use super::action::SimAction;
use super::bakery::Progress;
use super::faults::FaultRule;
use super::role_config::Metadata;
use super::roles::RoleIndex;
use super::units::{ClockOffset, DurationText};
use super::world_build::Build;
use crate::model::{Region, Uin};

/// Everything that a simulated cloud consists of, as in its YAML file. Every field is optional.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Seed of the random numbers for latency, faults and ids. The same seed results in the same run.
    pub seed: u64,
    /// Accounts with their keys and images.
    pub accounts: Vec<Account>,
    /// Calls in a sliding second, per account, host and action; an account's roles count with its key.
    pub limits: BTreeMap<String, u32>,
    /// Round-trip time; a call counts as arrived after half of it.
    pub latency: Latency,
    /// The maximum that is added to the time until a call arrives, drawn uniformly for each call. Calls that leave at
    /// even intervals arrive at uneven ones.
    pub jitter: DurationText,
    /// Time after which DescribeBlueprints shows a write.
    pub read_lag: DurationText,
    /// Server time minus real time, such as `-10m`.
    pub clock_offset: ClockOffset,
    /// Type of the blueprint of a shared image. The documentation of the real service does not define it.
    pub blueprint_type: BlueprintType,
    /// Reply to CANCEL of an image that is not shared. This is not documented either; the error code is that of
    /// cross-account sharing.
    pub cancel_unshared: CancelUnshared,
    /// Time that a new blueprint stays SYNCING.
    pub sync_time: DurationText,
    /// Time that the copy of an image stays SYNCING.
    pub sync_image_time: DurationText,
    /// Images that are created while the world runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<Build>,
    /// Whether two images in one region may have one name, which the real service refuses.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_double_names: bool,
    /// The longest lifetime of a temporary key, even if the call requests more; in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_lifetime: Option<DurationText>,
    /// The role whose key the metadata service returns. Without it, the service has no role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Rules for faulty calls; the first that applies counts.
    pub faults: Vec<FaultRule>,
    /// Number of the newest blueprint, written by a simulator that saves its world: no later blueprint gets an earlier
    /// id.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) newest_blueprint: u32,
    /// Progress of builds and copies, written by a simulator that saves its world.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<Progress>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Reply to CANCEL of an image that is not shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CancelUnshared {
    /// The error code `UnsupportedOperation.BlueprintHasNotShared`.
    #[default]
    Fail,
    /// The call succeeds without any effect.
    Succeed,
}

/// A range from which a duration is drawn uniformly.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    pub min: DurationText,
    pub max: DurationText,
    /// How often a duration is drawn.
    pub each: SampledPer,
}

/// How often a latency is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SampledPer {
    /// A new latency for every call.
    #[default]
    Call,
    /// One latency for each access point, as its distance.
    Host,
}

/// Why a world file is refused.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Path of the file, and the error of reading it.
    #[error("cannot read the world file {0}: {1}")]
    Read(String, #[source] std::io::Error),
    /// The text is not YAML, or not a world. The message contains the whole error, so it is no `source`.
    #[error("the world is not valid: {0}")]
    Yaml(Box<serde_saphyr::Error>),
    /// A text for people that names the failed check.
    #[error("the world is not valid: {0}")]
    Check(String),
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: vec![Account::default()],
            limits: SimAction::all()
                .map(|action| (action.as_str().into(), action.limit_per_second()))
                .collect(),
            latency: Latency::default(),
            jitter: DurationText::default(),
            read_lag: DurationText::default(),
            clock_offset: ClockOffset::default(),
            blueprint_type: BlueprintType::default(),
            cancel_unshared: CancelUnshared::default(),
            sync_time: DurationText::default(),
            sync_image_time: DurationText::default(),
            builds: Vec::new(),
            allow_double_names: false,
            token_lifetime: None,
            metadata: None,
            faults: Vec::new(),
            newest_blueprint: 0,
            progress: None,
        }
    }
}

impl World {
    /// Parses a world from YAML (or JSON, which is YAML).
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let world: Self =
            // A snippet of the file would reveal its keys.
            serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
                .map_err(|error| WorldError::Yaml(Box::new(error)))?;
        world.check().map_err(WorldError::Check)?;
        Ok(world)
    }

    /// The world of a new user: a few images in three regions, with obstacles to sharing.
    pub fn believable() -> Result<Self, WorldError> {
        Self::parse(include_str!("believable.yaml"))
    }

    /// Reads and checks the world file at `path`.
    pub fn load(path: &Path) -> Result<Self, WorldError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| WorldError::Read(name, error))?;
        Self::parse(&text)
    }

    /// The account with this name. If there is none, it is added with its own key.
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

    /// Performs the checks that serde cannot. The error is a text for people.
    pub(super) fn check(&self) -> Result<(), String> {
        for name in self
            .limits
            .keys()
            .chain(self.accounts.iter().flat_map(|account| &account.deny))
        {
            if SimAction::named(name).is_none() {
                return Err(format!("`{name}` is not an action of the simulator"));
            }
        }
        let generated = self.accounts.iter().flat_map(|account| &account.generate);
        let extra = self.accounts.iter().flat_map(|account| &account.blueprints);
        let regions = generated
            .flat_map(|generate| &generate.regions)
            .chain(extra.flat_map(|blueprint| &blueprint.regions));
        for region in regions {
            Region::new(region).map_err(|error| format!("`{region}`: {error}"))?;
        }
        for account in &self.accounts {
            check_images(account, self.allow_double_names)?;
        }
        for build in &self.builds {
            build.check()?;
            let mut names = self.accounts.iter().map(|account| &account.name);
            if !names.any(|name| *name == build.account) {
                let (name, account) = (&build.name, &build.account);
                return Err(format!("build `{name}`: there is no account `{account}`"));
            }
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
        if let Some(progress) = &self.progress {
            progress.check(self.builds.len())?;
        }
        check_roles(self)
    }
}

/// The checks of images and of servers that use them.
fn check_images(account: &Account, double_names: bool) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for image in &account.images {
        image.check()?;
        for (region, part) in image.in_regions(&account.name) {
            // Another account chose its name, or the image is invisible.
            if part.received || part.deleted || double_names {
                continue;
            }
            let name = part.shown_name().to_owned();
            if !names.insert((region, name)) {
                return Err(format!(
                    "account `{}` has two images `{}` in {region}; names are unique in a region, unless `allowDoubleNames` is set",
                    account.name,
                    part.shown_name()
                ));
            }
        }
    }
    account
        .instances
        .iter()
        .try_for_each(|instance| instance.check())
}

/// The checks of roles and the metadata service.
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
                .find(|action| SimAction::named(action).is_none())
            {
                return Err(format!("`{bad}` is not an action of the simulator"));
            }
        }
    }
    match &world.metadata {
        Some(metadata) if RoleIndex::of_metadata(&world.accounts, metadata).is_none() => {
            let Metadata { account, role } = metadata;
            Err(format!(
                "metadata: account `{account}` has no role `{role}`"
            ))
        }
        _ => Ok(()),
    }
}
