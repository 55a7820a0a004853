//! Walks a tree of blocks and notes its modules, signals, enums and kernels.
use std::collections::BTreeMap;

use num_bigint::BigUint;
use rust_hdl_core::ast;
use rust_hdl_core::prelude::{
    Atom, AtomKind, Block, Probe, TypeDescriptor, TypeKind, VerilogLiteral,
};

use super::{EmitError, ModuleInfo, Port, PortDirection};

/// All modules, a parent before its children, and the enums by type name.
#[derive(Default)]
pub struct Design {
    pub modules: Vec<Module>,
    pub enums: Enums,
}

/// Variant names (without the type) in the order of their values, by name of the enum.
pub type Enums = BTreeMap<String, Vec<String>>;

/// What a signal is to the module it is listed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Input,
    Output,
    InOut,
    Local,
    /// An input of a sub-block: this module drives it.
    ChildInput,
    /// An output of a sub-block.
    ChildOutput,
    /// A `Constant` field.
    Constant,
}

impl Role {
    /// Whether the kernel of this module gives the signal its value.
    pub fn is_driven(self) -> bool {
        matches!(self, Role::Output | Role::Local | Role::ChildInput)
    }
}

/// A signal, port or constant of a module.
pub struct Signal {
    pub name: String,
    pub role: Role,
    /// In bits.
    pub width: usize,
    pub signed: bool,
    pub clock: bool,
    /// The value of a constant.
    pub value: BigUint,
}

/// A sub-block: the name of the instance and the module's index in [`Design::modules`].
pub struct Child {
    pub instance: String,
    pub module: usize,
}

/// One block of the tree.
pub struct Module {
    /// Names of the instances from the top down to here.
    pub path: Vec<String>,
    pub signals: Vec<Signal>,
    /// Index in `signals` by name.
    pub by_name: BTreeMap<String, usize>,
    pub children: Vec<Child>,
    pub code: ast::Verilog,
}

impl Module {
    /// The Verilog name.
    pub fn name(&self) -> String {
        match &self.code {
            ast::Verilog::Blackbox(blackbox) => blackbox.name.clone(),
            _ => self.path.join("$"),
        }
    }

    /// Whether the module is declared elsewhere.
    pub fn is_blackbox(&self) -> bool {
        matches!(self.code, ast::Verilog::Blackbox(_))
    }

    /// The ports: signals that the parent sees.
    pub fn ports(&self) -> impl Iterator<Item = &Signal> {
        self.signals
            .iter()
            .filter(|signal| matches!(signal.role, Role::Input | Role::Output | Role::InOut))
    }

    /// What users of the emitter are told.
    pub fn info(&self) -> ModuleInfo {
        let port = |signal: &Signal| Port {
            name: signal.name.clone(),
            width: signal.width,
            direction: match signal.role {
                Role::Input => PortDirection::Input,
                Role::Output => PortDirection::Output,
                _ => PortDirection::InOut,
            },
            clock: signal.clock,
        };
        ModuleInfo {
            name: self.name(),
            path: self.path.clone(),
            ports: self.ports().map(port).collect(),
            custom: matches!(
                self.code,
                ast::Verilog::Custom(_) | ast::Verilog::Wrapper(_)
            ),
        }
    }

    fn add(&mut self, signal: Signal) -> Result<(), &'static str> {
        let finding = match () {
            _ if signal.width == 0 => Err("has no bits"),
            _ if self.by_name.contains_key(&signal.name) => Err("is declared twice"),
            _ => Ok(()),
        };
        self.by_name.insert(signal.name.clone(), self.signals.len());
        self.signals.push(signal);
        finding
    }
}

/// The width of a value of an enum with `variants` variants, as `LogicState` has it.
pub fn enum_width(variants: usize) -> usize {
    rust_hdl_core::bits::clog2(variants)
}

