//! `ImageShare` documents: which images of which account and regions should be shared, and when.

use std::sync::Arc;

use chrono::DateTime;

use super::document::{Image, Share};
use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::desired::DesiredShare;
use crate::manifest::UNSHARE;
use crate::manifest::diagnostic::Place;
use crate::manifest::suggest::nearest;
use crate::model::{AccountName, ImageId, Region, Timestamp};

/// The remedy for an empty list in an `ImageShare`.
fn empty_list() -> String {
    format!("remove the document instead; {UNSHARE}")
}

impl Reader<'_, '_> {
    /// Reads an `ImageShare` document.
    pub(super) fn share(&mut self, fields: &Fields<'_, '_>) -> Share {
        let mut share = Share {
            file: self.file,
            name: None,
            labels: Arc::default(),
            account: None,
            default_account: None,
            regions: Vec::new(),
            images: Vec::new(),
        };
        if let Some(metadata) = self.metadata(fields) {
            share.name = metadata.name.map(|name| (name, metadata.place));
            share.labels = Arc::new(metadata.labels);
        }
        let Some(spec) = self.required(fields, "spec", "the document") else {
            return share;
        };
        let Some(spec) = self.fields(spec, "`spec`", &["account", "region", "regions", "images"])
        else {
            return share;
        };
        match spec.get("account") {
            Some(node) => share.account = self.account(node),
            None if spec.seems_meant("account") => {}
            None => share.default_account = Some(spec.place),
        }
        share.regions = self.regions(&spec);
        if let Some(node) = self.required(&spec, "images", "`spec`")
            && let Some(items) = self.list(node, "`images`", &empty_list())
        {
            share.images = items.iter().filter_map(|item| self.image(item)).collect();
        }
        share
    }

    fn account(&mut self, node: &Node<'_>) -> Option<(AccountName, Place)> {
        let text = self.text(node, "`account`")?;
        let name = AccountName::new(text);
        if name.is_none() {
            self.error(node, format!("`{text}` is no account name"))
                .help("lower-case letters, digits, `-` and `.`");
        }
        Some((name?, self.place(node)))
    }

    fn regions(&mut self, spec: &Fields<'_, '_>) -> Vec<(Region, Place)> {
        match (spec.get("region"), spec.get("regions")) {
            (Some(_), Some(second)) => {
                self.error(second, "`region` and `regions` exclude each other")
                    .help("keep one of the two");
                Vec::new()
            }
            (None, None) if spec.seems_meant("region") || spec.seems_meant("regions") => Vec::new(),
            (None, None) => {
                self.sink
                    .error(spec.place, "`spec` lacks `region` or `regions`");
                Vec::new()
            }
            (Some(one), None) => {
                let region = self.region(one);
                region
                    .map(|region| (region, self.place(one)))
                    .into_iter()
                    .collect()
            }
            (None, Some(node)) => {
                let items = self
                    .list(node, "`regions`", &empty_list())
                    .unwrap_or_default();
                self.each_once(items, Self::region)
            }
        }
    }

    fn image(&mut self, node: &Node<'_>) -> Option<Image> {
        let fields = self.fields(
            node,
            "an image",
            &["id", "state", "from", "until", "protect", "note"],
        )?;
        let id_node = self.required(&fields, "id", "the image");
        let id = id_node.and_then(|node| self.image_id(node));
        let shared = self
            .required(&fields, "state", "the image")
            .and_then(|node| self.state(node));
        let [from, until] = ["from", "until"].map(|name| {
            let node = fields.get(name)?;
            Some((node, self.instant(node, name)))
        });
        let protect = fields
            .get("protect")
            .map(|node| (node, self.boolean(node, "`protect`")));
        if let Some(node) = fields.get("note") {
            self.scalar(node, "`note`");
        }
        let desired = self.desired_share(shared, from, until);
        let protect = match protect {
            Some((node, Some(true))) => {
                if shared == Some(false) {
                    let place = self.place(node);
                    self.sink
                        .warning(
                            place,
                            "`protect: true` withholds the CANCEL that `state: unshared` asks for",
                        )
                        .help("remove one of the two");
                }
                true
            }
            Some((_, Some(false))) | None => false,
            Some((_, None)) => return None,
        };
        Some(Image {
            id: id?,
            place: self.place(id_node?),
            desired: desired?,
            protect,
        })
    }

