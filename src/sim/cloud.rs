use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::account::{Account, Image};
use super::auth::{self, Caller};
use super::call::{Arrival, Refusal, refuse};
use super::faults::{Armed, Broken, Effect, Kind, Target};
use super::image::{ImageKey, Regional};
use super::issued::Issued;
use super::limiter::{Key, Limiter};
use super::offered::Offered;
use super::roles::RolePlace;
use super::world::{Each, Latency, World};
use crate::api::protocol::wire::{Action, Service};
use crate::model::{Monotonic, Region, Timestamp};

/// How long a call is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Until it counts as arrived.
    pub there: Duration,
    /// From the answer on.
    pub back: Duration,
}

/// An answer, and what goes wrong with it on its way.
#[derive(Debug)]
pub struct Reply {
    /// The JSON document.
    pub body: Value,
    /// For the Date header.
    pub date: Timestamp,
    /// What goes wrong.
    pub broken: Option<Broken>,
}

/// The simulated cloud. Pure: time is an argument, dice are seeded.
#[derive(Debug)]
pub struct Cloud {
    /// Settings, and accounts without their images.
    pub(super) world: World,
    pub(super) images: BTreeMap<ImageKey, Regional>,
    pub(super) limiter: Limiter,
    /// Temporary keys. A world that is kept does not keep them.
    pub(super) issued: Issued,
    faults: Vec<Armed>,
    pub(super) rng: fastrand::Rng,
    /// Counts blueprints, for their ids.
    pub(super) blueprints: u32,
}

impl Cloud {
    /// A cloud in the state that `world` describes.
    pub fn new(world: World) -> Self {
        let mut cloud = Self {
            rng: fastrand::Rng::with_seed(world.seed),
            images: BTreeMap::new(),
            limiter: Limiter::default(),
            issued: Issued::default(),
            faults: Vec::new(),
            blueprints: 0,
            world: World {
                accounts: Vec::new(),
                ..world.clone()
            },
        };
        cloud.set_faults(world.faults);
        for (index, mut account) in world.accounts.into_iter().enumerate() {
            let images = std::mem::take(&mut account.images);
            let generated = std::mem::take(&mut account.generate);
            cloud.world.accounts.push(account);
            for image in images {
                cloud.put_image(index, image);
            }
            for generate in generated {
                for number in 0..generate.count {
                    let id = format!("{}{number:08}", generate.prefix);
                    let (regions, shared) = (generate.regions.clone(), generate.shared);
                    cloud.put_image(
                        index,
                        Image {
                            id,
                            regions,
                            shared,
                            ..Image::default()
                        },
                    );
                }
            }
        }
        cloud
    }

    /// The present state as a world: what a later run begins with.
    pub fn world(&self) -> World {
        let mut world = self.world.clone();
        for ((account, region, _), regional) in &self.images {
            let mut image = regional.image.clone();
            image.regions = vec![region.as_str().into()];
            image.shared = regional.is_shared();
            image.blueprint_id = regional.blueprint().map(str::to_owned);
            world.accounts[*account].images.push(image);
        }
        world
    }

    /// The account of this name; made, with a key of its own, if there is none.
    pub fn account(&mut self, name: &str) -> &mut Account {
        self.world.account(name)
    }

    /// Adds an image that can be shared, unless the account has it in that region already.
    pub fn ensure(&mut self, account: &str, region: Region, image: &str, shared: bool) {
        // Makes it, if there is none.
        self.world.account(account);
        let Some(index) = self.account_named(account) else {
            return;
        };
        let key = (index, region, image.to_owned());
        if self.images.contains_key(&key) {
            return;
        }
        let image = Image {
            id: image.into(),
            regions: vec![region.as_str().into()],
            shared,
            ..Image::default()
        };
        self.put_image(index, image);
    }

    /// Adds or replaces an image; what is shared stays shared only if the new one says so.
    pub(super) fn put_image(&mut self, account: usize, image: Image) {
        let regions: Vec<Region> = if image.regions.is_empty() {
            Region::all().collect()
        } else {
            image
                .regions
                .iter()
                .filter_map(|name| Region::new(name).ok())
                .collect()
        };
        for region in regions {
            let blueprint = match &image.blueprint_id {
                Some(id) => {
                    self.count_blueprint(id);
                    id.clone()
                }
                None => self.next_blueprint(),
            };
            let regional = Regional::new(image.clone(), blueprint);
            self.images
                .insert((account, region, image.id.clone()), regional);
        }
    }

