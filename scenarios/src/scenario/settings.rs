//! Properties in layers: files and tables, each value with the place where it was written.

use std::ops::Range;
use std::sync::Arc;

use ackproof_core::config::properties::parse;

use super::reading::Reading;
use crate::diagnostics::{Diagnostic, Source};
use crate::document::{Properties, Written};
use crate::library::Place;

/// One property and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub name: String,
    pub value: String,
    pub source: Arc<Source>,
    pub name_span: Range<usize>,
    pub value_span: Range<usize>,
}

/// Properties, from the weakest layer to the strongest; a later one of the same name wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// A file could not be read, which has been told: nothing can be concluded from what is not here.
    pub incomplete: bool,
}

impl Settings {
    fn new(list: Vec<Setting>) -> Settings {
        Settings { list, incomplete: false }
    }

    fn unreadable() -> Settings {
        Settings { list: Vec::new(), incomplete: true }
    }

    /// With a stronger layer on top.
    #[must_use]
    pub fn under(mut self, stronger: Settings) -> Settings {
        for setting in stronger.list {
            self.list.retain(|weaker| weaker.name != setting.name);
            self.list.push(setting);
        }
        self.incomplete |= stronger.incomplete;
        self
    }

    /// As those of the broker with this id, said at `span`.
    #[must_use]
    pub fn with_id(mut self, id: i32, source: &Arc<Source>, span: &Range<usize>) -> Settings {
        self.list.retain(|setting| setting.name != "broker.id" && setting.name != "node.id");
        self.over("broker.id", &id.to_string(), source, span)
    }

    /// With a property that counts only where it is not set.
    #[must_use]
    pub fn over(mut self, name: &str, value: &str, source: &Arc<Source>, span: &Range<usize>) -> Settings {
        if self.get(name).is_none() {
            let (name, value, source) = (name.to_owned(), value.to_owned(), Arc::clone(source));
            self.list.push(Setting { name, value, source, name_span: span.clone(), value_span: span.clone() });
        }
        self
    }

    /// The property of this name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter()
    }
}

impl Reading<'_> {
    /// A table of properties.
    pub fn table(&self, properties: &Properties) -> Settings {
        let settings = properties.iter().map(|(name, value)| Setting {
            name: name.to_string(),
            value: value.to_string(),
            source: Arc::clone(self.source),
            name_span: name.span(),
            value_span: value.span(),
        });
        Settings::new(settings.collect())
    }

    /// A file of properties, if there is one.
    pub fn file(&mut self, place: &Place, name: Option<&Written<String>>) -> Settings {
        let Some(name) = name else { return Settings::default() };
        let path = place.sibling(name);
        let bytes = match path.read() {
            Ok(bytes) => bytes,
            Err(error) => {
                let found = self.error(name.span(), format!("`{}` cannot be read: {error}", path.display()));
                self.report(found.remedy("the path is relative to the folder of the scenario file"));
                return Settings::unreadable();
            }
        };
        let source = match Source::from_bytes(path.display(), bytes) {
            Ok(source) => source,
            Err(found) => {
                self.found.append(found);
                return Settings::unreadable();
            }
        };
        self.properties(&source)
    }

    fn properties(&mut self, source: &Arc<Source>) -> Settings {
        let properties = match parse(source.text.as_bytes()) {
            Ok(properties) => properties,
            Err(errors) => {
                for error in errors {
                    self.report(Diagnostic::error(source, error.span.start..error.span.end, error.message));
                }
                return Settings::unreadable();
            }
        };
        let settings = properties.into_iter().map(|property| Setting {
            name_span: property.place.name.start..property.place.name.end,
            value_span: property.place.value.start..property.place.value.end,
            name: property.name,
            value: property.value,
            source: Arc::clone(source),
        });
        // A name that comes twice counts the last time, as in Java.
        Settings::default().under(Settings::new(settings.collect()))
    }
}
