//! The simulated cloud as a state machine: it checks each call, applies the faults and answers. It has no sockets, no
//! clock and no randomness except the world's seed; `lighthouse` and `sts` perform the actions.

use std::time::Duration;

use serde_json::{Value, json};

use super::account::Account;
use super::action::SimAction;
use super::auth::{self, Caller};
use super::bakery::{Bakery, Progress, SimTime};
use super::call::{IncomingCall, Refusal, refuse};
use super::faults::{ActiveFault, CallAttributes, FaultKind, FaultTiming, ReplyFault};
use super::image::{ImageIndex, RegionalImage};
use super::limiter::{LimitKey, Limiter};
use super::roles::RoleIndex;
use super::temporary_keys::TemporaryKeys;
use super::tracked::{Images, Tracked};
use super::world::{Latency, SampledPer, World};
use super::world_image::{Image, PlacedImage, derived_id};
use crate::api::protocol::wire::{Action, Service};
use crate::model::{Monotonic, Region, Timestamp};

/// The time that a call and its reply spend on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkDelay {
    /// From sending the call until it counts as arrived.
    pub until_arrival: Duration,
    /// From the answer until the reply is sent.
    pub until_reply: Duration,
}

/// The answer to a call, and the fault of its connection.
#[derive(Debug)]
pub struct Reply {
    pub body: Value,
    /// The world's time, for the Date header.
    pub date: Timestamp,
    pub fault: Option<ReplyFault>,
}

/// The simulated cloud. Time is an argument and randomness is seeded, so that the same calls result in the same replies.
#[derive(Debug)]
pub struct Cloud {
    /// Settings, and the accounts without their images.
    pub(super) world: Tracked<World>,
    pub(super) images: Images,
    pub(super) limiter: Limiter,
    /// Temporary keys are not part of [`Cloud::world`].
    pub(super) temporary_keys: TemporaryKeys,
    faults: Vec<ActiveFault>,
    pub(super) rng: fastrand::Rng,
    /// Number of the newest blueprint, for the next one's id.
    pub(super) blueprints: u32,
    /// The value of `blueprints` when changes were last taken.
    pub(super) kept_blueprints: u32,
    pub(super) bakery: Bakery,
    /// Whether none of it has been saved yet.
    pub(super) is_new: bool,
}

impl Cloud {
    /// Creates a cloud in the state that `world` describes.
    pub fn new(mut world: World) -> Self {
        let accounts = std::mem::take(&mut world.accounts);
        let progress = world.progress.take().unwrap_or_default();
        let blueprints = std::mem::take(&mut world.newest_blueprint);
        let mut cloud = Self {
            rng: fastrand::Rng::with_seed(world.seed),
            images: Images::default(),
            limiter: Limiter::default(),
            temporary_keys: TemporaryKeys::default(),
            faults: Vec::new(),
            blueprints,
            kept_blueprints: blueprints,
            bakery: Bakery {
                progress: Tracked::new(progress),
                ..Bakery::default()
            },
            is_new: true,
            world: Tracked::new(world),
        };
        cloud.set_faults(cloud.world.faults.clone());
        for (index, mut account) in accounts.into_iter().enumerate() {
            let images = std::mem::take(&mut account.images);
            let generated = std::mem::take(&mut account.generate);
            cloud.world.accounts.push(account);
            for image in images {
                match kept_in(&image, blueprints) {
                    Some(region) => {
                        let key = (index, region, image.id.clone());
                        cloud.restore_image(key, image);
                    }
                    None => cloud.put_image(index, image),
                }
            }
            for generate in &generated {
                for image in generate.images() {
                    cloud.put_image(index, image);
                }
            }
        }
        cloud
    }

    /// The current state as a world that a later run can start with. It does not contain the windows of limits, counts,
    /// temporary keys, and how often faults applied: these start again.
    pub fn world(&self) -> World {
        let mut world = World::clone(&self.world);
        world.newest_blueprint = self.blueprints;
        let progress = Progress::clone(&self.bakery.progress);
        world.progress = Some(progress).filter(|progress| !progress.is_empty());
        for ((account, region, _), regional) in self.images.iter() {
            world.accounts[*account].images.push(regional.kept(*region));
        }
        world
    }