/// The bits of a literal. (Its fields are private, its printed form `width'hdigits` is not.)
pub fn literal_value(literal: &VerilogLiteral) -> (usize, num_bigint::BigInt) {
    let printed = format!("{literal:x}");
    let (width, digits) = printed
        .split_once("'h")
        .expect("rust-hdl prints literals as width'hdigits");
    let value = num_bigint::BigInt::parse_bytes(digits.as_bytes(), 16)
        .expect("rust-hdl prints hexadecimal digits");
    (width.parse().expect("rust-hdl prints the width"), value)
}

/// Collects `top` and everything inside it.
pub fn collect(top_name: &str, top: &impl Block, errors: &mut Vec<EmitError>) -> Design {
    let mut collector = Collector {
        design: Design::default(),
        open: Vec::new(),
        errors: Vec::new(),
    };
    top.accept(top_name, &mut collector);
    errors.append(&mut collector.errors);
    collector.design
}

/// A module whose fields are being visited.
struct Open {
    module: usize,
    namespace: Vec<String>,
}

struct Collector {
    design: Design,
    open: Vec<Open>,
    errors: Vec<EmitError>,
}

impl Collector {
    fn error(&mut self, module: usize, signal: &str, message: impl Into<String>) {
        let module = self.design.modules[module].name();
        self.errors.push(EmitError {
            module,
            signal: signal.into(),
            message: message.into(),
        });
    }

    fn add(&mut self, module: usize, signal: Signal) {
        let name = signal.name.clone();
        if let Err(message) = self.design.modules[module].add(signal) {
            self.error(module, &name, message);
        }
    }

    fn add_enums(&mut self, module: usize, descriptor: &TypeDescriptor) {
        match &descriptor.kind {
            TypeKind::Enum(labels) => {
                let variants: Vec<String> = labels
                    .iter()
                    .map(|label| label.rsplit("::").next().unwrap_or(label).to_string())
                    .collect();
                let known = self
                    .design
                    .enums
                    .entry(descriptor.name.clone())
                    .or_insert_with(|| variants.clone());
                if *known != variants {
                    self.error(
                        module,
                        &descriptor.name,
                        "two enums with different variants share this name",
                    );
                }
            }
            TypeKind::Composite(fields) => fields
                .iter()
                .for_each(|field| self.add_enums(module, &field.kind)),
            TypeKind::Bits(_) | TypeKind::Signed(_) => {}
        }
    }
}

impl Probe for Collector {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        let module = self.design.modules.len();
        let mut path = Vec::new();
        if let Some(parent) = self.open.last() {
            let parent = parent.module;
            path = self.design.modules[parent].path.clone();
            self.design.modules[parent].children.push(Child {
                instance: name.into(),
                module,
            });
        }
        path.push(name.into());
        self.design.modules.push(Module {
            path,
            signals: Vec::new(),
            by_name: BTreeMap::new(),
            children: Vec::new(),
            code: node.hdl(),
        });
        self.open.push(Open {
            module,
            namespace: Vec::new(),
        });
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.open.pop();
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        if let Some(open) = self.open.last_mut() {
            open.namespace.push(name.into());
        }
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        if let Some(open) = self.open.last_mut() {
            open.namespace.pop();
        }
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let Some(open) = self.open.last() else { return };
        let module = open.module;
        let name = open
            .namespace
            .iter()
            .map(String::as_str)
            .chain([name])
            .collect::<Vec<_>>()
            .join("$");
        let (role, in_parent) = match atom.kind() {
            AtomKind::InputParameter => (Role::Input, Some(Role::ChildInput)),
            AtomKind::OutputParameter | AtomKind::OutputPassthrough => {
                (Role::Output, Some(Role::ChildOutput))
            }
            AtomKind::InOutParameter => (Role::InOut, Some(Role::InOut)),
            AtomKind::LocalSignal => (Role::Local, None),
            AtomKind::Constant => (Role::Constant, None),
            AtomKind::StubInputSignal => (Role::ChildInput, None),
            AtomKind::StubOutputSignal => (Role::ChildOutput, None),
        };
        let descriptor = atom.descriptor();
        let signal = |name: String, role: Role| Signal {
            name,
            role,
            width: atom.bits(),
            signed: matches!(descriptor.kind, TypeKind::Signed(_)),
            clock: descriptor.name == "clock",
            value: match role {
                Role::Constant => literal_value(&atom.verilog()).1.magnitude().clone(),
                _ => BigUint::default(),
            },
        };
        self.add_enums(module, &descriptor);
        if let (Some(role), [.., parent, _]) = (in_parent, self.open.as_slice()) {
            let parent = parent.module;
            let instance = self.design.modules[module]
                .path
                .last()
                .cloned()
                .unwrap_or_default();
            // An inout of a child is only a net here, not a port.
            let role = if role == Role::InOut {
                Role::ChildOutput
            } else {
                role
            };
            self.add(parent, signal(format!("{instance}${name}"), role));
        }
        self.add(module, signal(name, role));
    }
}

