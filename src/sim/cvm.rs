//! CVM's DescribeImages: the same images as in Lighthouse's DescribeImagesToShare, with family, tags and deprecation.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::image::RegionalImage;
use super::paging::{self, PageCodes};
use super::rows::{CvmImage, Snapshot, Tag};
use crate::api::protocol::wire::Filter;
use crate::model::{ImageId, Region};

/// The maximum number of values in a filter.
const VALUES_MAX: usize = 5;

/// Body of DescribeImages. `ImageIds` and `Filters` exclude each other.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    #[serde(default)]
    image_ids: Option<Vec<String>>,
    #[serde(default)]
    filters: Option<Vec<Filter>>,
    #[serde(default)]
    offset: Option<i64>,
    #[serde(default)]
    limit: Option<i64>,
}

impl Cloud {
    pub(super) fn describe_cvm_images(
        &self,
        account: usize,
        region: Region,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let request: Request = parameters(body)?;
        let ids = request.image_ids.unwrap_or_default();
        let filters = request.filters.unwrap_or_default();
        paging::check_ids("ImageIds", &ids, &filters, &PageCodes::CVM)?;
        if let Some(bad) = ids.iter().find(|id| ImageId::new(id).is_err()) {
            let words = format!("`{bad}` is malformed.");
            return Err(refuse("InvalidImageId.Malformed", words));
        }
        paging::check_count(&filters, VALUES_MAX, &PageCodes::CVM)?;
        let there = self.images_in(account, region);
        let there = there.filter(|regional| !regional.image.deleted);
        let mut rows = Vec::new();
        for regional in there {
            let mut fits = ids.is_empty() || ids.contains(&regional.image.id);
            for filter in &filters {
                fits &= has(regional, filter).ok_or_else(|| {
                    let words = format!("There is no filter `{}`.", filter.name);
                    refuse("InvalidFilter", words)
                })?;
            }
            if fits {
                rows.push(regional);
            }
        }
        if let Some(missing) = ids
            .iter()
            .find(|id| !rows.iter().any(|regional| regional.image.id == **id))
        {
            let words = format!("There is no image `{missing}`.");
            return Err(refuse("InvalidImageId.NotFound", words));
        }
        let uin = &self.world.accounts[account].uin;
        let (offset, limit) = (request.offset, request.limit);
        paging::page(
            &rows,
            offset,
            limit,
            &PageCodes::CVM,
            "ImageSet",
            |regional| json!(row(regional, uin)),
        )
    }
}

/// Whether the image matches the filter; `None` if there is no such filter. According to the documentation, the filters
/// for name and platform match parts of the text.
fn has(regional: &RegionalImage, filter: &Filter) -> Option<bool> {
    let image = &regional.image;
    let is = |value: &str| filter.values.iter().any(|wanted| wanted == value);
    let holds = |value: &str| {
        let mut wanted = filter.values.iter();
        wanted.any(|wanted| value.contains(wanted.as_str()))
    };
    Some(match filter.name.as_str() {
        "image-id" => is(&image.id),
        "image-type" => is(regional.kind()),
        "image-name" => holds(regional.name()),
        "platform" => holds(&image.platform),
        "tag-key" => image.tags.keys().any(|key| is(key)),
        "tag-value" => image.tags.values().any(|value| is(value)),
        name => {
            let key = name.strip_prefix("tag:")?;
            image.tags.get(key).is_some_and(|value| is(value))
        }
    })
}

fn row(regional: &RegionalImage, uin: &str) -> CvmImage {
    let image = &regional.image;
    CvmImage {
        image_id: image.id.clone(),
        os_name: image.os_name.clone(),
        image_type: regional.kind().into(),
        created_time: image.created_time.clone(),
        image_name: regional.name().into(),
        image_description: String::new(),
        image_size: 50,
        architecture: image.architecture.clone(),
        image_state: image.state.clone(),
        platform: image.platform.clone(),
        image_creator: uin.into(),
        image_source: image.source.clone(),
        sync_percent: (image.state == "SYNCING").then_some(50),
        is_support_cloudinit: image.cloud_init,
        snapshot_set: vec![Snapshot {
            snapshot_id: image.id.replacen("img-", "snap-", 1),
            disk_usage: "SYSTEM_DISK".into(),
            disk_size: 50,
        }],
        tags: Tag::all(&image.tags),
        license_type: "TencentCloud".into(),
        image_family: image.family.clone(),
        image_deprecated: image.deprecated,
        cdc_cache_status: None,
    }
}
