//! Keeps every call and every answer as bytes. They become text only if a world fails, because nobody reads the others.

use std::fmt::Write;
use std::time::Duration;

use sharekeeper::host::{Reply, TransportError};
use sharekeeper::model::Monotonic;

/// Every call and every answer, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Left {
        number: usize,
        at: Duration,
        process: usize,
        /// The key, the host, the region and the action.
        words: [String; 4],
        body: Vec<u8>,
    },
    Came {
        number: usize,
        at: Duration,
        answer: Answer,
    },
    Said(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Reply(u16, Vec<u8>),
    Error(String),
}

impl Record {
    pub(crate) fn left(
        &mut self,
        number: usize,
        (at, process): (Monotonic, usize),
        words: [&str; 4],
        body: &[u8],
    ) {
        self.0.push(Line::Left {
            number,
            at: at.since_start(),
            process,
            words: words.map(str::to_owned),
            body: body.to_vec(),
        });
    }

    pub(crate) fn came(
        &mut self,
        number: usize,
        at: Monotonic,
        reply: &Result<Reply, TransportError>,
    ) {
        self.0.push(Line::Came {
            number,
            at: at.since_start(),
            answer: match reply {
                Ok(reply) => Answer::Reply(reply.status, reply.body.clone()),
                Err(error) => Answer::Error(error.to_string()),
            },
        });
    }

    /// Adds another note for the reader of the record.
    pub(crate) fn said(&mut self, what: String) {
        self.0.push(Line::Said(what));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the body of a call contains the text.
    pub(crate) fn has_sent(&self, text: &str) -> bool {
        self.0.iter().any(|line| match line {
            Line::Left { body, .. } => String::from_utf8_lossy(body).contains(text),
            Line::Came { .. } | Line::Said(_) => false,
        })
    }

    /// The record as text, with one line for each call or answer.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.0 {
            let written = match line {
                Line::Left {
                    number,
                    at,
                    process,
                    words,
                    body,
                } => {
                    let body = String::from_utf8_lossy(body);
                    let (at, words) = (at.as_micros(), words.join(" "));
                    writeln!(text, "{number} {at} {process} {words} {body}")
                }
                Line::Came { number, at, answer } => {
                    let at = at.as_micros();
                    match answer {
                        Answer::Reply(200, body) => {
                            let body = String::from_utf8_lossy(body);
                            writeln!(text, "{number} {at} {body}")
                        }
                        Answer::Reply(status, _) => writeln!(text, "{number} {at} {status}"),
                        Answer::Error(error) => writeln!(text, "{number} {at} {error}"),
                    }
                }
                Line::Said(what) => writeln!(text, "- {what}"),
            };
            written.expect("text");
        }
        text
    }
}
