//! Statements of a kernel: loops unrolled, links as assignments, every assignment with its bits.
use std::collections::BTreeSet;

use rust_hdl_core::ast::{
    self, VerilogBlockOrConditional as Else, VerilogLink, VerilogStatement as Ast,
};

use super::EmitError;
use super::collect::{Enums, Module, Role};
use super::expression::{Expression, Scope, Value};

/// A translated kernel.
pub struct Kernel {
    pub body: Vec<Statement>,
    /// The enums whose names appear in it.
    pub used_enums: BTreeSet<String>,
}

/// One step of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Gives `value.width` bits of a signal, from `offset` on, a value.
    Assign {
        signal: usize,
        offset: usize,
        value: Expression,
    },
    /// The test is one bit wide.
    If {
        test: Expression,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// Labels are constants of the width of the test; the arms exclude each other.
    Case {
        test: Expression,
        arms: Vec<Arm>,
        default: Vec<Statement>,
    },
}

/// What happens if the test equals one of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub labels: Vec<Expression>,
    pub body: Vec<Statement>,
}

/// Translates the kernel of `module`, if it has one.
pub fn lower(module: &Module, enums: &Enums, errors: &mut Vec<EmitError>) -> Option<Kernel> {
    let ast::Verilog::Combinatorial(code) = &module.code else {
        return None;
    };
    let scope = Scope {
        module,
        enums,
        loops: Vec::new(),
        used_enums: BTreeSet::new(),
    };
    let mut lowering = Lowering {
        scope,
        at: String::new(),
        errors: Vec::new(),
    };
    let body = lowering.block(code);
    errors.append(&mut lowering.errors);
    Some(Kernel {
        body,
        used_enums: lowering.scope.used_enums,
    })
}

struct Lowering<'a> {
    scope: Scope<'a>,
    /// The signal being assigned.
    at: String,
    errors: Vec<EmitError>,
}

