//! The simulator's own paths: look at its state, change it while it runs.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::account::{Beside, BlueprintType, Image};
use super::cloud::Cloud;
use super::faults::Rule;
use super::sts;
use super::units::{Offset, Span};
use super::world::{CancelUnshared, Latency, World};
use crate::model::{Monotonic, Region};

const PATHS: &str = "GET /_sim/state, POST /_sim/world, /_sim/faults, /_sim/images, /_sim/settings, /_sim/accounts, /_sim/share, /_sim/blueprints, /_sim/blueprint, /_sim/delete-image, /_sim/reset-ledger";

/// What `POST /_sim/images` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    #[serde(default = "default_account")]
    account: String,
    images: Vec<Image>,
}

/// What `POST /_sim/share` takes: somebody else changes an image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    image: String,
    shared: bool,
}

/// What `POST /_sim/blueprints` takes: blueprints beside those of shared images, added or replaced.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blueprints {
    #[serde(default = "default_account")]
    account: String,
    blueprints: Vec<Beside>,
}

/// What `POST /_sim/blueprint` takes: any blueprint comes to another state, or is deleted.
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

/// What `POST /_sim/delete-image` takes: somebody deletes an image. What it is shared as is left over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    image: String,
}

/// What `POST /_sim/settings` takes; what is left out stays.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    latency: Option<Latency>,
    jitter: Option<Span>,
    read_lag: Option<Span>,
    clock_offset: Option<Offset>,
    sync_time: Option<Span>,
    blueprint_type: Option<BlueprintType>,
    cancel_unshared: Option<CancelUnshared>,
    limits: Option<std::collections::BTreeMap<String, u32>>,
    token_lifetime: Option<Span>,
}

/// What `POST /_sim/accounts` takes: the key is revoked, rotated or gets other permissions; what is left out stays.
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

fn default_account() -> String {
    "default".into()
}

/// Answers a call of one of the simulator's own paths: status and document.
pub(super) fn handle(
    cloud: &mut Cloud,
    method: &str,
    path: &str,
    body: &[u8],
    monotonic: Monotonic,
) -> (u16, Value) {
    let done = json!({"done": true});
    let result = match (method, path) {
        ("GET" | "HEAD", "/_sim/state") => Ok(state(cloud)),
        ("POST", "/_sim/world") => text(body)
            .and_then(|text| World::parse(text).map_err(|e| e.to_string()))
            .map(|world| {
                *cloud = Cloud::new(world);
                done
            }),
        ("POST", "/_sim/faults") => read::<Vec<Rule>>(body).map(|rules| {
            cloud.set_faults(rules);
            done
        }),
        ("POST", "/_sim/images") => read(body)
            .and_then(|images| put(cloud, images))
            .map(|()| done),
        ("POST", "/_sim/settings") => read(body)
            .and_then(|settings| change(&mut cloud.world, |world| set(world, settings)))
            .map(|()| done),
        ("POST", "/_sim/accounts") => read(body)
            .and_then(|account| change_account(cloud, account))
            .map(|()| done),
        ("POST", "/_sim/share") => read(body)
            .and_then(|share| set_shared(cloud, &share, monotonic))
            .map(|()| done),
        ("POST", "/_sim/blueprints") => read(body)
            .and_then(|blueprints| put_beside(cloud, blueprints))
            .map(|()| done),
        ("POST", "/_sim/blueprint") => read(body)
            .and_then(|change| change_blueprint(cloud, &change, monotonic))
            .map(|()| done),
        ("POST", "/_sim/delete-image") => read(body)
            .and_then(|deletion| delete_image(cloud, &deletion))
            .map(|()| done),
        ("POST", "/_sim/reset-ledger") => {
            cloud.limiter.reset_counts();
            cloud
                .images
                .values_mut()
                .for_each(|regional| regional.tally = Default::default());
            Ok(done)
        }
        _ => {
            return (
                404,
                json!({"error": format!("no such call; there are: {PATHS}")}),
            );
        }
    };
    match result {
        Ok(document) => (200, document),
        Err(error) => (400, json!({"error": error})),
    }
}

