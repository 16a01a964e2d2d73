//! Which API, and which part of what there is.

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::output::Failure;
use crate::model::{
    AccountName, Endpoint, EndpointError, ImageId, Labels, MalformedAccountName, MalformedImageId,
    Region, Selector,
};

/// Which API.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where to work")]
pub(in crate::cli) struct Target {
    /// Access point; may hold `{region}`; plain http only to loopback hosts
    #[arg(long, value_name = "URL", value_parser = endpoint, env = "SHAREKEEPER_ENDPOINT")]
    pub endpoint: Option<Endpoint>,
    /// Work against a simulator inside this process; its world is kept in the state directory
    #[arg(long, env = "SHAREKEEPER_SIM", value_parser = FalseyValueParser::new())]
    pub sim: bool,
    /// Begin the simulator's world anew
    #[arg(long)]
    pub sim_reset: bool,
}

impl Target {
    /// Refuses what contradicts itself. clap cannot tell: to it, a variable that says no is there all the same.
    pub(in crate::cli) fn check(&self) -> Result<(), Failure> {
        if self.sim && self.endpoint.is_some() {
            return Err(Failure::usage(
                "`--sim` cannot be used with `--endpoint`: it has an access point of its own",
            ));
        }
        if self.sim_reset && !self.sim {
            return Err(Failure::usage("`--sim-reset` goes with `--sim`"));
        }
        Ok(())
    }
}

/// Narrows the scope; given twice, either may hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(in crate::cli) struct Narrow {
    #[command(flatten)]
    pub keys: NarrowKeys,
    /// Only documents with this label; given twice, both must hold
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE", value_parser = label, env = "SHAREKEEPER_SELECTOR", value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
}

/// Narrows by key alone, where there are no manifests to have labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(in crate::cli) struct NarrowKeys {
    /// Only this region
    #[arg(long = "region", value_name = "REGION", value_parser = region, env = "SHAREKEEPER_REGION", value_delimiter = ',')]
    pub regions: Vec<Region>,
    /// Only this account
    #[arg(long = "account", value_name = "NAME", value_parser = account, env = "SHAREKEEPER_ACCOUNT", value_delimiter = ',')]
    pub accounts: Vec<AccountName>,
    /// Only this image
    #[arg(long = "image", value_name = "ID", value_parser = image, env = "SHAREKEEPER_IMAGE", value_delimiter = ',')]
    pub images: Vec<ImageId>,
}

impl NarrowKeys {
    /// As a selector.
    pub(in crate::cli) fn selector(&self) -> Selector {
        Selector {
            accounts: self.accounts.iter().cloned().collect(),
            regions: self.regions.iter().copied().collect(),
            images: self.images.iter().cloned().collect(),
            labels: Labels::new(),
        }
    }
}

impl Narrow {
    /// As a selector.
    pub(in crate::cli) fn selector(&self) -> Selector {
        Selector {
            labels: self.labels.iter().cloned().collect(),
            ..self.keys.selector()
        }
    }
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::new(text)
}

fn region(text: &str) -> Result<Region, String> {
    Region::new(text).map_err(|error| {
        let all: Vec<_> = Region::all().map(Region::as_str).collect();
        format!("{error}; there are: {}", all.join(", "))
    })
}

fn account(text: &str) -> Result<AccountName, MalformedAccountName> {
    AccountName::new(text).ok_or(MalformedAccountName)
}

fn image(text: &str) -> Result<ImageId, MalformedImageId> {
    ImageId::new(text)
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is given as KEY=VALUE"),
    }
}
