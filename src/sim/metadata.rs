//! The metadata service, from which a server gets the key of its role.

use serde_json::json;

use super::cloud::Cloud;
use super::sts::expiration;
use crate::model::Timestamp;

pub(super) const ROOT: &str = "/latest/meta-data/";
/// The path of the role's name. With the name appended, it is the path of the role's key.
pub const CREDENTIALS: &str = "/latest/meta-data/cam/security-credentials/";
/// The host name that servers call.
pub(super) const HOST: &str = "metadata.tencentyun.com";

/// Answers with a status and a text; the text of a key is JSON.
pub(super) fn handle(
    cloud: &mut Cloud,
    method: &str,
    path: &str,
    real: Timestamp,
) -> (u16, String) {
    // It is only known that a server without a role gets a 404. The same answer for another role's name is a guess.
    let not_found = || (404, "404 Not Found\n".to_owned());
    if !matches!(method, "GET" | "HEAD") {
        return (405, "405 Method Not Allowed\n".to_owned());
    }
    let (Some(named), Some(place)) = (path.strip_prefix(CREDENTIALS), cloud.metadata_role()) else {
        return not_found();
    };
    let name = place.of(&cloud.world.accounts).name.clone();
    if named.is_empty() {
        return (200, name);
    }
    if named != name {
        return not_found();
    }
    let date = cloud.server_time(real);
    let key = cloud.metadata_key(place, date);
    let document = json!({
        "TmpSecretId": key.secret_id,
        "TmpSecretKey": key.secret_key,
        "Token": key.token,
        "ExpiredTime": key.expires,
        "Expiration": expiration(&key),
        "Code": "Success",
    });
    (200, document.to_string())
}
