//! The entry point of the `sharekeeper` binary.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match sharekeeper::host::run_below_init(&arguments) {
        Ok(Some(exit)) => return exit,
        Ok(None) => {}
        Err(error) => {
            // If stderr is closed, nobody can read this warning.
            let _ = writeln!(
                io::stderr(),
                "warning: this is process 1, and cannot start another process for its work: {error}; processes that git leaves behind stay listed until it ends: mount /proc, or start it under an init (`docker run --init`)"
            );
        }
    }
    sharekeeper::cli::run(arguments)
}
