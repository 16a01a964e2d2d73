//! Arguments → settings → one command, and its exit status. Holds no rule of its own: it joins the
//! parts, among them the simulator to the rest.

mod adopt;
mod args;
mod commit;
mod connect;
mod doctor;
mod import;
mod logging;
mod output;
mod people;
mod plan;
mod port;
mod progress;
mod reconcile;
mod run;
mod saved;
mod session;
mod signals;
mod sim;
mod simulated;
mod state;
mod validate;
mod work;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use args::{Arguments, Command, Output};
use output::Failure;
use progress::Stderr;
use work::Work;

use crate::manifest;
use crate::report::ExitStatus;

/// Runs the command line `arguments`, the program's name included.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    crate::host::keep_memory_private();
    let typed = match args::parse(&arguments) {
        Ok(typed) => typed,
        Err(error) => return ExitCode::from(usage(&error, &arguments)),
    };
    output::choose_color(typed.common.color);
    let stderr = Stderr::default();
    logging::start(&typed.common, typed.command.log_level(), &stderr);
    let output = typed.common.output;
    let code = command(typed, stderr).unwrap_or_else(|failure| {
        // Where even stdout fails, the exit status is all there is left to tell.
        let _ = output::fail(output, &failure);
        failure.exit.code()
    });
    ExitCode::from(code)
}

fn command(typed: Arguments, stderr: Stderr) -> Result<u8, Failure> {
    let common = &typed.common;
    let output = common.output;
    let done = ExitStatus::Done.code();
    if let Some(target) = typed.command.target() {
        target.check()?;
    }
    match &typed.command {
        Command::Validate(paths) => {
            block_on(async { Ok(validate::run(paths, output).await?.code()) })
        }
        Command::Plan(arguments) => block_on(async {
            let (paths, narrow) = (&arguments.paths, &arguments.narrow);
            match Work::load(paths, narrow, &arguments.guards, false, output).await? {
                Ok(work) => plan::run(arguments, &work, common).await,
                Err(exit) => Ok(exit.code()),
            }
        }),
        Command::Reconcile(arguments) => block_on(async {
            let (paths, narrow) = (&arguments.paths, &arguments.narrow);
            let partial_ok = arguments.working.partial_ok;
            if partial_ok && arguments.plan.is_some() {
                return Err(Failure::usage(
                    "`--partial-ok` cannot be used with `--plan`: a saved plan is of the whole",
                ));
            }
            match Work::load(paths, narrow, &arguments.guards, partial_ok, output).await? {
                Ok(mut work) => reconcile::run(arguments, &mut work, common, stderr).await,
                Err(exit) => Ok(exit.code()),
            }
        }),
        Command::Run(arguments) => block_on(run::run(arguments, common)),
        Command::Import(arguments) => block_on(import::run(arguments, common)),
        Command::Adopt(arguments) => block_on(adopt::run(arguments, common)),
        Command::Status(arguments) => block_on(people::status(arguments, common)),
        Command::History(arguments) => people::history(arguments, common),
        Command::Suspend(arguments) => people::suspend(arguments, common),
        Command::Resume(arguments) => block_on(people::resume(arguments, common)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments, common)),
        Command::Sim(arguments) => block_on(sim::run(arguments, output)),
        Command::Schema => {
            let schema =
                serde_json::to_string_pretty(&manifest::schema()).map_err(io::Error::from)?;
            output::print_raw(format!("{schema}\n").as_bytes())?;
            Ok(done)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                *shell,
                &mut Arguments::command(),
                "sharekeeper",
                &mut script,
            );
            output::print_raw(&script)?;
            Ok(done)
        }
        Command::Man { command } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(page_of(command)?).render(&mut page)?;
            output::print_raw(&page)?;
            Ok(done)
        }
    }
}

/// The command that the manual is asked about.
fn page_of(names: &[String]) -> Result<clap::Command, Failure> {
    let mut whole = Arguments::command();
    // Gives each subcommand its full name, and the flags that all take.
    whole.build();
    let mut found = &whole;
    for name in names {
        found = found.find_subcommand(name).ok_or_else(|| {
            let mut all = found
                .get_subcommands()
                .map(clap::Command::get_name)
                .peekable();
            let there = match all.peek() {
                Some(_) => format!("there are: {}", all.collect::<Vec<_>>().join(", ")),
                None => "it has none".into(),
            };
            Failure::usage(format_args!(
                "`{}` has no command `{name}`; {there}",
                found.get_name()
            ))
        })?;
    }
    Ok(found.clone())
}

/// One thread is plenty for 20 calls a second.
fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Prints help, the version, or what is wrong with the command line. clap's own status for the last
/// is 2, which means "changes" here. Where that fails, the exit status is all there is left to tell.
fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let asked = !error.use_stderr();
    let printed = error.print().and_then(|()| io::stdout().flush());
    if asked {
        let exit = match printed {
            Ok(()) => ExitStatus::Done,
            Err(_) => ExitStatus::Error,
        };
        return exit.code();
    }
    if asks_for_json(arguments) {
        let document =
            crate::report::ErrorDocument::new(ExitStatus::Usage, error.to_string().trim_end());
        let _ = output::print(Output::Json, &document, "");
    }
    ExitStatus::Usage.code()
}

/// Whether the command line that could not be read asks for JSON all the same.
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
