//! The command `ackproof`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ackproof::cli::main()
}
