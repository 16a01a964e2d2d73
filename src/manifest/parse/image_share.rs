//! `ImageShare` documents: the images to share, their account and regions, and the times.

use super::document::{Image, Share};
use super::fields::{Fields, Reader};
use super::header::empty_list;
use super::yaml::{Node, Value};
use crate::desired::{DesiredShare, ImageRef};
use crate::manifest::diagnostic::Place;
use crate::manifest::suggest::nearest;
use crate::model::Timestamp;

impl Reader<'_, '_> {
    /// Reads an `ImageShare` document.
    pub(super) fn share(&mut self, fields: &Fields<'_, '_>) -> Share {
        let mut share = Share {
            header: self.header(fields),
            images: Vec::new(),
        };
        let Some(spec) = self.required(fields, "spec", "the document") else {
            return share;
        };
        let Some(spec) = self.fields(spec, "`spec`", &["account", "region", "regions", "images"])
        else {
            return share;
        };
        self.scopes(&spec, &mut share.header);
        if let Some(node) = self.required(&spec, "images", "`spec`")
            && let Some(items) = self.list(node, "`images`", &empty_list())
        {
            share.images = items.iter().filter_map(|item| self.image(item)).collect();
        }
        share
    }

    fn image(&mut self, node: &Node<'_>) -> Option<Image> {
        let fields = self.fields(
            node,
            "an image",
            &["id", "name", "state", "from", "until", "protect", "note"],
        )?;
        let image = self.image_ref(&fields, "the image");
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
        let note = self.free_text(&fields, "note");
        let desired = self.desired_share(shared, from, until);
        let protect = match protect {
            Some((node, Some(true))) => {
                if shared == Some(false) {
                    let place = self.place(node);
                    self.sink
                        .warning(
                            place,
                            "`protect: true` prevents the CANCEL that `state: unshared` asks for",
                        )
                        .help("remove one of the two");
                }
                true
            }
            Some((_, Some(false))) | None => false,
            Some((_, None)) => return None,
        };
        let (image, place) = image?;
        Some(Image {
            image,
            place,
            desired: desired?,
            protect,
            note,
        })
    }

    /// Reads `id` or `name`, exactly one of which is required, and its place.
    pub(super) fn image_ref(
        &mut self,
        fields: &Fields<'_, '_>,
        what: &str,
    ) -> Option<(ImageRef, Place)> {
        match (fields.get("id"), fields.get("name")) {
            (Some(node), None) => {
                let id = self.image_id(node)?;
                Some((ImageRef::Id(id), self.place(node)))
            }
            (None, Some(node)) => {
                let name = self.image_name(node, "write `id` instead of `name` if it is one")?;
                Some((ImageRef::Name(name), self.place(node)))
            }
            (Some(_), Some(second)) => {
                self.error(second, "`id` and `name` exclude each other")
                    .help("keep one of the two: an id means one image in one region, a name means the image with that name in each region");
                None
            }
            (None, None) => {
                if !fields.seems_meant("id") && !fields.seems_meant("name") {
                    self.sink
                        .error(fields.place, format!("{what} lacks `id` or `name`"))
                        .help("give its `name`, which means the image with that name in each region, or its `id`, such as `img-…`");
                }
                None
            }
        }
    }

    /// Reads `state`: true for `shared`, false for `unshared`.
    fn state(&mut self, node: &Node<'_>) -> Option<bool> {
        let help = match &node.value {
            Value::Scalar { text, .. } => match &**text {
                "shared" => return Some(true),
                "unshared" => return Some(false),
                // Words of the API, including the misprint CANEL in an example of its documentation.
                "SHARE" | "share" => {
                    "write `shared`: a manifest describes the desired state, not the call"
                        .to_owned()
                }
                "CANCEL" | "CANEL" | "cancel" | "canel" => {
                    "write `unshared`: a manifest describes the desired state, not the call"
                        .to_owned()
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
                self.error(node, format!("`{name}` needs `state: shared`"))
                    .help("declare an image that is shared for some time as `shared`");
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
