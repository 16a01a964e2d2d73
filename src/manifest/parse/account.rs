//! `Account` documents: the account behind a name, and how it is called. `credentials` reads the source of its key, and
//! `windows` the times for changes.

use super::credentials;
use super::document::Document;
use super::fields::{Fields, Reader};
use super::shared_fields::Metadata;
use super::windows;
use super::yaml::{Node, Value};
use crate::desired::{Account, CredentialSource, Source};
use crate::model::{AccountName, Endpoint, Uin};
use crate::windows::Windows;

const FIELDS: [&str; 5] = ["uin", "endpoint", "rate", "credentials", "windows"];
/// The API's limit for writes a second.
const RATE_MAX: u32 = 20;

/// Reads an `Account` document.
pub(super) fn read(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<Document> {
    let metadata = reader.metadata(fields);
    let mut account = Account {
        uin: None,
        endpoint: None,
        rate: None,
        credentials: CredentialSource::default(),
        windows: Windows::default(),
        // Completed by `resolve`, which knows the file's name.
        source: Source {
            file: "".into(),
            line: 0,
        },
    };
    if let Some(spec) = fields.get("spec") {
        let spec = reader.fields(spec, "`spec`", &FIELDS)?;
        account.uin = spec.get("uin").and_then(|node| uin(reader, node));
        account.endpoint = spec.get("endpoint").and_then(|node| endpoint(reader, node));
        account.rate = spec.get("rate").and_then(|node| rate(reader, node));
        if let Some(node) = spec.get("windows") {
            account.windows = windows::read(reader, node);
        }
        if let Some(node) = spec.get("credentials") {
            account.credentials = credentials::read(reader, node)?;
        }
    }
    let Metadata { name, place, .. } = metadata?;
    let name = AccountName::new(&name?)?;
    Some(Document::Account {
        name,
        place,
        account,
    })
}

/// A uin may be unquoted, because YAML keeps numbers of that size exact.
fn uin(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Uin> {
    let text = reader.scalar(node, "`uin`")?;
    let uin = Uin::new(text);
    if uin.is_err() {
        reader
            .error(node, format!("`{text}` is not a uin"))
            .help("the root account's number, without a leading zero, such as \"100000000001\"");
    }
    uin.ok()
}

fn endpoint(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Endpoint> {
    let text = reader.text(node, "`endpoint`")?;
    Endpoint::new(text)
        .map_err(|error| {
            reader
                .error(node, format!("`{text}` is not an endpoint"))
                .help(error.to_string());
        })
        .ok()
}

fn rate(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<u32> {
    let number = match &node.value {
        Value::Scalar { text, plain: true } => text
            .parse()
            .ok()
            .filter(|rate| (1..=RATE_MAX).contains(rate)),
        _ => None,
    };
    if number.is_none() {
        reader
            .error(
                node,
                format!("`rate` must be a whole number from 1 to {RATE_MAX}"),
            )
            .help("writes a second per access point; the console shares the quota of 20");
    }
    number
}
