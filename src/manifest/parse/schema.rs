//! The manifest format as JSON Schema, for editors. It is written separately from the parser; a test compares the two.

use serde_json::{Value, json};

use super::credentials::{PROFILE_PATTERN, SECTION_PATTERN, fields_of};
use super::policy_schema;
use super::restriction::PATTERNS_MAX;
use crate::api::DEFAULT_RATE;
use crate::desired::{CredentialSource, Role};
use crate::model::{AccountName, Cause, ImageName, Region};
use crate::windows::{Days, Kind, Windows, Zone};

/// The grammar of [`crate::model::ImageId`].
const IMAGE_ID: &str = "^img-[0-9a-z]{1,32}$";
/// The grammar of [`ImageName`] without its length: no control character, and no space at either end.
const IMAGE_NAME: &str = r"^(?!\s)[^\x00-\x1f\x7f-\x9f]*(?<!\s)$";

/// The manifest format as JSON Schema.
pub fn schema() -> Value {
    let regions: Vec<_> = Region::all().map(Region::as_str).collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sharekeeper manifest",
        "oneOf": [
            {"$ref": "#/$defs/imageShare"}, {"$ref": "#/$defs/imageSharePolicy"}, {"$ref": "#/$defs/imageShareLock"},
            {"$ref": "#/$defs/account"}, {"$ref": "#/$defs/restriction"},
        ],
        "$defs": {
            "imageShare": document("ImageShare", "#/$defs/imageShareSpec", &["apiVersion", "kind", "metadata", "spec"]),
            "imageSharePolicy": document("ImageSharePolicy", "#/$defs/imageSharePolicySpec", &["apiVersion", "kind", "metadata", "spec"]),
            "imageShareLock": document("ImageShareLock", "#/$defs/imageShareLockSpec", &["apiVersion", "kind", "spec"]),
            "account": document("Account", "#/$defs/accountSpec", &["apiVersion", "kind", "metadata"]),
            "restriction": document("Restriction", "#/$defs/restrictionSpec", &["apiVersion", "kind", "metadata", "spec"]),
            "metadata": metadata(),
            "texts": {"type": "object", "additionalProperties": {"type": "string"}},
            "region": {
                "description": "A region in which image sharing exists",
                "enum": regions,
            },
            "regions": {
                "type": "array", "minItems": 1, "uniqueItems": true, "items": {"$ref": "#/$defs/region"},
            },
            "imageShareSpec": image_share_spec(),
            "image": image(),
            "imageId": {"description": "The id of a CVM custom image in one region", "type": "string", "pattern": IMAGE_ID},
            "imageName": {
                "description": "The whole name of a CVM custom image, the same in every region",
                "type": "string", "minLength": 1, "maxLength": ImageName::LEN_MAX, "pattern": IMAGE_NAME,
            },
            "accountName": {
                "description": "An Account document's name; default: the first available credentials",
                "type": "string",
                "maxLength": AccountName::LEN_MAX,
                "pattern": "^[0-9a-z]([-.0-9a-z]*[0-9a-z])?$",
            },
            "freeText": {"description": "Free text", "type": ["string", "number", "boolean", "null"]},
            "accountSpec": account_spec(),
            "window": window(),
            "restrictionSpec": restriction_spec(),
        },
    });
    for (name, part) in policy_schema::definitions() {
        schema["$defs"][name] = part;
    }
    for roles in 0..=CredentialSource::ROLES_MAX {
        schema["$defs"][format!("credentials{roles}")] = credentials(roles);
    }
    schema
}

/// A source of credentials. At most `roles` roles may be assumed on top of each other.
fn credentials(roles: usize) -> Value {
    let words = CredentialSource::WORDS.iter();
    let sources = words.filter(|from| roles > 0 || **from != "assume-role");
    let sources: Vec<_> = sources
        .map(|from| {
            let mut properties = json!({"from": {"const": from}});
            for field in fields_of(from) {
                properties[*field] = match *field {
                    "source" => json!({"$ref": format!("#/$defs/credentials{}", roles - 1)}),
                    field => credentials_field(field),
                };
            }
            let required: &[&str] = match *from {
                "assume-role" => &["from", "roleArn", "source"],
                _ => &["from"],
            };
            json!({
                "type": "object",
                "additionalProperties": false,
                "required": required,
                "properties": properties,
            })
        })
        .collect();
    json!({"description": "The source of a key, never the key itself", "oneOf": sources})
}

