//! Literal histories before the judge: for every anomaly and every cause a guilty one and an innocent one.

mod causes;
mod chronicles;
mod circumstances;
mod coordinators;
mod deliveries;
mod epochs;
mod excuses;
mod facts;
mod fates;
mod groups;
mod invariants;
mod losses;
mod no_excuse;
mod operators;
mod refusals;
mod removals;
mod resends;
mod rewritten;
mod run;
mod shares;
mod stuck;
mod texts;
mod traces;
mod verdicts;
