//! What the tests that need Python have in common.

use std::io::Write;

/// Says that a test is skipped, past the harness's capture; fails instead where Python is required.
pub(crate) fn skip_unless_required(reason: &str) {
    let required =
        std::env::var_os("SHAREKEEPER_TEST_REQUIRE_PYTHON").is_some_and(|value| value == "1");
    assert!(!required, "{reason}, and SHAREKEEPER_TEST_REQUIRE_PYTHON=1");
    // A closed stderr has nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
