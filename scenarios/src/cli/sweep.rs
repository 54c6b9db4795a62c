//! `ackproof run --sweep`: the crash at every event.

use std::io;
use std::num::NonZeroUsize;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Duration, NodeId};
use ackproof_reports::render::text;
use ackproof_reports::{Judge, explain};
use ackproof_sim::world::{Crash, Keep};
use clap::Args;
use serde_json::json;

use super::End;
use super::screen::{Colours, Format, Screen};
use super::select::SeedChoice;
use crate::contract::{contract, node_names};
use crate::parallel::in_order;
use crate::runner::replay;
use crate::scenario::{Scenario, parse_time};
use crate::sweep::{self, Crashes, Moment, Report, Sweep};

/// So many worlds that are not clean are shown of each sweep.
const SHOWN: usize = 5;

/// What is swept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Swept {
    /// SIGKILL: memory is gone, the page cache stays
    Kill,
    /// The machine loses power, and with it a part of what was not synced
    PowerLoss,
}

/// The crash at every event.
#[derive(Debug, Args)]
pub(super) struct SweepChoice {
    /// Crash each broker before every event of the run, each in a world of its own, instead of what the scenario crashes
    #[arg(long, value_enum, value_name = "CRASH")]
    pub sweep: Option<Swept>,
    /// Crash a second time, at every event after that
    #[arg(long, requires = "sweep")]
    pairs: bool,
    /// How long a crashed broker is away
    #[arg(long, requires = "sweep", value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    back_after: Duration,
    /// Producers send no more records than this
    #[arg(long, requires = "sweep", value_name = "N", default_value = "20")]
    records: u64,
    /// Only every N-th event
    #[arg(long, requires = "sweep", value_name = "N", default_value = "1")]
    stride: NonZeroUsize,
    /// Only this world, with its story: crash broker B before event E; once, or twice for a pair
    #[arg(long, requires = "sweep", value_name = "E:B", value_parser = parse_moment)]
    moment: Vec<Moment>,
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    let (events, broker) = text.split_once(':').ok_or("write event:broker, like 1234:2")?;
    let events = events.parse().map_err(|_| format!("`{events}` is not the number of an event"))?;
    let broker = broker.parse().map_err(|_| format!("`{broker}` is not the number of a broker"))?;
    Ok(Moment { events, broker: NodeId::Broker(broker) })
}

impl SweepChoice {
    fn sweep(&self, swept: Swept) -> Sweep {
        Sweep {
            crash: match swept {
                Swept::Kill => Crash::Kill,
                Swept::PowerLoss => Crash::PowerLoss(Keep::Prefix),
            },
            back_after: self.back_after,
            crashes: if self.pairs { Crashes::Pairs } else { Crashes::One },
            stride: u64::try_from(self.stride.get()).unwrap_or(u64::MAX),
            records: self.records,
        }
    }

    /// The line that shows a world of a sweep again.
    fn replay(&self, scenario: &Scenario, seed: u64, moments: &[Moment]) -> String {
        let crash = match self.sweep {
            Some(Swept::PowerLoss) => "power-loss",
            Some(Swept::Kill) | None => "kill",
        };
        let mut line = format!("{} --sweep {crash}", replay(scenario, seed));
        line.push_str(&format!(" --back-after {}ms --records {}", self.back_after.0 / 1_000_000, self.records));
        for moment in moments {
            if let NodeId::Broker(broker) = moment.broker {
                line.push_str(&format!(" --moment {}:{broker}", moment.events));
            }
        }
        line
    }

    /// Sweeps.
    pub fn run(
        &self,
        swept: Swept,
        scenarios: &[Scenario],
        seeds: &SeedChoice,
        (jobs, format): (NonZeroUsize, Format),
        screen: &mut Screen,
    ) -> io::Result<End> {
        let sweep = self.sweep(swept);
        let with_seeds = |scenario| seeds.of(scenario).into_iter().map(move |seed| (scenario, seed));
        let tasks: Vec<(&Scenario, u64)> = scenarios.iter().flat_map(with_seeds).collect();
        if !self.moment.is_empty() {
            for (scenario, seed) in tasks {
                screen.print(&self.one_world(scenario, seed, &sweep))?;
            }
            return Ok(End::AsExpected);
        }
        let mut total = Report::default();
        let mut end = End::AsExpected;
        in_order(
            jobs,
            &tasks,
            |(scenario, seed)| sweep::run(scenario, *seed, &sweep),
            |place, report| {
                let (scenario, seed) = tasks[place];
                if !report.findings.is_empty() {
                    end = End::NotAsExpected;
                }
                screen.print(&self.shown(scenario, seed, &report, format))?;
                total.add(&report);
                Ok(())
            },
        )?;
        if format == Format::Human && tasks.len() > 1 {
            screen.print(&format!("\nall together{}\n", figures(&total)))?;
        }
        Ok(end)
    }

    fn shown(&self, scenario: &Scenario, seed: u64, report: &Report, format: Format) -> String {
        if format == Format::Json {
            let line = json!({
                "scenario": scenario.name(),
                "seed": seed.to_string(),
                "moments": report.moments,
                "worlds": report.worlds,
                "events": report.events,
                "permitted": report.permitted,
                "not_clean": report.findings.iter().map(|finding| json!({
                    "what": finding.what,
                    "replay": self.replay(scenario, seed, &finding.moments),
                })).collect::<Vec<_>>(),
            });
            return line.to_string();
        }
        let mut out = format!("{}  seed {seed}{}\n", scenario.name(), figures(report));
        for finding in report.findings.iter().take(SHOWN) {
            out.push_str(&format!("  {}\n", finding.what.join("; ")));
            out.push_str(&format!("    replay: {}\n", self.replay(scenario, seed, &finding.moments)));
        }
        out
    }

    /// The story of one world.
    fn one_world(&self, scenario: &Scenario, seed: u64, sweep: &Sweep) -> String {
        let mut events = Kept::default();
        let at_rest = sweep::single(scenario, seed, sweep, &self.moment, &mut events);
        let contract = contract(scenario);
        let mut judge = Judge::new(contract.clone());
        events.0.iter().for_each(|event| judge.observe(event));
        let mut judgement = judge.finish();
        let explanation = explain(&mut judgement, &events.0, &contract);
        let mut out = text::verdict_line(&scenario.name(), seed, &judgement, &Colours);
        out.push_str(&text::explanation(&explanation, &node_names(scenario), &Colours));
        out.push_str(&text::invariants(&judgement, &Colours));
        if !at_rest {
            out.push_str("it did not come to rest\n");
        }
        out
    }
}

#[derive(Default)]
struct Kept(Vec<Event>);

impl Observer for Kept {
    fn observe(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

fn figures(report: &Report) -> String {
    let Report { moments, worlds, events, permitted, findings } = report;
    format!(
        "  moments {moments}  worlds {worlds}  events {events}  permitted {permitted}  not clean {}",
        findings.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_event_and_a_broker() {
        assert_eq!(parse_moment("1234:2"), Ok(Moment { events: 1234, broker: NodeId::Broker(2) }));
        assert!(parse_moment("1234").is_err());
        assert!(parse_moment("x:2").is_err_and(|message| message.contains("`x`")));
    }
}
