//! Images in the world file, and their properties in each region.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Region;

/// A custom image in one region, or an image and its copies in several: one name, and a different id in each region.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// The image's id, such as `img-6pb6lrmy`, which belongs to one region. Without `id` and `ids`, each region's id is
    /// derived from the name and the region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Ids by region, instead of `id` and `regions`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
    /// Regions that have it: exactly one for an `id`; for a name, an empty list means all 15.
    pub regions: Vec<String>,
    /// The name, which is the same in each region and unique there. By default, the id is the name.
    pub name: String,
    /// `ImageFamily`, which only CVM's DescribeImages returns, like `tags` and `deprecated`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Values of its tags, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// `ImageDeprecated`: the owner advises against using the image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// `ImageSource`: `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    pub source: String,
    /// `ImageClass`: `SystemImage` or `InstanceImage`.
    pub class: String,
    /// `ImageState`, such as `NORMAL` or `CREATING`.
    pub state: String,
    pub cloud_init: bool,
    /// Family of operating systems, such as `Ubuntu`.
    pub platform: String,
    /// Operating system such as `Ubuntu Server 24.04 LTS 64bit`.
    pub os_name: String,
    /// Whether images with this platform and operating system may be shared.
    pub os_accepted: bool,
    /// Either `x86_64` or `arm64`.
    pub architecture: String,
    /// Creation time in UTC, written as `YYYY-MM-DDThh:mm:ssZ`.
    pub created_time: String,
    /// Different creation times in some regions: a copy is younger than its source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub created_times: BTreeMap<String, String>,
    /// Whether it is shared from the start.
    pub shared: bool,
    /// The blueprint that it is shared as; generated if not set. `--sim` keeps it between runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
    /// The `BlueprintState` of its blueprint after `SYNCING`; `""` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_state: Option<String>,
    /// Whether the image was deleted while it was shared. Its blueprint remains, and every write is refused because there
    /// is no such image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Whether another account shares it with this one: its type is `SHARED_IMAGE` instead of `PRIVATE_IMAGE`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// Whether servers use it, so that CANCEL is refused.
    pub in_use: bool,
    /// Number of writes that are refused with `ImageOccupied` before one is accepted.
    pub occupied_calls: u32,
    /// The code with which every write is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An image and its place. Its own `regions` do not count.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacedImage {
    /// Name of the account, which is added if it does not exist.
    pub account: String,
    pub region: Region,
    pub image: Image,
}

/// Many images whose ids consist of `prefix` and a number of eight digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// Number of images in each region. The numbers continue from region to region, because an id belongs to one region.
    pub count: u32,
    /// The beginning of each id.
    #[serde(default = "Generate::prefix")]
    pub prefix: String,
    /// Regions that have them; an empty list means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Whether they are shared from the start.
    #[serde(default)]
    pub shared: bool,
}

impl Generate {
    fn prefix() -> String {
        "img-".into()
    }
}

impl Image {
    /// The image in each of its regions, with a single id and that region. [`Image::check`] checks the names of regions.
    pub(super) fn in_regions(&self, account: &str) -> Vec<(Region, Self)> {
        let given = |name: &String| Region::new(name).ok();
        let ids: Vec<(Region, String)> = if !self.ids.is_empty() {
            let ids = self.ids.iter();
            ids.filter_map(|(region, id)| Some((given(region)?, id.clone())))
                .collect()
        } else {
            let id = |region| match self.id.as_str() {
                "" => derived_id(account, region, &self.name, 0),
                id => id.to_owned(),
            };
            self.named_regions()
                .map(|region| (region, id(region)))
                .collect()
        };
        let part = |(region, id): (Region, String)| {
            let name = region.as_str();
            let created = self.created_times.get(name);
            let image = Self {
                id,
                ids: BTreeMap::new(),
                regions: vec![name.into()],
                created_time: created.unwrap_or(&self.created_time).clone(),
                created_times: BTreeMap::new(),
                ..self.clone()
            };
            (region, image)
        };
        ids.into_iter().map(part).collect()
    }

