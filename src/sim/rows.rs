//! Rows of lists as the service sends them, with every field in the official SDK's models.

use std::collections::BTreeMap;

use serde::Serialize;

/// A row of DescribeBlueprints, with all fields that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Blueprint {
    pub blueprint_id: String,
    /// The CVM image that it was shared from; empty for any other blueprint.
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
    /// Whether it is shared with other accounts; this says nothing about sharing from CVM.
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
    /// The localized reason; empty if the image is shareable.
    pub unshareable_reason: String,
}

/// A row of Lighthouse's DescribeInstances, with all fields that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Instance {
    pub instance_id: String,
    pub bundle_id: String,
    pub blueprint_id: String,
    #[serde(rename = "CPU")]
    pub cpu: i64,
    /// A whole number of GB.
    pub memory: i64,
    pub instance_name: String,
    pub instance_charge_type: String,
    pub system_disk: SystemDisk,
    pub private_addresses: Vec<String>,
    pub public_addresses: Vec<String>,
    pub internet_accessible: InternetAccessible,
    pub renew_flag: String,
    pub login_settings: LoginSettings,
    /// State such as `RUNNING` or `STOPPED`.
    pub instance_state: String,
    pub uuid: String,
    pub latest_operation: Option<String>,
    pub latest_operation_state: Option<String>,
    pub latest_operation_request_id: Option<String>,
    pub latest_operation_started_time: Option<String>,
    pub isolated_time: Option<String>,
    pub created_time: Option<String>,
    pub expired_time: Option<String>,
    /// Either `LINUX_UNIX` or `WINDOWS`.
    pub platform_type: String,
    pub platform: String,
    pub os_name: String,
    pub zone: String,
    pub tags: Vec<Tag>,
    pub instance_restrict_state: String,
    pub support_ipv6_detail: SupportIpv6Detail,
    pub public_ipv6_addresses: Vec<String>,
    pub init_invocation_id: String,
    /// Null if there is no violation.
    pub instance_violation_detail: Option<String>,
}

/// The system disk of an [`Instance`].
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SystemDisk {
    pub disk_type: String,
    /// A whole number of GB.
    pub disk_size: i64,
    pub disk_id: Option<String>,
}

/// The internet connection of an [`Instance`].
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InternetAccessible {
    pub internet_charge_type: String,
    /// Bandwidth in megabits a second.
    pub internet_max_bandwidth_out: i64,
    pub public_ip_assigned: bool,
}

/// The keys with which people log in to an [`Instance`].
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LoginSettings {
    pub key_ids: Vec<String>,
}

/// Whether an [`Instance`] can have an IPv6 address.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SupportIpv6Detail {
    pub is_support: bool,
    pub detail: String,
    pub message: String,
}

/// A row of CVM's DescribeImages, with all fields that are sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CvmImage {
    pub image_id: String,
    pub os_name: String,
    /// Either `PRIVATE_IMAGE` or `SHARED_IMAGE`; other types are not simulated.
    pub image_type: String,
    pub created_time: String,
    pub image_name: String,
    pub image_description: String,
    /// A whole number of GB.
    pub image_size: i64,
    pub architecture: String,
    pub image_state: String,
    pub platform: String,
    /// The uin of the image's creator.
    pub image_creator: String,
    pub image_source: String,
    /// Progress of the copy; null unless it is being copied.
    pub sync_percent: Option<i64>,
    pub is_support_cloudinit: bool,
    pub snapshot_set: Vec<Snapshot>,
    pub tags: Vec<Tag>,
    pub license_type: String,
    /// Family of the image; empty if it has none.
    pub image_family: String,
    pub image_deprecated: bool,
    pub cdc_cache_status: Option<String>,
}

/// The snapshot of [`CvmImage`].
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Snapshot {
    pub snapshot_id: String,
    pub disk_usage: String,
    /// A whole number of GB.
    pub disk_size: i64,
}

/// A tag of an image or a server.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub key: String,
    pub value: String,
}

impl Tag {
    /// The tags of the world file as rows.
    pub(super) fn all(tags: &BTreeMap<String, String>) -> Vec<Self> {
        let own = |(key, value): (&String, &String)| Self {
            key: key.clone(),
            value: value.clone(),
        };
        tags.iter().map(own).collect()
    }
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
                "DescribeInstances",
                "InstanceSet",
                json!(Instance::default()),
            ),
            ("DescribeImages", "ImageSet", json!(CvmImage::default())),
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
            for (name, value) in row.as_object().expect("an object") {
                if value.is_object() {
                    assert_eq!(fields(value), fields(&sample[name]), "{action}: {name}");
                }
            }
        }
        let tag = &samples["DescribeImages"]["success"]["Response"]["ImageSet"][0]["Tags"][0];
        assert_eq!(fields(&json!(Tag::default())), fields(tag));
        let snapshot =
            &samples["DescribeImages"]["success"]["Response"]["ImageSet"][0]["SnapshotSet"][0];
        assert_eq!(fields(&json!(Snapshot::default())), fields(snapshot));
    }
}
