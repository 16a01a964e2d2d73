//! The simulator's own paths under `/_sim/`, which show its state and change it while it runs. They are not part of the
//! API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{BlueprintType, ExtraBlueprint};
use super::admin_call::{change_world, default_account, locate, read, set_if_given, text};
use super::admin_images;
use super::bakery::SimTime;
use super::cloud::Cloud;
use super::faults::FaultRule;
use super::sts;
use super::units::{ClockOffset, DurationText};
use super::world::{CancelUnshared, Latency, World};
use crate::model::{Monotonic, Region};

const ROOT: &str = "/_sim/";
const PATHS: &str = "GET /_sim/state, /_sim/identity, POST /_sim/world, /_sim/faults, /_sim/settings, /_sim/accounts, /_sim/key, /_sim/images, /_sim/ensure, /_sim/image, /_sim/delete-image, /_sim/sync, /_sim/build, /_sim/instances, /_sim/share, /_sim/blueprints, /_sim/blueprint, /_sim/reset-ledger";

/// Body of `POST /_sim/blueprints`: blueprints to add or replace, besides those of shared images.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blueprints {
    #[serde(default = "default_account")]
    account: String,
    blueprints: Vec<ExtraBlueprint>,
}

/// Body of `POST /_sim/blueprint`: gives a blueprint of any kind another state, or deletes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlueprintChange {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    blueprint: String,
    state: Option<String>,
    #[serde(default)]
    deleted: bool,
}

/// Body of `POST /_sim/settings`. Omitted fields do not change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    latency: Option<Latency>,
    jitter: Option<DurationText>,
    read_lag: Option<DurationText>,
    clock_offset: Option<ClockOffset>,
    sync_time: Option<DurationText>,
    blueprint_type: Option<BlueprintType>,
    cancel_unshared: Option<CancelUnshared>,
    limits: Option<std::collections::BTreeMap<String, u32>>,
    token_lifetime: Option<DurationText>,
    sync_image_time: Option<DurationText>,
    allow_double_names: Option<bool>,
}

/// Body of `POST /_sim/key`: a command with `--sim` requests the key of the account with this name. The account is added
/// if it does not exist, and gets the uin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedKey {
    account: String,
    uin: Option<String>,
}

/// Body of `POST /_sim/accounts`: revokes or rotates the key, or changes its permissions. Omitted fields do not change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountChange {
    #[serde(default = "default_account")]
    account: String,
    revoked: Option<bool>,
    secret_id: Option<String>,
    secret_key: Option<String>,
    deny: Option<Vec<String>>,
}

/// Answers a call to one of the simulator's own paths with a status and a JSON document.
pub(super) fn handle(
    cloud: &mut Cloud,
    method: &str,
    path: &str,
    body: &[u8],
    time: SimTime,
) -> (u16, Value) {
    let done = json!({"done": true});
    let now = time.now;
    cloud.advance(time);
    let result = match (method, path) {
        ("GET" | "HEAD", "/_sim/state") => Ok(state(cloud)),
        ("POST", "/_sim/world") => text(body)
            .and_then(|text| World::parse(text).map_err(|e| e.to_string()))
            .map(|world| {
                *cloud = Cloud::new(world);
                cloud.bakery.began = now;
                cloud.advance(time);
                done
            }),
        ("POST", "/_sim/faults") => read::<Vec<FaultRule>>(body).map(|rules| {
            cloud.set_faults(rules);
            done
        }),
        ("POST", "/_sim/settings") => read(body)
            .and_then(|settings| {
                change_world(&mut cloud.world, |world| apply_settings(world, settings))
            })
            .map(|()| done),
        ("POST", "/_sim/key") => read(body).map(|wanted| key(cloud, &wanted)),
        ("POST", "/_sim/accounts") => read(body)
            .and_then(|account| change_account(cloud, account))
            .map(|()| done),
        ("POST", "/_sim/blueprints") => read(body)
            .and_then(|blueprints| put_extra_blueprints(cloud, blueprints))
            .map(|()| done),
        ("POST", "/_sim/blueprint") => read(body)
            .and_then(|change| change_blueprint(cloud, &change, now))
            .map(|()| done),
        ("POST", "/_sim/reset-ledger") => {
            cloud.limiter.reset_counts();
            cloud.images.reset_counts();
            Ok(done)
        }
        ("POST", path) if path.starts_with(ROOT) => {
            match admin_images::handle(cloud, &path[ROOT.len()..], body, time) {
                Some(result) => result,
                None => return no_such_call(),
            }
        }
        _ => return no_such_call(),
    };
    match result {
        Ok(document) => (200, document),
        Err(error) => (400, json!({"error": error})),
    }
}

fn no_such_call() -> (u16, Value) {
    let words = format!("no such path; available paths: {PATHS}");
    (404, json!({"error": words}))
}

