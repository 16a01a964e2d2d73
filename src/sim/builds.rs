//! Images that come about while the world goes on: builds on a schedule, and copies to other regions. Both take a while,
//! and what is due is done when the next call comes in.

use super::bakery::{Ids, Progress, SimTime, Unfinished};
use super::cloud::Cloud;
use super::world_image::Image;
use crate::model::Region;

/// The most own images that an account may have in a region (documentation of CVM's SyncImages).
const IMAGES_MAX: usize = 500;

impl Cloud {
    /// Does what is due by now.
    pub(super) fn advance(&mut self, time: SimTime) {
        let builds = self.world.builds.len();
        self.bakery.progress.resize_with(builds, Progress::default);
        loop {
            let finished = self.finish_due(time);
            let begun = self.begin_due(time);
            if !finished && !begun {
                return;
            }
        }
    }

    /// Finishes what is ready by now, and begins its copies. Whether there was any.
    fn finish_due(&mut self, time: SimTime) -> bool {
        let unfinished = &mut self.bakery.unfinished;
        unfinished.sort_by_key(|unfinished| unfinished.until);
        let due = unfinished.partition_point(|unfinished| unfinished.until <= time.now);
        let finished: Vec<_> = unfinished.drain(..due).collect();
        for ready in &finished {
            if let Some(regional) = self.images.get_mut(&ready.image) {
                regional.image.state = "NORMAL".into();
                let source = regional.image.clone();
                let name = source.shown_name().to_owned();
                let then = time.back_at(ready.until);
                for region in &ready.copy_to {
                    // A region that is full, or has the name already, gets none.
                    if self.room_for(ready.image.0, *region, &name).is_ok() {
                        let id = self.copy(ready.image.0, &source, *region, &name, then);
                        self.keep(ready.build, ready.image.0, *region, id);
                    }
                }
            }
        }
        !finished.is_empty()
    }

    /// Begins the images that the schedules ask for by now. Whether there was any.
    fn begin_due(&mut self, time: SimTime) -> bool {
        let mut begun = false;
        for index in 0..self.world.builds.len() {
            let Some(every) = self.world.builds[index].every else {
                continue;
            };
            let elapsed = every
                .0
                .saturating_mul(self.bakery.progress[index].scheduled);
            let due = self.bakery.began + elapsed;
            if due <= time.now {
                self.bakery.progress[index].scheduled += 1;
                self.build(index, time.back_at(due));
                begun = true;
            }
        }
        begun
    }

    /// Makes the next image of a build; gives its name and its ids. A region that is full gets none.
    pub(super) fn build(&mut self, index: usize, time: SimTime) -> (String, Ids) {
        let build = self.world.builds[index].clone();
        let regions: Vec<_> = regions(&build.regions).collect();
        let Some(account) = self.account_named(&build.account) else {
            return (build.name, Ids::new());
        };
        let mut number = build.start + self.bakery.progress[index].made;
        let taken = |number| {
            let image = build.image(number, Region::first());
            let mut regions = regions.iter();
            regions.any(|region| self.has_name(account, *region, &image.name))
        };
        while taken(number) {
            number += 1;
        }
        self.bakery.progress[index].made = number + 1 - build.start;
        let mut ids = Ids::new();
        let mut copy_to: Vec<_> = self::regions(&build.copy_to).collect();
        for region in regions {
            let mut image = build.image(number, region);
            if self.room_for(account, region, &image.name).is_err() {
                continue;
            }
            image.id = self.free_id(account, region, &image.name);
            image.created_time = self.created_time(time);
            ids.insert(region, image.id.clone());
            let unfinished = Unfinished {
                until: time.now + build.create_time.0,
                image: (account, region, image.id.clone()),
                copy_to: std::mem::take(&mut copy_to),
                build: Some(index),
            };
            self.bakery.unfinished.push(unfinished);
            self.keep(Some(index), account, region, image.id.clone());
            self.put_image(account, image);
        }
        (build.image(number, Region::first()).name, ids)
    }

