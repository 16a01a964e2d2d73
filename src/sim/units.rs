//! Durations and offsets in the world file's format: texts such as `60ms`, `3s` or `-10m`.

use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written like `60ms` or `3s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationText(pub Duration);

/// A difference in time, written like `10m` or `-10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset(pub TimeDelta);

impl Default for ClockOffset {
    fn default() -> Self {
        Self(TimeDelta::zero())
    }
}

impl FromStr for DurationText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = if text == "0" {
            Ok(Duration::ZERO)
        } else {
            humantime::parse_duration(text)
        };
        duration
            .map(Self)
            .map_err(|error| format!("`{text}`: {error}; write it like `60ms` or `3s`"))
    }
}

impl FromStr for ClockOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text),
        };
        let length = TimeDelta::from_std(length.parse::<DurationText>()?.0)
            .map_err(|error| error.to_string())?;
        Ok(Self(length * sign))
    }
}

impl std::fmt::Display for DurationText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl std::fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < TimeDelta::zero() {
            f.write_str("-")?;
        }
        DurationText(self.0.abs().to_std().unwrap_or_default()).fmt(f)
    }
}

/// Both types are strings in YAML and in JSON.
macro_rules! serde_as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(DurationText, ClockOffset);