    fn image_id(&mut self, node: &Node<'_>) -> Option<ImageId> {
        let text = self.text(node, "`id`")?;
        ImageId::new(text)
            .map_err(|malformed| {
                let help = if text.starts_with("lhbp-") {
                    "this is a Lighthouse blueprint's id; the id of the CVM image begins with `img-`".to_owned()
                } else if ImageId::new(&text.trim().to_lowercase()).is_ok() {
                    format!("did you mean `{}`?", text.trim().to_lowercase())
                } else {
                    malformed.to_string()
                };
                self.error(node, format!("`{text}` is not an image id")).help(help);
            })
            .ok()
    }

    /// Reads `state`: true for `shared`, false for `unshared`.
    fn state(&mut self, node: &Node<'_>) -> Option<bool> {
        let help = match &node.value {
            Value::Scalar { text, .. } => match &**text {
                "shared" => return Some(true),
                "unshared" => return Some(false),
                // Words of the API, and the misprint (CANEL) in the example of its documentation.
                "SHARE" | "share" => {
                    "write `shared`: a manifest says what should be, not what to call".to_owned()
                }
                "CANCEL" | "CANEL" | "cancel" | "canel" => {
                    "write `unshared`: a manifest says what should be, not what to call".to_owned()
                }
                text => match nearest(text, ["shared", "unshared"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `shared` or `unshared`".to_owned(),
                },
            },
            _ => "write `shared` or `unshared`".to_owned(),
        };
        let message = match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => format!("unknown state `{text}`"),
            _ => format!(
                "`state` must be `shared` or `unshared`, not {}",
                node.kind()
            ),
        };
        self.error(node, message).help(help);
        None
    }

    fn instant(&mut self, node: &Node<'_>, name: &str) -> Option<Timestamp> {
        let text = self.text(node, &format!("`{name}`"))?;
        match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Some(instant.to_utc()),
            Err(_) => {
                let help = if chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
                    format!("say when on that day, and where: `{text}T00:00:00Z`")
                } else {
                    "write it like `2027-01-31T00:00:00Z`".to_owned()
                };
                self.error(
                    node,
                    format!("`{name}` is not a date and time with a zone: `{text}`"),
                )
                .help(help);
                None
            }
        }
    }

    fn desired_share(
        &mut self,
        shared: Option<bool>,
        from: Option<(&Node<'_>, Option<Timestamp>)>,
        until: Option<(&Node<'_>, Option<Timestamp>)>,
    ) -> Option<DesiredShare> {
        if shared == Some(false) {
            for (node, name) in [(from, "from"), (until, "until")]
                .into_iter()
                .filter_map(|(f, n)| Some((f?.0, n)))
            {
                self.error(node, format!("`{name}` goes with `state: shared`"))
                    .help("an image that is shared for a while is declared `shared`");
            }
            return (from.is_none() && until.is_none()).then_some(DesiredShare::Unshared);
        }
        let value = |field: Option<(&Node<'_>, Option<Timestamp>)>| match field {
            Some((_, Some(instant))) => Ok(Some(instant)),
            Some((_, None)) => Err(()),
            None => Ok(None),
        };
        let (from_value, until_value) = (value(from).ok()?, value(until).ok()?);
        if let (Some(begin), Some(end), Some((node, _))) = (from_value, until_value, until)
            && begin >= end
        {
            self.error(
                node,
                "`until` is not after `from`, so the image would never be shared",
            )
            .help("swap them, or declare the image `unshared`");
            return None;
        }
        shared.map(|_| DesiredShare::Shared {
            from: from_value,
            until: until_value,
        })
    }
}
