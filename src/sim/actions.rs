//! The three actions of Lighthouse, with their conditions and codes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::{Beside, BlueprintType, Role};
use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::image::{Regional, State};
use super::rows::{Blueprint, CustomImage};
use super::world::CancelUnshared;
use crate::api::protocol::wire::{
    DescribeBlueprintsRequest, DescribeImagesRequest, Filter, ModifyRequest, PAGE_LIMIT_MAX,
};
use crate::model::{ImageId, Monotonic, Region};

/// Filters in one request, at most.
const FILTERS_MAX: usize = 10;
/// Values of a blueprint filter and of an image filter, at most.
const BLUEPRINT_VALUES_MAX: usize = 100;
const IMAGE_VALUES_MAX: usize = 5;

impl Cloud {
    pub(super) fn modify(
        &mut self,
        account: usize,
        region: Region,
        body: &Value,
        monotonic: Monotonic,
    ) -> Result<Value, Refusal> {
        let ModifyRequest {
            image_id,
            permission,
        } = parameters(body)?;
        let share = match permission.as_str() {
            "SHARE" => true,
            "CANCEL" => false,
            other => {
                return Err(refuse(
                    "InvalidParameterValue",
                    format!("Permission is SHARE or CANCEL, not {other}."),
                ));
            }
        };
        ImageId::new(&image_id).map_err(|error| {
            refuse(
                "InvalidParameterValue.InvalidImageIdMalformed",
                error.to_string(),
            )
        })?;
        check_role(self.world.accounts[account].role)?;
        // Drawn for a refused write, too: the ids of later blueprints depend on it.
        let blueprint = self.next_blueprint();
        let not_found = || {
            refuse(
                "ResourceNotFound.ImageIdNotFound",
                "The image does not exist.",
            )
        };
        let regional = self
            .images
            .get_mut(&(account, region, image_id))
            .ok_or_else(not_found)?;
        regional.tally.attempts += 1;
        if regional.image.deleted {
            return Err(not_found());
        }
        if let Some(code) = &regional.image.error {
            return Err(refuse(code, "An error of the simulator's world."));
        }
        if regional.occupied_calls > 0 {
            regional.occupied_calls -= 1;
            return Err(refuse(
                "UnsupportedOperation.ImageOccupied",
                "The image is occupied by another operation.",
            ));
        }
        if share {
            regional.share(blueprint, monotonic)
        } else {
            regional.cancel(self.world.cancel_unshared, monotonic)
        }
    }

    pub(super) fn describe_blueprints(
        &self,
        account: usize,
        region: Region,
        body: &Value,
        monotonic: Monotonic,
    ) -> Result<Value, Refusal> {
        let request: DescribeBlueprintsRequest = parameters(body)?;
        let ids = request.blueprint_ids.unwrap_or_default();
        let filters = request.filters.unwrap_or_default();
        if !ids.is_empty() && !filters.is_empty() {
            return Err(refuse(
                "InvalidParameter.ParameterConflict",
                "BlueprintIds and Filters exclude each other.",
            ));
        }
        check_filters(&filters, BLUEPRINT_VALUES_MAX)?;
        check_names(
            &filters,
            &[
                "blueprint-id",
                "blueprint-type",
                "blueprint-name",
                "blueprint-state",
                "platform-type",
            ],
            "InvalidParameter.InvalidFilterNotSupportedName",
        )?;
        let seen_at = Monotonic::new(
            monotonic
                .since_start()
                .saturating_sub(self.world.read_lag.0),
        );
        let custom = self.images_in(account, region).filter_map(|regional| {
            let state = regional.at(seen_at)?;
            Some(Listed::Shared(regional, state, state.blueprint.as_deref()?))
        });
        let beside = self.world.accounts[account].blueprints.iter();
        let beside = beside.filter(|row| row.is_in(region)).map(Listed::Beside);
        let rows = custom.chain(beside).chain([Listed::Public]).filter(|row| {
            let fits = |filter: &Filter| {
                let value = self.blueprint_field(row, &filter.name, monotonic);
                filter.values.iter().any(|wanted| wanted == value)
            };
            (ids.is_empty() || ids.iter().any(|id| id == row.id())) && filters.iter().all(fits)
        });
        page(
            rows.collect(),
            request.offset,
            request.limit,
            "BlueprintSet",
            |row| json!(self.blueprint_row(row, monotonic)),
        )
    }

