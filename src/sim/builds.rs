//! Images that appear over time: builds on a schedule, and copies to other regions. Both take a while, and everything due
//! is done when the next call arrives.

use std::time::Duration;

use chrono::TimeDelta;

use super::bakery::{BuildProgress, Ids, SimTime, Unfinished};
use super::cloud::Cloud;
use super::world_image::Image;
use crate::model::{Region, Timestamp};

/// The largest number of own images of an account in a region (documentation of CVM's SyncImages).
const IMAGES_MAX: usize = 500;

impl Cloud {
    /// Does everything that is due by now.
    pub(super) fn advance(&mut self, time: SimTime) {
        self.schedule(time);
        loop {
            let finished = self.finish_due(time.wall_time);
            let begun = self.begin_due(time.wall_time);
            if !finished && !begun {
                return;
            }
        }
    }

    /// Sets the time of the next image for each build with a schedule, not before this process started the world.
    fn schedule(&mut self, time: SimTime) {
        let builds = self.world.builds.len();
        if self.bakery.progress.builds.len() < builds {
            let known = &mut self.bakery.progress.builds;
            known.resize_with(builds, BuildProgress::default);
        }
        let began = time.wall_time_at(self.bakery.began);
        for index in 0..builds {
            let is_scheduled = self.world.builds[index].every.is_some();
            let next = self.bakery.progress.builds[index].next;
            if is_scheduled && next.is_none_or(|next| next < began) {
                self.bakery.progress.builds[index].next = Some(began);
            }
        }
    }

    /// Finishes images that are ready by now, and starts their copies. Returns whether there were any.
    fn finish_due(&mut self, now: Timestamp) -> bool {
        let mut waiting = self.bakery.progress.unfinished.iter();
        if !waiting.any(|unfinished| unfinished.until <= now) {
            return false;
        }
        let unfinished = &mut self.bakery.progress.unfinished;
        unfinished.sort_by_key(|unfinished| unfinished.until);
        let due = unfinished.partition_point(|unfinished| unfinished.until <= now);
        let finished: Vec<_> = unfinished.drain(..due).collect();
        for ready in &finished {
            if let Some(regional) = self.images.get_mut(&ready.image) {
                regional.image.state = "NORMAL".into();
                let source = regional.image.clone();
                let name = source.shown_name().to_owned();
                for region in &ready.copy_to {
                    // A full region, or one that already has the name, gets no copy.
                    if self.room_for(ready.image.0, *region, &name).is_ok() {
                        let id = self.copy(ready.image.0, &source, *region, &name, ready.until);
                        self.keep(ready.build, ready.image.0, *region, id);
                    }
                }
            }
        }
        true
    }

    /// Starts the images that the schedules require by now. Returns whether there were any.
    fn begin_due(&mut self, now: Timestamp) -> bool {
        let mut begun = false;
        for index in 0..self.world.builds.len() {
            let Some(every) = self.world.builds[index].every else {
                continue;
            };
            let due = self.bakery.progress.builds[index].next;
            if let Some(due) = due.filter(|due| *due <= now) {
                self.bakery.progress.builds[index].next = due.checked_add_signed(span(every.0));
                self.build(index, due);
                begun = true;
            }
        }
        begun
    }

    /// Creates the next image of a build, and returns its name and ids. A full region gets no image.
    pub(super) fn build(&mut self, index: usize, at: Timestamp) -> (String, Ids) {
        let build = self.world.builds[index].clone();
        let regions: Vec<_> = regions(&build.regions).collect();
        let Some(account) = self.account_named(&build.account) else {
            return (build.name, Ids::new());
        };
        let mut number = build.start + self.bakery.progress.builds[index].made;
        let taken = |number| {
            let image = build.image(number, Region::first());
            let mut regions = regions.iter();
            regions.any(|region| self.has_name(account, *region, &image.name))
        };
        while taken(number) {
            number += 1;
        }
        self.bakery.progress.builds[index].made = number + 1 - build.start;
        let mut ids = Ids::new();
        let mut copy_to: Vec<_> = self::regions(&build.copy_to).collect();
        for region in regions {
            let mut image = build.image(number, region);
            if self.room_for(account, region, &image.name).is_err() {
                continue;
            }
            image.id = self.free_id(account, region, &image.name);
            image.created_time = self.created_time(at);
            ids.insert(region, image.id.clone());
            let unfinished = Unfinished {
                until: at + span(build.create_time.0),
                image: (account, region, image.id.clone()),
                copy_to: std::mem::take(&mut copy_to),
                build: Some(index),
            };
            self.bakery.progress.unfinished.push(unfinished);
            self.keep(Some(index), account, region, image.id.clone());
            self.put_image(account, image);
        }
        (build.image(number, Region::first()).name, ids)
    }

    /// Counts an image for its build, and deletes the oldest image that is not shared if there are too many.
    fn keep(&mut self, build: Option<usize>, account: usize, region: Region, id: String) {
        let Some(index) = build else { return };
        let Some(most) = self.world.builds[index].keep else {
            return;
        };
        let build = &mut self.bakery.progress.builds[index];
        let kept = build.kept.entry(region).or_default();
        kept.push(id);
        if kept.len() > most {
            let images = &mut self.images;
            let mut oldest = kept.iter();
            let idle = oldest.position(|id| {
                let image = images.get(&(account, region, id.clone()));
                image.is_none_or(|image| !image.is_shared())
            });
            if let Some(at) = idle {
                let oldest = kept.remove(at);
                images.remove(&(account, region, oldest));
            }
        }
    }

    /// Copies an image to other regions, as CVM's SyncImages does. Each copy has its own id, and the source's name unless
    /// another is given. The error is a text for people.
    pub(super) fn sync_image(
        &mut self,
        (account, region): (usize, Region),
        called: &str,
        to: &[Region],
        name: Option<&str>,
        at: Timestamp,
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
            .map(|region| (*region, self.copy(account, &source, *region, &name, at)))
            .collect())
    }

    /// Starts one copy. It inherits the source's properties, but it is neither shared nor faulty.
    fn copy(
        &mut self,
        account: usize,
        source: &Image,
        region: Region,
        name: &str,
        at: Timestamp,
    ) -> String {
        let id = self.free_id(account, region, name);
        let image = Image {
            id: id.clone(),
            regions: vec![region.as_str().into()],
            name: name.into(),
            state: "SYNCING".into(),
            created_time: self.created_time(at),
            shared: false,
            blueprint_id: None,
            blueprint_state: None,
            in_use: false,
            occupied_calls: 0,
            error: None,
            ..source.clone()
        };
        let until = at + span(self.world.sync_image_time.0);
        self.bakery.progress.unfinished.push(Unfinished {
            until,
            image: (account, region, id.clone()),
            copy_to: Vec::new(),
            build: None,
        });
        self.put_image(account, image);
        id
    }

    /// Whether the region can hold another image with this name. The error is a text for people.
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

    fn created_time(&self, at: Timestamp) -> String {
        let time = self.server_time(at);
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// A length of time for the calendar. If it is too long for that, it counts as zero.
fn span(length: Duration) -> TimeDelta {
    TimeDelta::from_std(length).unwrap_or_default()
}

fn regions(names: &[String]) -> impl Iterator<Item = Region> {
    names.iter().filter_map(|name| Region::new(name).ok())
}
