//! Common parts of all lists: pages, and the limits of filters. The services differ in their error codes.

use serde_json::{Value, json};

use super::call::{Refusal, refuse};
use crate::api::protocol::wire::{Filter, PAGE_LIMIT_MAX};

/// The maximum number of filters in one request.
const FILTERS_MAX: usize = 10;

/// The codes with which a service refuses an impossible page.
pub(super) struct PageCodes {
    negative_offset: &'static str,
    limit: &'static str,
    filters: &'static str,
    /// For ids and filters in one request.
    ids_and_filters: &'static str,
}

impl PageCodes {
    pub(super) const LIGHTHOUSE: Self = Self {
        negative_offset: "InvalidParameterValue.Negative",
        limit: "InvalidParameterValue.OutOfRange",
        filters: "InvalidParameter.FilterValueLimitExceeded",
        ids_and_filters: "InvalidParameter.ParameterConflict",
    };
    pub(super) const CVM: Self = Self {
        negative_offset: "InvalidParameterValueOffset",
        limit: "InvalidParameterValueLimit",
        filters: "InvalidFilterValue.LimitExceeded",
        ids_and_filters: "InvalidParameter.InvalidParameterCoexistImageIdsFilters",
    };
}

/// Refuses ids together with filters, and more ids than a page has rows. `name` is the parameter that holds the ids.
pub(super) fn check_ids(
    name: &str,
    ids: &[String],
    filters: &[Filter],
    codes: &PageCodes,
) -> Result<(), Refusal> {
    if !ids.is_empty() && !filters.is_empty() {
        let words = format!("{name} and Filters exclude each other.");
        return Err(refuse(codes.ids_and_filters, words));
    }
    if ids.len() > PAGE_LIMIT_MAX as usize {
        let words = format!("{name} holds more than {PAGE_LIMIT_MAX} ids.");
        return Err(refuse("InvalidParameterValue.LimitExceeded", words));
    }
    Ok(())
}

pub(super) fn check_count(
    filters: &[Filter],
    values_max: usize,
    codes: &PageCodes,
) -> Result<(), Refusal> {
    let mut each = filters.iter();
    if filters.len() > FILTERS_MAX || each.any(|filter| filter.values.len() > values_max) {
        return Err(refuse(codes.filters, "Too many filters or values."));
    }
    Ok(())
}

/// Checks that the action supports all these filters.
pub(super) fn check_names(filters: &[Filter], known: &[&str], code: &str) -> Result<(), Refusal> {
    let unknown = filters
        .iter()
        .find(|filter| !known.contains(&filter.name.as_str()));
    match unknown {
        Some(Filter { name, .. }) => Err(refuse(code, format!("There is no filter `{name}`."))),
        None => Ok(()),
    }
}

/// One page of the rows, as the list `name` of a reply.
pub(super) fn page<R>(
    rows: &[R],
    offset: Option<i64>,
    limit: Option<i64>,
    codes: &PageCodes,
    name: &str,
    write: impl Fn(&R) -> Value,
) -> Result<Value, Refusal> {
    let (offset, limit) = (offset.unwrap_or(0), limit.unwrap_or(20));
    let Ok(offset) = usize::try_from(offset) else {
        return Err(refuse(codes.negative_offset, "Offset is negative."));
    };
    let limit = usize::try_from(limit).ok();
    let limit = limit.filter(|limit| (1..=PAGE_LIMIT_MAX as usize).contains(limit));
    let limit = limit.ok_or_else(|| refuse(codes.limit, "Limit is from 1 to 100."))?;
    let page: Vec<_> = rows.iter().skip(offset).take(limit).map(write).collect();
    Ok(json!({"TotalCount": rows.len(), name: page}))
}