/// Everything but the secret keys and tokens.
fn state(cloud: &Cloud) -> Value {
    let accounts = cloud.accounts().iter().enumerate().map(|(index, account)| {
        let images = cloud.images.iter().filter(|((of, ..), _)| *of == index);
        let images = images.map(|((_, region, id), regional)| {
            json!({
                "region": region.as_str(),
                "id": id,
                "shared": regional.is_shared(),
                "blueprintId": regional.blueprint(),
                "deleted": regional.image.deleted,
                "attempts": regional.tally.attempts,
                "shares": regional.tally.shares,
                "cancels": regional.tally.cancels,
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
    let temporary = cloud.issued.all().map(|key| {
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

fn put(cloud: &mut Cloud, Images { account, images }: Images) -> Result<(), String> {
    let index = cloud
        .account_named(&account)
        .ok_or_else(|| format!("no account `{account}`"))?;
    for image in &images {
        for region in &image.regions {
            Region::new(region).map_err(|error| format!("`{region}`: {error}"))?;
        }
    }
    images
        .into_iter()
        .for_each(|image| cloud.put_image(index, image));
    Ok(())
}

/// Changes a world, unless it would then be none.
fn change(world: &mut World, change: impl FnOnce(&mut World)) -> Result<(), String> {
    let mut changed = world.clone();
    change(&mut changed);
    changed.check()?;
    *world = changed;
    Ok(())
}

fn put_if_given<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn change_account(cloud: &mut Cloud, new: AccountChange) -> Result<(), String> {
    let index = cloud
        .account_named(&new.account)
        .ok_or_else(|| format!("no account `{}`", new.account))?;
    change(&mut cloud.world, |world| {
        let account = &mut world.accounts[index];
        put_if_given(&mut account.revoked, new.revoked);
        put_if_given(&mut account.secret_id, new.secret_id);
        put_if_given(&mut account.secret_key, new.secret_key);
        put_if_given(&mut account.deny, new.deny);
    })
}

fn set(world: &mut World, settings: Settings) {
    use put_if_given as put;
    put(&mut world.latency, settings.latency);
    put(&mut world.jitter, settings.jitter);
    put(&mut world.read_lag, settings.read_lag);
    put(&mut world.clock_offset, settings.clock_offset);
    put(&mut world.sync_time, settings.sync_time);
    put(&mut world.blueprint_type, settings.blueprint_type);
    put(&mut world.cancel_unshared, settings.cancel_unshared);
    world.limits.extend(settings.limits.unwrap_or_default());
    if settings.token_lifetime.is_some() {
        world.token_lifetime = settings.token_lifetime;
    }
}

fn set_shared(cloud: &mut Cloud, share: &Share, monotonic: Monotonic) -> Result<(), String> {
    let account = cloud
        .account_named(&share.account)
        .ok_or_else(|| format!("no account `{}`", share.account))?;
    let region =
        Region::new(&share.region).map_err(|error| format!("`{}`: {error}", share.region))?;
    let key = (account, region, share.image.clone());
    if cloud.set_shared(&key, share.shared, monotonic) {
        Ok(())
    } else {
        Err(format!("no image `{}` in {}", share.image, share.region))
    }
}

fn put_beside(cloud: &mut Cloud, new: Blueprints) -> Result<(), String> {
    let (index, _) = place(cloud, &new.account, None)?;
    change(&mut cloud.world, |world| {
        let known = &mut world.accounts[index].blueprints;
        known.retain(|row| new.blueprints.iter().all(|other| other.id != row.id));
        known.extend(new.blueprints);
    })
}

fn change_blueprint(
    cloud: &mut Cloud,
    new: &BlueprintChange,
    monotonic: Monotonic,
) -> Result<(), String> {
    let (account, region) = place(cloud, &new.account, Some(&new.region))?;
    let shared = cloud.images.iter().find(|((of, at, _), regional)| {
        let is_it = regional.blueprint() == Some(new.blueprint.as_str());
        *of == account && Some(*at) == region && is_it
    });
    if let Some(key) = shared.map(|(key, _)| key.clone()) {
        let next = cloud.next_blueprint();
        if let Some(regional) = cloud.images.get_mut(&key) {
            match new.deleted {
                true => regional.set(false, monotonic, next),
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

fn delete_image(cloud: &mut Cloud, deletion: &Deletion) -> Result<(), String> {
    let (account, region) = place(cloud, &deletion.account, Some(&deletion.region))?;
    let key = region.map(|region| (account, region, deletion.image.clone()));
    match key.and_then(|key| cloud.images.get_mut(&key)) {
        Some(regional) => {
            regional.image.deleted = true;
            Ok(())
        }
        None => Err(format!(
            "no image `{}` in {}",
            deletion.image, deletion.region
        )),
    }
}

/// An account by its name, and a region by its own, if one is given.
fn place(
    cloud: &Cloud,
    account: &str,
    region: Option<&str>,
) -> Result<(usize, Option<Region>), String> {
    let index = cloud.account_named(account);
    let index = index.ok_or_else(|| format!("no account `{account}`"))?;
    let region = region.map(|name| Region::new(name).map_err(|error| format!("`{name}`: {error}")));
    Ok((index, region.transpose()?))
}

fn text(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_saphyr::from_str(text(body)?).map_err(|error| error.to_string())
}
