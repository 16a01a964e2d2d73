//! Reads all pages of a listing, and decides whether they are consistent. [`list`] reads one page after the other,
//! which is enough for listings of some hundreds of rows; blueprints are read concurrently (see `blueprints`).

use std::collections::BTreeMap;

use super::{LISTINGS_MAX, PAGES_MAX, unobserved};
use crate::api::error::CallError;
use crate::api::protocol::wire::{Action, PAGE_LIMIT_MAX};
use crate::api::{ReadClient, retry};
use crate::host::Host;
use crate::model::Scope;
use crate::observation::Unobserved;

/// One page of a listing.
#[derive(Clone)]
pub(super) struct Page<R> {
    /// `TotalCount`: the number of rows on all pages together.
    pub(super) total: u64,
    pub(super) rows: Vec<R>,
}

/// A row of a listing, identified by its id.
pub(super) trait Row {
    /// The plural noun for rows of this kind.
    const ROWS: &'static str;

    fn id(&self) -> &str;
}

/// Why a listing cannot be used.
enum ListingError {
    Failed(CallError),
    /// The pages contradict each other.
    Inconsistent(String),
}

/// Lists all rows of `action` in `scope`; `read` requests the page that begins at an offset. An inconsistent listing is
/// read again; after `LISTINGS_MAX` attempts there is no result.
pub(super) async fn list<H: Host, R: Row>(
    client: &ReadClient<H>,
    scope: &Scope,
    action: Action,
    read: impl AsyncFn(u32) -> Result<Page<R>, CallError>,
) -> Result<Vec<R>, Unobserved> {
    let name = action.as_str();
    let mut listing = 1;
    loop {
        match list_once(client, scope, action, &read).await {
            Ok(rows) => return Ok(rows),
            Err(ListingError::Failed(error)) => {
                let reason = error.about(action);
                return Err(Unobserved {
                    reason,
                    ..unobserved::reason(error)
                });
            }
            Err(ListingError::Inconsistent(how)) if listing < LISTINGS_MAX => {
                tracing::debug!(%scope, name, how, listing, "inconsistent listing, reading again");
                retry::pause(client.context(), listing).await;
                listing += 1;
            }
            Err(ListingError::Inconsistent(how)) => {
                return Err(Unobserved::new(format!(
                    "{name} gave {listing} inconsistent listings: {how}"
                )));
            }
        }
    }
}

async fn list_once<H: Host, R: Row>(
    client: &ReadClient<H>,
    scope: &Scope,
    action: Action,
    read: &impl AsyncFn(u32) -> Result<Page<R>, CallError>,
) -> Result<Vec<R>, ListingError> {
    let page = async |number: u32| {
        let ask = || read(number * PAGE_LIMIT_MAX);
        let page = client.repeat(action, scope.region, ask).await;
        page.map_err(ListingError::Failed)
    };
    let first = page(0).await?;
    let total = first.total;
    let count = page_count(total).map_err(ListingError::Inconsistent)?;
    let mut pages = vec![first];
    for number in 1..count {
        let next = page(number).await?;
        let is_odd = next.rows.is_empty() || next.total != total;
        pages.push(next);
        if is_odd {
            break;
        }
    }
    join(pages).map_err(ListingError::Inconsistent)
}

/// The number of pages for `total` rows. It is an error if these are too many.
pub(super) fn page_count(total: u64) -> Result<u32, String> {
    let pages = total.div_ceil(u64::from(PAGE_LIMIT_MAX));
    let pages = u32::try_from(pages)
        .ok()
        .filter(|&count| count <= PAGES_MAX);
    pages.ok_or_else(|| format!("TotalCount {total} is beyond {PAGES_MAX} pages"))
}

/// Joins pages if they are consistent: all give the same number of rows, and that many rows were listed, each once. A
/// row that was listed twice has moved from one page to the next; another row may have moved the other way and be
/// missing.
pub(super) fn join<R: Row>(pages: Vec<Page<R>>) -> Result<Vec<R>, String> {
    let total = pages.first().map_or(0, |page| page.total);
    let mut rows: BTreeMap<String, R> = BTreeMap::new();
    let mut listed = 0_u64;
    for page in pages {
        if page.total != total {
            return Err(format!(
                "TotalCount was {total} on the first page and {} on another",
                page.total
            ));
        }
        listed += page.rows.len() as u64;
        rows.extend(page.rows.into_iter().map(|row| (row.id().to_owned(), row)));
    }
    let (distinct, things) = (rows.len() as u64, R::ROWS);
    if distinct != total {
        return Err(format!(
            "TotalCount is {total}, but {distinct} distinct {things} were listed"
        ));
    }
    if listed != total {
        return Err(format!(
            "TotalCount is {total}, but {listed} {things} were listed, some of them twice"
        ));
    }
    Ok(rows.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for &'static str {
        const ROWS: &'static str = "rows";

        fn id(&self) -> &str {
            self
        }
    }

    #[test]
    fn a2_a3_s2_pages_that_do_not_add_up_are_no_listing() {
        let page = |total, rows: &[&'static str]| Page {
            total,
            rows: rows.to_vec(),
        };
        let joined = |pages: &[Page<&'static str>]| join(pages.to_vec());
        assert_eq!(joined(&[page(0, &[])]), Ok(vec![]));
        assert_eq!(joined(&[page(2, &["b", "a"])]), Ok(vec!["a", "b"]));
        let two = [page(2, &["a"]), page(2, &["b"])];
        assert_eq!(joined(&two), Ok(vec!["a", "b"]));
        for (pages, why) in [
            (
                vec![page(2, &["a", "a"])],
                "a duplicate hides a skipped row",
            ),
            (vec![page(2, &["a"])], "a row is missing"),
            (vec![page(1, &["a", "b"])], "a row is too many"),
            (vec![page(1, &["a", "a"])], "a row is there twice"),
            (
                vec![page(2, &["a"]), page(3, &["b"])],
                "the total has changed",
            ),
        ] {
            assert!(joined(&pages).is_err(), "{why}");
        }
    }

    #[test]
    fn s21_a_listing_that_would_not_end_is_refused_on_its_first_page() {
        let limit = u64::from(PAGE_LIMIT_MAX);
        let most = u64::from(PAGES_MAX) * limit;
        assert_eq!(page_count(0), Ok(0));
        assert_eq!(page_count(limit), Ok(1));
        assert_eq!(page_count(limit + 1), Ok(2));
        assert_eq!(page_count(most), Ok(PAGES_MAX));
        assert!(page_count(most + 1).is_err());
        assert!(page_count(u64::MAX).is_err());
    }
}