    fn named_regions(&self) -> Box<dyn Iterator<Item = Region> + '_> {
        if self.regions.is_empty() {
            Box::new(Region::all())
        } else {
            Box::new(
                self.regions
                    .iter()
                    .filter_map(|name| Region::new(name).ok()),
            )
        }
    }

    /// The name that a list shows.
    pub(super) fn shown_name(&self) -> &str {
        if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        }
    }

    /// Performs the checks that serde cannot. The error is a text for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let label = match (
            self.id.as_str(),
            self.name.as_str(),
            self.ids.values().next(),
        ) {
            ("", "", None) => return Err("an image has neither `id`, `ids` nor `name`".into()),
            ("", "", Some(first)) => first,
            ("", name, _) => name,
            (id, ..) => id,
        };
        let wrong = |words: &str| Err(format!("image `{label}`: {words}"));
        if !self.id.is_empty() && self.regions.len() != 1 {
            return wrong(
                "an `id` belongs to one region: give `regions` with that region, or `ids: {region: id}`, or a `name` without an id; \
                 then the id in each region is generated",
            );
        }
        let otherwise = !self.id.is_empty() || !self.regions.is_empty();
        if !self.ids.is_empty() && otherwise {
            return wrong("`ids` is used in place of `id` and `regions`");
        }
        if self.ids.len() > 1 && self.name.is_empty() {
            return wrong(
                "an image in several regions needs a `name`, which is the same in all of them",
            );
        }
        let here: Vec<_> = self.ids.keys().map(String::as_str).collect();
        let distinct: BTreeSet<_> = self.ids.values().collect();
        if distinct.len() != here.len() {
            return wrong("`ids` gives one id in two regions");
        }
        if self.blueprint_id.is_some() && self.in_regions("").len() > 1 {
            return wrong("a `blueprintId` belongs to one region, but the image is in several");
        }
        let times = self.created_times.keys();
        let named = times.chain(self.ids.keys()).chain(&self.regions);
        for region in named {
            Region::new(region).map_err(|error| format!("`{region}`: {error}"))?;
        }
        let elsewhere = self.created_times.keys().find(|region| {
            let parts = self.in_regions("");
            !parts
                .iter()
                .any(|(part, _)| part.as_str() == region.as_str())
        });
        match elsewhere {
            Some(region) => wrong(&format!(
                "`createdTimes` names {region}, which does not have the image"
            )),
            None => Ok(()),
        }
    }
}

impl Generate {
    /// The images, in the order of their numbers.
    pub(super) fn images(&self) -> impl Iterator<Item = Image> + '_ {
        let regions: Vec<String> = match self.regions.as_slice() {
            [] => Region::all().map(|region| region.as_str().into()).collect(),
            regions => regions.to_vec(),
        };
        let numbers = 0..u64::from(self.count);
        let each = (0u64..).zip(regions);
        each.flat_map(move |(place, region)| {
            let first = place * u64::from(self.count);
            numbers.clone().map(move |number| Image {
                id: format!("{}{:08}", self.prefix, first + number),
                regions: vec![region.clone()],
                shared: self.shared,
                ..Image::default()
            })
        })
    }
}

/// An id for an image with this name: different for each account, region and name, and the same in every run. A higher
/// `attempt` gives another id if one is taken.
pub(super) fn derived_id(account: &str, region: Region, name: &str, attempt: u32) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let region = region.as_str();
    let digest = Sha256::digest(format!("{account}\n{region}\n{name}\n{attempt}"));
    let letters = digest.iter().take(8);
    let letters = letters.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    format!("img-{}", letters.collect::<String>())
}

impl Default for Image {
    fn default() -> Self {
        Self {
            id: String::new(),
            ids: BTreeMap::new(),
            regions: Vec::new(),
            name: String::new(),
            family: String::new(),
            tags: BTreeMap::new(),
            deprecated: false,
            source: "CREATE_IMAGE".into(),
            class: "SystemImage".into(),
            state: "NORMAL".into(),
            cloud_init: true,
            platform: "Ubuntu".into(),
            os_name: "Ubuntu Server 24.04 LTS 64bit".into(),
            os_accepted: true,
            architecture: "x86_64".into(),
            created_time: "2026-01-02T08:00:00Z".into(),
            created_times: BTreeMap::new(),
            shared: false,
            blueprint_id: None,
            blueprint_state: None,
            deleted: false,
            received: false,
            in_use: false,
            occupied_calls: 0,
            error: None,
        }
    }
}
