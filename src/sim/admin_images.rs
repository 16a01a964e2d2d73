//! The simulator's own paths for images and servers: adding, changing, copying, building and deleting them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::admin_call::{change_world, default_account, locate, read, set_if_given};
use super::bakery::{Ids, SimTime};
use super::cloud::Cloud;
use super::image::ImageIndex;
use super::world_image::{Image, PlacedImage};
use super::world_instance::Instance;
use crate::model::{Monotonic, Region};

/// Body of `POST /_sim/images`: images to add or replace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    #[serde(default = "default_account")]
    account: String,
    images: Vec<Image>,
}

/// Body of `POST /_sim/ensure`: images that must exist. An image whose id, or else name, already exists stays unchanged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedImages {
    images: Vec<PlacedImage>,
}

/// Body of `POST /_sim/image`: changes of one image. Omitted fields do not change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImageChange {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    /// The image's id or name.
    image: String,
    name: Option<String>,
    state: Option<String>,
    family: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    deprecated: Option<bool>,
    created_time: Option<String>,
    in_use: Option<bool>,
    cloud_init: Option<bool>,
    os_accepted: Option<bool>,
    /// New `BlueprintState` of its blueprint.
    blueprint_state: Option<String>,
}

/// Body of `POST /_sim/delete-image`: somebody deletes an image. Its blueprint remains.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    /// The image's id or name.
    image: String,
}

/// Body of `POST /_sim/sync`: somebody copies an image to other regions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sync {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    /// The image's id or name.
    image: String,
    to: Vec<String>,
    /// Name of the copies; by default the source's name.
    name: Option<String>,
}

/// Body of `POST /_sim/build`: one of the world's builds creates an image now.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildNow {
    /// The `name` of the build, with its `{n}`; by default the first build.
    name: Option<String>,
}

/// Body of `POST /_sim/instances`: servers to add or replace, and servers to remove.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instances {
    #[serde(default = "default_account")]
    account: String,
    #[serde(default)]
    instances: Vec<Instance>,
    /// Ids of servers to remove.
    #[serde(default)]
    remove: Vec<String>,
}

/// Body of `POST /_sim/share`: somebody else shares or cancels an image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    #[serde(default = "default_account")]
    account: String,
    region: String,
    /// The image's id or name.
    image: String,
    shared: bool,
}

/// Answers `POST /_sim/<call>`; `None` if this file has no such call.
pub(super) fn handle(
    cloud: &mut Cloud,
    call: &str,
    body: &[u8],
    time: SimTime,
) -> Option<Result<Value, String>> {
    let done = |()| json!({"done": true});
    Some(match call {
        "images" => read(body)
            .and_then(|images| put_images(cloud, images))
            .map(done),
        "ensure" => read(body)
            .and_then(|wanted| ensure_images(cloud, wanted))
            .map(done),
        "image" => read(body)
            .and_then(|change| change_image(cloud, change))
            .map(done),
        "delete-image" => read(body)
            .and_then(|deletion| delete_image(cloud, &deletion))
            .map(done),
        "sync" => read(body).and_then(|sync| sync_image(cloud, &sync, time)),
        "build" => read(body).and_then(|build| build_now(cloud, &build, time)),
        "instances" => read(body)
            .and_then(|instances| put_instances(cloud, instances))
            .map(done),
        "share" => read(body)
            .and_then(|share| set_shared(cloud, &share, time.now))
            .map(done),
        _ => return None,
    })
}

fn put_images(cloud: &mut Cloud, Images { account, images }: Images) -> Result<(), String> {
    let (index, _) = locate(cloud, &account, None)?;
    for image in &images {
        image.check()?;
        for (region, part) in image.in_regions(&account) {
            let other = cloud.image_called(index, region, part.shown_name());
            let other = other.filter(|other| !other.image.deleted && !other.image.received);
            let is_other = other.is_some_and(|other| other.image.id != part.id);
            if is_other && !part.received && !cloud.world.allow_double_names {
                let name = part.shown_name();
                return Err(format!("there is an image `{name}` in {region} already"));
            }
        }
    }
    images
        .into_iter()
        .for_each(|image| cloud.put_image(index, image));
    Ok(())
}