    /// Restores an image with its previous blueprint.
    pub(super) fn restore_image(&mut self, key: ImageIndex, image: Image) {
        let blueprint = image.blueprint_id.clone();
        let blueprint = blueprint.unwrap_or_else(|| match image.shared {
            true => self.next_blueprint(),
            false => String::new(),
        });
        self.count_blueprint(&blueprint);
        self.images
            .insert(key, RegionalImage::new(image, blueprint));
    }

    /// Returns the account with this name and its key, after giving it `uin` if that is set.
    pub fn key(&mut self, name: &str, uin: Option<&str>) -> &Account {
        let known = self.world.accounts.iter();
        let mut known = known.filter(|account| account.name == name);
        if !known.any(|account| uin.is_none_or(|uin| account.uin == uin)) {
            let account = self.world.account(name);
            if let Some(uin) = uin {
                account.uin = uin.to_owned();
            }
        }
        let index = self.account_named(name).unwrap_or_default();
        &self.world.accounts[index]
    }

    /// Adds an image to a region, unless the account already has its id there or, if it has no id, its name. An existing
    /// image with that name may have another id.
    pub fn ensure(&mut self, placed: PlacedImage) {
        let PlacedImage {
            account,
            region,
            image,
        } = placed;
        self.key(&account, None);
        let Some(index) = self.account_named(&account) else {
            return;
        };
        let called = if image.id.is_empty() {
            &image.name
        } else {
            &image.id
        };
        if self.image_called(index, region, called).is_none() {
            let regions = vec![region.as_str().into()];
            self.put_image(index, Image { regions, ..image });
        }
    }

    /// Adds or replaces an image. It is shared only if the new image is marked as shared.
    pub(super) fn put_image(&mut self, account: usize, image: Image) {
        let name = self.world.accounts[account].name.clone();
        let derived = image.id.is_empty() && image.ids.is_empty();
        for (region, mut part) in image.in_regions(&name) {
            if derived && self.world.allow_double_names {
                part.id = self.free_id(account, region, &part.name);
            }
            let blueprint = match &part.blueprint_id {
                Some(id) => {
                    self.count_blueprint(id);
                    id.clone()
                }
                None => self.next_blueprint(),
            };
            let key = (account, region, part.id.clone());
            let regional = RegionalImage::new(part, blueprint);
            self.images.insert(key, regional);
        }
    }

    /// Finds an id for an image with this name that no image in the region has.
    pub(super) fn free_id(&self, account: usize, region: Region, name: &str) -> String {
        let owner = &self.world.accounts[account].name;
        let ids = (0..).map(|attempt| derived_id(owner, region, name, attempt));
        let mut free = ids.filter(|id| !self.images.contains_key(&(account, region, id.clone())));
        free.next().unwrap_or_default()
    }

    /// Finds the existing image with this id or name, or else a deleted one.
    pub(super) fn image_called(
        &self,
        account: usize,
        region: Region,
        called: &str,
    ) -> Option<&RegionalImage> {
        let by_id = self.images.get(&(account, region, called.to_owned()));
        by_id.or_else(|| {
            let here = self.images_in(account, region);
            let named = here.filter(|regional| regional.name() == called);
            named.min_by_key(|regional| regional.image.deleted)
        })
    }

    /// Creates an id that no blueprint has had yet. An image that is shared again gets another blueprint.
    pub(super) fn next_blueprint(&mut self) -> String {
        self.blueprints += 1;
        format!("lhbp-{:08x}", self.blueprints)
    }

    /// Makes sure that a blueprint id from the world file is not assigned again.
    fn count_blueprint(&mut self, id: &str) {
        let number = id
            .strip_prefix("lhbp-")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        self.blueprints = self.blueprints.max(number.unwrap_or(0));
    }

    pub(super) fn set_faults(&mut self, rules: Vec<super::faults::FaultRule>) {
        self.world.faults.clone_from(&rules);
        self.faults = rules.into_iter().map(ActiveFault::new).collect();
    }

