//! The changes of a cloud, as values that can be saved and applied again. Each one holds an object's new state and not
//! the operation, so that applying a series of changes twice results in the same cloud.

use serde::{Deserialize, Serialize};

use super::bakery::Progress;
use super::cloud::Cloud;
use super::image::ImageIndex;
use super::tracked::Tracked;
use super::world::World;
use super::world_image::Image;

/// A part of a cloud after a change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Change {
    /// The whole world, which replaces the previous one.
    World(Box<World>),
    /// The settings, and the accounts without their images.
    Settings(Box<World>),
    /// An image; `None` means that it was removed.
    Image(ImageIndex, Option<Box<Image>>),
    /// Number of the newest blueprint.
    Blueprints(u32),
    /// The progress of builds and copies.
    Progress(Progress),
}

impl Cloud {
    /// The parts that may have changed since the last call of this method. The duration depends on the size of the
    /// touched parts, not of the world.
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

    /// Applies a change. The error is a text for people.
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