    /// An id that no blueprint has had yet: a share that is taken back and made again is another blueprint.
    pub(super) fn next_blueprint(&mut self) -> String {
        self.blueprints += 1;
        format!("lhbp-{:08x}", self.blueprints)
    }

    /// Makes sure that an id from a kept world is not given out again.
    fn count_blueprint(&mut self, id: &str) {
        let number = id
            .strip_prefix("lhbp-")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        self.blueprints = self.blueprints.max(number.unwrap_or(0));
    }

    pub(super) fn set_faults(&mut self, rules: Vec<super::faults::Rule>) {
        self.world.faults.clone_from(&rules);
        self.faults = rules.into_iter().map(Armed::new).collect();
    }

    /// How long the next call to `host` is under way.
    pub fn draw_way(&mut self, host: &str) -> Way {
        let Latency { min, max, each } = self.world.latency;
        let rng = &mut self.rng;
        let unit = match each {
            Each::Call => rng.f64(),
            // By its name alone, so that whoever calls it in whatever order has as far to go.
            Each::Host => {
                let name = host.split(':').next().unwrap_or_default().bytes();
                let seed = name.fold(self.world.seed, |seed, byte| {
                    seed.wrapping_mul(31).wrapping_add(byte.into())
                });
                fastrand::Rng::with_seed(seed).f64()
            }
        };
        let one_way = (min.0 + max.0.saturating_sub(min.0).mul_f64(unit)) / 2;
        let jitter = self.world.jitter.0;
        let late = if jitter.is_zero() {
            jitter
        } else {
            jitter.mul_f64(self.rng.f64())
        };
        Way {
            there: one_way + late,
            back: one_way,
        }
    }

    /// What the world's clock shows.
    pub(super) fn server_time(&self, real: Timestamp) -> Timestamp {
        real.checked_add_signed(self.world.clock_offset.0)
            .unwrap_or(real)
    }

    /// Treats a call that arrives now. `real` is the real time, which the world's clock offset shifts.
    pub fn answer(&mut self, arrival: &Arrival, monotonic: Monotonic, real: Timestamp) -> Reply {
        let date = self.server_time(real);
        let body: Value = serde_json::from_slice(&arrival.body).unwrap_or(Value::Null);
        let (action, region) = ["x-tc-action", "x-tc-region"]
            .map(|name| arrival.header(name).unwrap_or(""))
            .into();
        let target = Target {
            action,
            region,
            body: &body,
        };
        let rng = &mut self.rng;
        let rule = self
            .faults
            .iter_mut()
            .find_map(|armed| armed.strikes(&target, rng).then(|| armed.rule.clone()));
        let broken = rule.as_ref().and_then(super::faults::Rule::on_the_way);
        let prevented = rule.as_ref().is_some_and(|rule| {
            rule.when == Effect::Before
                && (broken.is_some() || rule.kind == Kind::Error)
                && rule.kind != Kind::Delay
        });
        let mut result = if prevented {
            // It still used up quota, as far as it got.
            self.admit(arrival, monotonic, date).map(|_| json!({}))
        } else {
            let body = match &rule {
                Some(rule) if rule.kind == Kind::SamePage => with_offset_zero(&body),
                _ => body.clone(),
            };
            self.perform(arrival, &body, monotonic, date)
        };
        if let Some(rule) = &rule {
            match (rule.kind, &mut result) {
                (Kind::Error, result) => {
                    let code = rule.code.clone().unwrap_or_else(|| "InternalError".into());
                    *result = Err((code, "An error of the simulator's world.".into()));
                }
                (_, Ok(reply)) => rule.on_the_list(reply),
                (_, Err(_)) => {}
            }
        }
        let mut response = match result {
            Ok(reply) => reply,
            Err((code, message)) => json!({"Error": {"Code": code, "Message": message}}),
        };
        response["RequestId"] = self.request_id().into();
        Reply {
            body: json!({"Response": response}),
            date,
            broken,
        }
    }

