//! Flags of the command `images`.

use std::path::PathBuf;

use clap::Args;

use super::{KeySelectorArguments, Paths, SimReset, Target};
use crate::model::Glob;

#[derive(Debug, Args)]
pub(in crate::cli) struct ImagesArguments {
    #[command(flatten)]
    pub paths: Paths,
    /// Only images whose whole name matches; `*` stands for any characters, `?` for one
    #[arg(long = "match", value_name = "GLOB", value_parser = glob)]
    pub pattern: Option<Glob>,
    /// Write a manifest that shares the listed images by name
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    // Images have labels only once a manifest names them.
    #[command(flatten)]
    pub selection: KeySelectorArguments,
}

fn glob(text: &str) -> Result<Glob, &'static str> {
    match text.is_empty() {
        true => Err("an image name cannot be empty; omit the flag to list all"),
        false => Ok(Glob::new(text)),
    }
}
