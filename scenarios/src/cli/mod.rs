//! The command line: one file per subcommand.
//!
//! Exit codes: 0 as expected, 1 not as expected, 2 the input or the call is wrong, 3 inconclusive, 4 not deterministic,
//! 130 and 143 interrupted.

mod audit;
mod chaos;
mod ci;
mod exhaustive;
mod explain;
mod list;
mod log;
mod merge;
mod numbers;
mod report;
pub(crate) mod run;
mod schema;
mod screen;
mod select;
mod shard;
mod shrink;
mod toggles;
mod told;
mod validate;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use screen::Screen;

/// When a Kafka-like system told a producer «written», was it?
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  ackproof run durability                         every scenario of the chapter, with the story of each lost message
  ackproof run durability --seeds 0..20 --format json
  ackproof run my-scenario.toml --seed 7 --trace run.ndjson
  ackproof run my-scenario.toml --log debug       what happens, while it happens, in virtual time
  ackproof explain durability/acks-1-leader-crash what it is about, and what happens in it
  ackproof shrink my-failure.toml -o small.toml   the smallest scenario that goes wrong in the same way
  ackproof validate my-scenario.toml              what is wrong with a file
  ackproof run --toggles                          each historical fix switched off, and who notices
  ackproof chaos --seeds 0..1000                  random worlds, and what went wrong in them
  ackproof merge shard-*.ndjson                   what the shards of a campaign came to
  ackproof audit --producer producer.properties   what a configuration keeps, under which failures
  ackproof list                                   what the library has

Exit codes: 0 as expected, 1 not as expected, 2 the input or the call is wrong, 3 inconclusive (a fault never bit, nothing
was sent, time ran out), 4 not deterministic; chaos, shrink and audit, interrupted by Ctrl-C or SIGTERM, keep what they have
and end with 130 or 143.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and say whether they came out as expected
    Run(run::Run),
    /// Draw random worlds and look for what must not happen
    Chaos(chaos::Chaos),
    /// Put the results of several shards of a campaign together
    Merge(merge::Merge),
    /// Say what a configuration keeps and what it does not, under which failures
    Audit(audit::AuditCommand),
    /// List scenarios
    List(list::List),
    /// Check scenario files without running them
    Validate(validate::Validate),
    /// Print the JSON Schema of scenario files, or the facts that a step can wait for
    Schema(schema::Schema),
    /// Say what a scenario is about, and tell what happens in it
    Explain(explain::Explain),
    /// Make a scenario in which something goes wrong as small as it gets
    Shrink(shrink::Shrink),
    /// Judge a recorded trace again, without simulating
    Report(report::Report),
}

/// How a command ended; the worst of several counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    AsExpected,
    Inconclusive,
    NotAsExpected,
    WrongInput,
    NotDeterministic,
    /// By a signal, whose exit code this is.
    Interrupted(u8),
}

impl End {
    fn code(self) -> u8 {
        match self {
            End::AsExpected => 0,
            End::NotAsExpected => 1,
            End::WrongInput => 2,
            End::Inconclusive => 3,
            End::NotDeterministic => 4,
            End::Interrupted(code) => code,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // clap ends the process with code 2, or 0 for --help, where there is nothing to run.
    let cli = Cli::parse();
    let mut screen = Screen::standard();
    match dispatch(cli, &mut screen) {
        Ok(end) => ExitCode::from(end.code()),
        // Whoever read our output has enough: that is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            screen.complain(&format!("error: {error}"));
            ExitCode::from(End::WrongInput.code())
        }
    }
}

/// A run as `ackproof run` shows it, without colours.
pub fn replayed(scenario: &crate::scenario::Scenario, run: &crate::runner::Run) -> String {
    run::human(scenario, run, true, &ackproof_reports::render::text::PlainText)
}

/// Whether the command line takes these arguments, so that what documents say can be tested. A command alone is taken, whatever it needs.
pub fn accepts(arguments: &[String]) -> Result<(), String> {
    if let [name] = arguments
        && Cli::command().find_subcommand(name).is_some()
    {
        return Ok(());
    }
    match Cli::try_parse_from(std::iter::once("ackproof").chain(arguments.iter().map(String::as_str))) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn dispatch(cli: Cli, screen: &mut Screen) -> io::Result<End> {
    match cli.command {
        None => {
            screen.print(&Cli::command().render_help().to_string())?;
            Ok(End::AsExpected)
        }
        Some(Command::Run(run)) => run.run(screen),
        Some(Command::Chaos(chaos)) => chaos.run(screen),
        Some(Command::Merge(merge)) => merge.run(screen),
        Some(Command::Audit(audit)) => audit.run(screen),
        Some(Command::List(list)) => list.run(screen),
        Some(Command::Validate(validate)) => validate.run(screen),
        Some(Command::Schema(schema)) => schema.run(screen),
        Some(Command::Explain(explain)) => explain.run(screen),
        Some(Command::Shrink(shrink)) => shrink.run(screen),
        Some(Command::Report(report)) => report.run(screen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_worst_end_counts() {
        let ends = [End::Inconclusive, End::NotAsExpected, End::AsExpected];
        assert_eq!(ends.into_iter().max(), Some(End::NotAsExpected));
        assert_eq!(End::NotDeterministic.max(End::WrongInput).code(), 4);
    }
}
