//! Flow analysis of a kernel: no latches, and no meaning that depends on when a block runs.
//!
//! A register-free kernel is a set of equations. It is one only if every driven signal has a value on all paths, is
//! read after that, and keeps the value once it was read. Bits are followed one by one, for the fields of a struct
//! are assigned one by one.
use std::collections::BTreeSet;

use num_bigint::BigUint;

use super::EmitError;
use super::collect::{Module, Role};
use super::expression::{Expression, mask};
use super::statement::{Kernel, Statement};

/// Bits of one signal that were written on all paths, and read on some path.
#[derive(Clone, Default)]
struct Bits {
    written: BigUint,
    read: BigUint,
}

struct Check<'a> {
    module: &'a Module,
    found: BTreeSet<(usize, &'static str)>,
}

/// Appends what is wrong with `kernel`.
pub fn check(module: &Module, kernel: &Kernel, errors: &mut Vec<EmitError>) {
    let mut check = Check {
        module,
        found: BTreeSet::new(),
    };
    let mut state = vec![Bits::default(); module.signals.len()];
    check.block(&kernel.body, &mut state);
    for (number, signal) in module.signals.iter().enumerate() {
        if signal.role.is_driven() && state[number].written != mask(signal.width) {
            let assigned = assigns(&kernel.body, number);
            check.found.insert((
                number,
                if assigned {
                    "gets no value on some path (a latch): assign a default first"
                } else {
                    "is never driven"
                },
            ));
        }
    }
    let module_name = module.name();
    errors.extend(check.found.into_iter().map(|(signal, message)| EmitError {
        module: module_name.clone(),
        signal: module.signals[signal].name.clone(),
        message: message.into(),
    }));
}

/// Whether any statement assigns bits of `signal`.
pub fn assigns(block: &[Statement], signal: usize) -> bool {
    block.iter().any(|statement| match statement {
        Statement::Assign {
            signal: assigned, ..
        } => *assigned == signal,
        Statement::If {
            then, otherwise, ..
        } => assigns(then, signal) || assigns(otherwise, signal),
        Statement::Case { arms, default, .. } => {
            assigns(default, signal) || arms.iter().any(|arm| assigns(&arm.body, signal))
        }
    })
}

impl Check<'_> {
    fn block(&mut self, block: &[Statement], state: &mut Vec<Bits>) {
        for statement in block {
            match statement {
                Statement::Assign {
                    signal,
                    offset,
                    value,
                } => {
                    self.read(value, state, Some(*signal));
                    let bits = mask(value.width) << *offset;
                    if (&state[*signal].read & &bits) != BigUint::default() {
                        self.found
                            .insert((*signal, "is written again after it was read"));
                    }
                    state[*signal].written |= bits;
                }
                Statement::If {
                    test,
                    then,
                    otherwise,
                } => {
                    self.read(test, state, None);
                    self.branches([then, otherwise].into_iter(), state);
                }
                Statement::Case {
                    test,
                    arms,
                    default,
                } => {
                    self.read(test, state, None);
                    self.branches(arms.iter().map(|arm| &arm.body).chain([default]), state);
                }
            }
        }
    }

    fn branches<'b>(
        &mut self,
        branches: impl Iterator<Item = &'b Vec<Statement>>,
        state: &mut Vec<Bits>,
    ) {
        let mut joined: Option<Vec<Bits>> = None;
        for branch in branches {
            let mut after = state.clone();
            self.block(branch, &mut after);
            joined = Some(match joined {
                None => after,
                Some(mut joined) => {
                    for (joined, after) in joined.iter_mut().zip(after) {
                        joined.written &= after.written;
                        joined.read |= after.read;
                    }
                    joined
                }
            });
        }
        if let Some(joined) = joined {
            *state = joined;
        }
    }

    /// Notes what `value` reads; `target` is the signal it is assigned to.
    fn read(&mut self, value: &Expression, state: &mut [Bits], target: Option<usize>) {
        value.reads(&mut |signal, bits| {
            let role = self.module.signals[signal].role;
            if !role.is_driven() {
                return;
            }
            if (&state[signal].written & &bits) != bits {
                self.found.insert((signal, "is read before it is written"));
            }
            // `sum = sum + x` may go on, in Rust as in Verilog. An input of a sub-block may not: Rust reads its old
            // value until the sub-block has run.
            if target != Some(signal) || role == Role::ChildInput {
                state[signal].read |= bits;
            }
        });
    }
}
