//! The binary as tests run it, and where they let it write.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the binary; how it ended, and all that it said. Of what a CI or a cluster tells its jobs it sees the given variables only.
pub fn ackproof(arguments: &[&str], variables: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ackproof"));
    for name in ["JOB_COMPLETION_INDEX", "ACKPROOF_SHARDS", "SLURM_ARRAY_TASK_ID", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(name);
    }
    let variables = variables.iter().copied().chain([("NO_COLOR", "1")]);
    let output = command.args(arguments).envs(variables).output().expect("the binary can be started");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, told)
}

/// A folder for what a test writes, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier run has left, if anything.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("there is room");
    folder
}
