//! S12: searches everything that processes print, log or store for secrets, both in plain form and in the forms in
//! which programs print bytes.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::process::SECRET;

/// The number of consecutive bytes of a secret that counts as a leak.
const RUN: usize = 8;

/// The outputs that contain a secret.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    found: Arc<Mutex<Vec<String>>>,
    lines: Arc<Mutex<u64>>,
}

impl Heard {
    /// Searches a text for secrets.
    pub(crate) fn look_through(&self, text: &str) {
        *self.lines.lock().expect("nobody panics") += 1;
        let bytes = SECRET.as_bytes();
        let plain = bytes
            .windows(RUN)
            .filter_map(|run| str::from_utf8(run).ok());
        let is_plain = plain.into_iter().any(|run| text.contains(run));
        let is_other = forms().iter().any(|form| text.contains(form.as_str()));
        if is_plain || is_other {
            let mut found = self.found.lock().expect("nobody panics");
            found.push(text.chars().take(200).collect());
        }
    }

    /// The first texts that contain a secret.
    pub(crate) fn found(&self) -> Vec<String> {
        let found = self.found.lock().expect("nobody panics");
        found.iter().take(3).cloned().collect()
    }

    /// The number of texts that were searched.
    pub(crate) fn lines(&self) -> u64 {
        *self.lines.lock().expect("nobody panics")
    }
}

/// The forms in which programs print a secret, and the parts that only a signed request has.
fn forms() -> Vec<String> {
    let bytes = SECRET.as_bytes();
    let list: Vec<_> = bytes.iter().map(ToString::to_string).collect();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    let url = SECRET.replace('+', "%2B").replace('/', "%2F");
    vec![
        list.join(", "),
        list.join(","),
        hex.collect(),
        // This is `canary+of/the=key` in base64, without the characters that depend on neighbouring bytes.
        "Y2FuYXJ5K29mL3RoZT1rZX".to_owned(),
        url,
        "Signature=".to_owned(),
    ]
}

/// Receives all log events of a thread.
pub(crate) struct Ear(pub(crate) Heard);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("text");
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text(String::new());
        attributes.record(&mut text);
        self.0.look_through(&text.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        self.0.look_through(&text.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.look_through(&text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s12_a_secret_is_heard_in_each_form() {
        let texts = [
            format!("the key is {SECRET}"),
            format!("{:?}", SECRET.as_bytes()),
            SECRET[3..12].to_owned(),
            "Basic Y2FuYXJ5K29mL3RoZT1rZXk=".to_owned(),
            "canary%2Bof%2Fthe=key".to_owned(),
            "TC3-HMAC-SHA256 Credential=AKID, Signature=0a0b".to_owned(),
        ];
        for text in texts {
            let heard = Heard::default();
            heard.look_through(&text);
            assert_eq!(heard.found().len(), 1, "{text}");
        }
        let heard = Heard::default();
        heard.look_through("a canary, and the key of an account");
        assert_eq!((heard.found(), heard.lines()), (Vec::new(), 1));
    }
}
