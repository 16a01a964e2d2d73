//! Arguments → settings → one command, and its exit status. Each command has its own file, whose `run` is the entry.
//! Commands join the other modules and decide nothing; only they connect the simulator to the rest.

mod accept;
mod accounts;
mod adopt;
mod api_target;
mod args;
mod commit;
mod completions;
mod connect;
mod context;
mod doctor;
mod environment;
mod explain;
mod help;
mod history;
mod images;
mod import;
mod line_queue;
mod lock;
mod logging;
mod man;
mod manifests;
mod new_file;
mod obeyed_by;
mod output;
mod plan;
mod progress;
mod reconcile;
mod resume;
mod run;
mod saved_plan;
mod schema;
mod screen;
mod selection;
mod session;
mod shutdown;
mod signals;
mod sim;
mod sim_guest;
mod sim_images;
mod sim_owner;
mod sim_target;
mod state;
mod state_upgrade;
mod status;
mod status_server;
mod stderr;
mod survey;
mod suspend;
mod validate;

use std::ffi::OsString;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;

use args::{Arguments, Command, OutputFormat};
use futures_util::future::{Either, select};
use output::Failure;
use progress::Stderr;
use signals::SignalListener;

use crate::report::{ErrorDocument, ExitStatus};

/// Runs the command line `arguments`, which begin with the name of the program.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    // This comes first, so that no signal ends the process before it is known how to handle it.
    let signals = SignalListener::start();
    crate::host::keep_memory_private();
    let exit = match args::parse(&arguments) {
        Ok(arguments) => run_command(&arguments, signals),
        Err(error) => print_usage(&error, &arguments),
    };
    shutdown::flush_log();
    ExitCode::from(exit.code())
}

fn run_command(arguments: &Arguments, signals: io::Result<SignalListener>) -> ExitStatus {
    output::choose_color(arguments.common.color);
    let done = start(arguments, signals);
    done.unwrap_or_else(|failure| {
        match output::fail(arguments.common.output, &failure).map_err(Failure::from) {
            Err(gone) if gone.exit() == ExitStatus::ClosedPipe => gone.exit(),
            // If even stdout fails, only the exit status can report the failure.
            Ok(()) | Err(_) => failure.exit(),
        }
    })
}

/// Prepares the process for the command, and runs it.
fn start(
    arguments: &Arguments,
    signals: io::Result<SignalListener>,
) -> Result<ExitStatus, Failure> {
    let common = &arguments.common;
    let cannot = |what: &'static str| {
        move |error: io::Error| Failure::new(format_args!("cannot {what}: {error}"))
    };
    let signals = signals.map_err(cannot("listen for signals"))?;
    if matches!(arguments.command, Command::Run(_)) {
        let listening = signals.reload(common.output);
        listening.map_err(cannot("listen for SIGHUP"))?;
        let started = stderr::write_in_background();
        started.map_err(cannot("start the thread that writes the log"))?;
    } else {
        signals.leave(common.output);
    }
    let stderr = Stderr::default();
    logging::start(common, arguments.command.log_level(), &stderr);
    environment::warn_of_misspelt(matches!(arguments.command, Command::Run(_)));
    // One thread is enough for 20 calls a second.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot("start the event loop"))?;
    let done = runtime.block_on(async {
        let stopped = pin!(signals.stopped_at_start());
        let command = pin!(dispatch(arguments, stderr, &signals));
        match select(stopped, command).await {
            Either::Left((reason, _)) => Err(Failure::stopped(reason)),
            Either::Right((done, _)) => done,
        }
    });
    // A read or a name resolution that hangs must not delay the end.
    runtime.shutdown_background();
    done
}

async fn dispatch(
    arguments: &Arguments,
    stderr: Stderr,
    signals: &SignalListener,
) -> Result<ExitStatus, Failure> {
    let common = &arguments.common;
    if let Some((target, reset)) = arguments.command.target() {
        target.check(reset)?;
    }
    match &arguments.command {
        Command::Validate(arguments) => validate::run(arguments, common).await,
        Command::Plan(arguments) => plan::run(arguments, common).await,
        Command::Reconcile(arguments) => reconcile::run(arguments, common, stderr, signals).await,
        Command::Run(arguments) => run::run(arguments, common, signals).await,
        Command::Images(arguments) => images::run(arguments, common).await,
        Command::Explain(arguments) => explain::run(arguments, common).await,
        Command::Lock(arguments) => lock::run(arguments, common).await,
        Command::Import(arguments) => import::run(arguments, common).await,
        Command::Adopt(arguments) => adopt::run(arguments, common).await,
        Command::Status(arguments) => status::run(arguments, common).await,
        Command::History(arguments) => history::run(arguments, common).await,
        Command::Suspend(arguments) => suspend::run(arguments, common).await,
        Command::Accept(arguments) => accept::run(arguments, common).await,
        Command::Resume(arguments) => resume::run(arguments, common).await,
        Command::State(arguments) => state_upgrade::run(arguments, common).await,
        Command::Doctor(arguments) => doctor::run(arguments, common).await,
        Command::Sim(arguments) => sim::run(arguments, common, signals).await,
        Command::Schema => schema::run().await,
        Command::Completions(arguments) => completions::run(arguments).await,
        Command::Man(arguments) => man::run(arguments).await,
        Command::Help(arguments) => help::run(arguments).await,
    }
}

/// Prints help, the version, or the error in the command line. clap's own exit status for the last one is 2, which here
/// means "there are changes". If printing fails, only the exit status reports it.
fn print_usage(error: &clap::Error, arguments: &[OsString]) -> ExitStatus {
    let was_asked_for = !error.use_stderr();
    let printed = error.print().and_then(|()| io::stdout().flush());
    if was_asked_for {
        return match printed {
            Ok(()) => ExitStatus::Done,
            Err(error) => Failure::from(error).exit(),
        };
    }
    if asks_for_json(arguments) {
        let document = ErrorDocument::new(ExitStatus::Usage, error.to_string().trim_end());
        let _ = output::print(OutputFormat::Json, &document, "");
    }
    ExitStatus::Usage
}

/// Whether a command line that clap could not parse asks for JSON.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    words
        .windows(2)
        .any(|pair| matches!(pair, ["-o" | "--output", "json"]))
        || words
            .iter()
            .any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
        || std::env::var("SHAREKEEPER_OUTPUT").is_ok_and(|output| output == "json")
}
