//! The fields that `ImageShare` and `ImageSharePolicy` documents share: `metadata`, the account and the regions.

use std::sync::Arc;

use super::document::Header;
use super::fields::{Fields, Reader};
use super::yaml::Node;
use crate::manifest::UNSHARE;
use crate::manifest::diagnostic::Place;
use crate::model::{AccountName, Region};

/// The remedy for an empty list of a document that asks for something.
pub(super) fn empty_list() -> String {
    format!("remove the document instead; {UNSHARE}")
}

impl Reader<'_, '_> {
    /// Reads `metadata`. [`Self::scopes`] completes the header.
    pub(super) fn header(&mut self, fields: &Fields<'_, '_>) -> Header {
        let mut header = Header {
            file: self.file,
            name: None,
            labels: Arc::default(),
            account: None,
            default_account: None,
            regions: Vec::new(),
        };
        if let Some(metadata) = self.metadata(fields) {
            header.name = metadata.name.map(|name| (name, metadata.place));
            header.labels = Arc::new(metadata.labels);
        }
        header
    }

    /// Reads `account`, `region` and `regions` of `spec`.
    pub(super) fn scopes(&mut self, spec: &Fields<'_, '_>, header: &mut Header) {
        match spec.get("account") {
            Some(node) => header.account = self.account(node),
            None if spec.seems_meant("account") => {}
            None => header.default_account = Some(spec.place),
        }
        header.regions = self.regions(spec);
    }

    fn account(&mut self, node: &Node<'_>) -> Option<(AccountName, Place)> {
        let text = self.text(node, "`account`")?;
        let name = AccountName::new(text);
        if name.is_none() {
            self.error(node, format!("`{text}` is not an account name"))
                .help("lower-case letters, digits, `-` and `.`");
        }
        Some((name?, self.place(node)))
    }

    fn regions(&mut self, spec: &Fields<'_, '_>) -> Vec<(Region, Place)> {
        match (spec.get("region"), spec.get("regions")) {
            (Some(first), Some(second)) => {
                self.error(second, "`region` and `regions` exclude each other")
                    .help("keep one of the two");
                // Errors in both are reported as well, so that one correction is enough.
                self.region(first);
                self.region_list(second);
                Vec::new()
            }
            (None, None) if spec.seems_meant("region") || spec.seems_meant("regions") => Vec::new(),
            (None, None) => {
                self.sink
                    .error(spec.place, "`spec` lacks `region` or `regions`")
                    .help("name one, such as `region: ap-singapore`, or a list");
                Vec::new()
            }
            (Some(one), None) => {
                let region = self.region(one);
                region
                    .map(|region| (region, self.place(one)))
                    .into_iter()
                    .collect()
            }
            (None, Some(node)) => self.region_list(node),
        }
    }

    fn region_list(&mut self, node: &Node<'_>) -> Vec<(Region, Place)> {
        let items = self.list(node, "`regions`", &empty_list());
        self.each_once(items.unwrap_or_default(), Self::region)
    }
}
