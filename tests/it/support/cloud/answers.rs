//! What the small cloud answers to each action, and what a write changes.

use std::time::Duration;

use serde_json::{Value, json};
use sharekeeper::host::Clock;
use sharekeeper::model::Monotonic;

use super::behaviour::Disruption;
use super::share_history::Change;
use super::{Cancelled, Cloud, Instance};

impl Cloud {
    /// The answer that a question about share states would have had earlier, or `None` for other questions.
    pub(crate) fn answer_as_of(
        &self,
        at: Monotonic,
        (region, key): (&str, &str),
        action: &str,
        body: &Value,
    ) -> Option<Value> {
        let lag = self.clock.monotonic().since(at);
        match action {
            "DescribeBlueprints" => {
                let offset = body["Offset"].as_u64().unwrap_or(0);
                let ids = body["BlueprintIds"].as_array();
                Some(self.blueprints((region, key), offset, ids, lag))
            }
            "DescribeImagesToShare" => {
                Some(self.images_to_share((region, key), body, (at, Some(lag))))
            }
            _ => None,
        }
    }

    pub(super) fn answer(
        &self,
        action: &str,
        region: &str,
        (host, key): (&str, &str),
        signed_at: i64,
        body: &Value,
        disruption: Disruption,
    ) -> Result<Value, String> {
        let server = self.server_time(host, key).timestamp();
        let behaviour = self.behaviour.borrow();
        if (server - signed_at).abs() > 300 {
            return Err("AuthFailure.SignatureExpire".into());
        }
        if let Some(code) = disruption.refused {
            return Err(code.into());
        }
        if let Some(code) = (behaviour.refuse)(action, region, body) {
            return Err(code.into());
        }
        match action {
            "ModifyImageSharePermission" => {
                let now = self.monotonic();
                self.modify(region, (host, key), body, now, behaviour.write_limit)
            }
            "DescribeBlueprints" => {
                let offset = body["Offset"].as_u64().unwrap_or(0);
                let ids = body["BlueprintIds"].as_array();
                let lag = disruption.lag.unwrap_or(behaviour.lag);
                let mut page = self.blueprints((region, key), offset, ids, lag);
                (behaviour.tamper)(region, offset, &mut page);
                Ok(page)
            }
            "DescribeImagesToShare" => {
                let now = self.monotonic();
                Ok(self.images_to_share((region, key), body, (now, disruption.lag)))
            }
            "DescribeInstances" => Ok(self.page_of_instances((region, key), body)),
            "DescribeImages" => Ok(self.page_of_cvm_images((region, key), body, disruption.lag)),
            "GetCallerIdentity" => Ok(json!({"AccountId": behaviour.uin, "RequestId": "r"})),
            other => panic!("unexpected action {other}"),
        }
    }

    pub(super) fn modify(
        &self,
        region: &str,
        (host, key): (&str, &str),
        body: &Value,
        now: Monotonic,
        limit: usize,
    ) -> Result<Value, String> {
        let mut windows = self.windows.borrow_mut();
        let window = windows.entry(format!("{host} {key}")).or_default();
        window.retain(|at| now.since(*at) < Duration::from_secs(1));
        if window.len() >= limit {
            return Err("RequestLimitExceeded".into());
        }
        window.push_back(now);
        let id = body["ImageId"].as_str().expect("ImageId is a string");
        let mut images = self.images.borrow_mut();
        let is_there = self.is_listed(id, now) && self.is_of(id, key);
        let Some(image) = images
            .get_mut(&(region.into(), id.into()))
            .filter(|_| is_there)
        else {
            return Err("ResourceNotFound.ImageIdNotFound".into());
        };
        let change = |shared| Change {
            since: now,
            shared,
            ours: true,
        };
        match (body["Permission"].as_str(), image.shared_at(now)) {
            (Some("SHARE"), true) => Err("UnsupportedOperation.ImageAlreadyShared".into()),
            (Some("SHARE"), false) if !image.shareable || self.is_ready(id) == Some(false) => {
                Err("UnsupportedOperation.ImageUnableToShare".into())
            }
            (Some("SHARE"), false) => {
                image.history.push(change(true));
                Ok(json!({"BlueprintId": image.blueprint_at(id, now), "RequestId": "r"}))
            }
            (Some("CANCEL"), true) => {
                self.cancelled.borrow_mut().push(Cancelled {
                    region: region.into(),
                    image: id.into(),
                    ours: image.history.last().is_some_and(|change| change.ours),
                });
                image.history.push(change(false));
                Ok(json!({"BlueprintId": null, "RequestId": "r"}))
            }
            (Some("CANCEL"), false) => Err("UnsupportedOperation.BlueprintHasNotShared".into()),
            (other, _) => panic!("unexpected permission {other:?}"),
        }
    }
}

