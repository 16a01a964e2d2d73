//! Lists the images that an account itself owns in a region: for names and policies, and before a blueprint that no
//! manifest names is cancelled.
//!
//! The listing filters by the type `PRIVATE_IMAGE`. A query by id would not show whether the image belongs to the
//! account or is shared with it by another account, and the API does not allow ids and filters together.

use std::collections::BTreeMap;

use super::eligibility::of_row;
use super::pages::{self, Page, Row};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, CustomImage, DescribeImagesReply};
use crate::host::Host;
use crate::model::{ImageId, Scope, Timestamp};
use crate::observation::{OwnImage, OwnImages};
use crate::words::brief;

/// Lists the account's own images.
pub async fn own_images<H: Host>(client: &ReadClient<H>, scope: &Scope) -> OwnImages {
    let read = async |offset| {
        let answered = client.describe_own_images(scope.region, offset).await?;
        Ok(Page::from(answered.reply))
    };
    match pages::list(client, scope, Action::DescribeImagesToShare, read).await {
        Ok(rows) => OwnImages::Known(by_id(&rows)),
        Err(why) => OwnImages::Unknown(why),
    }
}

impl From<DescribeImagesReply> for Page<CustomImage> {
    fn from(reply: DescribeImagesReply) -> Self {
        Self {
            total: reply.total_count,
            rows: reply.image_set,
        }
    }
}

impl Row for CustomImage {
    const ROWS: &'static str = "images";

    fn id(&self) -> &str {
        &self.image_id
    }
}

/// An image whose id is outside the grammar cannot be shared, so it is left out.
fn by_id(rows: &[CustomImage]) -> BTreeMap<ImageId, OwnImage> {
    let own = rows
        .iter()
        .filter_map(|row| Some((ImageId::new(&row.image_id).ok()?, own_image(row))));
    own.collect()
}

fn own_image(row: &CustomImage) -> OwnImage {
    let text = |field: &Option<String>| brief(field.as_deref().unwrap_or_default()).into();
    let created = row.created_time.as_deref();
    OwnImage {
        name: text(&row.image_name),
        created: created.and_then(|text| text.parse::<Timestamp>().ok()),
        state: text(&row.image_state),
        os_name: text(&row.os_name),
        platform: text(&row.platform),
        architecture: text(&row.architecture),
        eligibility: of_row(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Eligibility;

    fn row(id: &str) -> CustomImage {
        CustomImage {
            image_id: id.into(),
            image_name: Some("golden-1.2.0".into()),
            image_state: Some("USING".into()),
            os_name: Some("Ubuntu Server 24.04".into()),
            platform: Some("Ubuntu".into()),
            architecture: Some("x86_64".into()),
            created_time: Some("2026-11-01T08:00:00Z".into()),
            is_shareable: true,
            ..CustomImage::default()
        }
    }

    fn read(row: CustomImage) -> OwnImage {
        let mut own = by_id(&[row]);
        own.pop_first().expect("the image").1
    }

    #[test]
    fn the_fields_of_an_own_image_are_read_as_they_stand() {
        let expected = OwnImage {
            name: "golden-1.2.0".into(),
            created: "2026-11-01T08:00:00Z".parse().ok(),
            state: "USING".into(),
            os_name: "Ubuntu Server 24.04".into(),
            platform: "Ubuntu".into(),
            architecture: "x86_64".into(),
            eligibility: Eligibility::Shareable,
        };
        assert!(expected.created.is_some());
        assert_eq!(read(row("img-a")), expected);
    }

    #[test]
    fn c14_t2_what_an_own_image_does_not_say_is_empty_and_hides_no_image() {
        let silent = CustomImage {
            image_id: "img-a".into(),
            ..CustomImage::default()
        };
        let shown = read(silent);
        let texts = [
            shown.name,
            shown.state,
            shown.os_name,
            shown.platform,
            shown.architecture,
        ];
        assert!(texts.iter().all(|text| text.is_empty()), "{texts:?}");
        assert_eq!(shown.created, None);
    }

    #[test]
    fn a_time_of_creation_that_cannot_be_read_is_none() {
        for text in [
            "",
            "2026-11-01",
            "2026-11-01T08:00:00",
            "2026-13-01T08:00:00Z",
            "yesterday",
            "1793520000",
        ] {
            let created_time = Some(text.to_owned());
            let odd = CustomImage {
                created_time,
                ..row("img-a")
            };
            assert_eq!(read(odd).created, None, "{text}");
        }
        let elsewhere = CustomImage {
            created_time: Some("2026-11-01T16:00:00+08:00".into()),
            ..row("img-a")
        };
        assert_eq!(read(elsewhere).created, read(row("img-b")).created);
    }

    #[test]
    fn an_id_that_no_manifest_can_name_is_left_out() {
        let rows = ["img-a", "IMG-b", "img-", "", "lhbp-c", "img-d\n"].map(row);
        let own: Vec<_> = by_id(&rows).into_keys().collect();
        assert_eq!(own, [ImageId::new("img-a").expect("valid")]);
    }
}
