//! The flags that narrow what a command works on.

use clap::Args;

use crate::manifest::nearest;
use crate::model::{AccountName, ImageId, Labels, MalformedAccountName, Region, Selector};

/// Narrows the scope. If a flag is repeated, any of its values may match.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(in crate::cli) struct SelectorArguments {
    #[command(flatten)]
    pub keys: KeySelectorArguments,
    /// Only documents with this label; if repeated, all must match
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE", value_parser = label, env = "SHAREKEEPER_SELECTOR", value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
}

/// Narrows by key alone, for commands without manifests and thus without labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(in crate::cli) struct KeySelectorArguments {
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

/// Narrows by account and region alone, for commands that take images as arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Narrow the scope")]
pub(in crate::cli) struct ScopeSelectorArguments {
    /// Only this region
    #[arg(long = "region", value_name = "REGION", value_parser = region, env = "SHAREKEEPER_REGION", value_delimiter = ',')]
    pub regions: Vec<Region>,
    /// Only this account
    #[arg(long = "account", value_name = "NAME", value_parser = account, env = "SHAREKEEPER_ACCOUNT", value_delimiter = ',')]
    pub accounts: Vec<AccountName>,
}

impl ScopeSelectorArguments {
    pub(in crate::cli) fn selector(&self) -> Selector {
        Selector {
            accounts: self.accounts.iter().cloned().collect(),
            regions: self.regions.iter().copied().collect(),
            ..Selector::default()
        }
    }
}

impl KeySelectorArguments {
    pub(in crate::cli) fn selector(&self) -> Selector {
        Selector {
            accounts: self.accounts.iter().cloned().collect(),
            regions: self.regions.iter().copied().collect(),
            images: self.images.iter().cloned().collect(),
            labels: Labels::new(),
        }
    }
}

impl SelectorArguments {
    pub(in crate::cli) fn selector(&self) -> Selector {
        Selector {
            labels: self.labels.iter().cloned().collect(),
            ..self.keys.selector()
        }
    }
}

/// Parses a region. The typed text may be a secret by mistake, so it is not quoted.
pub(super) fn region(text: &str) -> Result<Region, String> {
    let all = || Region::all().map(Region::as_str);
    Region::new(text).map_err(|error| match nearest(text, all()) {
        Some(near) => format!("{error}: did you mean `{near}`?"),
        None => format!(
            "{error}; the regions are: {}",
            all().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn account(text: &str) -> Result<AccountName, MalformedAccountName> {
    AccountName::new(text).ok_or(MalformedAccountName)
}

fn image(text: &str) -> Result<ImageId, String> {
    ImageId::new(text).map_err(|error| match text.starts_with("img-") {
        true => error.to_string(),
        false => format!("{error}; `sharekeeper images --match NAME` lists the ids for a name"),
    })
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label has the form KEY=VALUE"),
    }
}
