//! Expressions of a kernel with their Rust widths.
use std::collections::BTreeSet;

use num_bigint::{BigInt, BigUint, Sign};
use rust_hdl_core::ast::{VerilogExpression as Ast, VerilogOp, VerilogOpUnary};

use super::collect::{Enums, Module, Role, enum_width, literal_value};
use crate::constants::CONSTANTS;

/// A value of a known width. Operands of an operator always have the width the operator works in.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// In bits, at least 1.
    pub width: usize,
    pub kind: Kind,
}

/// What an [`Expression`] does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Number(BigUint),
    /// A number that has a name in the module (`localparam`).
    Named(String, BigUint),
    /// Bits of a signal, from `offset` up.
    Select {
        signal: usize,
        offset: usize,
    },
    /// `~`, or one of the reductions `&`, `|`, `^`.
    Unary(&'static str, Box<Expression>),
    Binary(Box<Expression>, &'static str, Box<Expression>),
    /// Zeros above.
    Extend(Box<Expression>),
    /// The low bits.
    Truncate(Box<Expression>),
}

/// An operand: Rust integers take the width of what they meet.
pub enum Value {
    Integer(BigInt),
    Sized(Expression),
}

impl Expression {
    pub fn number(width: usize, value: BigUint) -> Expression {
        Expression {
            width,
            kind: Kind::Number(value),
        }
    }

    pub fn signal(module: &Module, signal: usize) -> Expression {
        Expression {
            width: module.signals[signal].width,
            kind: Kind::Select { signal, offset: 0 },
        }
    }

    /// The value, if it is constant.
    pub fn constant(&self) -> Option<&BigUint> {
        match &self.kind {
            Kind::Number(value) | Kind::Named(_, value) => Some(value),
            _ => None,
        }
    }

    fn unary(operator: &'static str, width: usize, operand: Expression) -> Expression {
        Expression {
            width,
            kind: Kind::Unary(operator, Box::new(operand)),
        }
    }

    fn binary(
        left: Expression,
        operator: &'static str,
        right: Expression,
        width: usize,
    ) -> Expression {
        Expression {
            width,
            kind: Kind::Binary(Box::new(left), operator, Box::new(right)),
        }
    }

    /// `width` bits from bit `offset` on; zeros are read above the top.
    pub fn bits(self, offset: usize, width: usize) -> Expression {
        if offset == 0 && width == self.width {
            return self;
        }
        if offset >= self.width {
            return Expression::number(width, BigUint::default());
        }
        if offset + width > self.width {
            let top = self.width - offset;
            return Expression {
                width,
                kind: Kind::Extend(Box::new(self.bits(offset, top))),
            };
        }
        match self.kind {
            Kind::Select {
                signal,
                offset: base,
            } => Expression {
                width,
                kind: Kind::Select {
                    signal,
                    offset: base + offset,
                },
            },
            Kind::Number(value) | Kind::Named(_, value) => {
                Expression::number(width, (value >> offset) & mask(width))
            }
            Kind::Extend(inner) | Kind::Truncate(inner) => inner.bits(offset, width),
            Kind::Binary(ref left, ">>", ref count) => match count
                .constant()
                .and_then(|count| usize::try_from(count).ok())
            {
                Some(count) if offset + count < left.width => {
                    left.as_ref().clone().bits(offset + count, width)
                }
                _ => self.shifted_bits(offset, width),
            },
            Kind::Unary(..) | Kind::Binary(..) => self.shifted_bits(offset, width),
        }
    }

    fn shifted_bits(self, offset: usize, width: usize) -> Expression {
        let all = self.width;
        let shifted = match offset {
            0 => self,
            _ => Expression::binary(
                self,
                ">>",
                Expression::number(32, BigUint::from(offset)),
                all,
            ),
        };
        Expression {
            width,
            kind: Kind::Truncate(Box::new(shifted)),
        }
    }

    /// Zero-extended or truncated to `width`.
    pub fn resize(self, width: usize) -> Expression {
        match self.kind {
            Kind::Extend(inner) => inner.bits(0, width),
            _ => self.bits(0, width),
        }
    }

    /// Calls `see` for every signal read, with the mask of its bits.
    pub fn reads(&self, see: &mut impl FnMut(usize, BigUint)) {
        match &self.kind {
            Kind::Number(_) | Kind::Named(..) => {}
            Kind::Select { signal, offset } => see(*signal, mask(self.width) << *offset),
            Kind::Unary(_, inner) | Kind::Extend(inner) | Kind::Truncate(inner) => inner.reads(see),
            Kind::Binary(left, _, right) => {
                left.reads(see);
                right.reads(see);
            }
        }
    }

    /// Whether any bit of `signal` is read.
    pub fn mentions(&self, signal: usize) -> bool {
        let mut found = false;
        self.reads(&mut |read, _| found |= read == signal);
        found
    }
}

/// `width` ones.
pub fn mask(width: usize) -> BigUint {
    (BigUint::from(1u8) << width) - 1u8
}

/// Where the names of an expression are looked up.
pub struct Scope<'a> {
    pub module: &'a Module,
    pub enums: &'a Enums,
    /// Loop variables, the innermost last.
    pub loops: Vec<(String, usize)>,
    /// The enums whose names the kernel uses.
    pub used_enums: BTreeSet<String>,
}

