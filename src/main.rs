//! The `carryover` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    carryover::cli::main()
}
