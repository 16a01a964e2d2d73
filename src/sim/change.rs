//! What has changed of a cloud, as values that can be kept and applied again. Each one says what an object is now and not
//! what was done to it, so that applying a run of changes twice gives the same cloud.

use serde::{Deserialize, Serialize};

use super::bakery::Progress;
use super::cloud::Cloud;
use super::image::ImageIndex;
use super::tracked::Tracked;
use super::world::World;
use super::world_image::Image;

/// A part of a cloud as it is after a change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Change {
    /// The whole world, which takes the place of the one before.
    World(Box<World>),
    /// The settings, and the accounts without their images.
    Settings(Box<World>),
    /// An image; none: it is gone.
    Image(ImageIndex, Option<Box<Image>>),
    /// Number of the newest blueprint.
    Blueprints(u32),
    /// How far builds and copies are.
    Progress(Progress),
}

impl Cloud {
    /// What may have changed since the last time that this was asked. It takes as long as the parts are large that were
    /// touched, and not as the world is.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let is_new = std::mem::take(&mut self.is_new);
        let settings = self.world.take_touched();
        let images = self.images.take_touched();
        let progress = self.bakery.progress.take_touched();
        let blueprints = std::mem::replace(&mut self.kept_blueprints, self.blueprints);
        if is_new {
            return vec![Change::World(Box::new(self.world()))];
        }
        let mut changes = Vec::new();
        if settings {
            changes.push(Change::Settings(Box::new(World::clone(&self.world))));
        }
        for key in images {
            let image = self.images.get(&key);
            let image = image.map(|regional| Box::new(regional.kept(key.1)));
            changes.push(Change::Image(key, image));
        }
        if blueprints != self.blueprints {
            changes.push(Change::Blueprints(self.blueprints));
        }
        if progress {
            changes.push(Change::Progress(Progress::clone(&self.bakery.progress)));
        }
        changes
    }

    /// Does what a change says. The error is a text for people.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::World(world) => {
                world.check()?;
                *self = Self::new(*world);
            }
            Change::Settings(world) => {
                world.check()?;
                self.set_faults(world.faults.clone());
                self.world = Tracked::new(*world);
            }
            Change::Image(key, image) => {
                if key.0 >= self.world.accounts.len() {
                    return Err(format!("image `{}`: there is no account {}", key.2, key.0));
                }
                match image {
                    Some(image) => {
                        image.check()?;
                        self.restore_image(key, *image);
                    }
                    None => self.images.remove(&key),
                }
            }
            Change::Blueprints(number) => self.blueprints = number,
            Change::Progress(progress) => {
                progress.check(self.world.builds.len())?;
                self.bakery.progress = Tracked::new(progress);
            }
        }
        Ok(())
    }
}