    /// What a filter looks at.
    fn blueprint_field<'r>(&self, row: &Listed<'r>, name: &str, now: Monotonic) -> &'r str {
        match (row, name) {
            (_, "blueprint-id") => row.id(),
            (Listed::Shared(..), "blueprint-type") => self.shared_type(),
            (Listed::Shared(regional, ..), "blueprint-name") => regional.name(),
            (Listed::Shared(regional, state, _), "blueprint-state") => {
                self.blueprint_state(regional, state, now)
            }
            (Listed::Beside(row), "blueprint-type") => type_name(self.type_of(row)),
            (Listed::Beside(row), "blueprint-name") => &row.image_id,
            (Listed::Beside(row), "blueprint-state") => &row.state,
            (Listed::Public, "blueprint-type") => PUBLIC.1,
            (Listed::Public, "blueprint-name") => PUBLIC.2,
            (Listed::Public, "blueprint-state") => "NORMAL",
            _ => "LINUX_UNIX",
        }
    }

    fn shared_type(&self) -> &'static str {
        type_name(self.world.blueprint_type)
    }

    fn type_of(&self, row: &Beside) -> BlueprintType {
        row.kind.unwrap_or(self.world.blueprint_type)
    }

    fn blueprint_state<'r>(
        &self,
        regional: &'r Regional,
        state: &State,
        now: Monotonic,
    ) -> &'r str {
        let syncing =
            state.since > Monotonic::default() && now.since(state.since) < self.world.sync_time.0;
        match &regional.image.blueprint_state {
            _ if syncing => "SYNCING",
            Some(state) => state,
            None => "NORMAL",
        }
    }

    fn blueprint_row(&self, row: &Listed<'_>, now: Monotonic) -> Blueprint {
        let (regional, state, blueprint) = match row {
            Listed::Shared(regional, state, blueprint) => (regional, state, blueprint),
            Listed::Beside(row) => return beside_row(row, self.type_of(row)),
            Listed::Public => return public_row(),
        };
        let image = &regional.image;
        Blueprint {
            blueprint_id: (*blueprint).into(),
            image_id: Some(image.id.clone()),
            blueprint_state: self.blueprint_state(regional, state, now).into(),
            blueprint_type: self.shared_type().into(),
            blueprint_name: regional.name().into(),
            display_title: regional.name().into(),
            os_name: image.os_name.clone(),
            platform: image.platform.to_uppercase(),
            platform_type: "LINUX_UNIX".into(),
            required_system_disk_size: 50,
            required_memory_size: 1,
            created_time: Some(image.created_time.clone()),
            support_automation_tools: true,
            ..Blueprint::default()
        }
    }

    pub(super) fn describe_images(
        &self,
        account: usize,
        region: Region,
        body: &Value,
        chinese: bool,
    ) -> Result<Value, Refusal> {
        let request: DescribeImagesRequest = parameters(body)?;
        let ids = request.image_ids.unwrap_or_default();
        let filters = request.filters.unwrap_or_default();
        if !ids.is_empty() && !filters.is_empty() {
            return Err(refuse(
                "InvalidParameter.InvalidFilter",
                "ImageIds and Filters exclude each other.",
            ));
        }
        if ids.len() > PAGE_LIMIT_MAX as usize {
            return Err(refuse(
                "InvalidParameterValue.TooLong",
                "ImageIds holds more than 100 ids.",
            ));
        }
        if let Some(bad) = ids.iter().find(|id| ImageId::new(id).is_err()) {
            return Err(refuse(
                "InvalidParameterValue.InvalidImageIdMalformed",
                format!("`{bad}` is malformed."),
            ));
        }
        check_filters(&filters, IMAGE_VALUES_MAX)?;
        check_names(
            &filters,
            &["image-id", "image-name", "image-type"],
            "InvalidParameter.InvalidFilter",
        )?;
        let is_there = |regional: &&Regional| !regional.image.deleted;
        let fits = |regional: &&Regional| {
            filters.iter().all(|filter| {
                let value = match filter.name.as_str() {
                    "image-id" => &regional.image.id,
                    "image-name" => regional.name(),
                    _ if regional.image.received => "SHARED_IMAGE",
                    _ => "PRIVATE_IMAGE",
                };
                filter.values.iter().any(|wanted| wanted == value)
            })
        };
        let rows: Vec<_> = if ids.is_empty() {
            let there = self.images_in(account, region).filter(is_there);
            there.filter(fits).collect()
        } else {
            let ids: BTreeSet<_> = ids.into_iter().collect();
            let keys = ids.into_iter().map(|id| (account, region, id));
            let asked = keys.filter_map(|key| self.images.get(&key));
            asked.filter(is_there).collect()
        };
        page(rows, request.offset, request.limit, "ImageSet", |row| {
            json!(image_row(row, chinese))
        })
    }
}

/// The service role is assumed before the image is looked for.
fn check_role(role: Role) -> Result<(), Refusal> {
    match role {
        Role::Present => Ok(()),
        Role::Missing => Err(refuse(
            "ResourceNotFound.RoleNotFound",
            "The service role does not exist.",
        )),
        Role::Denied => Err(refuse(
            "UnsupportedOperation.AssumeRoleFailed",
            "Assuming the role failed.",
        )),
    }
}

impl Regional {
    fn share(&mut self, blueprint: String, now: Monotonic) -> Result<Value, Refusal> {
        if self.is_shared() {
            let words = "The image has already been shared.";
            return Err(refuse("UnsupportedOperation.ImageAlreadyShared", words));
        }
        if let Some((words, _)) = self.obstacle() {
            return Err(refuse("UnsupportedOperation.ImageUnableToShare", words));
        }
        self.tally.shares += 1;
        let reply = json!({"BlueprintId": blueprint});
        self.set(true, now, blueprint);
        Ok(reply)
    }

