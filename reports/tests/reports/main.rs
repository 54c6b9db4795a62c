//! Literal histories before the judge: for every anomaly and every cause a guilty one and an innocent one.

mod causes;
mod chronicles;
mod circumstances;
mod deliveries;
mod epochs;
mod facts;
mod groups;
mod invariants;
mod losses;
mod operators;
mod refusals;
mod removals;
mod run;
mod shares;
mod stuck;
mod texts;
mod traces;
mod verdicts;
