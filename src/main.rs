//! The `mummer` binary. Everything is in the library; this only passes the exit code on.

use std::process::ExitCode;

fn main() -> ExitCode {
    mummer::cli::main()
}
