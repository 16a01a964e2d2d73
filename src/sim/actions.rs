//! The three actions of Lighthouse, with their conditions and codes.

use serde_json::{Value, json};

use super::auth::{Refusal, refuse};
use super::cloud::{Cloud, parameters};
use super::world::{BlueprintType, CancelUnshared, Image, Role};
use crate::api::wire::{
    Blueprint, CustomImage, DescribeBlueprintsRequest, DescribeImagesRequest, Filter,
    ModifyRequest, PAGE_LIMIT_MAX,
};
use crate::model::{ImageId, Moment, Region};

/// Filters in one request, at most.
const FILTERS_MAX: usize = 10;
/// Values of a blueprint filter and of an image filter, at most.
const BLUEPRINT_VALUES_MAX: usize = 100;
const IMAGE_VALUES_MAX: usize = 5;

/// An image in one region, with its past.
#[derive(Debug)]
pub(super) struct Regional {
    pub image: Image,
    /// Share states, each from a moment on.
    history: Vec<State>,
    occupied_calls: u32,
    pub tally: Tally,
}

/// A share state, from a moment on; the blueprint's id while shared.
#[derive(Clone, Debug)]
struct State {
    since: Moment,
    blueprint: Option<String>,
}

/// What was asked of an image, and what took effect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub attempts: u64,
    pub shares: u64,
    pub cancels: u64,
}

impl Regional {
    pub(super) fn new(image: Image, blueprint: String) -> Self {
        let first = State {
            since: Moment::default(),
            blueprint: image.shared.then_some(blueprint),
        };
        Self {
            occupied_calls: image.occupied_calls,
            image,
            history: vec![first],
            tally: Tally::default(),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.blueprint().is_some()
    }

    /// The blueprint's id, while shared.
    pub(super) fn blueprint(&self) -> Option<&str> {
        self.history
            .last()
            .and_then(|state| state.blueprint.as_deref())
    }

    /// The state as it was at a moment.
    fn at(&self, moment: Moment) -> Option<&State> {
        self.history
            .iter()
            .rev()
            .find(|state| state.since <= moment)
    }

    pub(super) fn set(&mut self, shared: bool, since: Moment, blueprint: String) {
        if shared != self.is_shared() {
            self.history.push(State {
                since,
                blueprint: shared.then_some(blueprint),
            });
        }
    }

    /// Why it cannot be shared, in words; the preconditions of the action's documentation.
    fn obstacle(&self) -> Option<(&'static str, &'static str)> {
        let image = &self.image;
        let obstacles = [
            (
                self.is_shared(),
                "The image has already been shared.",
                "镜像已共享",
            ),
            (
                image.source == "EXTERNAL_IMPORT",
                "Imported images cannot be shared.",
                "导入镜像不支持共享",
            ),
            (
                image.class == "InstanceImage",
                "Full-instance images cannot be shared.",
                "整机镜像不支持共享",
            ),
            (
                !image.cloud_init,
                "The image does not support CloudInit.",
                "镜像不支持CloudInit",
            ),
            (
                !image.os_accepted,
                "The operating system is not supported.",
                "操作系统不支持",
            ),
            (
                image.state != "NORMAL",
                "The image is not in the NORMAL state.",
                "镜像状态不正常",
            ),
        ];
        obstacles
            .into_iter()
            .find(|(holds, ..)| *holds)
            .map(|(_, english, chinese)| (english, chinese))
    }
}

impl Cloud {
    pub(super) fn modify(
        &mut self,
        account: usize,
        region: Region,
        body: &Value,
        moment: Moment,
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
        match self.world.accounts[account].role {
            Role::Present => {}
            Role::Missing => {
                return Err(refuse(
                    "ResourceNotFound.RoleNotFound",
                    "The service role does not exist.",
                ));
            }
            Role::Denied => {
                return Err(refuse(
                    "UnsupportedOperation.AssumeRoleFailed",
                    "Assuming the role failed.",
                ));
            }
        }
        let (blueprint, cancel_unshared) = (self.next_blueprint(), self.world.cancel_unshared);
        let regional = self
            .images
            .get_mut(&(account, region, image_id))
            .ok_or_else(|| {
                refuse(
                    "ResourceNotFound.ImageIdNotFound",
                    "The image does not exist.",
                )
            })?;
        regional.tally.attempts += 1;
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
            if regional.is_shared() {
                let words = "The image has already been shared.";
                return Err(refuse("UnsupportedOperation.ImageAlreadyShared", words));
            }
            if let Some((words, _)) = regional.obstacle() {
                return Err(refuse("UnsupportedOperation.ImageUnableToShare", words));
            }
            regional.tally.shares += 1;
            regional.set(true, moment, blueprint.clone());
            return Ok(json!({"BlueprintId": blueprint}));
        }
        if !regional.is_shared() {
            return match cancel_unshared {
                CancelUnshared::Succeed => Ok(json!({"BlueprintId": null})),
                CancelUnshared::Fail => Err(refuse(
                    "UnsupportedOperation.BlueprintHasNotShared",
                    "The image is not shared.",
                )),
            };
        }
        if regional.image.in_use {
            return Err(refuse("ResourceInUse.ImageInUse", "The image is in use."));
        }
        regional.tally.cancels += 1;
        regional.set(false, moment, blueprint);
        Ok(json!({"BlueprintId": null}))
    }

