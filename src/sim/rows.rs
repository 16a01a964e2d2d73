//! Rows of lists as the service sends them: with every field that the official SDK's models have, whoever reads it.

use serde::Serialize;

/// A row of DescribeBlueprints, with all fields that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Blueprint {
    pub blueprint_id: String,
    /// The CVM image it was shared from; empty for any other blueprint.
    pub image_id: Option<String>,
    pub blueprint_state: String,
    pub blueprint_type: String,
    pub blueprint_name: String,
    pub display_title: String,
    pub display_version: String,
    pub description: Option<String>,
    pub os_name: String,
    /// Family of operating systems, such as `UBUNTU`.
    pub platform: String,
    /// Either `LINUX_UNIX` or `WINDOWS`.
    pub platform_type: String,
    pub image_url: String,
    /// A whole number of GB.
    pub required_system_disk_size: i64,
    pub created_time: Option<String>,
    pub support_automation_tools: bool,
    /// A whole number of GB.
    pub required_memory_size: i64,
    /// Whether it is shared with other accounts: says nothing of sharing from CVM.
    pub blueprint_shared: bool,
    pub community_url: String,
    pub guide_url: String,
    pub scene_id_set: Vec<String>,
    pub docker_version: Option<String>,
    pub tags: Vec<String>,
}

/// A row of DescribeImagesToShare, with all fields that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CustomImage {
    pub image_id: String,
    pub image_name: String,
    pub image_description: String,
    /// A whole number of GB.
    pub image_size: i64,
    /// Either `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    pub image_source: String,
    /// Either `SystemImage` or `InstanceImage`.
    pub image_class: String,
    pub image_state: String,
    pub is_support_cloudinit: bool,
    /// Either `x86_64` or `arm64`.
    pub architecture: String,
    pub os_name: String,
    pub platform: String,
    pub created_time: String,
    pub is_shareable: bool,
    /// Localised, and empty when shareable.
    pub unshareable_reason: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn fields(row: &Value) -> BTreeSet<&str> {
        let row = row.as_object().expect("an object");
        row.keys().map(String::as_str).collect()
    }

    #[test]
    fn rows_have_the_fields_of_the_samples() {
        let samples = include_str!("../../tests/data/describe-samples.json");
        let samples: Value = serde_json::from_str(samples).expect("JSON");
        for (action, list, row) in [
            (
                "DescribeBlueprints",
                "BlueprintSet",
                json!(Blueprint::default()),
            ),
            (
                "DescribeImagesToShare",
                "ImageSet",
                json!(CustomImage::default()),
            ),
        ] {
            let sample = &samples[action]["success"]["Response"][list][0];
            assert_eq!(fields(&row), fields(sample), "{action}");
        }
    }
}