fn ensure_images(cloud: &mut Cloud, wanted: WantedImages) -> Result<(), String> {
    let mut unnamed = wanted.images.iter();
    if unnamed.any(|placed| placed.image.id.is_empty() && placed.image.name.is_empty()) {
        return Err("an image has neither `id` nor `name`".into());
    }
    wanted
        .images
        .into_iter()
        .for_each(|placed| cloud.ensure(placed));
    Ok(())
}

/// Finds the image with this id or name.
fn find(cloud: &Cloud, account: &str, region: &str, called: &str) -> Result<ImageIndex, String> {
    let (index, place) = locate(cloud, account, Some(region))?;
    let place = place.ok_or("no region")?;
    let found = cloud.image_called(index, place, called);
    match found {
        Some(regional) => Ok((index, place, regional.image.id.clone())),
        None => Err(format!("no image `{called}` in {region}")),
    }
}

fn change_image(cloud: &mut Cloud, new: ImageChange) -> Result<(), String> {
    let key = find(cloud, &new.account, &new.region, &new.image)?;
    if let Some(name) = &new.name {
        cloud.room_for(key.0, key.1, name)?;
    }
    let Some(regional) = cloud.images.get_mut(&key) else {
        return Ok(());
    };
    let image = &mut regional.image;
    set_if_given(&mut image.name, new.name);
    set_if_given(&mut image.state, new.state);
    set_if_given(&mut image.family, new.family);
    set_if_given(&mut image.tags, new.tags);
    set_if_given(&mut image.deprecated, new.deprecated);
    set_if_given(&mut image.created_time, new.created_time);
    set_if_given(&mut image.in_use, new.in_use);
    set_if_given(&mut image.cloud_init, new.cloud_init);
    set_if_given(&mut image.os_accepted, new.os_accepted);
    if new.blueprint_state.is_some() {
        image.blueprint_state = new.blueprint_state;
    }
    Ok(())
}

fn delete_image(cloud: &mut Cloud, deletion: &Deletion) -> Result<(), String> {
    let key = find(cloud, &deletion.account, &deletion.region, &deletion.image)?;
    if let Some(regional) = cloud.images.get_mut(&key) {
        regional.image.deleted = true;
    }
    Ok(())
}

fn sync_image(cloud: &mut Cloud, sync: &Sync, time: SimTime) -> Result<Value, String> {
    let (account, region) = locate(cloud, &sync.account, Some(&sync.region))?;
    let region = region.ok_or("no region")?;
    let to = sync.to.iter();
    let to = to.map(|name| Region::new(name).map_err(|error| format!("`{name}`: {error}")));
    let to = to.collect::<Result<Vec<_>, _>>()?;
    let name = sync.name.as_deref();
    let ids = cloud.sync_image((account, region), &sync.image, &to, name, time.wall_time)?;
    cloud.advance(time);
    Ok(json!({"ids": by_name(&ids)}))
}

fn build_now(cloud: &mut Cloud, now: &BuildNow, time: SimTime) -> Result<Value, String> {
    let mut builds = cloud.world.builds.iter();
    let index = builds.position(|build| now.name.as_ref().is_none_or(|name| build.name == *name));
    let index = index.ok_or("the world has no such build")?;
    let (name, ids) = cloud.build(index, time.wall_time);
    cloud.advance(time);
    Ok(json!({"name": name, "ids": by_name(&ids)}))
}

fn by_name(ids: &Ids) -> BTreeMap<&str, &String> {
    let ids = ids.iter();
    ids.map(|(region, id)| (region.as_str(), id)).collect()
}

fn put_instances(cloud: &mut Cloud, new: Instances) -> Result<(), String> {
    let (index, _) = locate(cloud, &new.account, None)?;
    change_world(&mut cloud.world, |world| {
        let known = &mut world.accounts[index].instances;
        let replaced = |old: &Instance| new.instances.iter().any(|other| other.id == old.id);
        known.retain(|old| !new.remove.contains(&old.id) && !replaced(old));
        known.extend(new.instances);
    })
}

fn set_shared(cloud: &mut Cloud, share: &Share, now: Monotonic) -> Result<(), String> {
    let key = find(cloud, &share.account, &share.region, &share.image)?;
    cloud.set_shared(&key, share.shared, now);
    Ok(())
}