    /// Counts an image as one of the build's, and deletes the oldest that is not shared if there are too many.
    fn keep(&mut self, build: Option<usize>, account: usize, region: Region, id: String) {
        let Some(index) = build else { return };
        let most = self.world.builds[index].keep.unwrap_or(usize::MAX);
        let kept = self.bakery.progress[index].kept.entry(region).or_default();
        kept.push(id);
        if kept.len() > most {
            let images = &mut self.images;
            let mut oldest = kept.iter();
            let idle = oldest.position(|id| {
                let image = images.get(&(account, region, id.clone()));
                image.is_none_or(|image| !image.is_shared())
            });
            if let Some(at) = idle {
                images.remove(&(account, region, kept.remove(at)));
            }
        }
    }

    /// Copies an image to other regions, as CVM's SyncImages does: each copy has an id of its own, and the source's name
    /// unless another is given. The error is a text for people.
    pub(super) fn sync_image(
        &mut self,
        (account, region): (usize, Region),
        called: &str,
        to: &[Region],
        name: Option<&str>,
        time: SimTime,
    ) -> Result<Ids, String> {
        let source = self.image_called(account, region, called);
        let source = source.filter(|regional| !regional.image.deleted && !regional.image.received);
        let source = source.ok_or_else(|| format!("no own image `{called}` in {region}"))?;
        if source.image.state != "NORMAL" {
            let state = &source.image.state;
            return Err(format!(
                "image `{called}` in {region} is {state}, not NORMAL"
            ));
        }
        let source = source.image.clone();
        let name = name.unwrap_or(source.shown_name()).to_owned();
        let mut seen = Vec::new();
        for destination in to {
            if *destination == region || seen.contains(destination) {
                return Err(format!("{destination}: name each other region once"));
            }
            seen.push(*destination);
            self.room_for(account, *destination, &name)?;
        }
        let copies = to.iter();
        Ok(copies
            .map(|region| (*region, self.copy(account, &source, *region, &name, time)))
            .collect())
    }

    /// Begins one copy. It keeps what the source says of itself, and is neither shared nor faulty.
    fn copy(
        &mut self,
        account: usize,
        source: &Image,
        region: Region,
        name: &str,
        time: SimTime,
    ) -> String {
        let id = self.free_id(account, region, name);
        let image = Image {
            id: id.clone(),
            regions: vec![region.as_str().into()],
            name: name.into(),
            state: "SYNCING".into(),
            created_time: self.created_time(time),
            shared: false,
            blueprint_id: None,
            blueprint_state: None,
            in_use: false,
            occupied_calls: 0,
            error: None,
            ..source.clone()
        };
        self.bakery.unfinished.push(Unfinished {
            until: time.now + self.world.sync_image_time.0,
            image: (account, region, id.clone()),
            copy_to: Vec::new(),
            build: None,
        });
        self.put_image(account, image);
        id
    }

    /// Whether the region can take another image of that name; the error is a text for people.
    pub(super) fn room_for(
        &self,
        account: usize,
        region: Region,
        name: &str,
    ) -> Result<(), String> {
        if self.has_name(account, region, name) && !self.world.allow_double_names {
            return Err(format!("there is an image `{name}` in {region} already"));
        }
        let own = self.images_in(account, region);
        let own = own.filter(|regional| !regional.image.received && !regional.image.deleted);
        if own.count() >= IMAGES_MAX {
            return Err(format!(
                "{region} has {IMAGES_MAX} own images, and cannot have more"
            ));
        }
        Ok(())
    }

    /// Whether an own image of the region has the name.
    pub(super) fn has_name(&self, account: usize, region: Region, name: &str) -> bool {
        let mut here = self.images_in(account, region);
        here.any(|regional| {
            let image = &regional.image;
            !image.received && !image.deleted && regional.name() == name
        })
    }

    fn created_time(&self, time: SimTime) -> String {
        let time = self.server_time(time.wall_time);
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

fn regions(names: &[String]) -> impl Iterator<Item = Region> {
    names.iter().filter_map(|name| Region::new(name).ok())
}