impl Scope<'_> {
    /// Gives `ast` its widths.
    pub fn value(&mut self, ast: &Ast) -> Result<Value, String> {
        match ast {
            Ast::Signal(name) => self.name(name),
            Ast::Paren(inner) => self.value(inner),
            Ast::Literal(literal) => Ok(match literal_value(literal) {
                // Only `true` and `false` are one bit wide.
                (1, value) => Value::Sized(Expression::number(1, value.magnitude().clone())),
                (_, value) => Value::Integer(value),
            }),
            Ast::Cast(inner, width) => Ok(Value::Sized(match self.value(inner)? {
                Value::Integer(value) => sized(&value, *width)?,
                Value::Sized(inner) => inner.resize(*width),
            })),
            Ast::Signed(_) | Ast::Unsigned(_) => Err("signed arithmetic is not translated".into()),
            Ast::Unary(operator, inner) => self.unary(operator, inner),
            Ast::Binary(left, operator, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                binary(left, operator, right)
            }
            Ast::Index(base, index) => self.slice(base, 1, index),
            Ast::Slice(base, width, offset) => self.slice(base, *width, offset),
            Ast::IndexReplace(base, index, bit) => self.replace_bit(base, index, bit),
        }
    }

    /// `ast` as a value of exactly `width` bits.
    pub fn of_width(&mut self, ast: &Ast, width: usize) -> Result<Expression, String> {
        match self.value(ast)? {
            Value::Integer(value) => sized(&value, width),
            Value::Sized(value) if value.width == width => Ok(value),
            Value::Sized(value) => Err(format!("{width} bits expected, {} found", value.width)),
        }
    }

    fn sized(&mut self, ast: &Ast) -> Result<Expression, String> {
        match self.value(ast)? {
            Value::Sized(value) => Ok(value),
            Value::Integer(value) => {
                Err(format!("the width of the number {value} is not known here"))
            }
        }
    }

    fn unary(&mut self, operator: &VerilogOpUnary, inner: &Ast) -> Result<Value, String> {
        let operator = match operator {
            VerilogOpUnary::Not => "~",
            VerilogOpUnary::All => "&",
            VerilogOpUnary::Any => "|",
            VerilogOpUnary::Xor => "^",
            VerilogOpUnary::Neg => return Err("negation is not translated, write 0 - x".into()),
        };
        let inner = self.sized(inner)?;
        let width = if operator == "~" { inner.width } else { 1 };
        // A reduction of one bit is that bit.
        Ok(Value::Sized(match operator {
            "~" => Expression::unary(operator, width, inner),
            _ if inner.width == 1 => inner,
            _ => Expression::unary(operator, width, inner),
        }))
    }

    fn slice(&mut self, base: &Ast, width: usize, offset: &Ast) -> Result<Value, String> {
        let base = self.sized(base)?;
        if width == 0 {
            return Err("a slice of no bits".into());
        }
        Ok(Value::Sized(match self.value(offset)? {
            Value::Integer(offset) => {
                let offset = index_below(&offset, base.width)?;
                base.bits(offset, width)
            }
            Value::Sized(offset) => {
                let all = base.width;
                Expression::binary(base, ">>", offset, all).resize(width)
            }
        }))
    }

    fn replace_bit(&mut self, base: &Ast, index: &Ast, bit: &Ast) -> Result<Value, String> {
        let base = self.sized(base)?;
        let bit = self.of_width(bit, 1)?;
        let width = base.width;
        let one = BigUint::from(1u8);
        let (index, hole) = match self.value(index)? {
            Value::Integer(index) => {
                let index = index_below(&index, width)?;
                let hole = Expression::number(width, mask(width) ^ (one << index));
                (Expression::number(32, index.into()), hole)
            }
            Value::Sized(index) => {
                let one = Expression::number(width, one);
                let bit = Expression::binary(one, "<<", index.clone(), width);
                (index, Expression::unary("~", width, bit))
            }
        };
        let kept = Expression::binary(base, "&", hole, width);
        let placed = Expression::binary(bit.resize(width), "<<", index, width);
        Ok(Value::Sized(Expression::binary(kept, "|", placed, width)))
    }

    /// The number of a signal, given as the macros write it (`queue[(i+1)]$d$next`), or None if there is none.
    pub fn signal(&self, name: &str) -> Result<Option<usize>, String> {
        let name = self.plain_name(name)?;
        Ok(self.module.by_name.get(&name).copied())
    }

    fn plain_name(&self, name: &str) -> Result<String, String> {
        let mut rest = name.trim_start_matches('.').trim_end_matches("$next");
        let mut plain = String::new();
        while let Some((before, after)) = rest.split_once('[') {
            let (index, after) = after
                .split_once(']')
                .ok_or_else(|| format!("`{name}` has an open bracket"))?;
            let index = self
                .integer(index)
                .ok_or_else(|| format!("the index of `{name}` must be constant"))?;
            plain.push_str(&format!("{before}${index}"));
            rest = after;
        }
        plain.push_str(rest);
        Ok(plain.replace("::", "$").replace('.', "$"))
    }

    /// The value of an array index: integers, loop variables and constants with `+ - *` and parentheses.
    fn integer(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        let mut depth = 0;
        for operators in ["+-", "*"] {
            for (at, character) in text.char_indices().rev() {
                match character {
                    ')' => depth += 1,
                    '(' => depth -= 1,
                    _ if depth == 0 && at > 0 && operators.contains(character) => {
                        let (left, right) =
                            (self.integer(&text[..at])?, self.integer(&text[at + 1..])?);
                        return match character {
                            '+' => left.checked_add(right),
                            '-' => left.checked_sub(right),
                            _ => left.checked_mul(right),
                        };
                    }
                    _ => {}
                }
            }
        }
        if let Some(inner) = text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
        {
            return self.integer(inner);
        }
        if let Some(number) = parse_integer(text) {
            return i64::try_from(number).ok();
        }
        self.loop_variable(text)
            .map(|value| value as i64)
            .or_else(|| named_constant(text).and_then(|value| i64::try_from(value).ok()))
    }

    fn loop_variable(&self, name: &str) -> Option<usize> {
        self.loops
            .iter()
            .rev()
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| *value)
    }

    fn name(&mut self, name: &str) -> Result<Value, String> {
        if let Some(value) = self.loop_variable(name) {
            return Ok(Value::Integer(value.into()));
        }
        if let Some(signal) = self.signal(name)? {
            let found = &self.module.signals[signal];
            if found.signed {
                return Err(format!(
                    "`{name}` is signed; signed arithmetic is not translated"
                ));
            }
            return Ok(Value::Sized(match found.role {
                Role::Constant => Expression {
                    width: found.width,
                    kind: Kind::Named(found.name.clone(), found.value.clone()),
                },
                _ => Expression::signal(self.module, signal),
            }));
        }
        if let Some((variant, _)) = self.variant(name) {
            return Ok(Value::Sized(variant));
        }
        match named_constant(name) {
            Some(value) => Ok(Value::Integer(value.into())),
            None => Err(format!(
                "`{name}` is no signal, enum variant or constant that can be translated"
            )),
        }
    }

    /// `Enum$Variant` as a number, and how many variants its enum has.
    fn variant(&mut self, name: &str) -> Option<(Expression, usize)> {
        let (path, variant) = name.rsplit_once('$')?;
        let enum_name = path.rsplit('$').next()?;
        let variants = self.enums.get(enum_name)?;
        let value = variants.iter().position(|known| known == variant)?;
        self.used_enums.insert(enum_name.into());
        let kind = Kind::Named(format!("{enum_name}${variant}"), value.into());
        Some((
            Expression {
                width: enum_width(variants.len()),
                kind,
            },
            variants.len(),
        ))
    }

    /// A match pattern as a value of `width` bits, and the number of values its type has (None: all that fit).
    pub fn pattern(
        &mut self,
        pattern: &str,
        width: usize,
    ) -> Result<(Expression, Option<usize>), String> {
        let bool_value = match pattern {
            "true" => Some(1u8),
            "false" => Some(0),
            _ => None,
        };
        if let Some(value) = bool_value {
            if width != 1 {
                return Err(format!(
                    "the pattern `{pattern}` meets a value of {width} bits"
                ));
            }
            return Ok((Expression::number(1, value.into()), None));
        }
        if let Some((variant, variants)) = self.variant(pattern) {
            return match variant.width == width {
                true => Ok((variant, Some(variants))),
                false => Err(format!(
                    "`{pattern}` has {} bits, the value matched has {width}",
                    variant.width
                )),
            };
        }
        let value = parse_integer(pattern)
            .or_else(|| named_constant(pattern))
            .ok_or_else(|| {
                format!("the pattern `{pattern}` is no number, enum variant or known constant")
            })?;
        Ok((sized(&value.into(), width)?, None))
    }
}

