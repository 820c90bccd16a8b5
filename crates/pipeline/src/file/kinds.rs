//! The table of kinds, each kind's schema made once.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::stage::StageKind;

/// The kinds that a pipeline file may use.
pub(super) struct Kinds {
    table: &'static [StageKind],
    schemas: HashMap<&'static str, Rc<Json>>,
}

impl Kinds {
    pub fn new(table: &'static [StageKind]) -> Self {
        Self { table, schemas: HashMap::new() }
    }

    /// The kind called `name`.
    pub fn find(&self, name: &str) -> Option<&'static StageKind> {
        self.table.iter().find(|kind| kind.kind == name)
    }

    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.table.iter().map(|kind| kind.kind)
    }

    /// The schema of the kind's params.
    pub fn schema(&mut self, kind: &StageKind) -> Rc<Json> {
        let make = || Rc::new((kind.schema)().to_value());
        Rc::clone(self.schemas.entry(kind.kind).or_insert_with(make))
    }
}