/// The whole state, without secret keys and tokens.
fn state(cloud: &Cloud) -> Value {
    let accounts = cloud.accounts().iter().enumerate().map(|(index, account)| {
        let images = cloud.images.iter().filter(|((of, ..), _)| *of == index);
        let images = images.map(|((_, region, id), regional)| {
            json!({
                "region": region.as_str(),
                "id": id,
                "name": regional.name(),
                "state": regional.image.state,
                "createdTime": regional.image.created_time,
                "family": regional.image.family,
                "tags": regional.image.tags,
                "deprecated": regional.image.deprecated,
                "shared": regional.is_shared(),
                "blueprintId": regional.blueprint(),
                "deleted": regional.image.deleted,
                "attempts": regional.write_counts.attempts,
                "shares": regional.write_counts.shares,
                "cancels": regional.write_counts.cancels,
            })
        });
        let instances = account.instances.iter().map(|instance| {
            let region = Region::new(&instance.region).ok();
            let blueprint = region.and_then(|region| cloud.blueprint_of(index, region, instance));
            json!({
                "region": instance.region,
                "id": instance.id,
                "name": instance.shown_name(),
                "image": instance.image,
                "blueprintId": blueprint,
            })
        });
        let roles = account.roles.iter().map(|role| role.arn(&account.uin));
        json!({
            "name": account.name,
            "uin": account.uin,
            "revoked": account.revoked,
            "roles": roles.collect::<Vec<_>>(),
            "images": images.collect::<Vec<_>>(),
            "blueprints": account.blueprints,
            "instances": instances.collect::<Vec<_>>(),
        })
    });
    let calls = cloud.limiter.counts().into_iter().map(|(key, count)| {
        json!({
            "host": key.host,
            "action": key.action,
            "calls": count.calls,
            "throttled": count.throttled,
            "busiestSecond": count.busiest_second,
        })
    });
    let temporary = cloud.temporary_keys.all().map(|key| {
        let place = key.session.role;
        let uin = &cloud.accounts()[place.account].uin;
        json!({
            "secretId": key.secret_id,
            "role": place.of(cloud.accounts()).arn(uin),
            "session": key.session.name,
            "principal": key.session.principal,
            "expiredTime": key.expires,
            "expiration": sts::expiration(key),
        })
    });
    json!({
        "accounts": accounts.collect::<Vec<_>>(),
        "calls": calls.collect::<Vec<_>>(),
        "temporaryKeys": temporary.collect::<Vec<_>>(),
    })
}

/// The key of an account. It is invented, so it may be shown.
fn key(cloud: &mut Cloud, wanted: &WantedKey) -> Value {
    let account = cloud.key(&wanted.account, wanted.uin.as_deref());
    json!({
        "secretId": account.secret_id,
        "secretKey": account.secret_key,
        "token": account.token,
    })
}

fn change_account(cloud: &mut Cloud, new: AccountChange) -> Result<(), String> {
    let index = cloud
        .account_named(&new.account)
        .ok_or_else(|| format!("no account `{}`", new.account))?;
    change_world(&mut cloud.world, |world| {
        let account = &mut world.accounts[index];
        set_if_given(&mut account.revoked, new.revoked);
        set_if_given(&mut account.secret_id, new.secret_id);
        set_if_given(&mut account.secret_key, new.secret_key);
        set_if_given(&mut account.deny, new.deny);
    })
}

fn apply_settings(world: &mut World, settings: Settings) {
    use set_if_given as set;
    set(&mut world.latency, settings.latency);
    set(&mut world.jitter, settings.jitter);
    set(&mut world.read_lag, settings.read_lag);
    set(&mut world.clock_offset, settings.clock_offset);
    set(&mut world.sync_time, settings.sync_time);
    set(&mut world.sync_image_time, settings.sync_image_time);
    set(&mut world.allow_double_names, settings.allow_double_names);
    set(&mut world.blueprint_type, settings.blueprint_type);
    set(&mut world.cancel_unshared, settings.cancel_unshared);
    world.limits.extend(settings.limits.unwrap_or_default());
    if settings.token_lifetime.is_some() {
        world.token_lifetime = settings.token_lifetime;
    }
}

fn put_extra_blueprints(cloud: &mut Cloud, new: Blueprints) -> Result<(), String> {
    let (index, _) = locate(cloud, &new.account, None)?;
    change_world(&mut cloud.world, |world| {
        let known = &mut world.accounts[index].blueprints;
        known.retain(|row| new.blueprints.iter().all(|other| other.id != row.id));
        known.extend(new.blueprints);
    })
}

fn change_blueprint(
    cloud: &mut Cloud,
    new: &BlueprintChange,
    now: Monotonic,
) -> Result<(), String> {
    let (account, region) = locate(cloud, &new.account, Some(&new.region))?;
    let shared = cloud.images.iter().find(|((of, at, _), regional)| {
        let is_it = regional.blueprint() == Some(new.blueprint.as_str());
        *of == account && Some(*at) == region && is_it
    });
    if let Some(key) = shared.map(|(key, _)| key.clone()) {
        let next = cloud.next_blueprint();
        if let Some(regional) = cloud.images.get_mut(&key) {
            match new.deleted {
                true => regional.set(false, now, next),
                false => regional.image.blueprint_state.clone_from(&new.state),
            }
        }
        return Ok(());
    }
    let known = &mut cloud.world.accounts[account].blueprints;
    let Some(at) = known.iter().position(|row| row.id == new.blueprint) else {
        return Err(format!(
            "no blueprint `{}` in {}",
            new.blueprint, new.region
        ));
    };
    match &new.state {
        _ if new.deleted => {
            known.remove(at);
        }
        Some(state) => known[at].state.clone_from(state),
        None => return Err("say what is to become of it: `state` or `deleted`".into()),
    }
    Ok(())
}
