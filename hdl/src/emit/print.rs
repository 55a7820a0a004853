//! The Verilog text of a module.
use std::fmt::Write;

use num_bigint::BigUint;
use rust_hdl_core::ast;

use super::check::assigns;
use super::collect::{Design, Module, Role, Signal, enum_width, identifier};
use super::expression::{Expression, Kind};
use super::statement::{Arm, Kernel, Statement};

/// What comes before the first module.
pub fn header() -> String {
    // A signal may have the name of an instance elsewhere, as fields in Rust may.
    "// Generated from the Rust blocks in hdl/. Do not edit.\n\
     `default_nettype none\n\
     /* verilator lint_off VARHIDDEN */\n"
        .into()
}

/// Declarations that a module needs beside itself: bodies of foreign cores.
pub fn library(module: &Module) -> Option<String> {
    match &module.code {
        ast::Verilog::Blackbox(blackbox) => Some(blackbox.code.clone()),
        ast::Verilog::Wrapper(wrapper) => Some(wrapper.cores.clone()),
        _ => None,
    }
}

/// Appends the text of `module`; `kernel` is its translated kernel, if it has one.
pub fn module(design: &Design, module: &Module, kernel: Option<&Kernel>, text: &mut String) {
    if module.is_blackbox() {
        return;
    }
    let drivers: Vec<Option<Driver>> = (0..module.signals.len())
        .map(|signal| driver(module, kernel, signal))
        .collect();
    let is_variable = |number: usize| match (&module.code, &module.signals[number].role) {
        (ast::Verilog::Custom(_), Role::Output | Role::Local | Role::ChildInput) => true,
        (ast::Verilog::Custom(_) | ast::Verilog::Wrapper(_), _) => false,
        _ => matches!(drivers[number], Some(Driver::Always(_))),
    };
    let mut out = Printer {
        module,
        text: String::new(),
    };
    out.head(is_variable);
    out.declarations(design, kernel, is_variable);
    for child in &module.children {
        out.instance(&child.instance, &design.modules[child.module]);
    }
    for (number, driver) in drivers.iter().enumerate() {
        match driver {
            Some(driver) => out.driver(number, driver),
            None => {}
        }
    }
    match &module.code {
        ast::Verilog::Custom(code) => out.custom(code),
        ast::Verilog::Wrapper(wrapper) => out.verbatim(&wrapper.code),
        _ => {}
    }
    out.text.push_str("endmodule\n");
    text.push_str(&out.text);
}

/// How a signal gets its value.
enum Driver {
    /// Parts from bit 0 up that make the whole signal.
    Assign(Vec<Expression>),
    Always(Vec<Statement>),
}

fn driver(module: &Module, kernel: Option<&Kernel>, signal: usize) -> Option<Driver> {
    let block = slice(&kernel?.body, signal);
    if block.is_empty() {
        return None;
    }
    let block = drop_overwritten(block, module.signals[signal].width, signal);
    Some(match parts(&block, module.signals[signal].width, signal) {
        Some(parts) => Driver::Assign(parts),
        None => Driver::Always(block),
    })
}

/// What of `block` decides the value of `signal`.
fn slice(block: &[Statement], signal: usize) -> Vec<Statement> {
    let mut kept = Vec::new();
    for statement in block
        .iter()
        .filter(|statement| assigns(std::slice::from_ref(statement), signal))
    {
        kept.push(match statement {
            Statement::Assign { .. } => statement.clone(),
            Statement::If {
                test,
                then,
                otherwise,
            } => {
                let (then, otherwise) = (slice(then, signal), slice(otherwise, signal));
                match then == otherwise {
                    // What both branches do needs no test.
                    true => {
                        kept.extend(then);
                        continue;
                    }
                    false => Statement::If {
                        test: test.clone(),
                        then,
                        otherwise,
                    },
                }
            }
            Statement::Case {
                test,
                arms,
                default,
            } => {
                let default = slice(default, signal);
                let mut merged: Vec<Arm> = Vec::new();
                for arm in arms {
                    let body = slice(&arm.body, signal);
                    if body == default {
                        continue;
                    }
                    match merged.iter_mut().find(|other| other.body == body) {
                        Some(other) => other.labels.extend(arm.labels.iter().cloned()),
                        None => merged.push(Arm {
                            labels: arm.labels.clone(),
                            body,
                        }),
                    }
                }
                match merged.is_empty() {
                    true => {
                        kept.extend(default);
                        continue;
                    }
                    false => Statement::Case {
                        test: test.clone(),
                        arms: merged,
                        default,
                    },
                }
            }
        });
    }
    kept
}

/// Removes what comes before the last unconditional assignment of the whole signal.
fn drop_overwritten(mut block: Vec<Statement>, width: usize, signal: usize) -> Vec<Statement> {
    let last = block.iter().rposition(|statement| match statement {
        Statement::Assign { value, .. } => value.width == width && !value.mentions(signal),
        _ => false,
    });
    block.split_off(last.unwrap_or(0))
}