    pub(super) fn describe_blueprints(
        &self,
        account: usize,
        region: Region,
        body: &Value,
        moment: Moment,
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
        let seen_at = Moment::new(moment.since_start().saturating_sub(self.world.read_lag.0));
        let custom = self
            .images_in(account, region)
            .filter_map(|regional| self.blueprint_row(regional, seen_at, moment));
        let mut rows = Vec::new();
        for row in custom.chain([public_row()]) {
            let mut fits = ids.is_empty() || ids.contains(&row.blueprint_id);
            for filter in &filters {
                let value = match filter.name.as_str() {
                    "blueprint-id" => &row.blueprint_id,
                    "blueprint-type" => &row.blueprint_type,
                    "blueprint-name" => &row.blueprint_name,
                    "blueprint-state" => &row.blueprint_state,
                    "platform-type" => &row.platform_type,
                    other => {
                        let words = format!("There is no filter `{other}`.");
                        return Err(refuse(
                            "InvalidParameter.InvalidFilterNotSupportedName",
                            words,
                        ));
                    }
                };
                fits &= filter.values.contains(value);
            }
            if fits {
                rows.push(json!(row));
            }
        }
        page(rows, request.offset, request.limit, "BlueprintSet")
    }

    fn blueprint_row(
        &self,
        regional: &Regional,
        seen_at: Moment,
        now: Moment,
    ) -> Option<Blueprint> {
        let state = regional.at(seen_at)?;
        let image = &regional.image;
        let name = if image.name.is_empty() {
            &image.id
        } else {
            &image.name
        };
        let syncing =
            state.since > Moment::default() && now.since(state.since) < self.world.sync_time.0;
        Some(Blueprint {
            blueprint_id: state.blueprint.clone()?,
            image_id: Some(image.id.clone()),
            blueprint_state: if syncing { "SYNCING" } else { "NORMAL" }.into(),
            blueprint_type: match self.world.blueprint_type {
                BlueprintType::Private => "PRIVATE",
                BlueprintType::Shared => "SHARED",
            }
            .into(),
            blueprint_name: name.clone(),
            display_title: name.clone(),
            os_name: image.os_name.clone(),
            platform: image.platform.to_uppercase(),
            platform_type: "LINUX_UNIX".into(),
            required_system_disk_size: 50,
            required_memory_size: 1,
            created_time: Some(image.created_time.clone()),
            support_automation_tools: true,
            ..Blueprint::default()
        })
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
        let mut rows = Vec::new();
        for regional in self.images_in(account, region) {
            let row = image_row(regional, chinese);
            let mut fits = ids.is_empty() || ids.contains(&row.image_id);
            for filter in &filters {
                fits &= match filter.name.as_str() {
                    "image-id" => filter.values.contains(&row.image_id),
                    "image-name" => filter.values.contains(&row.image_name),
                    "image-type" => filter.values.iter().any(|kind| kind == "PRIVATE_IMAGE"),
                    other => {
                        return Err(refuse(
                            "InvalidParameter.InvalidFilter",
                            format!("There is no filter `{other}`."),
                        ));
                    }
                };
            }
            if fits {
                rows.push(json!(row));
            }
        }
        page(rows, request.offset, request.limit, "ImageSet")
    }
}

fn image_row(regional: &Regional, chinese: bool) -> CustomImage {
    let image = &regional.image;
    let obstacle = regional.obstacle();
    CustomImage {
        image_id: image.id.clone(),
        image_name: if image.name.is_empty() {
            image.id.clone()
        } else {
            image.name.clone()
        },
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

/// A blueprint that is no shared image, as every account sees many.
fn public_row() -> Blueprint {
    Blueprint {
        blueprint_id: "lhbp-wordpress".into(),
        image_id: Some(String::new()),
        blueprint_state: "NORMAL".into(),
        blueprint_type: "APP_OS".into(),
        blueprint_name: "wordpress".into(),
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

fn page(
    rows: Vec<Value>,
    offset: Option<i64>,
    limit: Option<i64>,
    name: &str,
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
    let page: Vec<_> = rows.into_iter().skip(offset).take(limit).collect();
    Ok(json!({"TotalCount": total, name: page}))
}