impl Lowering<'_> {
    fn error(&mut self, message: String) {
        self.errors.push(EmitError {
            module: self.scope.module.name(),
            signal: self.at.clone(),
            message,
        });
    }

    fn block(&mut self, block: &[Ast]) -> Vec<Statement> {
        let mut statements = Vec::new();
        for statement in block {
            match self.statement(statement) {
                Ok(mut more) => statements.append(&mut more),
                Err(message) => self.error(message),
            }
        }
        statements
    }

    fn statement(&mut self, statement: &Ast) -> Result<Vec<Statement>, String> {
        match statement {
            Ast::Assignment(target, value) => {
                let signal = self.target(target)?;
                let width = self.scope.module.signals[signal].width;
                let value = self.scope.of_width(value, width)?;
                Ok(vec![Statement::Assign {
                    signal,
                    offset: 0,
                    value,
                }])
            }
            Ast::SliceAssignment {
                base,
                width,
                offset,
                replacement,
            } => {
                let signal = self.target(base)?;
                let Value::Integer(offset) = self.scope.value(offset)? else {
                    return Err("an assignment to bits at a variable offset".into());
                };
                let offset =
                    usize::try_from(&offset).map_err(|_| "an offset out of range".to_string())?;
                if offset + width > self.scope.module.signals[signal].width {
                    return Err(format!(
                        "bits {offset} to {} do not exist",
                        offset + width - 1
                    ));
                }
                let value = self.scope.of_width(replacement, *width)?;
                Ok(vec![Statement::Assign {
                    signal,
                    offset,
                    value,
                }])
            }
            Ast::If(conditional) => self.conditional(conditional),
            Ast::Match(matched) => self.matched(matched),
            Ast::Loop(unrolled) => {
                let mut statements = Vec::new();
                for value in unrolled.from.as_usize()..unrolled.to.as_usize() {
                    self.scope.loops.push((unrolled.index.clone(), value));
                    statements.append(&mut self.block(&unrolled.block));
                    self.scope.loops.pop();
                }
                Ok(statements)
            }
            Ast::Macro(block) => Ok(self.block(block)),
            Ast::Link(links) => links.iter().map(|link| self.link(link)).collect(),
            Ast::Comment(_) => Ok(Vec::new()),
        }
    }

    /// The number of the signal that is assigned.
    fn target(&mut self, target: &ast::VerilogExpression) -> Result<usize, String> {
        let ast::VerilogExpression::Signal(name) = target else {
            return Err("an assignment to something that is no signal".into());
        };
        self.at = name.trim_end_matches("$next").to_string();
        self.driven(name)
    }

    fn driven(&mut self, name: &str) -> Result<usize, String> {
        let signal = self
            .scope
            .signal(name)?
            .ok_or_else(|| format!("there is no signal `{name}` to assign"))?;
        let found = &self.scope.module.signals[signal];
        match found.role {
            _ if found.signed => Err("signed arithmetic is not translated".into()),
            Role::Input => Err("is an input and written by the kernel".into()),
            Role::ChildOutput => Err("is driven by the sub-block and written by the kernel".into()),
            Role::InOut => Err("is an inout; only hand-written modules can drive it".into()),
            Role::Constant => Err("is a constant and written by the kernel".into()),
            Role::Output | Role::Local | Role::ChildInput => Ok(signal),
        }
    }

    fn link(&mut self, link: &VerilogLink) -> Result<Statement, String> {
        let (details, forward) = match link {
            VerilogLink::Forward(details) => (details, true),
            VerilogLink::Backward(details) => (details, false),
            VerilogLink::Bidirectional(details) => {
                self.at = details.owner_name.clone();
                return Err("links of inout signals are not translated".into());
            }
        };
        let end = |side: &str| match details.my_name.trim_start_matches('.') {
            "" => side.to_string(),
            field => format!("{side}${field}"),
        };
        let (owner, other) = (end(&details.owner_name), end(&details.other_name));
        let (target, source) = if forward {
            (other, owner)
        } else {
            (owner, other)
        };
        self.at = target.clone();
        let signal = self.driven(&target)?;
        let source = ast::VerilogExpression::Signal(source);
        let value = self
            .scope
            .of_width(&source, self.scope.module.signals[signal].width)?;
        Ok(Statement::Assign {
            signal,
            offset: 0,
            value,
        })
    }

    fn conditional(
        &mut self,
        conditional: &ast::VerilogConditional,
    ) -> Result<Vec<Statement>, String> {
        self.at = "if".into();
        let test = self.scope.of_width(&conditional.test, 1)?;
        // A test of loop variables is decided here; what is not taken may not even be translatable.
        if let Some(value) = test.constant() {
            return Ok(match value.bit(0) {
                true => self.block(&conditional.then),
                false => self.otherwise(&conditional.otherwise)?,
            });
        }
        let then = self.block(&conditional.then);
        let otherwise = self.otherwise(&conditional.otherwise)?;
        Ok(vec![Statement::If {
            test,
            then,
            otherwise,
        }])
    }

    fn otherwise(&mut self, otherwise: &Else) -> Result<Vec<Statement>, String> {
        match otherwise {
            Else::Block(block) => Ok(self.block(block)),
            Else::Conditional(conditional) => self.statement(conditional),
            Else::None => Ok(Vec::new()),
        }
    }

    fn matched(&mut self, matched: &ast::VerilogMatch) -> Result<Vec<Statement>, String> {
        self.at = "match".into();
        let test = match self.scope.value(&matched.test)? {
            Value::Sized(test) => test,
            Value::Integer(_) => return Err("a match on a number".into()),
        };
        let mut arms: Vec<Arm> = Vec::new();
        let mut default = None;
        let mut possible = None;
        for case in &matched.cases {
            if default.is_some() {
                self.error("an arm after `_` is never reached".into());
            }
            let body = self.block(&case.block);
            if case.condition == "default" {
                default = Some(body);
                continue;
            }
            self.at = "match".into();
            let (label, values) = self.scope.pattern(&case.condition, test.width)?;
            possible = values.or(possible);
            if arms
                .iter()
                .any(|arm| arm.labels[0].constant() == label.constant())
            {
                return Err(format!("`{}` is matched twice", case.condition));
            }
            arms.push(Arm {
                labels: vec![label],
                body,
            });
        }
        let default = match default {
            Some(default) => default,
            // Rust made sure that the arms cover the type. The last stands for all values that are no variant, too,
            // or they would keep the old value: a latch.
            None => {
                let possible = possible
                    .or_else(|| 1usize.checked_shl(test.width as u32))
                    .unwrap_or(usize::MAX);
                if arms.len() != possible {
                    return Err(format!(
                        "{} arms for {possible} values and no `_`",
                        arms.len()
                    ));
                }
                arms.pop().map(|arm| arm.body).unwrap_or_default()
            }
        };
        Ok(vec![Statement::Case {
            test,
            arms,
            default,
        }])
    }
}
