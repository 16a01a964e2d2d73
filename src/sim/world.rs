use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::faults::Rule;
use super::offered::Offered;
use super::roles::{self, CamRole, Metadata};
use crate::model::Region;

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

/// One account: a key and its images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// For people, and for `--sim` to find it by.
    pub name: String,
    /// The root account's number.
    pub uin: String,
    /// Part of the key; made up.
    pub secret_id: String,
    /// Part of the key; made up.
    pub secret_key: String,
    /// Needed with the key, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key is no longer known: `AuthFailure.SecretIdNotFound`. Temporary keys that it brought live on.
    pub revoked: bool,
    /// Actions that are refused with `UnauthorizedOperation.NoPermission`, or AssumeRole with `UnauthorizedOperation`.
    pub deny: Vec<String>,
    /// The Lighthouse service role.
    pub role: Role,
    /// Roles that can be assumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<CamRole>,
    /// Its images.
    pub images: Vec<Image>,
    /// More images, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generate: Vec<Generate>,
    /// Blueprints that no image of the list above shows as: another account's, or one beside an image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<Beside>,
}

/// A blueprint that is there whatever is shared and cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Beside {
    /// `lhbp-…`.
    pub id: String,
    /// Its `ImageId`; none is `""`, as the vendor's own have it.
    #[serde(default)]
    pub image_id: String,
    /// Where; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Its `BlueprintState`; `""` is none.
    #[serde(default = "Beside::normal")]
    pub state: String,
    /// Its `BlueprintType`; default: that of the world.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<BlueprintType>,
}

impl Beside {
    fn normal() -> String {
        "NORMAL".into()
    }

    /// Whether it is in that region.
    pub(super) fn is_in(&self, region: Region) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|name| name == region.as_str())
    }
}

/// One custom image, in one region or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// `img-…`.
    pub id: String,
    /// Where it is; none means all 15.
    pub regions: Vec<String>,
    /// Its name; default: its id.
    pub name: String,
    /// `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    pub source: String,
    /// `SystemImage` or `InstanceImage`.
    pub class: String,
    /// `NORMAL`, `CREATING`, …
    pub state: String,
    /// CloudInit.
    pub cloud_init: bool,
    /// Such as `Ubuntu`.
    pub platform: String,
    /// Such as `Ubuntu Server 24.04 LTS 64bit`.
    pub os_name: String,
    /// Whether platform and operating system are ones that may be shared.
    pub os_accepted: bool,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    pub created_time: String,
    /// Shared from the start.
    pub shared: bool,
    /// The blueprint it is shared as; made up if not given. A world that is kept keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
    /// The `BlueprintState` that its blueprint comes to, once it is not `SYNCING` any longer; `""` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_state: Option<String>,
    /// It was deleted while it was shared: its blueprint is left over, and every write answers that there is no such image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Another account shares it with this one: `SHARED_IMAGE`, and not `PRIVATE_IMAGE`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// Servers use it, so CANCEL is refused.
    pub in_use: bool,
    /// So many writes are refused with `ImageOccupied` before one is taken.
    pub occupied_calls: u32,
    /// Every write is refused with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Images by number: `prefix` and a number of eight digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// How many in each region.
    pub count: u32,
    /// Begins each id.
    #[serde(default = "Generate::prefix")]
    pub prefix: String,
    /// Where; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Shared from the start.
    #[serde(default)]
    pub shared: bool,
}

impl Generate {
    fn prefix() -> String {
        "img-".into()
    }
}

/// The Lighthouse service role of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// As it should be.
    #[default]
    Present,
    /// `ResourceNotFound.RoleNotFound`.
    Missing,
    /// `UnsupportedOperation.AssumeRoleFailed`.
    Denied,
}

/// How the blueprint of a shared image shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BlueprintType {
    /// `PRIVATE`.
    #[default]
    Private,
    /// `SHARED`.
    Shared,
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

/// A length of time, written like `60ms` or `3s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A difference in time, written like `10m` or `-10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub TimeDelta);

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

impl Default for Account {
    fn default() -> Self {
        Self {
            name: "default".into(),
            uin: "100000000001".into(),
            secret_id: "AKIDsim0000000000000000000000default".into(),
            secret_key: "simulated-key-of-default".into(),
            token: None,
            revoked: false,
            deny: Vec::new(),
            role: Role::default(),
            roles: Vec::new(),
            images: Vec::new(),
            generate: Vec::new(),
            blueprints: Vec::new(),
        }
    }
}

impl Default for Image {
    fn default() -> Self {
        Self {
            id: String::new(),
            regions: Vec::new(),
            name: String::new(),
            source: "CREATE_IMAGE".into(),
            class: "SystemImage".into(),
            state: "NORMAL".into(),
            cloud_init: true,
            platform: "Ubuntu".into(),
            os_name: "Ubuntu Server 24.04 LTS 64bit".into(),
            os_accepted: true,
            architecture: "x86_64".into(),
            created_time: "2026-01-02T08:00:00Z".into(),
            shared: false,
            blueprint_id: None,
            blueprint_state: None,
            deleted: false,
            received: false,
            in_use: false,
            occupied_calls: 0,
            error: None,
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
        roles::check(self)
    }
}

impl Default for Offset {
    fn default() -> Self {
        Self(TimeDelta::zero())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = if text == "0" {
            Ok(Duration::ZERO)
        } else {
            humantime::parse_duration(text)
        };
        duration
            .map(Self)
            .map_err(|error| format!("`{text}`: {error}; write it like `60ms` or `3s`"))
    }
}

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text),
        };
        let length =
            TimeDelta::from_std(length.parse::<Span>()?.0).map_err(|error| error.to_string())?;
        Ok(Self(length * sign))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < TimeDelta::zero() {
            f.write_str("-")?;
        }
        Span(self.0.abs().to_std().unwrap_or_default()).fmt(f)
    }
}

/// Both are texts in YAML and JSON.
macro_rules! serde_as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Span, Offset);
