//! Builders for the planner's tests: entries, blueprints and the account's own images.

use crate::desired::{DesiredImage, DesiredShare, Source};
use crate::model::ImageId;
use crate::observation::{Blueprint, Eligibility, Instances, OwnImage, OwnImages};

/// An entry that asks for `share` and sets nothing else.
pub(super) fn wanted(share: DesiredShare) -> DesiredImage {
    DesiredImage {
        share,
        protect: false,
        source: Source {
            file: "a.yaml".into(),
            line: 1,
        },
        document: Default::default(),
        name: None,
        note: None,
        bounds: None,
        other_labels: Vec::new(),
    }
}

/// A blueprint without a name, in a usable state.
pub(super) fn blueprint(id: &str) -> Blueprint {
    Blueprint {
        id: id.into(),
        state: "NORMAL".into(),
        name: Default::default(),
    }
}

/// One of the account's own images that can be shared.
pub(super) fn own_image(name: &str) -> OwnImage {
    OwnImage {
        name: name.into(),
        created: None,
        state: "NORMAL".into(),
        os_name: "Ubuntu Server 22.04 LTS".into(),
        platform: "Ubuntu".into(),
        architecture: "x86_64".into(),
        eligibility: Eligibility::Shareable,
    }
}

/// An account with these images, without names.
pub(super) fn own(images: impl IntoIterator<Item = ImageId>) -> OwnImages {
    let images = images.into_iter().map(|image| (image, own_image("")));
    OwnImages::Known(images.collect())
}

/// A region without any instances.
pub(super) fn no_instances() -> Instances {
    Instances::Known(Default::default())
}
