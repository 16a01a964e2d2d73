//! Support code that the tests of several subjects share: the real binary, a cloud in the process, boards, a browser,
//! git, Python and clocks.

pub(crate) mod binary;
pub(crate) mod board;
pub(crate) mod chromium;
pub(crate) mod clock;
pub(crate) mod closed_port;
#[allow(dead_code, reason = "tests/world uses the rest")]
pub(crate) mod cloud;
pub(crate) mod python;
pub(crate) mod real_git;
