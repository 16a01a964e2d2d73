//! The formats of requests, which the client and the simulator share, and of replies, as far as the client reads them.
//!
//! Replies are parsed strictly where a tolerant parser could lose images: a list that is absent or null is an error,
//! not an empty list, and a count in quotes is not a count. No other field can make a reply unusable, because the API's
//! replies do not always match its documentation: unused fields are not parsed at all, and optional ones are parsed by
//! `lenient`. Sources: the official SDK's models and, for limits, the actions' documentation.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The largest `Limit` of a Describe call.
pub const PAGE_LIMIT_MAX: u32 = 100;

/// A service of the cloud. Each signs under its own name and answers at its own host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Images, and what Lighthouse can do with them.
    Lighthouse,
    /// The owner of a key.
    Sts,
    /// Properties of images that Lighthouse does not show: family, tags, deprecation.
    Cvm,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Lighthouse, Self::Sts, Self::Cvm];

    /// The name of the service in the credential scope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lighthouse => "lighthouse",
            Self::Sts => "sts",
            Self::Cvm => "cvm",
        }
    }

    /// The API version of the formats in this file: the value of `X-TC-Version`.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Lighthouse => "2020-03-24",
            Self::Sts => "2018-08-13",
            Self::Cvm => "2017-03-12",
        }
    }
}

/// The actions that sharekeeper uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Shares one image or ends its share. 20 calls a second.
    ModifyImageSharePermission,
    /// Lists blueprints; a shared image's blueprint has its `ImageId`. 10 calls a second.
    DescribeBlueprints,
    /// Lists custom images with the reasons against sharing them. 20 calls a second.
    DescribeImagesToShare,
    /// Returns the account that the key belongs to. 20 calls a second.
    GetCallerIdentity,
    /// Lists Lighthouse instances, each with its blueprint. 10 calls a second: the documented limit is not known here,
    /// so this is the lowest one of the product's Describe actions.
    DescribeInstances,
    /// Lists images in CVM, with family, tags and deprecation. 10 calls a second.
    DescribeImages,
}

impl Action {
    pub const ALL: [Self; 6] = [
        Self::ModifyImageSharePermission,
        Self::DescribeBlueprints,
        Self::DescribeImagesToShare,
        Self::GetCallerIdentity,
        Self::DescribeInstances,
        Self::DescribeImages,
    ];

    /// The service that provides it.
    pub const fn service(self) -> Service {
        match self {
            Self::ModifyImageSharePermission
            | Self::DescribeBlueprints
            | Self::DescribeImagesToShare
            | Self::DescribeInstances => Service::Lighthouse,
            Self::GetCallerIdentity => Service::Sts,
            Self::DescribeImages => Service::Cvm,
        }
    }

    /// The value of `X-TC-Action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModifyImageSharePermission => "ModifyImageSharePermission",
            Self::DescribeBlueprints => "DescribeBlueprints",
            Self::DescribeImagesToShare => "DescribeImagesToShare",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeImages => "DescribeImages",
        }
    }

    /// The name of the CAM permission that it needs.
    pub fn permission(self) -> String {
        format!("{}:{}", self.service().as_str(), self.as_str())
    }

    /// The calls that the API allows in a sliding second, per account and access point.
    pub const fn limit_per_second(self) -> u32 {
        match self {
            Self::DescribeBlueprints | Self::DescribeInstances | Self::DescribeImages => 10,
            Self::ModifyImageSharePermission
            | Self::DescribeImagesToShare
            | Self::GetCallerIdentity => 20,
        }
    }
}

/// The body of a `ModifyImageSharePermission` request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyRequest {
    /// An id such as `img-…`.
    pub image_id: String,
    /// Either `SHARE` or `CANCEL`.
    pub permission: String,
}

/// One `{Name, Values}` filter. One of the values must match; all filters must match.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// A name such as `blueprint-type`.
    pub name: String,
    pub values: Vec<String>,
}

/// The body of `DescribeBlueprints`. `BlueprintIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeBlueprintsRequest {
    /// At most 100 ids in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 filters in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// The body of `DescribeImagesToShare`. `ImageIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeImagesRequest {
    /// No maximum is published, so 100 is assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 filters, of at most 5 values each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// The body of `DescribeInstances`. `InstanceIds` and `Filters` exclude each other. There is no filter for blueprints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInstancesRequest {
    /// At most 100 ids in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 filters in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// The body of CVM's `DescribeImages`. `ImageIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeCvmImagesRequest {
    /// Ids such as `img-…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 filters, of at most 5 values each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// The body of `GetCallerIdentity`, which takes no parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerIdentityRequest {}

/// Parses an optional field: `None` if it is null or has an unexpected type.
pub(in crate::api) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A JSON object. Serde would also accept a list, field by field: `[0, []]` for an empty page.
pub(in crate::api) struct Object<T>(pub(in crate::api) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        let fields = Fields(PhantomData);
        deserializer.deserialize_map(fields).map(Self)
    }
}

fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let rows = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// A list of objects, in which null stands for an empty list.
fn objects_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let rows = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(rows
        .unwrap_or_default()
        .into_iter()
        .map(|row| row.0)
        .collect())
}

/// The envelope of every reply.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "Response")]
    response: Object<T>,
}

/// Parses a reply from its envelope.
pub fn response<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let whole = serde_json::from_slice::<Object<Envelope<T>>>(body)?;
    Ok(whole.0.response.0)
}

/// The fields that every reply may have. They are parsed first, because an `Error` overrides all others.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplyBody {
    /// Present exactly when the call failed.
    #[serde(default, deserialize_with = "object_or_null")]
    pub error: Option<ErrorBody>,
    /// Absent when the request never reached the service.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}

fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|object| object.0))
}

/// A business or authentication error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorBody {
    /// A stable code, such as `UnsupportedOperation.ImageAlreadyShared`.
    pub code: String,
    /// Localised text that may change: shown, never matched.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
}

/// The part of the reply of `ModifyImageSharePermission` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyReply {
    /// Null after CANCEL, and possibly after SHARE. The outer `None` means that the field is absent: then the reply is
    /// neither a yes nor a no.
    #[serde(default, deserialize_with = "present")]
    pub blueprint_id: Option<Option<String>>,
    /// The RequestId, for the vendor's support.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}

/// Distinguishes a field that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The part of the reply of `DescribeBlueprints` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeBlueprintsReply {
    /// The number of rows on all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub blueprint_set: Vec<Blueprint>,
}

/// The part of a blueprint that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Blueprint {
    /// An id such as `lhbp-…`.
    pub blueprint_id: String,
    /// The CVM image that it was shared from; absent, null or empty for any other blueprint. Any other type is an
    /// error, because it could belong to an image.
    #[serde(default)]
    pub image_id: Option<String>,
    /// The state, an open set: NORMAL, SYNCING, …
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_state: Option<String>,
    /// The type, an open set: PRIVATE, SHARED, APP_OS, …
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_type: Option<String>,
    /// Usually the image's name.
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_name: Option<String>,
}

/// The part of the reply of `DescribeImagesToShare` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeImagesReply {
    /// The number of rows on all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub image_set: Vec<CustomImage>,
}

/// The part of a custom image that is read: its properties for people, and the reasons against sharing it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomImage {
    pub image_id: String,
    /// Whether it can be shared now; also false for an image that is already shared.
    pub is_shareable: bool,
    /// How it was made: `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    #[serde(default, deserialize_with = "lenient")]
    pub image_source: Option<String>,
    /// What it holds: `SystemImage` or `InstanceImage`.
    #[serde(default, deserialize_with = "lenient")]
    pub image_class: Option<String>,
    /// The state: CREATING, NORMAL, CREATEFAILED, USING, SYNCING, IMPORTING or IMPORTFAILED.
    #[serde(default, deserialize_with = "lenient")]
    pub image_state: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub is_support_cloudinit: Option<bool>,
    /// Localised free text, empty if shareable: shown, never matched.
    #[serde(default, deserialize_with = "lenient")]
    pub unshareable_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub image_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub os_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub platform: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub architecture: Option<String>,
    /// The time of creation in UTC, as `YYYY-MM-DDThh:mm:ssZ`.
    #[serde(default, deserialize_with = "lenient")]
    pub created_time: Option<String>,
}

/// The part of the reply of `DescribeInstances` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstancesReply {
    /// The number of rows on all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub instance_set: Vec<Instance>,
}

/// The part of an instance that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// An id such as `lhins-…`.
    pub instance_id: String,
    /// The blueprint that it uses. Any other type is an error, because it could be one, too.
    #[serde(default)]
    pub blueprint_id: Option<String>,
}

/// The part of the reply of CVM's `DescribeImages` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCvmImagesReply {
    /// The number of rows on all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub image_set: Vec<CvmImageRow>,
}

/// The part of an image in CVM that is read. An image lacks a property that is absent or null. A property of an
/// unexpected type could mean anything, so the reply is rejected: a policy would otherwise share or retire the wrong
/// images by a guess.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CvmImageRow {
    pub image_id: String,
    #[serde(default)]
    pub image_family: Option<String>,
    #[serde(default)]
    pub image_deprecated: Option<bool>,
    /// The tags; each key occurs once.
    #[serde(default, deserialize_with = "objects_or_null")]
    pub tags: Vec<Tag>,
}

/// A tag of an image in CVM.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub key: String,
    /// The value; a tag need not have one.
    #[serde(default)]
    pub value: Option<String>,
}

/// The part of the reply of `GetCallerIdentity` that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// The uin of the caller's root account, for a user, a role or a federated user.
    pub account_id: String,
    /// The caller's name in CAM, such as `qcs::cam:100000000001:uin/100000000001`.
    #[serde(default, deserialize_with = "lenient")]
    pub arn: Option<String>,
    /// The kind of caller, an open set: `CAMUser`, `CAMRole`, …
    #[serde(default, deserialize_with = "lenient")]
    pub r#type: Option<String>,
    /// The RequestId, for the vendor's support.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}
