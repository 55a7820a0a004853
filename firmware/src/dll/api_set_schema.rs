//! `apisetschema.dll`: a file with one section, which every process has mapped at PEB.ApiSetMap.

use crate::api_sets;
use crate::module::{Access, ModuleSource};

const PREFERRED_BASE: u32 = 0x1000_0000;

/// The schema for the DLLs that are `present`.
pub fn source(present: impl Fn(&str) -> bool) -> ModuleSource {
    let schema = api_sets::schema(present);
    let mut module = ModuleSource::new("apisetschema", "apisetschema.dll", 0, 3, PREFERRED_BASE);
    module.section(".apiset", Access::Constant);
    module.data("ApiSetSchema", move |_| schema.clone());
    module
}