fn named_constant(name: &str) -> Option<u64> {
    let last = name.rsplit('$').next()?;
    CONSTANTS
        .iter()
        .find(|(constant, _)| *constant == last)
        .map(|(_, value)| *value)
}

/// A Rust integer literal with its prefix, underscores and type suffix.
fn parse_integer(text: &str) -> Option<u64> {
    let mut text = text.replace('_', "");
    for suffix in ["usize", "u128", "u64", "u32", "u16", "u8", "i32"] {
        if let Some(number) = text.strip_suffix(suffix) {
            text = number.to_string();
            break;
        }
    }
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok();
        }
    }
    text.parse().ok()
}

/// `value` as a number of `width` bits.
pub fn sized(value: &BigInt, width: usize) -> Result<Expression, String> {
    if width == 0 {
        return Err("a value of no bits".into());
    }
    if value.sign() == Sign::Minus || value.bits() > width as u64 {
        return Err(format!("the number {value} does not fit into {width} bits"));
    }
    Ok(Expression::number(width, value.magnitude().clone()))
}

fn index_below(index: &BigInt, width: usize) -> Result<usize, String> {
    usize::try_from(index)
        .ok()
        .filter(|index| *index < width)
        .ok_or_else(|| format!("bit {index} of a value of {width} bits"))
}

