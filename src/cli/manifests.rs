//! Reads manifests for a command. Errors in them are printed here, so that every command reports them in the same form.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{OutputFormat, Paths};
use super::output::{self, Failure};
use crate::desired::Desired;
use crate::host::{SystemClock, SystemCommandRunner};
use crate::manifest::{
    self, Broken, Diagnostic, Diagnostics, GitBusyPolicy, Loaded, Partial, ReadOptions,
};
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::words::plural;

/// The document that `validate -o json` prints, and any command whose manifests have errors.
#[derive(Serialize)]
struct ManifestsDocument<'a> {
    format_version: u32,
    exit_code: ExitStatus,
    documents: usize,
    images: usize,
    errors: &'a [Diagnostic],
    warnings: &'a [Diagnostic],
}

/// The manifests for a command.
pub(super) enum Manifests {
    Whole(Desired),
    /// The files without an error, and the errors of the others.
    Part(Partial, Vec<Diagnostic>),
}

/// Reads the manifests and prints whether they are valid. Git may be running meanwhile.
pub(super) async fn check(paths: &Paths, format: OutputFormat) -> Result<(), Failure> {
    let loaded = match read_with(paths, GitBusyPolicy::Read).await {
        Ok(loaded) => loaded,
        Err(broken) => return Err(refuse(broken.diagnostics(), format)),
    };
    let (documents, images) = (loaded.documents, loaded.desired.entries());
    let document = ManifestsDocument {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done,
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
    output::print(format, &document, &text)?;
    Ok(())
}

/// Reads the manifests for a command that needs all of them.
pub(super) async fn load(paths: &Paths, format: OutputFormat) -> Result<Desired, Failure> {
    let loaded = read(paths).await;
    loaded.map_err(|broken| refuse(broken.diagnostics(), format))
}

/// Reads the manifests for a command that works without any. If there are no files at all, nothing is desired.
pub(super) async fn load_if_any(paths: &Paths, format: OutputFormat) -> Result<Desired, Failure> {
    if paths.paths.iter().all(|path| is_vacant(path)) {
        return Ok(Desired::default());
    }
    load(paths, format).await
}

/// Whether the path does not exist, or is a directory without any possible manifest.
fn is_vacant(path: &Path) -> bool {
    let is_ignored = |entry: io::Result<fs::DirEntry>| {
        let name = entry.map(|entry| entry.file_name());
        name.is_ok_and(|name| name.to_string_lossy().starts_with(['.', '_']))
    };
    match fs::read_dir(path) {
        Ok(entries) => entries.into_iter().all(is_ignored),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Reads the manifests for a command that can work with the valid files alone.
pub(super) async fn load_part(paths: &Paths, format: OutputFormat) -> Result<Manifests, Failure> {
    let broken = match read(paths).await {
        Ok(desired) => return Ok(Manifests::Whole(desired)),
        Err(broken) => broken,
    };
    let diagnostics = broken.diagnostics().clone();
    let Some(partial) = broken.into_good() else {
        return Err(refuse(&diagnostics, format));
    };
    output::note(diagnostics.render(true).trim_end());
    output::warn(format_args!(
        "continuing without {}: the images that the other files ask for are shared, and nothing is cancelled",
        plural(partial.left_out().len() as u64, "file")
    ));
    Ok(Manifests::Part(partial, diagnostics.errors().to_vec()))
}

async fn read(paths: &Paths) -> Result<Desired, Broken> {
    let loaded = read_with(paths, GitBusyPolicy::Wait).await?;
    Ok(loaded.desired)
}

async fn read_with(paths: &Paths, git: GitBusyPolicy) -> Result<Loaded, Broken> {
    let clock = SystemClock::start();
    let mut options = ReadOptions::new(git);
    if git == GitBusyPolicy::Read {
        // In a hook of `git commit --all` or `git commit -- PATH`, this checks what that commit will contain.
        options.index_file = std::env::var_os("GIT_INDEX_FILE").map(PathBuf::from);
    }
    let loaded = manifest::load_with(&paths.paths, &options, &clock, &SystemCommandRunner).await?;
    for warning in &loaded.warnings {
        output::note(warning.render(true).trim_end());
    }
    Ok(loaded)
}

/// Prints why the manifests are not used.
fn refuse(diagnostics: &Diagnostics, format: OutputFormat) -> Failure {
    let exit = ExitStatus::Error;
    output::note(diagnostics.render(true).trim_end());
    if format == OutputFormat::Json {
        let document = ManifestsDocument {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            documents: diagnostics.documents(),
            images: diagnostics.images(),
            errors: diagnostics.errors(),
            warnings: diagnostics.warnings(),
        };
        if let Err(error) = output::print(format, &document, "") {
            return Failure::from(error);
        }
    }
    Failure::Reported(exit)
}
