//! Common parts of the simulator's own paths: how a body is parsed, and how the world is changed.

use serde::de::DeserializeOwned;

use super::cloud::Cloud;
use super::world::World;
use crate::model::Region;

pub(super) fn default_account() -> String {
    "default".into()
}

/// Changes a world, unless the result would fail its checks.
pub(super) fn change_world(
    world: &mut World,
    change: impl FnOnce(&mut World),
) -> Result<(), String> {
    let mut changed = world.clone();
    change(&mut changed);
    changed.check()?;
    *world = changed;
    Ok(())
}

pub(super) fn set_if_given<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Finds the account, and the region if one is given.
pub(super) fn locate(
    cloud: &Cloud,
    account: &str,
    region: Option<&str>,
) -> Result<(usize, Option<Region>), String> {
    let index = cloud.account_named(account);
    let index = index.ok_or_else(|| format!("no account `{account}`"))?;
    let region = region.map(|name| Region::new(name).map_err(|error| format!("`{name}`: {error}")));
    Ok((index, region.transpose()?))
}

pub(super) fn text(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| error.to_string())
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_saphyr::from_str(text(body)?).map_err(|error| error.to_string())
}
