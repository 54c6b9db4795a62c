//! `mutation`: the historical fix without which a scenario goes wrong. One file, run both ways.

use super::reading::Reading;
use super::{AnomalyExpectation, Count, Expect};
use crate::document::{Document, Mutation as Written, Value, Written as At};

/// The historical fix that a scenario puts to the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The name of the toggle.
    pub toggle: String,
    /// Its value without the fix: what the file expects comes out under it.
    pub off: String,
    /// Its value with the fix: nothing goes wrong under it.
    pub on: String,
}

impl Mutation {
    /// The fix in words, as a report shows it.
    pub fn fix(&self) -> String {
        format!("{}={}", self.toggle, self.on)
    }
}

/// Which way a file with a mutation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Without the fix.
    Off,
    /// With it.
    On,
}

/// The toggle and its value.
pub(super) fn switched(document: &Document, way: Way) -> Option<(At<String>, At<Value>)> {
    let written = document.mutation.as_ref()?;
    let value = match way {
        Way::Off => written.off.clone(),
        Way::On => written.on.clone(),
    };
    let toggle = written.toggle.clone();
    let value = value.unwrap_or_else(|| At::new(Value::Bool(way == Way::On), toggle.span()));
    Some((toggle, value))
}

impl Reading<'_> {
    /// Reads `mutation`, and what contradicts it.
    pub fn mutation(&mut self, document: &Document, expect: &Expect) -> Option<Mutation> {
        let written = document.mutation.as_ref()?;
        let [off, on] = [Way::Off, Way::On].map(|way| switched(document, way).map(|(_, value)| value.to_string()));
        let mutation = Mutation { toggle: written.toggle.to_string(), off: off?, on: on? };
        if mutation.off == mutation.on {
            let found = self.error(written.span(), format!("`{}` is `{}` both ways", mutation.toggle, mutation.on));
            self.report(found.remedy("`off` is its value without the fix, `on` its value with it"));
        }
        if let Some(fix) = &document.fix {
            let found = self.error(fix.span(), "the fix of this scenario is its mutation, switched on");
            self.report(found.related(written.span(), "here").remedy("keep one of the two"));
        }
        let toggles = document.cluster.as_ref().map(|cluster| &cluster.toggles);
        if let Some((name, _)) = toggles.and_then(|toggles| toggles.get_key_value(&written.toggle)) {
            let found = self.error(name.span(), "the mutation says this already");
            self.report(found.related(written.toggle.span(), "here").remedy("keep one of the two"));
        }
        if !expect.accuses() {
            let found = self.error(written.span(), "a mutation that nobody notices proves nothing");
            self.report(found.remedy("say what goes wrong without the fix: [[expect.anomaly]]"));
        }
        Some(mutation)
    }

    /// What is expected with the fix: nothing goes wrong, but for what may go wrong all the same.
    pub fn acquittal(&mut self, written: &Written) -> Expect {
        let kinds: Vec<_> = written.still.iter().filter_map(|name| self.kind(name)).collect();
        let may_occur = |kind| AnomalyExpectation { kind, count: Count::ANY, cause: None, permitted: None };
        Expect { anomalies: kinds.into_iter().map(may_occur).collect(), ..Expect::default() }
    }
}