    /// Who calls (nobody, if that needs no key), what, where, and how often.
    fn admit(
        &mut self,
        arrival: &Arrival,
        monotonic: Monotonic,
        date: Timestamp,
    ) -> Result<(Option<Caller>, Offered, Region), Refusal> {
        let (accounts, now) = (&self.world.accounts, date.timestamp());
        let caller = auth::authenticate(accounts, &self.issued, arrival, now)?;
        let service = caller
            .as_ref()
            .map_or(Service::Sts, |caller| caller.service);
        let name = arrival.header("x-tc-action").unwrap_or_default();
        let action = Offered::named(name)
            .filter(|action| action.service() == service)
            .ok_or_else(|| {
                let service = service.as_str();
                refuse(
                    "InvalidAction",
                    format!("The simulator's {service} has no action `{name}`."),
                )
            })?;
        let version = service.version();
        if arrival.header("x-tc-version") != Some(version) {
            return Err(refuse(
                "NoSuchVersion",
                format!("The version is {version}."),
            ));
        }
        let region = match arrival.header("x-tc-region") {
            None | Some("") => return Err(refuse("MissingParameter", "X-TC-Region is missing.")),
            Some(name) => Region::new(name)
                .map_err(|_| refuse("UnsupportedRegion", format!("`{name}` is not supported.")))?,
        };
        let limit = self
            .world
            .limits
            .get(action.as_str())
            .copied()
            .unwrap_or(action.limit_per_second());
        let key = Key {
            account: caller.as_ref().map(|caller| caller.account),
            host: arrival.host.clone(),
            action: action.as_str(),
        };
        if !self.limiter.admit(key, limit, monotonic) {
            return Err(refuse("RequestLimitExceeded", "Too many requests."));
        }
        Ok((caller, action, region))
    }

    fn perform(
        &mut self,
        arrival: &Arrival,
        body: &Value,
        monotonic: Monotonic,
        date: Timestamp,
    ) -> Result<Value, Refusal> {
        let (caller, offered, region) = self.admit(arrival, monotonic, date)?;
        let Some(caller) = caller else {
            return self.assume_role_with_web_identity(body, date);
        };
        self.permit(&caller, offered)?;
        let account = caller.account;
        let action = match offered {
            Offered::Api(action) => action,
            Offered::AssumeRole => return self.assume_role(&caller, body, date),
            Offered::AssumeRoleWithWebIdentity => {
                // The documentation asks for the word; what a signed call gets is a guess.
                let words = "This action is called with `Authorization: SKIP`.";
                return Err(refuse("AuthFailure.InvalidAuthorization", words));
            }
        };
        match action {
            Action::ModifyImageSharePermission => self.modify(account, region, body, monotonic),
            Action::DescribeBlueprints => {
                self.describe_blueprints(account, region, body, monotonic)
            }
            Action::DescribeImagesToShare => {
                let chinese = arrival.header("x-tc-language") != Some("en-US");
                self.describe_images(account, region, body, chinese)
            }
            Action::GetCallerIdentity => self.caller_identity(&caller, body),
        }
    }

    /// Whether the key may do it: its account's own, or its role's.
    fn permit(&self, caller: &Caller, offered: Offered) -> Result<(), Refusal> {
        let accounts = &self.world.accounts;
        let denied = match &caller.session {
            None => &accounts[caller.account].deny,
            Some(session) => &session.role.of(accounts).deny,
        };
        if !denied.iter().any(|denied| denied == offered.as_str()) {
            return Ok(());
        }
        let code = match offered {
            Offered::Api(_) => "UnauthorizedOperation.NoPermission",
            // STS has no other in its list.
            Offered::AssumeRole | Offered::AssumeRoleWithWebIdentity => "UnauthorizedOperation",
        };
        Err(refuse(code, "The key may not do this."))
    }

    /// The images of one account in one region, in order of their ids.
    pub(super) fn images_in(
        &self,
        account: usize,
        region: Region,
    ) -> impl Iterator<Item = &Regional> {
        let from = (account, region, String::new());
        self.images
            .range(from..)
            .take_while(move |((a, r, _), _)| *a == account && *r == region)
            .map(|(_, regional)| regional)
    }

    /// Shares or takes back behind everybody's back; false if there is no such image.
    pub(super) fn set_shared(
        &mut self,
        key: &ImageKey,
        shared: bool,
        monotonic: Monotonic,
    ) -> bool {
        let blueprint = self.next_blueprint();
        let Some(regional) = self.images.get_mut(key) else {
            return false;
        };
        regional.set(shared, monotonic, blueprint);
        true
    }

    pub(super) fn account_named(&self, name: &str) -> Option<usize> {
        self.world
            .accounts
            .iter()
            .position(|account| account.name == name || account.uin == name)
    }

    /// Keys to call with.
    pub fn accounts(&self) -> &[Account] {
        &self.world.accounts
    }

    /// The role that the metadata service gives out.
    pub(super) fn metadata_role(&self) -> Option<RolePlace> {
        RolePlace::of_metadata(&self.world.accounts, self.world.metadata.as_ref()?)
    }

    fn request_id(&mut self) -> String {
        let bits = self.rng.u128(..);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }
}

fn with_offset_zero(body: &Value) -> Value {
    let mut body = body.clone();
    body["Offset"] = 0.into();
    body
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
mod tests;
