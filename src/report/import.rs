//! The output of `import`, as text and as JSON.

use serde::Serialize;

use super::{ExitStatus, FORMAT_VERSION};
use crate::words::{first_of, plural};

/// The document that `import -o json` prints.
#[derive(Debug, Serialize)]
pub struct ImportDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// Files that were written.
    files: Vec<ImportedFile>,
    /// Images that manifests already name, so they are not written again.
    named_already: usize,
    /// Scopes that could not be read; nothing was written for them.
    unseen: Vec<UnseenScope>,
    /// Omitted blueprints, whose images are not the account's own.
    strays: Vec<ImportedStray>,
}

/// A blueprint that `import` omits, because its image is not one of the account's own.
#[derive(Debug, Serialize)]
pub struct ImportedStray {
    /// Account whose list contains it.
    pub account: String,
    pub region: &'static str,
    /// Id of the image that it was made from.
    pub image_id: String,
    pub image_name: Option<String>,
    /// The blueprint id, `lhbp-…`.
    pub blueprint_id: String,
}

/// A file that `import` wrote.
#[derive(Debug, Serialize)]
pub struct ImportedFile {
    pub file: String,
    /// Images in it, counted separately for each region.
    pub images: usize,
}

/// A scope that `import` could not read.
#[derive(Debug, Serialize)]
pub struct UnseenScope {
    pub account: String,
    pub region: &'static str,
    pub reason: String,
    /// RequestId for the vendor's support, if `reason` does not contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl ImportDocument {
    /// Builds the document. A scope that could not be read makes it incomplete.
    pub fn new(
        files: Vec<ImportedFile>,
        named_already: usize,
        unseen: Vec<UnseenScope>,
        strays: Vec<ImportedStray>,
    ) -> Self {
        let exit = if unseen.is_empty() {
            ExitStatus::Done
        } else if files.is_empty() && named_already == 0 {
            ExitStatus::Error
        } else {
            ExitStatus::Incomplete
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            files,
            named_already,
            unseen,
            strays,
        }
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let images = plural(file.images as u64, "image");
            text.push_str(&format!("{}: {images}\n", file.file));
        }
        if self.named_already > 0 {
            let images = plural(self.named_already as u64, "shared image");
            text.push_str(&format!("{images} already named by manifests\n"));
        }
        if !self.strays.is_empty() {
            let named =
                |stray: &ImportedStray| format!("{} of {}", stray.blueprint_id, stray.image_id);
            let named: Vec<_> = self.strays.iter().map(named).collect();
            text.push_str(&format!(
                "Left out: {} whose images are not this account's own, because they belong to another account or are left over \
                 from deleted images: {}\n",
                plural(self.strays.len() as u64, "blueprint"),
                first_of(&named)
            ));
        }
        let unseen = self.unseen.len() as u64;
        if unseen > 0 {
            let whole = if self.files.is_empty() {
                "Nothing was written"
            } else {
                "This is incomplete"
            };
            text.push_str(&format!(
                "{whole}: {} could not be read.\n",
                plural(unseen, "region")
            ));
        } else if self.files.is_empty() {
            text.push_str(match self.named_already {
                0 if !self.strays.is_empty() => {
                    "Nothing to import: no image of the account is shared there.\n"
                }
                0 => "Nothing to import: no image is shared there.\n",
                _ => "Nothing to import: manifests name every shared image.\n",
            });
        }
        if !self.files.is_empty() {
            text.push_str(
                "The first plan with these manifests is empty. To let `--prune owned` cancel these shares later, run `sharekeeper adopt --all`.\n",
            );
        }
        text
    }
}