    /// Draws the network delay of the next call to `host`.
    pub fn sample_delay(&mut self, host: &str) -> LinkDelay {
        let Latency { min, max, each } = self.world.latency;
        let rng = &mut self.rng;
        let unit = match each {
            SampledPer::Call => rng.f64(),
            // The seed depends only on the name, so that the distance depends neither on the caller nor on the order of
            // calls.
            SampledPer::Host => {
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
        LinkDelay {
            until_arrival: one_way + late,
            until_reply: one_way,
        }
    }

    /// The time of the world's clock.
    pub(super) fn server_time(&self, wall_time: Timestamp) -> Timestamp {
        wall_time
            .checked_add_signed(self.world.clock_offset.0)
            .unwrap_or(wall_time)
    }

    /// Answers a call that arrives now. `wall_time` is the real time; the world's clock offset is added to it.
    pub fn answer(
        &mut self,
        incoming: &IncomingCall,
        now: Monotonic,
        wall_time: Timestamp,
    ) -> Reply {
        self.advance(SimTime { now, wall_time });
        let date = self.server_time(wall_time);
        let body: Value = serde_json::from_slice(&incoming.body).unwrap_or(Value::Null);
        let (action, region) = ["x-tc-action", "x-tc-region"]
            .map(|name| incoming.header(name).unwrap_or(""))
            .into();
        let attributes = CallAttributes {
            action,
            region,
            body: &body,
        };
        let rng = &mut self.rng;
        let rule = self.faults.iter_mut().find_map(|active| {
            active
                .applies_to(&attributes, rng)
                .then(|| active.rule.clone())
        });
        let fault = rule
            .as_ref()
            .and_then(super::faults::FaultRule::reply_fault);
        let prevented = rule.as_ref().is_some_and(|rule| {
            rule.when == FaultTiming::Before
                && (fault.is_some() || rule.kind == FaultKind::Error)
                && rule.kind != FaultKind::Delay
        });
        let mut result = if prevented {
            // The call still counts against the rate limit.
            self.admit(incoming, now, date).map(|_| json!({}))
        } else {
            let body = match &rule {
                Some(rule) if rule.kind == FaultKind::SamePage => with_offset_zero(&body),
                _ => body.clone(),
            };
            self.perform(incoming, &body, now, date)
        };
        if let Some(rule) = &rule {
            match (rule.kind, &mut result) {
                (FaultKind::Error, result) => {
                    let code = rule.code.clone().unwrap_or_else(|| "InternalError".into());
                    *result = Err(refuse(&code, "An error of the simulator's world."));
                }
                (_, Ok(reply)) => rule.alter_list(reply),
                (_, Err(_)) => {}
            }
        }
        let mut response = match result {
            Ok(reply) => reply,
            Err(Refusal { code, message }) => json!({"Error": {"Code": code, "Message": message}}),
        };
        response["RequestId"] = self.request_id().into();
        Reply {
            body: json!({"Response": response}),
            date,
            fault,
        }
    }

    /// Checks key, action, version, region and rate. The caller is `None` if the action needs no key.
    fn admit(
        &mut self,
        incoming: &IncomingCall,
        now: Monotonic,
        date: Timestamp,
    ) -> Result<(Option<Caller>, SimAction, Region), Refusal> {
        let (accounts, seconds) = (&self.world.accounts, date.timestamp());
        let caller = auth::authenticate(accounts, &self.temporary_keys, incoming, seconds)?;
        let service = caller
            .as_ref()
            .map_or(Service::Sts, |caller| caller.service);
        let name = incoming.header("x-tc-action").unwrap_or_default();
        let action = SimAction::named(name)
            .filter(|action| action.service() == service)
            .ok_or_else(|| {
                let service = service.as_str();
                refuse(
                    "InvalidAction",
                    format!("The simulator's {service} has no action `{name}`."),
                )
            })?;
        let version = service.version();
        if incoming.header("x-tc-version") != Some(version) {
            return Err(refuse(
                "NoSuchVersion",
                format!("The version is {version}."),
            ));
        }
        let region = match incoming.header("x-tc-region") {
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
        let key = LimitKey {
            account: caller.as_ref().map(|caller| caller.account),
            host: incoming.host.clone(),
            action: action.as_str(),
        };
        if !self.limiter.admit(key, limit, now) {
            return Err(refuse("RequestLimitExceeded", "Too many requests."));
        }
        Ok((caller, action, region))
    }

    fn perform(
        &mut self,
        incoming: &IncomingCall,
        body: &Value,
        now: Monotonic,
        date: Timestamp,
    ) -> Result<Value, Refusal> {
        let (caller, sim_action, region) = self.admit(incoming, now, date)?;
        let Some(caller) = caller else {
            return self.assume_role_with_web_identity(body, date);
        };
        self.permit(&caller, sim_action)?;
        let account = caller.account;
        let action = match sim_action {
            SimAction::Api(action) => action,
            SimAction::AssumeRole => return self.assume_role(&caller, body, date),
            SimAction::AssumeRoleWithWebIdentity => {
                // The documentation requires `SKIP`. The error for a signed call is a guess.
                let words = "This action is called with `Authorization: SKIP`.";
                return Err(refuse("AuthFailure.InvalidAuthorization", words));
            }
        };
        match action {
            Action::ModifyImageSharePermission => self.modify(account, region, body, now),
            Action::DescribeBlueprints => self.describe_blueprints(account, region, body, now),
            Action::DescribeImagesToShare => {
                let chinese = incoming.header("x-tc-language") != Some("en-US");
                self.describe_images(account, region, body, chinese)
            }
            Action::GetCallerIdentity => self.caller_identity(&caller, body),
            Action::DescribeInstances => self.describe_instances(account, region, body),
            Action::DescribeImages => self.describe_cvm_images(account, region, body),
        }
    }

    /// Whether the account, or the role of a temporary key, allows the action.
    fn permit(&self, caller: &Caller, sim_action: SimAction) -> Result<(), Refusal> {
        let accounts = &self.world.accounts;
        let denied = match &caller.session {
            None => &accounts[caller.account].deny,
            Some(session) => &session.role.of(accounts).deny,
        };
        if !denied.iter().any(|denied| denied == sim_action.as_str()) {
            return Ok(());
        }
        let code = match sim_action {
            SimAction::Api(action) if action.service() == Service::Cvm => {
                "UnauthorizedOperation.PermissionDenied"
            }
            SimAction::Api(_) => "UnauthorizedOperation.NoPermission",
            // The list of STS has no other code for this.
            SimAction::AssumeRole | SimAction::AssumeRoleWithWebIdentity => "UnauthorizedOperation",
        };
        Err(refuse(code, "The key may not do this."))
    }

    /// The images of one account in one region, ordered by id.
    pub(super) fn images_in(
        &self,
        account: usize,
        region: Region,
    ) -> impl Iterator<Item = &RegionalImage> {
        let from = (account, region, String::new());
        self.images
            .range(from..)
            .take_while(move |((a, r, _), _)| *a == account && *r == region)
            .map(|(_, regional)| regional)
    }

    /// Shares or cancels like somebody else, without a call. Returns false if there is no such image.
    pub(super) fn set_shared(&mut self, key: &ImageIndex, shared: bool, now: Monotonic) -> bool {
        let blueprint = self.next_blueprint();
        let Some(regional) = self.images.get_mut(key) else {
            return false;
        };
        regional.set(shared, now, blueprint);
        true
    }

    pub(super) fn account_named(&self, name: &str) -> Option<usize> {
        self.world
            .accounts
            .iter()
            .position(|account| account.name == name || account.uin == name)
    }

    /// An image of the first account that can be shared now.
    pub fn shareable(&self) -> Option<(Region, &str)> {
        let own = self.images.iter().find(|((account, ..), regional)| {
            let is_own = *account == 0 && !regional.image.received && !regional.image.deleted;
            is_own && regional.unshareable_reason().is_none()
        });
        own.map(|((_, region, id), _)| (*region, id.as_str()))
    }

    pub fn accounts(&self) -> &[Account] {
        &self.world.accounts
    }

    /// The role whose key the metadata service returns.
    pub(super) fn metadata_role(&self) -> Option<RoleIndex> {
        RoleIndex::of_metadata(&self.world.accounts, self.world.metadata.as_ref()?)
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

/// The region of a saved image, in a world with this many blueprints. A saved image needs no new blueprint number.
fn kept_in(image: &Image, blueprints: u32) -> Option<Region> {
    match image.regions.as_slice() {
        [region] if blueprints > 0 && !image.id.is_empty() => Region::new(region).ok(),
        _ => None,
    }
}

fn with_offset_zero(body: &Value) -> Value {
    let mut body = body.clone();
    body["Offset"] = 0.into();
    body
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
pub(super) mod tests;
