//! Asks DescribeImagesToShare which images can be shared, and takes the reasons against sharing from its fields.

use std::collections::BTreeMap;

use crate::api::protocol::wire::{Action, CustomImage, PAGE_LIMIT_MAX};
use crate::api::{ReadClient, TimedReply};
use crate::host::Host;
use crate::model::{ImageId, Scope};
use crate::observation::{Eligibility, ObservedAt, Precondition};
use crate::words::brief;

/// Asks whether `images` can be shared, in concurrent calls of 100 images each. Images of a call that failed are
/// missing from the result: their eligibility is unknown. Each result comes with the time of its request.
pub async fn eligibility<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
    images: &[ImageId],
) -> BTreeMap<ImageId, (Eligibility, ObservedAt)> {
    let group = client.call_group(Action::DescribeImagesToShare, scope.region);
    let chunks = images.chunks(PAGE_LIMIT_MAX as usize);
    group
        .wait_to_start(u32::try_from(chunks.len()).unwrap_or(u32::MAX))
        .await;
    let chunks = (0..).zip(chunks).map(async |(number, ids)| {
        let ask = || client.describe_images(scope.region, ids, Some(group.call(number)));
        let reply = client.repeat(Action::DescribeImagesToShare, scope.region, ask).await;
        group.call_done();
        match reply {
            Ok(TimedReply { reply, asked, .. }) if reply.total_count == reply.image_set.len() as u64 && reply.image_set.len() <= ids.len() => {
                let judged = judge(ids, &reply.image_set).into_iter();
                judged.map(|(id, eligibility)| (id, (eligibility, asked))).collect()
            }
            Ok(TimedReply { reply, .. }) => {
                let (asked, total) = (ids.len(), reply.total_count);
                tracing::warn!(%scope, asked, total, "DescribeImagesToShare answered for images that were not asked for; continuing without the answer");
                BTreeMap::new()
            }
            Err(error) => {
                tracing::warn!(%scope, %error, "cannot ask whether images can be shared; continuing without the answer");
                BTreeMap::new()
            }
        }
    });
    futures_util::future::join_all(chunks)
        .await
        .into_iter()
        .flatten()
        .collect()
}

pub(super) fn judge(ids: &[ImageId], rows: &[CustomImage]) -> BTreeMap<ImageId, Eligibility> {
    let by_id: BTreeMap<&str, &CustomImage> = rows
        .iter()
        .map(|row| (row.image_id.as_str(), row))
        .collect();
    let judged = ids.iter().map(|id| {
        let eligibility = match by_id.get(id.as_str()) {
            None => Eligibility::Absent,
            Some(row) => of_row(row),
        };
        (id.clone(), eligibility)
    });
    judged.collect()
}

/// Whether the image of a row can be shared.
pub(super) fn of_row(row: &CustomImage) -> Eligibility {
    if row.is_shareable {
        return Eligibility::Shareable;
    }
    Eligibility::Unshareable {
        failed: failed(row),
        reason: brief(row.unshareable_reason.as_deref().unwrap_or_default()),
    }
}

/// The preconditions that the row shows as unmet. A missing field counts as met.
fn failed(row: &CustomImage) -> Vec<Precondition> {
    let mut failed = Vec::new();
    if row.image_source.as_deref() == Some("EXTERNAL_IMPORT") {
        failed.push(Precondition::NotImported);
    }
    if row.image_class.as_deref() == Some("InstanceImage") {
        failed.push(Precondition::NotWholeInstance);
    }
    if row.is_support_cloudinit == Some(false) {
        failed.push(Precondition::CloudInit);
    }
    match row.image_state.as_deref() {
        None | Some("NORMAL" | "USING" | "") => {}
        Some(other) => failed.push(Precondition::Normal(brief(other))),
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_fails_is_read_off_its_fields() {
        let id = ImageId::new("img-a").expect("valid");
        let good = CustomImage {
            image_id: "img-a".into(),
            image_state: Some("NORMAL".into()),
            is_support_cloudinit: Some(true),
            is_shareable: true,
            ..Default::default()
        };
        let judge_one = |row: &CustomImage| {
            judge(std::slice::from_ref(&id), std::slice::from_ref(row))[&id].clone()
        };
        assert_eq!(judge_one(&good), Eligibility::Shareable);
        let bad = CustomImage {
            is_shareable: false,
            is_support_cloudinit: Some(false),
            image_source: Some("EXTERNAL_IMPORT".into()),
            image_class: Some("InstanceImage".into()),
            image_state: Some("CREATING".into()),
            ..good
        };
        let Eligibility::Unshareable { failed, .. } = judge_one(&bad) else {
            panic!("is not shareable")
        };
        assert_eq!(failed.len(), 4);
        let silent = CustomImage {
            image_id: "img-a".into(),
            ..Default::default()
        };
        let nothing = Eligibility::Unshareable {
            failed: Vec::new(),
            reason: String::new(),
        };
        assert_eq!(
            judge_one(&silent),
            nothing,
            "c14_t2: what is not said is no failure"
        );
        assert_eq!(
            judge(std::slice::from_ref(&id), &[])[&id],
            Eligibility::Absent
        );
    }
}
