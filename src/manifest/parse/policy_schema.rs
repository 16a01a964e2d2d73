//! `ImageSharePolicy` and `ImageShareLock` documents as JSON Schema.

use serde_json::{Value, json};

use super::lock::DIGEST_PATTERN;
use super::policy::{AVAILABILITIES, DEPRECATED, IN_USE, LOCKS, MAX_CANCELS, MINIMUM, ORDERS};
use super::policy_images::{CONDITIONS, ENTRIES_MAX};
use super::values::GLOB_LEN_MAX;
use crate::model::Region;

/// The schema definitions, by name.
pub(super) fn definitions() -> [(&'static str, Value); 5] {
    [
        ("imageSharePolicySpec", spec()),
        ("exclusion", exclusion()),
        ("pin", pin()),
        ("revocation", revocation()),
        ("imageShareLockSpec", lock()),
    ]
}

/// A field with a fixed set of words, the first of which is the default.
fn word<T>(description: &str, words: &[(&str, T)]) -> Value {
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    json!({"description": description, "enum": words})
}

fn duration(description: &str) -> Value {
    json!({
        "description": format!("{description}, such as `24h` or `1h 30m`; default: 0"),
        "anyOf": [
            {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zA-Zµ]+\s*)+$|^0$"},
            {"const": 0},
        ],
    })
}

fn instant(description: &str) -> Value {
    json!({"description": description, "type": "string", "format": "date-time"})
}

fn count(description: &str, least: u32) -> Value {
    json!({"description": description, "type": "integer", "minimum": least, "maximum": u32::MAX})
}

fn entries(description: &str, definition: &str) -> Value {
    json!({
        "description": description,
        "type": "array", "minItems": 1, "maxItems": ENTRIES_MAX,
        "items": {"$ref": format!("#/$defs/{definition}")},
    })
}

fn spec() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["match", "keep"],
        "oneOf": [{"required": ["region"]}, {"required": ["regions"]}],
        "if": {"required": ["semver"]},
        "then": {"required": ["order"], "properties": {"order": {"const": "semver"}}},
        "properties": {
            "account": {"$ref": "#/$defs/accountName"},
            "region": {"$ref": "#/$defs/region"},
            "regions": {"$ref": "#/$defs/regions"},
            "match": {
                "description": "The account's own images for which all of these hold",
                "type": "object",
                "additionalProperties": false,
                "minProperties": 1,
                "properties": conditions(),
            },
            "deprecated": word("Deprecated images are not counted; default: ignored", &DEPRECATED),
            "exclude": entries("Images to leave alone: not shared, not cancelled, not counted", "exclusion"),
            "order": word("How versions are ordered", &ORDERS),
            "semver": {
                "description": "Needs `order: semver`",
                "type": "object",
                "additionalProperties": false,
                "required": ["range"],
                "properties": {
                    "range": {"description": "Other versions are left alone, such as `>=1.4, <2`", "type": "string"},
                },
            },
            "minAge": duration("The minimum age of a version before it is first shared"),
            "availability": word("When a version is first shared: in each region independently, or once it can be shared in all", &AVAILABILITIES),
            "keep": keep(),
            "pin": entries("Images to share instead of the newest ones", "pin"),
            "revoke": entries("Images whose shares are permanently ended", "revocation"),
            "lock": word("`required`: only images in the lock file are written", &LOCKS),
        },
    })
}

fn keep() -> Value {
    json!({
        "description": "How many versions stay shared, and how the others are retired",
        "type": "object",
        "additionalProperties": false,
        "required": ["newest"],
        "properties": {
            "newest": count("Versions that are shared", 1),
            "minimum": count(&format!("Versions that retention must leave, up to `newest`; default: {MINIMUM}"), 0),
            "unshareAfter": duration("How long a superseded version stays shared"),
            "inUse": word("What happens to a share that instances use", &IN_USE),
            "maxCancels": count(&format!("If more are due in a region, none is made; default: {MAX_CANCELS}"), 0),
            "owned": {"description": "Retire only shares of our own", "type": "boolean", "default": false},
        },
    })
}

fn conditions() -> Value {
    let mut properties = json!({});
    for name in CONDITIONS {
        properties[name] = match name {
            "createdAfter" => instant("Created at this time or later"),
            "createdBefore" => instant("Created before this time"),
            "tags" => json!({
                "description": "Tags in CVM, by key; `*` and `?` are wildcards in values",
                "type": "object", "minProperties": 1, "additionalProperties": {"type": "string"},
            }),
            "nameRegex" => json!({
                "description": "A regular expression for the whole name; its group `version` is the version",
                "type": "string", "format": "regex",
            }),
            name => json!({
                "description": match name {
                    "name" => "The whole name; `*` and `?` are wildcards",
                    "family" => "The family in CVM; `*` and `?` are wildcards",
                    _ => "`*` and `?` are wildcards",
                },
                "type": "string", "minLength": 1, "maxLength": GLOB_LEN_MAX,
            }),
        };
    }
    properties
}

fn exclusion() -> Value {
    let mut properties = conditions();
    properties["id"] = json!({"$ref": "#/$defs/imageId"});
    properties["reason"] = json!({"$ref": "#/$defs/freeText"});
    let one_of: Vec<_> = CONDITIONS
        .iter()
        .chain(&["id"])
        .map(|name| json!({"required": [name]}))
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "anyOf": one_of,
        "properties": properties,
    })
}

fn pin() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["names"],
        "properties": {
            "regions": {"$ref": "#/$defs/regions"},
            "names": {
                "description": "The only matching images that are shared there",
                "type": "array", "minItems": 1, "uniqueItems": true, "items": {"$ref": "#/$defs/imageName"},
            },
            "reason": {"$ref": "#/$defs/freeText"},
            "until": instant("From then on the pin has no effect"),
        },
    })
}

fn revocation() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{"required": ["id"]}, {"required": ["name"]}],
        "properties": {
            "id": {"$ref": "#/$defs/imageId"},
            "name": {"$ref": "#/$defs/imageName"},
            "reason": {"$ref": "#/$defs/freeText"},
            "at": instant("Before then, its only effect is that the replacement is shared"),
            "replacement": {"$ref": "#/$defs/imageName"},
            "force": {"description": "Whether it waits for nothing", "type": "boolean", "default": false},
        },
    })
}

fn lock() -> Value {
    let regions: Vec<_> = Region::all().map(Region::as_str).collect();
    json!({
        "description": "Written by `sharekeeper lock`; do not edit",
        "type": "object",
        "additionalProperties": false,
        "required": ["policies"],
        "properties": {
            "policies": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "digest", "regions"],
                    "properties": {
                        "name": {
                            "description": "An ImageSharePolicy document's name",
                            "type": "string", "maxLength": 253, "pattern": "^[0-9a-z]([-.0-9a-z]*[0-9a-z])?$",
                        },
                        "digest": {
                            "description": "The digest of the policy's meaning when it was locked",
                            "type": "string", "pattern": DIGEST_PATTERN,
                        },
                        "regions": {
                            "description": "The images that the policy selected in each region, the newest first",
                            "type": "object",
                            "propertyNames": {"enum": regions},
                            "additionalProperties": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "additionalProperties": false,
                                    "required": ["id", "name"],
                                    "properties": {
                                        "id": {"$ref": "#/$defs/imageId"},
                                        "name": {"$ref": "#/$defs/imageName"},
                                        "created": instant("The image's time of creation"),
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    })
}