/// `name` as Verilog wants it: words that (System)Verilog reserves are written as escaped identifiers.
pub fn identifier(name: &str) -> String {
    match KEYWORDS.contains(&name) {
        true => format!("\\{name} "),
        false => name.to_string(),
    }
}

#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "accept_on", "alias", "always", "always_comb", "always_ff", "always_latch", "and", "assert", "assign", "assume",
    "automatic", "before", "begin", "bind", "bins", "binsof", "bit", "break", "buf", "bufif0", "bufif1", "byte",
    "case", "casex", "casez", "cell", "chandle", "checker", "class", "clocking", "cmos", "config", "const",
    "constraint", "context", "continue", "cover", "covergroup", "coverpoint", "cross", "deassign", "default",
    "defparam", "design", "disable", "dist", "do", "edge", "else", "end", "endcase", "endchecker", "endclass",
    "endclocking", "endconfig", "endfunction", "endgenerate", "endgroup", "endinterface", "endmodule", "endpackage",
    "endprimitive", "endprogram", "endproperty", "endsequence", "endspecify", "endtable", "endtask", "enum", "event",
    "eventually", "expect", "export", "extends", "extern", "final", "first_match", "for", "force", "foreach",
    "forever", "fork", "forkjoin", "function", "generate", "genvar", "global", "highz0", "highz1", "if", "iff",
    "ifnone", "ignore_bins", "illegal_bins", "implements", "implies", "import", "incdir", "include", "initial",
    "inout", "input", "inside", "instance", "int", "integer", "interconnect", "interface", "intersect", "join",
    "join_any", "join_none", "large", "let", "liblist", "library", "local", "localparam", "logic", "longint",
    "macromodule", "matches", "medium", "modport", "module", "nand", "negedge", "nettype", "new", "nexttime", "nmos",
    "nor", "noshowcancelled", "not", "notif0", "notif1", "null", "or", "output", "package", "packed", "parameter",
    "pmos", "posedge", "primitive", "priority", "program", "property", "protected", "pull0", "pull1", "pulldown",
    "pullup", "pulsestyle_ondetect", "pulsestyle_onevent", "pure", "rand", "randc", "randcase", "randsequence",
    "rcmos", "real", "realtime", "ref", "reg", "reject_on", "release", "repeat", "restrict", "return", "rnmos",
    "rpmos", "rtran", "rtranif0", "rtranif1", "s_always", "s_eventually", "s_nexttime", "s_until", "s_until_with",
    "scalared", "sequence", "shortint", "shortreal", "showcancelled", "signed", "small", "soft", "solve", "specify",
    "specparam", "static", "string", "strong", "strong0", "strong1", "struct", "super", "supply0", "supply1",
    "sync_accept_on", "sync_reject_on", "table", "tagged", "task", "this", "throughout", "time", "timeprecision",
    "timeunit", "tran", "tranif0", "tranif1", "tri", "tri0", "tri1", "triand", "trior", "trireg", "type", "typedef",
    "union", "unique", "unique0", "unsigned", "until", "until_with", "untyped", "use", "uwire", "var", "vectored",
    "virtual", "void", "wait", "wait_order", "wand", "weak", "weak0", "weak1", "while", "wildcard", "wire", "with",
    "within", "wor", "xnor", "xor",
];
