//! The six preconditions of SHARE, each checked against the data that the API returns about an image.

use serde::Serialize;

use super::images::state_word;
use crate::api::protocol::wire::CustomImage;
use crate::observation::{Blueprint, Precondition};
use crate::words::brief;

/// One of the six preconditions, with the observed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    pub(super) precondition: &'static str,
    pub(super) status: CheckStatus,
    /// The decisive value, as the API returns it.
    pub(super) seen: String,
    /// What a person can do, if the precondition is not met.
    pub(super) remedy: Option<String>,
}

/// Whether a precondition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckStatus {
    Passed,
    Failed,
    /// The API does not show whether it is met.
    Unknown,
}

impl CheckStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl Checked {
    fn new(precondition: &'static str, status: CheckStatus, seen: impl Into<String>) -> Self {
        Self {
            precondition,
            status,
            seen: seen.into(),
            remedy: None,
        }
    }

    fn remedy(self, remedy: impl ToString) -> Self {
        let remedy = remedy.to_string();
        Self {
            remedy: (self.status != CheckStatus::Passed).then_some(remedy),
            ..self
        }
    }
}

/// Checks an image by its row of DescribeImagesToShare and by the blueprint that it is shared as. Either is `None` if it
/// could not be read.
pub(super) fn check(
    row: Option<&CustomImage>,
    blueprint: Option<Option<&Blueprint>>,
) -> Vec<Checked> {
    let unread = CustomImage::default();
    let image = row.unwrap_or(&unread);
    let shareable = row.map(|row| row.is_shareable);
    let field = |value: &Option<String>| value.as_deref().map(brief).unwrap_or_default();
    let mut checks = vec![
        is_unshared(shareable, blueprint),
        by_field(
            "not an imported image",
            ("ImageSource", field(&image.image_source)),
            &["CREATE_IMAGE"],
            &["EXTERNAL_IMPORT"],
            &Precondition::NotImported,
        ),
        by_field(
            "not a full-instance image",
            ("ImageClass", field(&image.image_class)),
            &["SystemImage"],
            &["InstanceImage"],
            &Precondition::NotWholeInstance,
        ),
        by_field(
            "CloudInit is supported",
            (
                "IsSupportCloudinit",
                image
                    .is_support_cloudinit
                    .map(|it| it.to_string())
                    .unwrap_or_default(),
            ),
            &["true"],
            &["false"],
            &Precondition::CloudInit,
        ),
    ];
    let state = is_normal(field(&image.image_state), shareable);
    let is_shared = blueprint.flatten().is_some();
    let passes = |check: &Checked| check.status == CheckStatus::Passed;
    let others_pass = checks.iter().all(passes) && passes(&state);
    checks.push(is_os_accepted(image, shareable, is_shared, others_pass));
    checks.push(state);
    checks
}

fn is_unshared(shareable: Option<bool>, blueprint: Option<Option<&Blueprint>>) -> Checked {
    let what = "not shared already";
    match (blueprint, shareable) {
        (Some(Some(blueprint)), _) => {
            let (id, state) = (&blueprint.id, brief(state_word(&blueprint.state)));
            let seen = format!("shared as {id}, which is {state}");
            Checked::new(what, CheckStatus::Failed, seen)
                .remedy("nothing needs to be done: it is shared")
        }
        (Some(None), _) => Checked::new(what, CheckStatus::Passed, "no blueprint shows it"),
        (None, Some(true)) => Checked::new(what, CheckStatus::Passed, "IsShareable is true"),
        (None, _) => Checked::new(what, CheckStatus::Unknown, "blueprints could not be listed")
            .remedy("let this key list them (DescribeBlueprints)"),
    }
}

/// Checks a precondition by one field whose good and bad values are documented.
fn by_field(
    what: &'static str,
    (field, value): (&str, String),
    good: &[&str],
    bad: &[&str],
    remedy: &Precondition,
) -> Checked {
    let seen = match value.is_empty() {
        true => format!("{field} is not given"),
        false => format!("{field} is {value}"),
    };
    let status = match value.as_str() {
        value if good.contains(&value) => CheckStatus::Passed,
        value if bad.contains(&value) => CheckStatus::Failed,
        _ => CheckStatus::Unknown,
    };
    let check = Checked::new(what, status, seen);
    match status {
        CheckStatus::Failed => check.remedy(remedy),
        CheckStatus::Passed | CheckStatus::Unknown => check,
    }
}

