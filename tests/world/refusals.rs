//! Checks how few writes a process makes while none of them is permitted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sharekeeper::model::Monotonic;

use super::checker::Departure;

/// The most writes that may be refused in one pass over a scope in which none is permitted.
const REFUSED_MAX: usize = 5;
/// A write that was permitted this long ago belongs to an earlier pass.
const PASS_MAX: Duration = Duration::from_secs(900);

/// The writes of one scope.
#[derive(Default)]
struct Writes {
    /// The number of writes since the newest list that were refused, or still may be.
    refused: usize,
    /// The time of the last answer that did not deny the permission.
    permitted: Option<Monotonic>,
}

/// What one process was told about its right to write, by key and region.
#[derive(Default)]
pub(super) struct Refusals {
    writes: BTreeMap<(String, String), Writes>,
}

fn scope(call: &Departure) -> (String, String) {
    (call.key.clone(), call.region.clone())
}

fn is_write(call: &Departure) -> bool {
    call.action == "ModifyImageSharePermission"
}

impl Refusals {
    /// A14: a scope in which writing is not permitted costs a few calls.
    pub(super) fn departed(&mut self, call: &Departure) -> Option<String> {
        let is_list = call.action == "DescribeBlueprints"
            && call.body.get("BlueprintIds").is_none()
            && call.body["Offset"].as_u64().unwrap_or(0) == 0;
        let writes = self.writes.entry(scope(call)).or_default();
        if is_list {
            writes.refused = 0;
        }
        if !is_write(call) {
            return None;
        }
        writes.refused += 1;
        let permitted = writes.permitted;
        let is_permitted = permitted.is_some_and(|at| call.at.since(at) < PASS_MAX);
        let many = writes.refused;
        (many > REFUSED_MAX && !is_permitted)
            .then(|| format!("A14: {many} writes, of which none was permitted"))
    }

    /// The answer to a call arrives.
    pub(super) fn replied(&mut self, call: &Departure, response: &Value, now: Monotonic) {
        let code = response["Error"]["Code"].as_str().unwrap_or_default();
        if is_write(call) && !code.starts_with("UnauthorizedOperation") {
            let writes = self.writes.entry(scope(call)).or_default();
            writes.refused = writes.refused.saturating_sub(1);
            writes.permitted = Some(now);
        }
    }
}
