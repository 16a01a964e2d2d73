//! `sim`: serves the simulator of the API until a signal stops it. The simulation itself is in `crate::sim`.

use serde::Serialize;

use super::args::{Common, SimArguments};
use super::output::{self, Failure};
use super::signals::SignalListener;
use crate::engine::StopReason;
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::sim::{Account, Cloud, METADATA_CREDENTIALS, Server, World};

/// The document that `sim` prints once it listens. The keys are invented, so they may be shown.
#[derive(Serialize)]
struct SimDocument<'a> {
    format_version: u32,
    endpoint: String,
    accounts: Vec<AccountKey<'a>>,
    /// The URL at which a server finds the name and the key of its role, if the world has one.
    metadata: Option<String>,
    /// Commands to begin with, for a shell that has the first account's key.
    examples: Vec<String>,
}

#[derive(Serialize)]
struct AccountKey<'a> {
    name: &'a str,
    uin: &'a str,
    secret_id: &'a str,
    secret_key: &'a str,
    token: Option<&'a str>,
    /// ARNs of the account's roles, for AssumeRole and AssumeRoleWithWebIdentity.
    roles: Vec<String>,
}

impl<'a> From<&'a Account> for AccountKey<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            name: &account.name,
            uin: &account.uin,
            secret_id: &account.secret_id,
            secret_key: &account.secret_key,
            token: account.token.as_deref(),
            roles: account
                .roles
                .iter()
                .map(|role| role.arn(&account.uin))
                .collect(),
        }
    }
}

impl<'a> SimDocument<'a> {
    fn new(endpoint: String, world: &'a World) -> Self {
        let metadata = world.metadata.as_ref();
        Self {
            format_version: FORMAT_VERSION,
            accounts: world.accounts.iter().map(AccountKey::from).collect(),
            metadata: metadata.map(|_| format!("{endpoint}{METADATA_CREDENTIALS}")),
            examples: examples(&endpoint, world),
            endpoint,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("The simulator listens on {}\n", self.endpoint);
        for key in &self.accounts {
            text.push_str(&format!(
                "\n# account {} ({})\nexport TENCENTCLOUD_SECRET_ID={}\nexport TENCENTCLOUD_SECRET_KEY={}\n",
                key.name, key.uin, key.secret_id, key.secret_key
            ));
            if let Some(token) = key.token {
                text.push_str(&format!("export TENCENTCLOUD_TOKEN={token}\n"));
            }
            for role in &key.roles {
                text.push_str(&format!("# role {role}\n"));
            }
        }
        let endpoint = &self.endpoint;
        text.push_str(&format!(
            "\nUse it:   sharekeeper plan --endpoint {endpoint}\nState:    GET {endpoint}/_sim/state\n"
        ));
        if !self.examples.is_empty() {
            text.push_str("Try it:\n");
        }
        for example in &self.examples {
            text.push_str(&format!("  {example}\n"));
        }
        if let Some(metadata) = &self.metadata {
            text.push_str(&format!("Metadata: GET {metadata}\n"));
        }
        text.push_str("End it:   Ctrl-C\n");
        text
    }
}

/// Commands of the vendor's own client that list images and share one. Empty if the world has none to share.
fn examples(endpoint: &str, world: &World) -> Vec<String> {
    let cloud = Cloud::new(world.clone());
    let Some((region, image)) = cloud.shareable() else {
        return Vec::new();
    };
    let call = |action: &str, parameters: &str| {
        format!("tccli lighthouse {action} --region {region}{parameters} --endpoint {endpoint}")
    };
    let share = format!(" --ImageId {image} --Permission SHARE");
    vec![
        call("DescribeImagesToShare", ""),
        call("ModifyImageSharePermission", &share),
    ]
}

pub(super) async fn run(
    arguments: &SimArguments,
    common: &Common,
    signals: &SignalListener,
) -> Result<ExitStatus, Failure> {
    let mut world = match &arguments.world {
        Some(file) => World::load(file).map_err(|error| Failure::from_error(&error))?,
        None => World::believable().map_err(|error| Failure::from_error(&error))?,
    };
    if let Some(seed) = arguments.seed {
        world.seed = seed;
    }
    let described = world.clone();
    let server = Server::start(arguments.listen, world)
        .await
        .map_err(|error| {
            Failure::new(format_args!(
                "cannot listen on {}: {error}",
                arguments.listen
            ))
        })?;
    let address = server.address();
    let document = SimDocument::new(format!("http://{address}"), &described);
    output::print(common.output, &document, &document.text())?;
    let exit = match signals.stopped().await {
        StopReason::Interrupted => ExitStatus::Interrupted,
        StopReason::HungUp => ExitStatus::HungUp,
        _ => ExitStatus::Terminated,
    };
    // The world is not saved, because a world file belongs to the user.
    server
        .stop()
        .await
        .map_err(|error| Failure::from_error(&error))?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n9_the_default_world_comes_with_commands_that_work_in_it() {
        let world = World::believable().expect("a world");
        let document = SimDocument::new("http://127.0.0.1:7980".into(), &world);
        let ends = " --endpoint http://127.0.0.1:7980";
        let [list, share] = document.examples.as_slice() else {
            panic!("{:?}", document.examples);
        };
        let region = "--region ap-singapore";
        assert_eq!(
            *list,
            format!("tccli lighthouse DescribeImagesToShare {region}{ends}")
        );
        let image = share
            .split_whitespace()
            .find(|word| word.starts_with("img-"));
        let image = image.expect("an image");
        let images = world.accounts[0].images.iter();
        let mut plain = images.filter(|known| !known.shared && known.ids.len() > 1);
        let is_plain = plain.any(|known| known.ids["ap-singapore"] == image);
        assert!(is_plain, "{share}");
        assert!(share.contains(region) && share.ends_with(ends), "{share}");
        let text = document.text();
        assert!(
            text.contains(&format!("Try it:\n  {list}\n  {share}\n")),
            "{text}"
        );

        let empty = World::parse("{}").expect("a world");
        let document = SimDocument::new("http://127.0.0.1:1".into(), &empty);
        assert!(!document.text().contains("Try it"));
    }

    #[test]
    fn what_is_said_names_roles_and_the_metadata_service_where_there_are_any() {
        let told = |yaml: &str| {
            let world = World::parse(yaml).expect("a world");
            let document = SimDocument::new("http://127.0.0.1:1".into(), &world);
            let json = serde_json::to_value(&document).expect("JSON");
            (document.text(), json)
        };
        let arn = "qcs::cam::uin/100000000001:roleName/deployer";
        let url = "http://127.0.0.1:1/latest/meta-data/cam/security-credentials/";
        let (text, json) = told(
            "{metadata: {account: default, role: deployer}, accounts: [{roles: [{name: deployer}]}]}",
        );
        assert!(text.contains(&format!("# role {arn}\n")), "{text}");
        assert!(text.contains(&format!("Metadata: GET {url}\n")), "{text}");
        assert_eq!(json["accounts"][0]["roles"], serde_json::json!([arn]));
        assert_eq!(json["metadata"], url);
        let (text, json) = told("{}");
        assert!(
            !text.contains("role") && !text.contains("Metadata"),
            "{text}"
        );
        assert_eq!(json["accounts"][0]["roles"], serde_json::json!([]));
        assert!(json["metadata"].is_null());
    }
}
