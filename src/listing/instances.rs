//! Lists the account's Lighthouse instances, by the blueprint that each uses. They are needed only before a CANCEL.
//!
//! DescribeInstances has no filter for blueprints, so all instances of the region are read.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::pages::{self, Page, Row};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, DescribeInstancesReply, Instance};
use crate::host::Host;
use crate::model::Scope;
use crate::observation::Instances;
use crate::words::brief;

/// Lists the instances of a region.
pub async fn instances<H: Host>(client: &ReadClient<H>, scope: &Scope) -> Instances {
    let read = async |offset| {
        let answered = client.describe_instances(scope.region, offset).await?;
        Ok(Page::from(answered.reply))
    };
    match pages::list(client, scope, Action::DescribeInstances, read).await {
        Ok(rows) => by_blueprint(rows),
        Err(why) => Instances::Unknown(why.reason),
    }
}

impl From<DescribeInstancesReply> for Page<Instance> {
    fn from(reply: DescribeInstancesReply) -> Self {
        Self {
            total: reply.total_count,
            rows: reply.instance_set,
        }
    }
}

impl Row for Instance {
    const ROWS: &'static str = "instances";

    fn id(&self) -> &str {
        &self.instance_id
    }
}

/// Groups instances by blueprint. An instance without a blueprint field may use any blueprint, so no blueprint is known
/// to be unused. An empty text means that the instance uses none.
fn by_blueprint(rows: Vec<Instance>) -> Instances {
    let mut users: BTreeMap<SmolStr, Vec<SmolStr>> = BTreeMap::new();
    for row in rows {
        let instance = brief(&row.instance_id);
        match row.blueprint_id {
            None => {
                return Instances::Unknown(format!(
                    "DescribeInstances does not say which blueprint {instance} uses"
                ));
            }
            Some(none) if none.is_empty() => {}
            Some(blueprint) => {
                let users = users.entry(brief(&blueprint).into()).or_default();
                users.push(instance.into());
            }
        }
    }
    Instances::Known(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, blueprint: Option<&str>) -> Instance {
        Instance {
            instance_id: id.into(),
            blueprint_id: blueprint.map(Into::into),
        }
    }

    #[test]
    fn every_instance_counts_for_the_blueprint_that_it_uses() {
        let rows = vec![
            row("lhins-1", Some("lhbp-a")),
            row("lhins-2", Some("")),
            row("lhins-3", Some("lhbp-b")),
            row("lhins-4", Some("lhbp-a")),
        ];
        let known = [
            ("lhbp-a".into(), vec!["lhins-1".into(), "lhins-4".into()]),
            ("lhbp-b".into(), vec!["lhins-3".into()]),
        ];
        assert_eq!(by_blueprint(rows), Instances::Known(known.into()));
        assert_eq!(by_blueprint(vec![]), Instances::Known(BTreeMap::new()));
    }

    #[test]
    fn s25_an_instance_of_a_blueprint_that_is_not_said_may_use_any() {
        let rows = vec![row("lhins-1", Some("lhbp-a")), row("lhins-2", None)];
        let Instances::Unknown(why) = by_blueprint(rows) else {
            panic!("it is not known what is in use");
        };
        assert!(why.contains("lhins-2"), "{why}");
    }
}
