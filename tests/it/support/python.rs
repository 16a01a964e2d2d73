//! Support code that the tests with Python share.

use std::io::Write;

/// Reports on the real stderr that a test is skipped, or fails if Python is required.
pub(crate) fn skip_unless_required(reason: &str) {
    let required =
        std::env::var_os("SHAREKEEPER_TEST_REQUIRE_PYTHON").is_some_and(|value| value == "1");
    assert!(!required, "{reason}, and SHAREKEEPER_TEST_REQUIRE_PYTHON=1");
    // If stderr is closed, nobody reads the message, so the error is ignored.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
