//! Arguments of the command `explain`.

use clap::Args;

use super::{Paths, ScopeSelectorArguments, SimReset, Target};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArguments {
    /// The id or the name of an image, or an error code such as `ResourceInUse.ImageInUse`
    #[arg(value_name = "IMAGE|NAME|CODE")]
    pub subject: String,
    #[command(flatten)]
    pub paths: Paths,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub reset: SimReset,
    #[command(flatten)]
    pub selection: ScopeSelectorArguments,
}