fn credentials_field(name: &str) -> Value {
    let text = |description: &str, pattern: &str| json!({"description": description, "type": "string", "pattern": pattern});
    match name {
        "profile" => text(
            "A profile of tccli; default: TCCLI_PROFILE, else `default`",
            PROFILE_PATTERN,
        ),
        "path" => json!({
            "description": "The SDK's credentials file; default: TENCENTCLOUD_CREDENTIALS_FILE, else ~/.tencentcloud/credentials, else /etc/tencentcloud/credentials",
            "type": "string", "minLength": 1,
        }),
        "section" => text("Its section; default: `default`", SECTION_PATTERN),
        "role" => text(
            "The role of the CVM instance; default: its only role",
            Role::NAME_PATTERN,
        ),
        "roleArn" => text("The role to assume", Role::ARN_PATTERN),
        "sessionName" => text(
            "Shown in the audit trail; default: `sharekeeper`",
            Role::SESSION_PATTERN,
        ),
        "externalId" => text(
            "The external id that the role's trust policy requires",
            Role::EXTERNAL_ID_PATTERN,
        ),
        _ => json!({
            "description": "The lifetime of the role's credentials in seconds; default: 7200",
            "type": "integer", "minimum": Role::SECONDS.start(), "maximum": Role::SECONDS.end(),
        }),
    }
}

fn document(kind: &str, spec: &str, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": {
            "apiVersion": {"const": "sharekeeper.dev/v1"},
            "kind": {"const": kind},
            "metadata": {"$ref": "#/$defs/metadata"},
            "spec": {"$ref": spec},
        },
    })
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": {
                "description": "Unique among documents of its kind",
                "type": "string",
                "maxLength": 253,
                "pattern": "^[0-9a-z]([-.0-9a-z]*[0-9a-z])?$",
            },
            "labels": {"description": "For `-l key=value`", "$ref": "#/$defs/texts"},
            "annotations": {"description": "For your own tools", "$ref": "#/$defs/texts"},
        },
    })
}

fn image_share_spec() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["images"],
        "oneOf": [{"required": ["region"]}, {"required": ["regions"]}],
        "properties": {
            "account": {"$ref": "#/$defs/accountName"},
            "region": {"$ref": "#/$defs/region"},
            "regions": {"$ref": "#/$defs/regions"},
            "images": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/image"}},
        },
        "if": {"required": ["regions"], "properties": {"regions": {"type": "array", "minItems": 2}}},
        "then": {"properties": {"images": {"items": {"properties": {"id": false}}}}},
    })
}

fn image() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["state"],
        "oneOf": [{"required": ["id"]}, {"required": ["name"]}],
        "properties": {
            "id": {"$ref": "#/$defs/imageId"},
            "name": {"$ref": "#/$defs/imageName"},
            "state": {"description": "The desired state", "enum": ["shared", "unshared"]},
            "from": {
                "description": "Unshared before this instant; needs `shared`",
                "type": "string", "format": "date-time",
            },
            "until": {
                "description": "Unshared from this instant on; needs `shared`",
                "type": "string", "format": "date-time",
            },
            "protect": {"description": "Never cancel the share, for any reason", "type": "boolean"},
            "note": {"$ref": "#/$defs/freeText"},
        },
        "if": {"required": ["state"], "properties": {"state": {"const": "unshared"}}},
        "then": {"properties": {"from": false, "until": false}},
    })
}