/// The signal as a concatenation (low part first), if its assignments are unconditional.
fn parts(block: &[Statement], width: usize, signal: usize) -> Option<Vec<Expression>> {
    let mut parts: Vec<(usize, Expression)> = Vec::new();
    for statement in block {
        let Statement::Assign { offset, value, .. } = statement else {
            return None;
        };
        if value.mentions(signal) {
            return None;
        }
        let (from, to) = (*offset, *offset + value.width);
        let mut remaining = Vec::new();
        for (start, part) in parts {
            let end = start + part.width;
            if end <= from || to <= start {
                remaining.push((start, part));
                continue;
            }
            if start >= from && end <= to {
                continue;
            }
            // Only a wire can be cut without repeating logic.
            if !matches!(part.kind, Kind::Select { .. } | Kind::Number(_)) {
                return None;
            }
            if start < from {
                remaining.push((start, part.clone().bits(0, from - start)));
            }
            if to < end {
                remaining.push((to, part.bits(to - start, end - to)));
            }
        }
        remaining.push((from, value.clone()));
        parts = remaining;
    }
    parts.sort_by_key(|(offset, _)| *offset);
    let complete = parts.iter().map(|(_, part)| part.width).sum::<usize>() == width;
    complete.then(|| parts.into_iter().map(|(_, part)| part).collect())
}

struct Printer<'a> {
    module: &'a Module,
    text: String,
}

/// Writing to a String cannot fail.
macro_rules! line {
    ($out:expr, $($argument:tt)*) => {
        writeln!($out.text, $($argument)*).expect("a String can be written")
    };
}

fn range(width: usize) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

fn number(width: usize, value: &BigUint) -> String {
    match width {
        1 => format!("1'b{value}"),
        _ if *value < BigUint::from(10u8) => format!("{width}'d{value}"),
        _ => format!("{width}'h{value:x}"),
    }
}