    fn cancel(&mut self, unshared: CancelUnshared, now: Monotonic) -> Result<Value, Refusal> {
        let done = json!({"BlueprintId": null});
        if !self.is_shared() {
            return match unshared {
                CancelUnshared::Succeed => Ok(done),
                CancelUnshared::Fail => Err(refuse(
                    "UnsupportedOperation.BlueprintHasNotShared",
                    "The image is not shared.",
                )),
            };
        }
        if self.image.in_use {
            return Err(refuse("ResourceInUse.ImageInUse", "The image is in use."));
        }
        self.tally.cancels += 1;
        self.set(false, now, String::new());
        Ok(done)
    }
}

/// A blueprint of a list, written out only if it is on the page that was asked for.
enum Listed<'r> {
    /// A shared image, as it was, and its blueprint's id.
    Shared(&'r Regional, &'r State, &'r str),
    /// One that is there whatever is shared.
    Beside(&'r Beside),
    /// One that is no shared image, as every account sees many.
    Public,
}

/// Id, type and name of [`Listed::Public`].
const PUBLIC: (&str, &str, &str) = ("lhbp-wordpress", "APP_OS", "wordpress");

impl<'r> Listed<'r> {
    fn id(&self) -> &'r str {
        match self {
            Self::Shared(_, _, id) => id,
            Self::Beside(row) => &row.id,
            Self::Public => PUBLIC.0,
        }
    }
}

fn image_row(regional: &Regional, chinese: bool) -> CustomImage {
    let image = &regional.image;
    let obstacle = regional.obstacle();
    CustomImage {
        image_id: image.id.clone(),
        image_name: regional.name().into(),
        image_size: 50,
        image_source: image.source.clone(),
        image_class: image.class.clone(),
        image_state: image.state.clone(),
        is_support_cloudinit: image.cloud_init,
        architecture: image.architecture.clone(),
        os_name: image.os_name.clone(),
        platform: image.platform.clone(),
        created_time: image.created_time.clone(),
        is_shareable: obstacle.is_none(),
        unshareable_reason: obstacle
            .map_or("", |(en, zh)| if chinese { zh } else { en })
            .into(),
        ..CustomImage::default()
    }
}

const fn type_name(kind: BlueprintType) -> &'static str {
    match kind {
        BlueprintType::Private => "PRIVATE",
        BlueprintType::Shared => "SHARED",
    }
}

fn beside_row(row: &Beside, kind: BlueprintType) -> Blueprint {
    Blueprint {
        blueprint_id: row.id.clone(),
        image_id: Some(row.image_id.clone()),
        blueprint_state: row.state.clone(),
        blueprint_type: type_name(kind).into(),
        blueprint_name: row.image_id.clone(),
        display_title: row.image_id.clone(),
        platform: "UBUNTU".into(),
        platform_type: "LINUX_UNIX".into(),
        ..Blueprint::default()
    }
}

fn public_row() -> Blueprint {
    let (id, kind, name) = PUBLIC;
    Blueprint {
        blueprint_id: id.into(),
        image_id: Some(String::new()),
        blueprint_state: "NORMAL".into(),
        blueprint_type: kind.into(),
        blueprint_name: name.into(),
        display_title: "WordPress".into(),
        platform: "UBUNTU".into(),
        platform_type: "LINUX_UNIX".into(),
        ..Blueprint::default()
    }
}

fn check_filters(filters: &[Filter], values_max: usize) -> Result<(), Refusal> {
    if filters.len() > FILTERS_MAX
        || filters
            .iter()
            .any(|filter| filter.values.len() > values_max)
    {
        return Err(refuse(
            "InvalidParameter.FilterValueLimitExceeded",
            "Too many filters or values.",
        ));
    }
    Ok(())
}

/// All filters must be ones that the action has.
fn check_names(filters: &[Filter], known: &[&str], code: &str) -> Result<(), Refusal> {
    let unknown = filters
        .iter()
        .find(|filter| !known.contains(&filter.name.as_str()));
    match unknown {
        Some(Filter { name, .. }) => Err(refuse(code, format!("There is no filter `{name}`."))),
        None => Ok(()),
    }
}

fn page<R>(
    rows: Vec<R>,
    offset: Option<i64>,
    limit: Option<i64>,
    name: &str,
    write: impl Fn(&R) -> Value,
) -> Result<Value, Refusal> {
    let (offset, limit) = (offset.unwrap_or(0), limit.unwrap_or(20));
    let Ok(offset) = usize::try_from(offset) else {
        return Err(refuse(
            "InvalidParameterValue.Negative",
            "Offset is negative.",
        ));
    };
    let limit = usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=PAGE_LIMIT_MAX as usize).contains(limit));
    let limit = limit.ok_or_else(|| {
        refuse(
            "InvalidParameterValue.OutOfRange",
            "Limit is from 1 to 100.",
        )
    })?;
    let total = rows.len();
    let page: Vec<_> = rows.iter().skip(offset).take(limit).map(write).collect();
    Ok(json!({"TotalCount": total, name: page}))
}