fn account_spec() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "uin": {
                "description": "The root account's number; with a key of another account, no call is made",
                "anyOf": [
                    {"type": "string", "pattern": "^[1-9][0-9]{0,19}$"},
                    {"type": "integer", "minimum": 1},
                ],
            },
            "endpoint": {
                "description": "Access point; may hold {region}",
                "type": "string",
                "pattern": "^https?://[^/]+/?$",
                "default": crate::model::Endpoint::DEFAULT,
            },
            "rate": {
                "description": "Writes a second per access point",
                "type": "integer", "minimum": 1, "maximum": 20, "default": DEFAULT_RATE,
            },
            "credentials": {"$ref": format!("#/$defs/credentials{}", CredentialSource::ROLES_MAX)},
            "windows": {
                "description": "When changes may be made; without any, always",
                "type": "array", "minItems": 1, "maxItems": Windows::MAX,
                "items": {"$ref": "#/$defs/window"},
            },
        },
    })
}

fn window() -> Value {
    let day = format!("({})", Days::WORDS.join("|"));
    let time = "([01][0-9]|2[0-3]):[0-5][0-9]";
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["kind", "timeZone"],
        "dependentRequired": {
            "from": ["to"], "to": ["from"], "schedule": ["duration"], "duration": ["schedule"],
        },
        "if": {"required": ["schedule"]},
        "then": {"properties": {"days": false, "from": false, "to": false}},
        "properties": {
            "kind": {
                "description": "`deny`: no changes while it is active; `allow`: changes only while one is",
                "enum": Kind::ALL.map(Kind::as_str),
            },
            "days": {
                "description": "Days on which it starts, or ranges of days; default: every day",
                "type": "array", "minItems": 1, "uniqueItems": true,
                "items": {"type": "string", "pattern": format!("^{day}(-{day})?$")},
            },
            "from": {
                "description": "When it starts, HH:MM; without `from` and `to`: the whole day",
                "type": "string", "pattern": format!("^{time}$"),
            },
            "to": {
                "description": "When it ends; on the next day, if not after `from`",
                "type": "string", "pattern": format!("^({time}|24:00)$"),
            },
            "schedule": {
                "description": "When it starts, as a cron expression with five fields; replaces days and times",
                "type": "string", "pattern": r"^\s*[^\s@]+(\s+[^\s@]+){4}\s*$",
            },
            "duration": {
                "description": "How long a scheduled window lasts, such as `8h` or `1h 30m`; up to 7 days",
                "type": "string", "pattern": r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$",
            },
            "timeZone": {
                "description": "The IANA time zone of its times",
                "enum": Zone::names().collect::<Vec<_>>(),
            },
            "causes": {
                "description": "The changes that it applies to; default: all",
                "type": "array", "minItems": 1, "uniqueItems": true,
                "items": {"enum": Cause::ALL.map(Cause::as_str)},
            },
            "reason": {"description": "Free text, shown with withheld changes", "type": ["string", "number", "boolean", "null"]},
        },
    })
}

fn restriction_spec() -> Value {
    let patterns = |description: &str, most: usize, pattern: &str| {
        json!({
            "description": description,
            "type": "array", "minItems": 1, "uniqueItems": true,
            "items": {"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern},
            "contains": {"pattern": "[*?]"}, "minContains": 0, "maxContains": PATTERNS_MAX,
        })
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["restrict"],
        "properties": {
            "directory": {
                "description": "The directory that it applies to, with everything below; relative to the directory of this file, and inside of it",
                "type": "string", "minLength": 1, "default": ".",
                "not": {"pattern": r"^/|(^|/)\.\.(/|$)|[*?]"},
            },
            "restrict": {
                "description": "What manifests there may name; a missing field restricts nothing",
                "type": "object",
                "additionalProperties": false,
                "minProperties": 1,
                "properties": {
                    "accounts": patterns(
                        "Names of accounts; `*` and `?` are wildcards",
                        AccountName::LEN_MAX,
                        "^[0-9a-z*?]([-.0-9a-z*?]*[0-9a-z*?])?$",
                    ),
                    "regions": {
                        "type": "array", "minItems": 1, "uniqueItems": true, "items": {"$ref": "#/$defs/region"},
                    },
                    "images": patterns(
                        "Ids of images, and names (entries that do not begin with `img-`); `*` and `?` are wildcards",
                        ImageName::LEN_MAX,
                        &format!("^img-[0-9a-z*?]{{1,32}}$|^(?![iI][mM][gG]-){}", &IMAGE_NAME[1..]),
                    ),
                },
            },
        },
    })
}
