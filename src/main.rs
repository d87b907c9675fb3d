//! The `carryover` program.

use std::process::ExitCode;

/// Its settings are in `.cargo/config.toml`; `docs/figures.md` has what it is worth.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    carryover::cli::main()
}
