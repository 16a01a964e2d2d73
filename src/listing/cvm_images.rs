//! Asks CVM for properties of the account's own images that Lighthouse does not show: family, tags and deprecation.

use std::collections::BTreeMap;

use super::pages::{self, Page, Row};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, CvmImageRow, DescribeCvmImagesReply};
use crate::host::Host;
use crate::model::{ImageId, Scope};
use crate::observation::{CvmImage, CvmImages};
use crate::words::brief;

/// Lists the account's own images as CVM shows them.
pub async fn cvm_images<H: Host>(client: &ReadClient<H>, scope: &Scope) -> CvmImages {
    let read = async |offset| {
        let answered = client.describe_cvm_images(scope.region, offset).await?;
        Ok(Page::from(answered.reply))
    };
    match pages::list(client, scope, Action::DescribeImages, read).await {
        Ok(rows) => by_id(rows),
        Err(why) => CvmImages::Unknown(why.reason),
    }
}

impl From<DescribeCvmImagesReply> for Page<CvmImageRow> {
    fn from(reply: DescribeCvmImagesReply) -> Self {
        Self {
            total: reply.total_count,
            rows: reply.image_set,
        }
    }
}

impl Row for CvmImageRow {
    const ROWS: &'static str = "images";

    fn id(&self) -> &str {
        &self.image_id
    }
}

/// An image whose id is outside the grammar cannot be shared, so it is left out.
fn by_id(rows: Vec<CvmImageRow>) -> CvmImages {
    let mut images = BTreeMap::new();
    for row in rows {
        let Ok(id) = ImageId::new(&row.image_id) else {
            continue;
        };
        match image(row) {
            Ok(image) => images.insert(id, image),
            Err(key) => {
                return CvmImages::Unknown(format!(
                    "DescribeImages gives {id} two values for the tag `{}`",
                    brief(&key)
                ));
            }
        };
    }
    CvmImages::Known(images)
}

/// Converts a row. The API omits a property that an image lacks, or gives it as null: the image has no family, no tags,
/// or is not deprecated. The error is the key of a tag with two values.
fn image(row: CvmImageRow) -> Result<CvmImage, String> {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for tag in row.tags {
        let value = tag.value.unwrap_or_default();
        if tags.get(&tag.key).is_some_and(|other| *other != value) {
            return Err(tag.key);
        }
        tags.insert(tag.key, value);
    }
    Ok(CvmImage {
        family: row.image_family.filter(|family| !family.is_empty()),
        deprecated: row.image_deprecated.unwrap_or_default(),
        tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::protocol::wire::Tag;

    fn row(id: &str, tags: &[(&str, Option<&str>)]) -> CvmImageRow {
        let tags = tags.iter().map(|(key, value)| Tag {
            key: (*key).into(),
            value: value.map(Into::into),
        });
        CvmImageRow {
            image_id: id.into(),
            tags: tags.collect(),
            ..CvmImageRow::default()
        }
    }

    fn known(rows: Vec<CvmImageRow>) -> BTreeMap<ImageId, CvmImage> {
        match by_id(rows) {
            CvmImages::Known(images) => images,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_an_image_does_not_have_is_left_out_of_its_row() {
        let bare = row("img-bare", &[]);
        let whole = CvmImageRow {
            image_family: Some("golden".into()),
            image_deprecated: Some(true),
            ..row("img-whole", &[("release", Some("stable")), ("mark", None)])
        };
        let empty = CvmImageRow {
            image_family: Some(String::new()),
            image_deprecated: Some(false),
            ..row("img-empty", &[])
        };
        let odd = row("IMG odd", &[]);
        let images = known(vec![bare, whole, empty, odd]);
        let id = |id| ImageId::new(id).expect("valid");
        assert_eq!(images.len(), 3, "an id outside the grammar is no image's");
        assert_eq!(images[&id("img-bare")], CvmImage::default());
        assert_eq!(images[&id("img-empty")], CvmImage::default());
        let tags = [("release", "stable"), ("mark", "")];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            images[&id("img-whole")],
            CvmImage {
                family: Some("golden".into()),
                deprecated: true,
                tags: tags.into(),
            }
        );
    }

    #[test]
    fn s25_a_tag_with_two_values_says_nothing() {
        let twice = |other| row("img-a", &[("release", Some("stable")), ("release", other)]);
        assert_eq!(known(vec![twice(Some("stable"))]).len(), 1);
        let CvmImages::Unknown(why) = by_id(vec![twice(Some("test"))]) else {
            panic!("one of the two values would be invented");
        };
        assert!(why.contains("img-a") && why.contains("`release`"), "{why}");
    }
}
