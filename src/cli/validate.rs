use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::args::{Output, Paths};
use super::output;
use crate::desired::Desired;
use crate::host::{SystemClock, SystemCommandRunner};
use crate::manifest::{
    self, Broken, Diagnostic, Diagnostics, GitBusyPolicy, Loaded, Partial, ReadOptions,
};
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::words::plural;

/// What `validate -o json` prints.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    exit_code: u8,
    documents: usize,
    images: usize,
    errors: &'a [Diagnostic],
    warnings: &'a [Diagnostic],
}

/// `validate`.
pub(super) async fn run(paths: &Paths, output: Output) -> io::Result<ExitStatus> {
    match load_with(paths, GitBusyPolicy::Read).await {
        Ok(loaded) => {
            show_warnings(&loaded.warnings);
            let (documents, images) = (loaded.documents, loaded.desired.images.len());
            let document = Document {
                format_version: FORMAT_VERSION,
                exit_code: ExitStatus::Done.code(),
                documents,
                images,
                errors: &[],
                warnings: &loaded.warnings,
            };
            let text = format!(
                "Valid: {}, {}.\n",
                plural(documents as u64, "document"),
                plural(images as u64, "image")
            );
            output::print(output, &document, &text)?;
            Ok(ExitStatus::Done)
        }
        Err(broken) => refuse(broken.diagnostics(), output),
    }
}

/// What a command works with.
pub(super) enum Manifests {
    /// All of them.
    Whole(Desired),
    /// Those without an error, and the errors of the rest.
    Part(Partial, Vec<Diagnostic>),
}

/// Reads the manifests for a command that needs them whole. The status to leave with, if they are not.
pub(super) async fn load(paths: &Paths, output: Output) -> io::Result<Result<Desired, ExitStatus>> {
    match read(paths).await {
        Ok(desired) => Ok(Ok(desired)),
        Err(broken) => refuse(broken.diagnostics(), output).map(Err),
    }
}

/// Reads the manifests for a command that can make do with a part of them.
pub(super) async fn load_part(
    paths: &Paths,
    output: Output,
) -> io::Result<Result<Manifests, ExitStatus>> {
    let broken = match read(paths).await {
        Ok(desired) => return Ok(Ok(Manifests::Whole(desired))),
        Err(broken) => broken,
    };
    let diagnostics = broken.diagnostics().clone();
    let Some(partial) = broken.into_good() else {
        return refuse(&diagnostics, output).map(Err);
    };
    output::note(diagnostics.render(true).trim_end());
    output::warn(format_args!(
        "going on without {}: what the rest wants shared is shared, and nothing is cancelled",
        plural(partial.left_out().len() as u64, "file")
    ));
    Ok(Ok(Manifests::Part(partial, diagnostics.errors().to_vec())))
}

async fn read(paths: &Paths) -> Result<Desired, Broken> {
    let loaded = load_with(paths, GitBusyPolicy::Wait).await?;
    show_warnings(&loaded.warnings);
    Ok(loaded.desired)
}

async fn load_with(paths: &Paths, git: GitBusyPolicy) -> Result<Loaded, Broken> {
    let clock = SystemClock::start();
    let mut options = ReadOptions::new(git);
    if git == GitBusyPolicy::Read {
        // As a hook of `git commit --all` or `git commit -- PATH`, it checks what that commit is about to have.
        options.index_file = std::env::var_os("GIT_INDEX_FILE").map(PathBuf::from);
    }
    manifest::load_with(&paths.paths, &options, &clock, &SystemCommandRunner).await
}

fn refuse(diagnostics: &Diagnostics, output: Output) -> io::Result<ExitStatus> {
    let exit = ExitStatus::Error;
    output::note(diagnostics.render(true).trim_end());
    if output == Output::Json {
        let document = Document {
            format_version: FORMAT_VERSION,
            exit_code: exit.code(),
            documents: diagnostics.documents(),
            images: diagnostics.images(),
            errors: diagnostics.errors(),
            warnings: diagnostics.warnings(),
        };
        output::print(output, &document, "")?;
    }
    Ok(exit)
}

fn show_warnings(warnings: &[Diagnostic]) {
    for warning in warnings {
        output::note(warning.render(true).trim_end());
    }
}