impl Printer<'_> {
    fn head(&mut self, is_variable: impl Fn(usize) -> bool) {
        line!(self, "\nmodule {}(", self.module.name());
        let mut ports = Vec::new();
        for (
            number,
            Signal {
                name,
                role,
                width,
                signed,
                ..
            },
        ) in self.module.signals.iter().enumerate()
        {
            let direction = match role {
                Role::Input => "input wire",
                Role::Output if is_variable(number) => "output reg",
                Role::Output => "output wire",
                Role::InOut => "inout wire",
                _ => continue,
            };
            let signed = if *signed { "signed " } else { "" };
            let name = identifier(name);
            ports.push(format!("  {direction} {signed}{}{name}", range(*width)));
        }
        line!(self, "{}\n);", ports.join(",\n"));
    }

    fn declarations(
        &mut self,
        design: &Design,
        kernel: Option<&Kernel>,
        is_variable: impl Fn(usize) -> bool,
    ) {
        for (enum_name, variants) in &design.enums {
            if kernel.is_some_and(|kernel| kernel.used_enums.contains(enum_name)) {
                let width = enum_width(variants.len());
                for (value, variant) in variants.iter().enumerate() {
                    let value = number(width, &value.into());
                    line!(
                        self,
                        "  localparam {}{enum_name}${variant} = {value};",
                        range(width)
                    );
                }
            }
        }
        for (
            index,
            Signal {
                name,
                role,
                width,
                value,
                ..
            },
        ) in self.module.signals.iter().enumerate()
        {
            let name = identifier(name);
            match role {
                Role::Constant => line!(
                    self,
                    "  localparam {}{name} = {};",
                    range(*width),
                    number(*width, value)
                ),
                Role::Local | Role::ChildInput | Role::ChildOutput => {
                    let kind = if is_variable(index) { "reg" } else { "wire" };
                    line!(self, "  {kind} {}{name};", range(*width));
                }
                Role::Input | Role::Output | Role::InOut => {}
            }
        }
    }

    fn instance(&mut self, name: &str, module: &Module) {
        let ports: Vec<String> = module
            .ports()
            .map(|port| format!("    .{}({name}${})", identifier(&port.name), port.name))
            .collect();
        line!(
            self,
            "  {} {}(\n{}\n  );",
            module.name(),
            identifier(name),
            ports.join(",\n")
        );
    }

    fn driver(&mut self, signal: usize, driver: &Driver) {
        let name = identifier(&self.module.signals[signal].name);
        match driver {
            Driver::Assign(parts) => {
                let parts: Vec<String> = parts.iter().rev().map(|part| self.bare(part)).collect();
                match parts.as_slice() {
                    [whole] => line!(self, "  assign {name} = {whole};"),
                    parts => line!(self, "  assign {name} = {{{}}};", parts.join(", ")),
                }
            }
            Driver::Always(block) => {
                line!(self, "  always @(*) begin");
                self.block(block, 2);
                line!(self, "  end");
            }
        }
    }

    fn block(&mut self, block: &[Statement], depth: usize) {
        let indent = "  ".repeat(depth);
        for statement in block {
            match statement {
                Statement::Assign {
                    signal,
                    offset,
                    value,
                } => {
                    let target = self.select(*signal, *offset, value.width);
                    let value = self.bare(value);
                    line!(self, "{indent}{target} = {value};");
                }
                Statement::If {
                    test,
                    then,
                    otherwise,
                } => {
                    let test = self.bare(test);
                    line!(self, "{indent}if ({test}) begin");
                    self.block(then, depth + 1);
                    let mut otherwise = otherwise;
                    while let [
                        Statement::If {
                            test,
                            then,
                            otherwise: next,
                        },
                    ] = otherwise.as_slice()
                    {
                        let test = self.bare(test);
                        line!(self, "{indent}end else if ({test}) begin");
                        self.block(then, depth + 1);
                        otherwise = next;
                    }
                    if !otherwise.is_empty() {
                        line!(self, "{indent}end else begin");
                        self.block(otherwise, depth + 1);
                    }
                    line!(self, "{indent}end");
                }
                Statement::Case {
                    test,
                    arms,
                    default,
                } => {
                    let test = self.bare(test);
                    line!(self, "{indent}case ({test})");
                    for arm in arms {
                        let labels: Vec<String> = arm
                            .labels
                            .iter()
                            .map(|label| self.expression(label))
                            .collect();
                        self.arm(&labels.join(", "), &arm.body, depth + 1);
                    }
                    self.arm("default", default, depth + 1);
                    line!(self, "{indent}endcase");
                }
            }
        }
    }

    fn arm(&mut self, label: &str, body: &[Statement], depth: usize) {
        let indent = "  ".repeat(depth);
        if body.is_empty() {
            line!(self, "{indent}{label}: ;");
            return;
        }
        line!(self, "{indent}{label}: begin");
        self.block(body, depth + 1);
        line!(self, "{indent}end");
    }

    fn select(&self, signal: usize, offset: usize, width: usize) -> String {
        let Signal {
            name, width: all, ..
        } = &self.module.signals[signal];
        let name = identifier(name);
        match (offset, width) {
            (0, width) if width == *all => name,
            (offset, 1) => format!("{name}[{offset}]"),
            (offset, width) => format!("{name}[{}:{offset}]", offset + width - 1),
        }
    }

    /// For places where the text stands alone.
    fn bare(&self, expression: &Expression) -> String {
        let text = self.expression(expression);
        match &expression.kind {
            Kind::Unary(..) | Kind::Binary(..) => text[1..text.len() - 1].to_string(),
            _ => text,
        }
    }

    /// Always a primary: a name, a number, or in brackets.
    fn expression(&self, expression: &Expression) -> String {
        let width = expression.width;
        match &expression.kind {
            Kind::Number(value) => number(width, value),
            Kind::Named(name, _) => identifier(name),
            Kind::Select { signal, offset } => self.select(*signal, *offset, width),
            Kind::Unary(operator, inner) => format!("({operator}{})", self.expression(inner)),
            Kind::Binary(left, operator, right) => {
                let right = match (&right.kind, *operator) {
                    (Kind::Number(count), "<<" | ">>") => count.to_string(),
                    _ => self.expression(right),
                };
                format!("({} {operator} {right})", self.expression(left))
            }
            Kind::Extend(inner) => {
                let zeros = number(width - inner.width, &BigUint::default());
                format!("{{{zeros}, {}}}", self.bare(inner))
            }
            Kind::Truncate(inner) => format!("{width}'({})", self.bare(inner)),
        }
    }

    /// Hand-written Verilog.
    fn custom(&mut self, code: &str) {
        // The register of rust-hdl-widgets writes the power-up value of an enum 64 bits wide.
        let register = self.module.by_name.get("q").and_then(|q| {
            let width = self.module.signals[*q].width;
            let value = code
                .trim_start()
                .strip_prefix("initial begin\n   q = 64'h")?
                .split(';')
                .next()?;
            let value = BigUint::parse_bytes(value.as_bytes(), 16)?;
            (width != 64 && value.bits() <= width as u64).then_some((value, width))
        });
        match register {
            Some((value, width)) => {
                let wide = format!("q = 64'h{value:x};");
                self.verbatim(&code.replacen(&wide, &format!("q = {};", number(width, &value)), 1));
            }
            None => self.verbatim(code),
        }
    }

    fn verbatim(&mut self, code: &str) {
        for row in code.trim_matches('\n').lines() {
            line!(self, "  {}", row.trim_end());
        }
    }
}
