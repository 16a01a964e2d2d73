//! Lists the images that an account itself has in a region. They are needed only before a blueprint that no manifest names
//! is cancelled.
//!
//! The listing filters by the type `PRIVATE_IMAGE`. A query by id would not say whether an image is the account's own or
//! one that another account shares with it, and ids and filters exclude each other. An account has at most some hundreds of
//! custom images in a region, so that the pages are read one after the other.

use std::collections::BTreeMap;

use super::eligibility::of_row;
use super::{LISTINGS_MAX, PAGES_MAX, unobserved};
use crate::api::error::CallError;
use crate::api::protocol::wire::{CustomImage, PAGE_LIMIT_MAX};
use crate::api::{ReadClient, retry};
use crate::host::Host;
use crate::model::{ImageId, Scope, Timestamp};
use crate::observation::{OwnImage, OwnImages, Unobserved};
use crate::words::brief;

/// Why a listing cannot be used.
enum ListingError {
    Failed(CallError),
    Inconsistent(String),
}

/// Lists the account's own images. An inconsistent listing is read again; after `LISTINGS_MAX` times the result is
/// unknown.
pub async fn own_images<H: Host>(client: &ReadClient<H>, scope: &Scope) -> OwnImages {
    let mut listing = 1;
    loop {
        match list(client, scope).await {
            Ok(own) => return OwnImages::Known(own),
            Err(ListingError::Failed(error)) => {
                return OwnImages::Unknown(unobserved::reason(error));
            }
            Err(ListingError::Inconsistent(how)) if listing < LISTINGS_MAX => {
                tracing::debug!(%scope, how, listing, "inconsistent list of images, reading again");
                retry::pause(client.context(), listing).await;
                listing += 1;
            }
            Err(ListingError::Inconsistent(how)) => {
                return OwnImages::Unknown(Unobserved::new(format!(
                    "DescribeImagesToShare gave {listing} inconsistent listings: {how}"
                )));
            }
        }
    }
}

async fn list<H: Host>(
    client: &ReadClient<H>,
    scope: &Scope,
) -> Result<BTreeMap<ImageId, OwnImage>, ListingError> {
    let (mut rows, mut total) = (BTreeMap::<String, CustomImage>::new(), 0);
    for page in 0..PAGES_MAX {
        let ask = || client.describe_own_images(scope.region, page * PAGE_LIMIT_MAX);
        let reply = retry::while_it_helps(client.context(), ask).await;
        let reply = reply.map_err(ListingError::Failed)?.reply;
        if page == 0 {
            total = reply.total_count;
        } else if reply.total_count != total {
            return Err(ListingError::Inconsistent(format!(
                "TotalCount was {total} on the first page and {} on another",
                reply.total_count
            )));
        }
        let is_empty = reply.image_set.is_empty();
        let page_rows = reply.image_set.into_iter();
        rows.extend(page_rows.map(|row| (row.image_id.clone(), row)));
        if is_empty || u64::from(page + 1) * u64::from(PAGE_LIMIT_MAX) >= total {
            break;
        }
    }
    if rows.len() as u64 != total {
        return Err(ListingError::Inconsistent(format!(
            "TotalCount is {total}, but {} distinct images were listed",
            rows.len()
        )));
    }
    // An id outside the grammar is that of no image that could be shared.
    let rows = rows.into_iter();
    let own = rows.filter_map(|(id, row)| Some((ImageId::new(&id).ok()?, own_image(&row))));
    Ok(own.collect())
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
