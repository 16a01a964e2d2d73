//! The `sharekeeper` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sharekeeper::cli::run(std::env::args_os().collect())
}
