//! Reads values from columns and writes them to columns, for all tables. A value that this program does not write is an
//! error, and never a default.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};

use super::error::StoreError;
use crate::inventory::OwnershipState;
use crate::model::{AccountName, ImageId, Permission, Region, Scope, Timestamp};

/// Formats a time exactly, as text that sorts in the order of time.
pub(super) fn format_time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Whether the text of [`format_time`] can be parsed and keeps the order, which needs a year of four digits.
pub(super) fn is_storable(at: Timestamp) -> bool {
    parse_time(&format_time(at)) == Some(at)
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.with_timezone(&Utc))
}

/// Runs a query and reads all its rows.
pub(super) fn query_all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&NamedRow<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&NamedRow(row))?);
    }
    Ok(found)
}

/// Runs a query and reads its first row, if there is one.
pub(super) fn query_first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&NamedRow<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(|row| read(&NamedRow(row))).transpose()
}

/// Runs a statement that returns no rows.
pub(super) fn execute(conn: &Connection, sql: &str, params: impl Params) -> Result<(), StoreError> {
    conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

/// A row whose columns are read by name, and parsed.
pub(super) struct NamedRow<'a>(&'a Row<'a>);

impl NamedRow<'_> {
    pub(super) fn get<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        Ok(self.0.get(column)?)
    }

    /// Reads a column of text that `meaning` can parse.
    pub(super) fn parse<T>(
        &self,
        column: &str,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        meaning(&text).ok_or_else(|| StoreError::unreadable(format_args!("{column} `{text}`")))
    }

    /// Reads a column of text that `meaning` can parse, or that is NULL.
    pub(super) fn parse_some<T>(
        &self,
        column: &str,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.get::<Option<String>>(column)? {
            Some(_) => self.parse(column, meaning).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.parse(column, parse_time)
    }

    pub(super) fn some_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        self.parse_some(column, parse_time)
    }

    /// Reads the number of a history entry, or a count.
    pub(super) fn number(&self, column: &str) -> Result<u64, StoreError> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|_| StoreError::unreadable(format_args!("{column} {number}")))
    }

    pub(super) fn image(&self) -> Result<ImageId, StoreError> {
        self.parse("image", |text| ImageId::new(text).ok())
    }

    pub(super) fn scope(&self) -> Result<Scope, StoreError> {
        Ok(Scope {
            account: self.parse("account", AccountName::new)?,
            region: self.parse("region", |text| Region::new(text).ok())?,
        })
    }

    pub(super) fn permission(&self) -> Result<Permission, StoreError> {
        self.parse("permission", |text| {
            [Permission::Share, Permission::Cancel]
                .into_iter()
                .find(|permission| permission.as_str() == text)
        })
    }

    pub(super) fn ownership(&self) -> Result<Option<OwnershipState>, StoreError> {
        self.parse_some("standing", |text| {
            [
                OwnershipState::Acknowledged,
                OwnershipState::Adopted,
                OwnershipState::Probable,
            ]
            .into_iter()
            .find(|ownership| ownership_text(*ownership) == text)
        })
    }
}

/// The word for an ownership state in the column `standing`.
pub(super) const fn ownership_text(ownership: OwnershipState) -> &'static str {
    match ownership {
        OwnershipState::Acknowledged => "acknowledged",
        OwnershipState::Adopted => "adopted",
        OwnershipState::Probable => "probable",
    }
}

/// A number as SQLite stores it.
pub(super) fn integer(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::request(format!("{number} is out of range")))
}
