//! The metadata service: what a server asks for the key of its role.

use serde_json::json;

use super::cloud::Cloud;
use super::sts::expiration;
use crate::model::Timestamp;

/// Begins every path of it.
pub(super) const ROOT: &str = "/latest/meta-data/";
/// Where the role's name is; the name is appended for its key.
pub const CREDENTIALS: &str = "/latest/meta-data/cam/security-credentials/";
/// The name that servers know it by.
pub(super) const HOST: &str = "metadata.tencentyun.com";

/// What it says: a status and a text, which is JSON where that is a key.
pub(super) fn handle(
    cloud: &mut Cloud,
    method: &str,
    path: &str,
    real: Timestamp,
) -> (u16, String) {
    // A guess, as what another role's name answers: only that a server without a role gets a 404 is known.
    let nothing = || (404, "404 Not Found\n".to_owned());
    if !matches!(method, "GET" | "HEAD") {
        return (405, "405 Method Not Allowed\n".to_owned());
    }
    let (Some(named), Some(place)) = (path.strip_prefix(CREDENTIALS), cloud.metadata_role()) else {
        return nothing();
    };
    let name = place.of(&cloud.world.accounts).name.clone();
    if named.is_empty() {
        return (200, name);
    }
    if named != name {
        return nothing();
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