impl Cloud {
    pub(super) fn blueprints(
        &self,
        (region, key): (&str, &str),
        offset: u64,
        ids: Option<&Vec<Value>>,
        lag: Duration,
    ) -> Value {
        let seen_at = Monotonic::new(self.clock.monotonic().since_start().saturating_sub(lag));
        let images = self.images.borrow();
        let rows: Vec<_> = images
            .iter()
            .filter(|((at, id), image)| {
                at == region && self.is_of(id, key) && image.shared_at(seen_at)
            })
            .map(|((_, id), image)| {
                let shown = self.states.borrow().get(id).copied();
                let since = image.changed_at(seen_at);
                let state = shown.or_else(|| self.described_blueprint(id, since, seen_at));
                let state = state.unwrap_or("NORMAL");
                json!({"BlueprintId": image.blueprint_at(id, seen_at), "ImageId": id, "BlueprintState": state})
            })
            .filter(|row| ids.is_none_or(|ids| ids.contains(&row["BlueprintId"])))
            .collect();
        let beside = self.beside.borrow();
        let beside = beside.iter().filter(|row| row.region == region);
        let beside = beside.map(
            |row| json!({"BlueprintId": row.id, "ImageId": row.image, "BlueprintState": row.state}),
        );
        let rows: Vec<_> = rows.into_iter().chain(beside).collect();
        let from = usize::try_from(offset).expect("small");
        let page: Vec<_> = rows.iter().skip(from).take(100).cloned().collect();
        json!({"TotalCount": rows.len(), "BlueprintSet": page, "RequestId": "r"})
    }

    fn images_to_share(
        &self,
        (region, key): (&str, &str),
        body: &Value,
        (now, lag): (Monotonic, Option<Duration>),
    ) -> Value {
        if let Some(filters) = body.get("Filters") {
            let own = json!([{"Name": "image-type", "Values": ["PRIVATE_IMAGE"]}]);
            assert_eq!(*filters, own, "asks for its own");
            let offset = body["Offset"].as_u64().unwrap_or(0);
            return self.own_images((region, key), offset, lag.unwrap_or_default());
        }
        let state = self.behaviour.borrow().image_state;
        let images = self.images.borrow();
        let rows: Vec<_> = body["ImageIds"]
            .as_array()
            .expect("asks by id")
            .iter()
            .filter_map(|id| {
                let id = id.as_str().filter(|id| self.is_of(id, key))?;
                let image = images.get(&(region.to_owned(), id.to_owned()))?;
                if self.described.borrow().contains_key(id) {
                    let row = self.described_row(id, image.shared_at(now), now);
                    return row.filter(|_| self.is_listed(id, now));
                }
                Some(json!({
                    "ImageId": id, "ImageState": state, "IsSupportCloudinit": true,
                    "IsShareable": image.shareable && state == "NORMAL" && !image.shared_at(now), "UnshareableReason": "because",
                }))
            })
            .collect();
        json!({"TotalCount": rows.len(), "ImageSet": rows, "RequestId": "r"})
    }

    /// A page of the account's own images.
    pub(super) fn own_images(
        &self,
        (region, key): (&str, &str),
        offset: u64,
        lag: Duration,
    ) -> Value {
        let images = self.images.borrow();
        let at = Monotonic::new(self.monotonic().since_start().saturating_sub(lag));
        let here = images
            .iter()
            .filter(|((of, id), _)| of == region && self.is_listed(id, at) && self.is_of(id, key));
        let named = self.named.borrow();
        let rows: Vec<_> = here
            .map(|((_, id), image)| {
                if let Some(row) = self.described_row(id, image.shared_at(at), at) {
                    return row;
                }
                let mut row = json!({"ImageId": id, "ImageState": "NORMAL", "IsSupportCloudinit": true, "IsShareable": true});
                if let Some((name, created)) = named.get(id) {
                    row["ImageName"] = json!(name);
                    row["CreatedTime"] = json!(created);
                }
                row
            })
            .collect();
        let from = usize::try_from(offset).expect("small");
        let page: Vec<_> = rows.iter().skip(from).take(100).cloned().collect();
        json!({"TotalCount": rows.len(), "ImageSet": page, "RequestId": "r"})
    }

    /// A page of the CVM listing of the account's own images.
    fn page_of_cvm_images(
        &self,
        (region, key): (&str, &str),
        body: &Value,
        lag: Option<Duration>,
    ) -> Value {
        let own = json!([{"Name": "image-type", "Values": ["PRIVATE_IMAGE"]}]);
        assert_eq!(body["Filters"], own, "asks for its own");
        let (offset, lag) = (
            body["Offset"].as_u64().unwrap_or(0),
            lag.unwrap_or_default(),
        );
        let mut page = self.own_images((region, key), offset, lag);
        for row in page["ImageSet"].as_array_mut().expect("a list") {
            let id = row["ImageId"].clone();
            let shown = id.as_str().and_then(|id| self.described_cvm_row(id, lag));
            *row = shown.unwrap_or_else(|| json!({
                "ImageId": id, "ImageFamily": "golden", "ImageDeprecated": false, "Tags": [{"Key": "release", "Value": "stable"}],
            }));
        }
        page
    }

    fn page_of_instances(&self, (region, key): (&str, &str), body: &Value) -> Value {
        let number = |field: &str, default| {
            let number = body[field].as_u64().unwrap_or(default);
            usize::try_from(number).expect("small")
        };
        let instances = self.instances.borrow();
        let own = |row: &Instance| {
            let image = row.blueprint.trim_start_matches("lhbp-");
            let of = image.rsplit_once('-').map_or(image, |(image, n)| {
                n.parse::<u32>().map_or(image, |_| image)
            });
            self.is_of(of, key)
        };
        let here = || {
            let rows = instances.iter();
            rows.filter(|row| row.region == region && own(row))
        };
        let page = here().skip(number("Offset", 0)).take(number("Limit", 20));
        let rows: Vec<_> = page
            .map(|row| json!({"InstanceId": row.id, "BlueprintId": row.blueprint}))
            .collect();
        json!({"TotalCount": here().count(), "InstanceSet": rows, "RequestId": "r"})
    }
}
