use tokio::signal::unix::{SignalKind, signal};

use super::args::SimArguments;
use super::output::{self, Failure};
use crate::report::ExitStatus;
use crate::sim::{Server, World};

/// `sim`: serves until SIGINT or SIGTERM.
pub(super) async fn run(arguments: &SimArguments) -> Result<u8, Failure> {
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
    if let Some(file) = &arguments.ca_file {
        std::fs::write(file, server.certificate()).map_err(|error| {
            Failure::new(format_args!("cannot write {}: {error}", file.display()))
        })?;
    }
    let mut text = format!("The simulator listens on http://{address}\n");
    for account in &accounts {
        text.push_str(&format!(
            "\n# account {} ({})\nexport TENCENTCLOUD_SECRET_ID={}\nexport TENCENTCLOUD_SECRET_KEY={}\n",
            account.name, account.uin, account.secret_id, account.secret_key
        ));
        if let Some(token) = &account.token {
            text.push_str(&format!("export TENCENTCLOUD_TOKEN={token}\n"));
        }
    }
    text.push_str(&format!(
        "\nUse it:   sharekeeper plan --endpoint http://{address}\nState:    GET http://{address}/_sim/state\nEnd it:   Ctrl-C\n"
    ));
    output::print_raw(text.as_bytes())?;
    let exit = tokio::select! {
        _ = interrupt.recv() => ExitStatus::Interrupted,
        _ = terminate.recv() => ExitStatus::Terminated,
    };
    server.stop().await;
    Ok(exit.code())
}
