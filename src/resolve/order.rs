//! The order of versions: a version's key by the policy's order, then its age, then its text.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

use crate::desired::Order;
use crate::model::Timestamp;

/// The key of a version by its policy's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderKey {
    /// Only the age decides.
    Age,
    Semver(Version),
    /// The text, in which runs of digits count as numbers.
    Name,
}

/// A version as it is compared with others.
#[derive(Clone, Debug)]
pub(super) struct Rank<'v> {
    pub(super) key: &'v OrderKey,
    pub(super) age: Timestamp,
    pub(super) text: &'v str,
}

impl OrderKey {
    /// The key of a version with this text, or why it has none.
    pub(super) fn new(order: &Order, text: &str) -> Result<Self, String> {
        let range = match order {
            Order::Created => return Ok(Self::Age),
            Order::Name => return Ok(Self::Name),
            Order::Semver(range) => range,
        };
        let version =
            semantic_version(text).ok_or_else(|| format!("`{text}` is not a semantic version"))?;
        match range {
            Some(range) if !range.matches(&version) => {
                Err(format!("{version} is outside the range {range}"))
            }
            _ => Ok(Self::Semver(version)),
        }
    }
}

impl Rank<'_> {
    /// Compares the two; the greater one is newer. Versions of one policy have the same kind of key.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_key = match (self.key, other.key) {
            (OrderKey::Semver(a), OrderKey::Semver(b)) => a.cmp_precedence(b),
            (OrderKey::Name, OrderKey::Name) => natural(self.text, other.text),
            _ => Ordering::Equal,
        };
        by_key
            .then(self.age.cmp(&other.age))
            .then(self.text.cmp(other.text))
    }
}

/// Parses a semantic version as people write it: possibly with a leading `v`, with missing parts, which count as 0, and
/// with leading zeros. The build part is ignored.
fn semantic_version(text: &str) -> Option<Version> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = match text.split_once('+') {
        Some((_, "")) => return None,
        Some((text, build)) => BuildMetadata::new(build).ok().map(|_| text)?,
        None => text,
    };
    let (core, pre) = match text.split_once('-') {
        Some((_, "")) => return None,
        Some((core, pre)) => (core, Prerelease::new(&without_zeros(pre)).ok()?),
        None => (text, Prerelease::EMPTY),
    };
    let mut parts = core.split('.').map(number);
    let version = Version {
        major: parts.next()??,
        minor: parts.next().unwrap_or(Some(0))?,
        patch: parts.next().unwrap_or(Some(0))?,
        pre,
        build: BuildMetadata::EMPTY,
    };
    parts.next().is_none().then_some(version)
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Removes leading zeros of numeric identifiers, because the grammar of pre-releases forbids them.
fn without_zeros(pre: &str) -> String {
    let identifiers = pre.split('.').map(|identifier| {
        let is_number =
            !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_digit());
        match is_number {
            true => match identifier.trim_start_matches('0') {
                "" => "0",
                rest => rest,
            },
            false => identifier,
        }
    });
    identifiers.collect::<Vec<_>>().join(".")
}

/// Compares runs of digits as numbers and the rest byte by byte: 9 comes before 10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(&first), Some(&second)) = (a.first(), b.first()) {
        let by_part = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (left, right) = (take_digits(&mut a), take_digits(&mut b));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            first.cmp(&second)
        };
        if by_part != Ordering::Equal {
            return by_part;
        }
    }
    a.len().cmp(&b.len())
}

/// Removes the run of digits at the beginning. Returns it without leading zeros.
fn take_digits<'t>(text: &mut &'t [u8]) -> &'t [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        for (older, newer) in [
            ("a-9", "a-10"),
            ("a-09", "a-10"),
            ("1.9.0", "1.10.0"),
            ("a", "a-1"),
            ("a-1", "a-1b"),
            ("2026-09-30", "2026-10-01"),
            ("a99999999999999999999999", "a100000000000000000000000"),
        ] {
            assert_eq!(natural(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(natural(newer, older), Ordering::Greater);
        }
        assert_eq!(
            natural("a-01", "a-1"),
            Ordering::Equal,
            "then the text decides"
        );
    }

    #[test]
    fn semantic_versions_are_read_as_people_write_them() {
        let ascending = [
            "0",
            "0.1",
            "v1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-rc.01",
            "1.0.0-rc.2",
            "1",
            "1.0.01",
            "V1.2",
            "1.10",
            "02.0.0",
        ];
        let versions: Vec<_> = ascending
            .iter()
            .map(|text| semantic_version(text).unwrap_or_else(|| panic!("{text}")))
            .collect();
        for pair in versions.windows(2) {
            assert!(pair[0].cmp_precedence(&pair[1]).is_lt(), "{pair:?}");
        }
        assert_eq!(semantic_version("1.2.3+build.7"), semantic_version("1.2.3"));
        for bad in [
            "",
            "v",
            "1.2.3.4",
            "1..2",
            "a",
            "1.x",
            "1.0-",
            "-1",
            "1.0+",
            "99999999999999999999",
        ] {
            assert_eq!(semantic_version(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_includes_a_pre_release_only_if_it_names_one() {
        let order = |range: &str| Order::Semver(Some(range.parse().expect("a range")));
        let is_in = |range, text| OrderKey::new(&order(range), text).is_ok();
        assert!(is_in(">=1.4, <2", "1.5"));
        assert!(!is_in(">=1.4, <2", "1.5.0-rc.1"));
        assert!(!is_in(">=1.4, <2", "2.0.0-rc.1"));
        assert!(is_in(">=1.5.0-rc.1, <2", "1.5.0-rc.2"));
        assert!(!is_in(">=1.4, <2", "2"));
        assert!(OrderKey::new(&Order::Semver(None), "1.5.0-rc.1").is_ok());
    }
}
