//! `validate`: checks manifests, without network and credentials.

use super::args::{Common, Paths};
use super::manifests;
use super::output::Failure;
use crate::report::ExitStatus;

pub(super) async fn run(paths: &Paths, common: &Common) -> Result<ExitStatus, Failure> {
    manifests::check(paths, common.output).await?;
    Ok(ExitStatus::Done)
}
