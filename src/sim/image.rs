use super::account::Image;
use crate::model::{Monotonic, Region};

/// Account by index, region, image.
pub(super) type ImageKey = (usize, Region, String);

/// An image in one region, with its past.
#[derive(Debug)]
pub(super) struct Regional {
    pub image: Image,
    /// Share states, each from a moment on.
    history: Vec<State>,
    pub occupied_calls: u32,
    pub tally: Tally,
}

/// A share state, from a moment on; the blueprint's id while shared.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub since: Monotonic,
    pub blueprint: Option<String>,
}

/// What was asked of an image, and what took effect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub attempts: u64,
    pub shares: u64,
    pub cancels: u64,
}

impl Regional {
    pub(super) fn new(image: Image, blueprint: String) -> Self {
        let first = State {
            since: Monotonic::default(),
            blueprint: image.shared.then_some(blueprint),
        };
        Self {
            occupied_calls: image.occupied_calls,
            image,
            history: vec![first],
            tally: Tally::default(),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.blueprint().is_some()
    }

    /// The blueprint's id, while shared.
    pub(super) fn blueprint(&self) -> Option<&str> {
        self.history
            .last()
            .and_then(|state| state.blueprint.as_deref())
    }

    /// Its name, which is its id unless it was given one.
    pub(super) fn name(&self) -> &str {
        if self.image.name.is_empty() {
            &self.image.id
        } else {
            &self.image.name
        }
    }

    /// The state as it was at a moment.
    pub(super) fn at(&self, monotonic: Monotonic) -> Option<&State> {
        self.history
            .iter()
            .rev()
            .find(|state| state.since <= monotonic)
    }

    pub(super) fn set(&mut self, shared: bool, since: Monotonic, blueprint: String) {
        if shared != self.is_shared() {
            self.history.push(State {
                since,
                blueprint: shared.then_some(blueprint),
            });
        }
    }

    /// Why it cannot be shared, in words; the preconditions of the action's documentation.
    pub(super) fn obstacle(&self) -> Option<(&'static str, &'static str)> {
        let image = &self.image;
        let obstacles = [
            (
                self.is_shared(),
                "The image has already been shared.",
                "镜像已共享",
            ),
            (
                image.source == "EXTERNAL_IMPORT",
                "Imported images cannot be shared.",
                "导入镜像不支持共享",
            ),
            (
                image.class == "InstanceImage",
                "Full-instance images cannot be shared.",
                "整机镜像不支持共享",
            ),
            (
                !image.cloud_init,
                "The image does not support CloudInit.",
                "镜像不支持CloudInit",
            ),
            (
                !image.os_accepted,
                "The operating system is not supported.",
                "操作系统不支持",
            ),
            (
                image.state != "NORMAL",
                "The image is not in the NORMAL state.",
                "镜像状态不正常",
            ),
        ];
        obstacles
            .into_iter()
            .find(|(holds, ..)| *holds)
            .map(|(_, english, chinese)| (english, chinese))
    }
}
