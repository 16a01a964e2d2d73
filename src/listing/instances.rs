//! Lists the account's Lighthouse instances, by the blueprint that each uses. They are needed only before a CANCEL.

use crate::api::ReadClient;
use crate::host::Host;
use crate::model::Scope;
use crate::observation::Instances;

/// Lists the instances of a region.
pub async fn instances<H: Host>(_client: &ReadClient<H>, _scope: &Scope) -> Instances {
    Instances::Unknown("they cannot be listed".into())
}
