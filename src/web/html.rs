//! A small HTML writer. Only literals are written as markup; everything else is text, which is always escaped, so that
//! nobody can forget to escape it.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::model::Timestamp;
use crate::words::{rfc3339, safe_char};

/// A name of up to this many bytes fits into any column on one line.
const UNBROKEN_MAX: usize = 16;

/// Writes literals as markup, and values in parentheses as text.
macro_rules! write_html {
    ($html:expr, $($part:tt),+ $(,)?) => {{ $( write_html!(@ $html, $part); )+ }};
    (@ $html:expr, $markup:literal) => { $html.markup($markup) };
    (@ $html:expr, ($text:expr)) => { $html.text(&$text) };
}
pub(super) use write_html;

/// HTML that is being written with [`write_html!`].
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup. The lifetime `'static` excludes text that is made while the program runs.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Ends the list of a section, with a row for the `more` entries that the page leaves out.
    pub(super) fn end_list(&mut self, more: usize) {
        if more > 0 {
            write_html!(
                self,
                "<li>",
                (Count(more)),
                " more are in the JSON document</li>"
            );
        }
        self.markup("</ul></section>\n");
    }

    /// Says that `more` rows of the table above are only in the JSON document, if there are any.
    pub(super) fn rows_left_out(&mut self, more: usize) {
        if more > 0 {
            write_html!(
                self,
                "<p>",
                (Count(more)),
                " more are in the JSON document.</p>\n"
            );
        }
    }

    /// Adds text, or the value of an attribute between double quotes. It is escaped, so that foreign text cannot leave
    /// its place.
    pub(super) fn text(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
    }

    /// Adds a name, path or code, which may be long: line breaks are allowed after its punctuation rather than within a
    /// word.
    pub(super) fn name(&mut self, name: impl Display) {
        let name = name.to_string();
        let mut parts = name.split_inclusive(['.', '/', '_', ':']).peekable();
        while let Some(part) = parts.next() {
            self.text(part);
            if name.len() > UNBROKEN_MAX && parts.peek().is_some() {
                self.markup("<wbr>");
            }
        }
    }

    /// Adds a time as the distance from now, with the exact time for programs and on hover.
    pub(super) fn time(&mut self, at: Timestamp, now: Timestamp) {
        write_html!(
            self,
            "<time datetime=\"",
            (rfc3339(at)),
            "\" title=\"",
            (at.format("%Y-%m-%d %H:%M:%S UTC")),
            "\">",
            (RelativeTime { at, now }),
            "</time>"
        );
    }

    /// Adds a time with the exact time beside it, for text that is also read by others or later.
    pub(super) fn whole_time(&mut self, at: Timestamp, now: Timestamp) {
        self.time(at, now);
        write_html!(self, " (", (at.format("%Y-%m-%d %H:%M UTC")), ")");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The only place where text becomes HTML.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars().map(safe_char) {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A time such as `5 min ago` or `in 3 h`, in one unit; `page.js` writes it in the same way.
struct RelativeTime {
    at: Timestamp,
    now: Timestamp,
}

impl Display for RelativeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.at - self.now).num_seconds();
        let length = match seconds.unsigned_abs() {
            0 => return f.write_str("now"),
            n @ ..60 => (n, "s"),
            n @ ..3_600 => (n / 60, "min"),
            n @ ..172_800 => (n / 3_600, "h"),
            n => (n / 86_400, "d"),
        };
        match seconds {
            0.. => write!(f, "in {} {}", length.0, length.1),
            _ => write!(f, "{} {} ago", length.0, length.1),
        }
    }
}

/// A duration such as `about 2 min`; an estimate has no decimals.
pub(super) struct ApproxDuration(pub(super) Duration);

impl Display for ApproxDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() + 1 {
            n @ ..100 => write!(f, "about {n} s"),
            n @ ..7_200 => write!(f, "about {} min", n.div_ceil(60)),
            n => write!(f, "about {} h", n.div_ceil(3_600)),
        }
    }
}

/// A number with commas between thousands, such as `1,204`.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) usize);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone, Utc};

    #[test]
    fn o7_o1_text_cannot_leave_its_place() {
        let mut html = Html::default();
        write_html!(
            html,
            "<a title=\"",
            ("\"' ><\n\u{202e}&"),
            "\">",
            (1),
            "</a>"
        );
        assert_eq!(
            html.finish(),
            "<a title=\"&quot;&#39; &gt;&lt; \u{fffd}&amp;\">1</a>"
        );
    }

    #[test]
    fn times_and_counts_are_written_for_people() {
        let now = Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap();
        for (seconds, text) in [
            (0, "now"),
            (59, "in 59 s"),
            (-59, "59 s ago"),
            (-60, "1 min ago"),
            (3_600, "in 1 h"),
            (-172_799, "47 h ago"),
            (172_800, "in 2 d"),
        ] {
            let at = now + TimeDelta::seconds(seconds);
            assert_eq!(RelativeTime { at, now }.to_string(), text);
        }
        let counts = [0, 999, 1_000, 1_234_567].map(|n| Count(n).to_string());
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let about = [0, 90, 240, 9_000].map(|n| ApproxDuration(Duration::from_secs(n)).to_string());
        assert_eq!(
            about,
            ["about 1 s", "about 91 s", "about 5 min", "about 3 h"]
        );
    }
}
