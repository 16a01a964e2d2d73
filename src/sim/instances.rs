//! DescribeInstances: the servers of the world, each with its blueprint.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::paging::{self, PageCodes};
use super::rows::{self, Tag};
use super::world_instance::Instance;
use crate::api::protocol::wire::Filter;
use crate::model::Region;

/// The maximum number of values in a filter.
const VALUES_MAX: usize = 100;

impl Instance {
    fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("RUNNING")
    }

    fn zone(&self) -> String {
        format!("{}-1", self.region)
    }

    /// Whether the server matches the filter; `None` if there is no such filter.
    fn fits(&self, filter: &Filter) -> Option<bool> {
        let is = |value: &str| filter.values.iter().any(|wanted| wanted == value);
        Some(match filter.name.as_str() {
            "instance-name" => is(self.shown_name()),
            "zone" => is(&self.zone()),
            "instance-state" => is(self.state()),
            "bundle-id" => is(BUNDLE),
            "private-ip-address" => is(PRIVATE_ADDRESS),
            "public-ip-address" => is(PUBLIC_ADDRESS),
            "tag-key" => self.tags.keys().any(|key| is(key)),
            "tag-value" => self.tags.values().any(|value| is(value)),
            name => {
                let key = name.strip_prefix("tag:")?;
                self.tags.get(key).is_some_and(|value| is(value))
            }
        })
    }

    fn row(&self, blueprint: &str) -> rows::Instance {
        rows::Instance {
            instance_id: self.id.clone(),
            bundle_id: BUNDLE.into(),
            blueprint_id: blueprint.into(),
            cpu: 2,
            memory: 2,
            instance_name: self.shown_name().into(),
            instance_charge_type: "PREPAID".into(),
            system_disk: rows::SystemDisk {
                disk_type: "CLOUD_SSD".into(),
                disk_size: 50,
                disk_id: None,
            },
            private_addresses: vec![PRIVATE_ADDRESS.into()],
            public_addresses: vec![PUBLIC_ADDRESS.into()],
            internet_accessible: rows::InternetAccessible {
                internet_charge_type: "TRAFFIC_POSTPAID_BY_HOUR".into(),
                internet_max_bandwidth_out: 30,
                public_ip_assigned: true,
            },
            renew_flag: "NOTIFY_AND_MANUAL_RENEW".into(),
            instance_state: self.state().into(),
            uuid: format!("uuid-of-{}", self.id),
            created_time: Some("2026-02-03T08:00:00Z".into()),
            expired_time: Some("2027-02-03T08:00:00Z".into()),
            platform_type: "LINUX_UNIX".into(),
            platform: "UBUNTU".into(),
            os_name: "Ubuntu Server 24.04 LTS 64bit".into(),
            zone: self.zone(),
            tags: Tag::all(&self.tags),
            instance_restrict_state: "NORMAL".into(),
            ..rows::Instance::default()
        }
    }
}

/// Every server of the world has this bundle.
const BUNDLE: &str = "bundle_starter_nmc_lin_med2_01";
const PRIVATE_ADDRESS: &str = "10.0.0.2";
/// An address from a range for documentation, which nobody uses.
const PUBLIC_ADDRESS: &str = "203.0.113.2";

/// Body of DescribeInstances. `InstanceIds` and `Filters` exclude each other.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    #[serde(default)]
    instance_ids: Option<Vec<String>>,
    #[serde(default)]
    offset: Option<i64>,
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    filters: Option<Vec<Filter>>,
}

impl Cloud {
    pub(super) fn describe_instances(
        &self,
        account: usize,
        region: Region,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let request: Request = parameters(body)?;
        let ids = request.instance_ids.unwrap_or_default();
        let filters = request.filters.unwrap_or_default();
        paging::check_ids("InstanceIds", &ids, &filters, &PageCodes::LIGHTHOUSE)?;
        paging::check_count(&filters, VALUES_MAX, &PageCodes::LIGHTHOUSE)?;
        let mut rows = Vec::new();
        for instance in &self.world.accounts[account].instances {
            let asked = ids.is_empty() || ids.contains(&instance.id);
            let mut fits = instance.region == region.as_str() && asked;
            for filter in &filters {
                fits &= instance.fits(filter).ok_or_else(|| {
                    let words = format!("There is no filter `{}`.", filter.name);
                    refuse("InvalidParameter.InvalidFilterNotSupportedName", words)
                })?;
            }
            if fits && let Some(blueprint) = self.blueprint_of(account, region, instance) {
                rows.push((instance, blueprint));
            }
        }
        let (offset, limit) = (request.offset, request.limit);
        let codes = &PageCodes::LIGHTHOUSE;
        paging::page(&rows, offset, limit, codes, "InstanceSet", |row| {
            json!(row.0.row(row.1))
        })
    }

    /// The blueprint that a server uses; `None` if its image has never had one.
    pub(super) fn blueprint_of<'c>(
        &'c self,
        account: usize,
        region: Region,
        instance: &'c Instance,
    ) -> Option<&'c str> {
        if let Some(blueprint) = &instance.blueprint {
            return Some(blueprint);
        }
        let image = instance.image.as_deref()?;
        self.image_called(account, region, image)?.last_blueprint()
    }
}