fn is_normal(state: String, shareable: Option<bool>) -> Checked {
    let what = "the image's state is NORMAL";
    let seen = match state.is_empty() {
        true => "ImageState is not given".to_owned(),
        false => format!("ImageState is {state}"),
    };
    let status = match state.as_str() {
        _ if shareable == Some(true) => CheckStatus::Passed,
        "NORMAL" => CheckStatus::Passed,
        // An operation uses the image for a while.
        "" | "USING" => CheckStatus::Unknown,
        _ => CheckStatus::Failed,
    };
    Checked::new(what, status, seen).remedy(Precondition::Normal(state))
}

/// The vendor publishes no list of accepted systems, so the API's verdict decides if nothing else explains it.
fn is_os_accepted(
    image: &CustomImage,
    shareable: Option<bool>,
    is_shared: bool,
    others_pass: bool,
) -> Checked {
    let text = |value: &Option<String>| value.as_deref().map(brief).unwrap_or_default();
    let (os, platform) = (text(&image.os_name), text(&image.platform));
    let mut seen = format!("OsName is `{os}`, Platform is `{platform}`");
    let status = match shareable {
        Some(true) => CheckStatus::Passed,
        _ if is_shared => CheckStatus::Passed,
        Some(false) if others_pass => CheckStatus::Failed,
        Some(false) | None => CheckStatus::Unknown,
    };
    let reason = text(&image.unshareable_reason);
    if status == CheckStatus::Failed && !reason.is_empty() {
        seen = format!("{seen}; the API says: {reason}");
    }
    Checked::new("Platform and OsName are accepted", status, seen).remedy(
        "create the image from a system that Lighthouse offers; the API does not list these systems",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::BlueprintState;

    fn good() -> CustomImage {
        CustomImage {
            image_id: "img-a".into(),
            is_shareable: true,
            image_source: Some("CREATE_IMAGE".into()),
            image_class: Some("SystemImage".into()),
            image_state: Some("NORMAL".into()),
            is_support_cloudinit: Some(true),
            os_name: Some("Ubuntu 22.04".into()),
            platform: Some("Ubuntu".into()),
            ..CustomImage::default()
        }
    }

    fn statuses(checks: &[Checked]) -> String {
        let letter = |check: &Checked| match check.status {
            CheckStatus::Passed => 'p',
            CheckStatus::Failed => 'f',
            CheckStatus::Unknown => 'u',
        };
        checks.iter().map(letter).collect()
    }

    #[test]
    fn each_precondition_is_checked_by_its_observed_value() {
        let blueprint = Blueprint {
            id: "lhbp-1".into(),
            state: BlueprintState::Normal,
            name: "".into(),
        };
        let bad = |change: fn(&mut CustomImage)| {
            let mut image = CustomImage {
                is_shareable: false,
                ..good()
            };
            change(&mut image);
            image
        };
        for (row, share, expected) in [
            (Some(good()), Some(None), "pppppp"),
            (Some(good()), None, "pppppp"),
            (Some(bad(|_| {})), Some(Some(&blueprint)), "fppppp"),
            (
                Some(bad(|i| i.image_source = Some("EXTERNAL_IMPORT".into()))),
                Some(None),
                "pfppup",
            ),
            (
                Some(bad(|i| i.image_class = Some("InstanceImage".into()))),
                Some(None),
                "ppfpup",
            ),
            (
                Some(bad(|i| i.is_support_cloudinit = Some(false))),
                Some(None),
                "pppfup",
            ),
            // No other precondition explains it.
            (Some(bad(|_| {})), Some(None), "ppppfp"),
            (
                Some(bad(|i| i.image_state = Some("CREATING".into()))),
                Some(None),
                "ppppuf",
            ),
            (
                Some(bad(|i| i.image_state = Some("USING".into()))),
                Some(None),
                "ppppuu",
            ),
            (None, None, "uuuuuu"),
        ] {
            let checks = check(row.as_ref(), share);
            assert_eq!(statuses(&checks), expected, "{checks:#?}");
            for check in &checks {
                assert!(!check.seen.is_empty());
                let is_failed = check.status == CheckStatus::Failed;
                assert!(!is_failed || check.remedy.is_some(), "{check:?}");
            }
        }
    }

    #[test]
    fn c14_preconditions_without_api_data_are_unknown() {
        let silent = CustomImage {
            image_id: "img-a".into(),
            ..CustomImage::default()
        };
        assert_eq!(statuses(&check(Some(&silent), Some(None))), "puuuuu");
    }
}
