use tokio::signal::unix::{SignalKind, signal};

use serde::Serialize;

use super::args::{Output, SimArguments};
use super::output::{self, Failure};
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::sim::{Account, Server, World};

/// What `sim` says once it listens. The keys are made up, so they may be shown.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    endpoint: String,
    accounts: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    uin: &'a str,
    secret_id: &'a str,
    secret_key: &'a str,
    token: Option<&'a str>,
}

impl<'a> From<&'a Account> for Key<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            name: &account.name,
            uin: &account.uin,
            secret_id: &account.secret_id,
            secret_key: &account.secret_key,
            token: account.token.as_deref(),
        }
    }
}

impl Document<'_> {
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
        }
        let endpoint = &self.endpoint;
        text.push_str(&format!(
            "\nUse it:   sharekeeper plan --endpoint {endpoint}\nState:    GET {endpoint}/_sim/state\nEnd it:   Ctrl-C\n"
        ));
        text
    }
}

/// `sim`: serves until SIGINT or SIGTERM.
pub(super) async fn run(arguments: &SimArguments, output: Output) -> Result<u8, Failure> {
    let mut world = match &arguments.world {
        Some(file) => World::load(file).map_err(|error| Failure::from_error(&error))?,
        None => World::default(),
    };
    if let Some(seed) = arguments.seed {
        world.seed = seed;
    }
    let accounts = world.accounts.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(arguments.listen, world)
        .await
        .map_err(|error| {
            Failure::new(format_args!(
                "cannot listen on {}: {error}",
                arguments.listen
            ))
        })?;
    let address = server.address();
    let document = Document {
        format_version: FORMAT_VERSION,
        endpoint: format!("http://{address}"),
        accounts: accounts.iter().map(Key::from).collect(),
    };
    output::print(output, &document, &document.text())?;
    let exit = tokio::select! {
        _ = interrupt.recv() => ExitStatus::Interrupted,
        _ = terminate.recv() => ExitStatus::Terminated,
    };
    server.stop().await;
    Ok(exit.code())
}