fn binary(left: Value, operator: &VerilogOp, right: Value) -> Result<Value, String> {
    use VerilogOp::*;
    if let (Value::Integer(left), Value::Integer(right)) = (&left, &right) {
        return fold(left, operator, right);
    }
    let text = match operator {
        Add => "+",
        Sub => "-",
        Mul => {
            return Err("multiplication is not translated, use a block with custom Verilog".into());
        }
        LogicalAnd => "&&",
        LogicalOr => "||",
        BitXor => "^",
        BitAnd => "&",
        BitOr => "|",
        Shl => "<<",
        Shr => ">>",
        Eq => "==",
        Lt => "<",
        Le => "<=",
        Ne => "!=",
        Ge => ">=",
        Gt => ">",
    };
    if matches!(operator, Shl | Shr) {
        let Value::Sized(left) = left else {
            return Err("a number is shifted whose width is not known".into());
        };
        let count = match right {
            Value::Integer(count) => sized(&count, 32)?,
            Value::Sized(count) => count,
        };
        let width = left.width;
        return Ok(Value::Sized(Expression::binary(left, text, count, width)));
    }
    let (left, right) = match (left, right) {
        (Value::Sized(left), Value::Sized(right)) => (left, right),
        (Value::Sized(left), Value::Integer(right)) => {
            let right = sized(&right, left.width)?;
            (left, right)
        }
        (Value::Integer(left), Value::Sized(right)) => (sized(&left, right.width)?, right),
        (Value::Integer(_), Value::Integer(_)) => unreachable!("folded above"),
    };
    // Rust can add a single bit to a value of any width.
    let right = if matches!(operator, Add) && right.width == 1 {
        right.resize(left.width)
    } else {
        right
    };
    if left.width != right.width {
        return Err(format!(
            "`{text}` between {} and {} bits",
            left.width, right.width
        ));
    }
    if matches!(operator, LogicalAnd | LogicalOr) && left.width != 1 {
        return Err(format!("`{text}` of {} bits", left.width));
    }
    let width = match operator {
        Add | Sub | BitXor | BitAnd | BitOr => left.width,
        _ => 1,
    };
    Ok(Value::Sized(Expression::binary(left, text, right, width)))
}

/// Arithmetic between Rust integers (loop variables, literals and named constants).
fn fold(left: &BigInt, operator: &VerilogOp, right: &BigInt) -> Result<Value, String> {
    use VerilogOp::*;
    let shift = || {
        u32::try_from(right)
            .ok()
            .filter(|count| *count < 64)
            .ok_or("a shift of a number by 64 or more")
    };
    let truth = |value: bool| Value::Sized(Expression::number(1, u8::from(value).into()));
    Ok(match operator {
        Add => Value::Integer(left + right),
        Sub => Value::Integer(left - right),
        Mul => Value::Integer(left * right),
        BitXor => Value::Integer(left ^ right),
        BitAnd => Value::Integer(left & right),
        BitOr => Value::Integer(left | right),
        Shl => Value::Integer(left << shift()?),
        Shr => Value::Integer(left >> shift()?),
        Eq => truth(left == right),
        Ne => truth(left != right),
        Lt => truth(left < right),
        Le => truth(left <= right),
        Gt => truth(left > right),
        Ge => truth(left >= right),
        LogicalAnd | LogicalOr => return Err("`&&` and `||` need single bits".into()),
    })
}
