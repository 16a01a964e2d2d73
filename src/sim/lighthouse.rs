//! The three actions of Lighthouse for sharing, with their conditions and error codes. The caller and the rate are
//! checked before.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::{BlueprintType, ExtraBlueprint, Role};
use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::image::{RegionalImage, SharePeriod};
use super::paging::{self, PageCodes};
use super::rows::{Blueprint, CustomImage};
use super::world::CancelUnshared;
use crate::api::protocol::wire::{
    DescribeBlueprintsRequest, DescribeImagesRequest, Filter, ModifyRequest, PAGE_LIMIT_MAX,
};
use crate::model::{ImageId, Monotonic, Region};

/// The maximum number of values in a blueprint filter and in an image filter.
const BLUEPRINT_VALUES_MAX: usize = 100;
const IMAGE_VALUES_MAX: usize = 5;

const CODES: &PageCodes = &PageCodes::LIGHTHOUSE;

impl Cloud {
    pub(super) fn modify(
        &mut self,
        account: usize,
        region: Region,
        body: &Value,
        now: Monotonic,
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
        // The id is taken before the checks: a refused write uses up an id too.
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
        regional.write_counts.attempts += 1;
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
            regional.share(blueprint, now)
        } else {
            regional.cancel(self.world.cancel_unshared, now)
        }
    }

    pub(super) fn describe_blueprints(
        &self,
        account: usize,
        region: Region,
        body: &Value,
        now: Monotonic,
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
        paging::check_count(&filters, BLUEPRINT_VALUES_MAX, CODES)?;
        paging::check_names(
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
        let seen_at = Monotonic::new(now.since_start().saturating_sub(self.world.read_lag.0));
        let custom = self.images_in(account, region).filter_map(|regional| {
            let state = regional.period_at(seen_at)?;
            Some(ListedBlueprint::Shared(
                regional,
                state,
                state.blueprint.as_deref()?,
            ))
        });
        let extra = self.world.accounts[account].blueprints.iter();
        let extra = extra
            .filter(|row| row.is_in(region))
            .map(ListedBlueprint::Extra);
        let rows: Vec<_> = custom
            .chain(extra)
            .chain([ListedBlueprint::Public])
            .filter(|row| {
                let fits = |filter: &Filter| {
                    let value = self.blueprint_field(row, &filter.name, now);
                    filter.values.iter().any(|wanted| wanted == value)
                };
                (ids.is_empty() || ids.iter().any(|id| id == row.id())) && filters.iter().all(fits)
            })
            .collect();
        let (offset, limit) = (request.offset, request.limit);
        paging::page(&rows, offset, limit, CODES, "BlueprintSet", |row| {
            json!(self.blueprint_row(row, now))
        })
    }

    /// The field of a blueprint that the filter `name` compares.
    fn blueprint_field<'r>(
        &self,
        row: &ListedBlueprint<'r>,
        name: &str,
        now: Monotonic,
    ) -> &'r str {
        match (row, name) {
            (_, "blueprint-id") => row.id(),
            (ListedBlueprint::Shared(..), "blueprint-type") => self.shared_type(),
            (ListedBlueprint::Shared(regional, ..), "blueprint-name") => regional.name(),
            (ListedBlueprint::Shared(regional, state, _), "blueprint-state") => {
                self.blueprint_state(regional, state, now)
            }
            (ListedBlueprint::Extra(row), "blueprint-type") => type_name(self.type_of(row)),
            (ListedBlueprint::Extra(row), "blueprint-name") => &row.image_id,
            (ListedBlueprint::Extra(row), "blueprint-state") => &row.state,
            (ListedBlueprint::Public, "blueprint-type") => PUBLIC.1,
            (ListedBlueprint::Public, "blueprint-name") => PUBLIC.2,
            (ListedBlueprint::Public, "blueprint-state") => "NORMAL",
            _ => "LINUX_UNIX",
        }
    }

    fn shared_type(&self) -> &'static str {
        type_name(self.world.blueprint_type)
    }

    fn type_of(&self, row: &ExtraBlueprint) -> BlueprintType {
        row.kind.unwrap_or(self.world.blueprint_type)
    }

    fn blueprint_state<'r>(
        &self,
        regional: &'r RegionalImage,
        state: &SharePeriod,
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

    fn blueprint_row(&self, row: &ListedBlueprint<'_>, now: Monotonic) -> Blueprint {
        let (regional, state, blueprint) = match row {
            ListedBlueprint::Shared(regional, state, blueprint) => (regional, state, blueprint),
            ListedBlueprint::Extra(row) => return extra_row(row, self.type_of(row)),
            ListedBlueprint::Public => return public_row(),
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
        paging::check_count(&filters, IMAGE_VALUES_MAX, CODES)?;
        paging::check_names(
            &filters,
            &["image-id", "image-name", "image-type"],
            "InvalidParameter.InvalidFilter",
        )?;
        let is_there = |regional: &&RegionalImage| !regional.image.deleted;
        let fits = |regional: &&RegionalImage| {
            filters.iter().all(|filter| {
                let value = match filter.name.as_str() {
                    "image-id" => &regional.image.id,
                    "image-name" => regional.name(),
                    _ => regional.kind(),
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
        let (offset, limit) = (request.offset, request.limit);
        paging::page(&rows, offset, limit, CODES, "ImageSet", |row| {
            json!(image_row(row, chinese))
        })
    }
}

/// The service role is checked before the image is looked up.
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

impl RegionalImage {
    fn share(&mut self, blueprint: String, now: Monotonic) -> Result<Value, Refusal> {
        if self.is_shared() {
            let words = "The image has already been shared.";
            return Err(refuse("UnsupportedOperation.ImageAlreadyShared", words));
        }
        if let Some((words, _)) = self.unshareable_reason() {
            return Err(refuse("UnsupportedOperation.ImageUnableToShare", words));
        }
        self.write_counts.shares += 1;
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
        self.write_counts.cancels += 1;
        self.set(false, now, String::new());
        Ok(done)
    }
}

/// A blueprint of a list. Its row is built only if it is on the requested page.
enum ListedBlueprint<'r> {
    /// A shared image, the period that the list shows, and its blueprint's id.
    Shared(&'r RegionalImage, &'r SharePeriod, &'r str),
    /// A blueprint that exists independently of shares.
    Extra(&'r ExtraBlueprint),
    /// A public blueprint; the real service shows many to every account.
    Public,
}

/// Id, type and name of [`ListedBlueprint::Public`].
const PUBLIC: (&str, &str, &str) = ("lhbp-wordpress", "APP_OS", "wordpress");

impl<'r> ListedBlueprint<'r> {
    fn id(&self) -> &'r str {
        match self {
            Self::Shared(_, _, id) => id,
            Self::Extra(row) => &row.id,
            Self::Public => PUBLIC.0,
        }
    }
}

fn image_row(regional: &RegionalImage, chinese: bool) -> CustomImage {
    let image = &regional.image;
    let unshareable_reason = regional.unshareable_reason();
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
        is_shareable: unshareable_reason.is_none(),
        unshareable_reason: unshareable_reason
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

fn extra_row(row: &ExtraBlueprint, kind: BlueprintType) -> Blueprint {
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
