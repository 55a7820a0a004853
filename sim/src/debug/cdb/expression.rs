//! Addresses and numbers as commands take them: cdb's MASM expressions.
//!
//! ```text
//! expression   or        a | b    a or b
//!              xor       a ^ b    a xor b
//!              and       a & b    a and b
//!              compare   a == b   a = b   a != b   a < b   a > b   a <= b   a >= b
//!              shift     a << b   a >> b
//!              sum       a + b    a - b
//!              product   a * b    a / b   a % b    a mod b
//!              unary     -a  not a  poi(a)  dwo(a)  wo(a)  by(a)  qwo(a)  hi(a)  low(a)
//!              primary   18c  0x18c  18ch  0n396  0t614  0y1100  eax  @eax  $ip  .  symbol  module!symbol  (a)  [a]
//!                        fs:a
//! ```

use super::names::{Names, Target};
use spec::registers;

/// What names mean where an expression stands.
pub struct Scope<'a> {
    /// Symbols.
    pub names: &'a Names,
    /// Registers and memory.
    pub target: &'a mut dyn Target,
    /// Radix of numbers without a mark: 8, 10 or 16.
    pub radix: u32,
    /// `$t0` to `$t9`.
    pub variables: &'a [u64; 10],
}

/// A part of memory: where, and how many objects or up to which address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub address: u32,
    /// Bytes.
    pub bytes: u32,
}

/// The register that a name means: `(number, lowest bit, bits)`.
pub fn register(name: &str) -> Option<(u8, u32, u32)> {
    let name = name.to_ascii_lowercase();
    let index = |list: &[&str]| list.iter().position(|other| *other == name);
    if let Some(index) = index(&registers::GENERAL_WORD) {
        return Some((index as u8, 0, 16));
    }
    if let Some(index) = index(&registers::GENERAL_BYTE) {
        return Some((index as u8 & 3, if index < 4 { 0 } else { 8 }, 8));
    }
    let flag = |bit| Some((registers::EFLAGS, bit, 1));
    match name.as_str() {
        "efl" => return Some((registers::EFLAGS, 0, 32)),
        "ip" => return Some((registers::EIP, 0, 16)),
        "iopl" => return Some((registers::EFLAGS, 12, 2)),
        "cf" | "pf" | "af" | "zf" | "sf" | "tf" | "if" | "df" | "of" | "nt" | "rf" | "vm" => {
            let row = spec::flags::FLAGS.iter().find(|flag| flag.name == name)?;
            // `nt` is the kernel's name, too.
            return if name == "nt" {
                None
            } else {
                flag(u32::from(row.bit))
            };
        }
        _ => {}
    }
    // cdb's names of the table registers.
    let name = match name.as_str() {
        "gdtr" => "gdtr.base",
        "gdtl" => "gdtr.limit",
        "idtr" => "idtr.base",
        "idtl" => "idtr.limit",
        other => other,
    };
    let bits = if name.len() == 2 || name == "ldtr" {
        16
    } else {
        32
    };
    registers::number(name).map(|number| (number, 0, bits))
}

struct Parser<'a, 'b> {
    text: &'a str,
    scope: &'a mut Scope<'b>,
}

/// The value of the expression at the begin of `text`, and what stands behind it.
///
/// # Errors
/// What cannot be understood or read.
pub fn parse<'t>(text: &'t str, scope: &mut Scope) -> Result<(u64, &'t str), String> {
    let mut parser = Parser {
        text: text.trim_start(),
        scope,
    };
    let value = parser.expression(0)?;
    let rest = parser.text.len();
    Ok((value, text[text.len() - rest..].trim_start()))
}

/// The value of all of `text`.
///
/// # Errors
/// What cannot be understood or read, or text behind the expression.
pub fn evaluate(text: &str, scope: &mut Scope) -> Result<u64, String> {
    match parse(text, scope)? {
        (value, "") => Ok(value),
        (_, rest) => Err(format!("Extra character error in '{rest}'")),
    }
}

/// An address, then `L count` (in objects of `size` bytes), `L?count`, `L-count` or an end address; `count` objects if
/// there is nothing more.
///
/// # Errors
/// As [`parse`]; a range that ends before it begins, or is longer than 256 MB.
pub fn range<'t>(
    text: &'t str,
    scope: &mut Scope,
    size: u32,
    count: u32,
) -> Result<(Range, &'t str), String> {
    let (address, rest) = parse(text, scope)?;
    let (range, rest) = length(address as u32, rest, scope, size, count)?;
    Ok((range, rest))
}

/// The part of a range behind its address.
///
/// # Errors
/// As [`range`].
pub fn length<'t>(
    address: u32,
    rest: &'t str,
    scope: &mut Scope,
    size: u32,
    count: u32,
) -> Result<(Range, &'t str), String> {
    let too_long = || "Range error: a range has at most 256 MB".to_string();
    if let Some(counted) = rest.strip_prefix(['L', 'l']) {
        let backwards = counted.starts_with('-');
        let counted = counted.trim_start_matches(['?', '-']);
        let (objects, rest) = parse(counted, scope)?;
        let bytes = objects
            .checked_mul(size.into())
            .filter(|bytes| *bytes <= 1 << 28)
            .ok_or_else(too_long)? as u32;
        let address = if backwards {
            address.wrapping_sub(bytes)
        } else {
            address
        };
        return Ok((Range { address, bytes }, rest));
    }
    if rest.is_empty() || rest.starts_with(['"', '\'', ';']) {
        let bytes = count * size;
        return Ok((Range { address, bytes }, rest));
    }
    let (end, rest) = parse(rest, scope)?;
    let last = (end as u32).checked_sub(address).ok_or_else(|| {
        format!(
            "Range error: the end {:08x} lies before the begin {address:08x}",
            end as u32
        )
    })?;
    if last >= 1 << 28 {
        return Err(too_long());
    }
    let bytes = (last + 1).next_multiple_of(size);
    Ok((Range { address, bytes }, rest))
}

/// Binary operators by how tight they bind; of those that begin alike the longer first.
const OPERATORS: [&[&str]; 7] = [
    &["|", "or"],
    &["^", "xor"],
    &["&", "and"],
    &["==", "!=", "<=", ">=", "=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%", "mod"],
];

impl<'a> Parser<'a, '_> {
    fn operator(&self, level: usize) -> Option<(&'static str, &'a str)> {
        let text = self.text.trim_start();
        OPERATORS[level].iter().find_map(|operator| {
            let rest = text.strip_prefix(operator).or_else(|| {
                let (head, rest) = text.split_at_checked(operator.len())?;
                head.eq_ignore_ascii_case(operator).then_some(rest)
            })?;
            let is_word = operator.starts_with(|c: char| c.is_ascii_alphabetic());
            // `<` is not the begin of `<<`, and `/` not that of an option.
            let other = match *operator {
                "<" | ">" => rest.starts_with(operator) || rest.starts_with('='),
                "/" => {
                    let mut option = rest.chars();
                    option.next().is_some_and(|c| c.is_ascii_alphanumeric())
                        && option.next().is_none_or(|c| c.is_whitespace() || c == '"')
                        && text.len() < self.text.len()
                }
                _ => is_word && rest.starts_with(is_name),
            };
            (!other).then_some((*operator, rest))
        })
    }

    fn expression(&mut self, level: usize) -> Result<u64, String> {
        if level == OPERATORS.len() {
            return self.unary();
        }
        let mut left = self.expression(level + 1)?;
        while let Some((operator, rest)) = self.operator(level) {
            self.text = rest.trim_start();
            let right = self.expression(level + 1)?;
            left = match operator {
                "|" | "or" => left | right,
                "^" | "xor" => left ^ right,
                "&" | "and" => left & right,
                "==" | "=" => u64::from(left == right),
                "!=" => u64::from(left != right),
                "<=" => u64::from(left <= right),
                ">=" => u64::from(left >= right),
                "<" => u64::from(left < right),
                ">" => u64::from(left > right),
                "<<" => left.checked_shl(right as u32).unwrap_or(0),
                ">>" => left.checked_shr(right as u32).unwrap_or(0),
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                "/" => left.checked_div(right).ok_or("Divide by zero error")?,
                _ => left.checked_rem(right).ok_or("Divide by zero error")?,
            };
            // Arithmetic on addresses wraps at 4 GB, so that eax-4 compares with addresses.
            if matches!(operator, "+" | "-") && left >> 32 == 0xFFFF_FFFF {
                left &= 0xFFFF_FFFF;
            }
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<u64, String> {
        self.text = self.text.trim_start();
        if let Some(rest) = self.text.strip_prefix('-') {
            self.text = rest;
            return Ok(u64::from(self.unary()?.wrapping_neg() as u32));
        }
        if let Some(rest) = self.text.strip_prefix('+') {
            self.text = rest;
            return self.unary();
        }
        let word = self.word();
        let rest = &self.text[word.len()..];
        let lower = word.to_ascii_lowercase();
        let bytes = match lower.as_str() {
            "poi" | "dwo" => 4,
            "wo" => 2,
            "by" => 1,
            "qwo" => 8,
            "hi" | "low" | "not" => 0,
            _ => return self.primary(),
        };
        if !rest.trim_start().starts_with(['(', '[', ' ']) && lower != "not" {
            return self.primary();
        }
        self.text = rest;
        let value = self.unary()?;
        Ok(match lower.as_str() {
            "hi" => value >> 16 & 0xFFFF,
            "low" => value & 0xFFFF,
            "not" => u64::from(value == 0),
            _ => self
                .scope
                .target
                .read_number(value as u32, bytes)
                .ok_or_else(|| format!("Memory access error at {:08x}", value as u32))?,
        })
    }

    fn word(&self) -> &'a str {
        let name = self.text.find(|c| !is_name(c)).unwrap_or(self.text.len());
        // `!=` ends a name; `!` alone is a part of it.
        let end = self
            .text
            .find("!=")
            .map_or(name, |unequal| unequal.min(name));
        &self.text[..end]
    }

    fn primary(&mut self) -> Result<u64, String> {
        for (open, close) in [('(', ')'), ('[', ']')] {
            if let Some(rest) = self.text.strip_prefix(open) {
                self.text = rest;
                let value = self.expression(0)?;
                self.text = self
                    .text
                    .trim_start()
                    .strip_prefix(close)
                    .ok_or_else(|| format!("Missing '{close}' error in '{}'", self.text))?;
                return Ok(value);
            }
        }
        let (marked, text) = match self.text.strip_prefix('@') {
            Some(rest) => {
                self.text = rest;
                (true, rest)
            }
            None => (false, self.text),
        };
        let word = self.word();
        if word.is_empty() {
            if let Some(rest) = text.strip_prefix('.') {
                self.text = rest;
                return Ok(self.here().into());
            }
            return Err(match text {
                "" => "Syntax error: an address or a number is missing".into(),
                _ => format!("Syntax error at '{text}'"),
            });
        }
        self.text = &text[word.len()..];
        // A segment and an offset in it: fs:18.
        if let Some(rest) = self.text.strip_prefix(':') {
            let segment = registers::SEGMENT[..6]
                .iter()
                .position(|segment| segment.eq_ignore_ascii_case(word));
            if let Some(segment) = segment {
                self.text = rest;
                let offset = self.unary()?;
                let base = self.scope.target.register(registers::BASE + segment as u8);
                return Ok(u64::from(base.wrapping_add(offset as u32)));
            }
        }
        if let Some(name) = word.strip_prefix('$') {
            return self.pseudo_register(name);
        }
        if !marked && let Some(number) = number(word, self.scope.radix) {
            return Ok(number);
        }
        if let Some((number, bit, bits)) = register(word) {
            let value = u64::from(self.scope.target.register(number));
            return Ok(value >> bit & ((1 << bits) - 1));
        }
        if marked {
            return Err(format!("Bad register error at '@{word}'"));
        }
        let ring = self.scope.target.register(registers::CPL) as u8;
        Ok(self.scope.names.address_of(word, ring)?.into())
    }

    fn here(&mut self) -> u32 {
        let base = self.scope.target.register(registers::BASE + registers::CS);
        base.wrapping_add(self.scope.target.register(registers::EIP))
    }

    /// FS:[18h] is the thread's environment block; then what its fields point at.
    fn environment_block(&mut self, fields: &[u32]) -> Result<u32, String> {
        let fs = self.scope.target.register(registers::BASE + registers::FS);
        let mut address = fs.wrapping_add(TEB_IN_FS);
        let mut read = |address| {
            let value = self.scope.target.read_u32(address);
            value.ok_or_else(|| format!("Memory access error at {address:08x}"))
        };
        let mut block = read(address)?;
        for field in fields {
            address = block.wrapping_add(*field);
            block = read(address)?;
        }
        Ok(block)
    }

    fn pseudo_register(&mut self, name: &str) -> Result<u64, String> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "ip" => return Ok(self.here().into()),
            "retreg" => return Ok(self.scope.target.register(0).into()),
            "csp" => return Ok(self.scope.target.register(4).into()),
            "teb" => return self.environment_block(&[]).map(u64::from),
            "peb" => return self.environment_block(&[PEB_IN_TEB]).map(u64::from),
            _ => {}
        }
        if let Some(digit) = lower.strip_prefix('t')
            && let Ok(index) = digit.parse::<usize>()
            && let Some(value) = self.scope.variables.get(index)
        {
            return Ok(*value);
        }
        Err(format!("Bad register error at '${name}'"))
    }
}

/// Where FS points at, in both rings, there is the thread's block at this offset.
const TEB_IN_FS: u32 = 0x18;
/// `_TEB.ProcessEnvironmentBlock`.
const PEB_IN_TEB: u32 = 0x30;

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '!' | '`' | '?' | '~')
}

/// A number in `radix` unless a mark says otherwise; `None` if it is none.
fn number(word: &str, radix: u32) -> Option<u64> {
    let word = word.replace('`', "").to_ascii_lowercase();
    let marked = |prefix: &str, radix| {
        let digits = word.strip_prefix(prefix)?;
        u64::from_str_radix(digits, radix).ok()
    };
    let suffixed = || {
        let digits = word.strip_suffix('h')?;
        digits
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| u64::from_str_radix(digits, 16).ok())?
    };
    marked("0x", 16)
        .or_else(|| marked("0n", 10))
        .or_else(|| marked("0t", 8))
        .or_else(|| marked("0y", 2))
        .or_else(suffixed)
        .or_else(|| u64::from_str_radix(&word, radix).ok())
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    fn value(text: &str) -> Result<u64, String> {
        let mut target = Still::default().with(0x1000, &[0xF0, 0x64, 0xF0, 0x77, 1, 2, 3, 4]);
        target.registers.insert(0, 0x18C);
        target.registers.insert(3, 0x1000);
        target.registers.insert(registers::CPL, 3);
        target.registers.insert(registers::EFLAGS, 0x246);
        target
            .registers
            .insert(registers::BASE + registers::FS, 0xFF0);
        target.registers.insert(registers::EIP, 0x77F0_5EB0);
        let mut variables = [0; 10];
        variables[3] = 7;
        evaluate(
            text,
            &mut Scope {
                names: &names(),
                target: &mut target,
                radix: 16,
                variables: &variables,
            },
        )
    }

    #[test]
    fn numbers_are_hexadecimal_unless_marked() {
        for (text, expected) in [
            ("18c", 0x18C),
            ("0x18C", 0x18C),
            ("18Ch", 0x18C),
            ("0n396", 396),
            ("0t614", 396),
            ("0y110", 6),
            ("00000000`82a940c0", 0x82A9_40C0),
            ("add", 0xADD),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn operators_bind_as_in_masm() {
        for (text, expected) in [
            ("1 + 2*3", 7),
            ("(1+2)*3", 9),
            ("10-1", 0xF),
            ("-1", 0xFFFF_FFFF),
            ("0-1", 0xFFFF_FFFF),
            ("10/3", 5),
            ("10 mod 3", 1),
            ("ff & 0f | 30", 0x3F),
            ("1 << 4 == 10", 1),
            ("eax==18c and ebx==1000", 1),
            ("eax!=18c or 0", 0),
            ("not 0", 1),
            ("1<2", 1),
            ("2>=3", 0),
            ("hi(12345678)", 0x1234),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn registers_symbols_and_memory_are_operands() {
        for (text, expected) in [
            ("eax", 0x18C),
            ("@ax", 0x18C),
            ("al", 0x8C),
            ("ah", 1),
            ("zf", 1),
            ("$ip", 0x77F0_5EB0),
            (". + 5", 0x77F0_5EB5),
            ("$t3", 7),
            ("poi(ebx)", 0x77F0_64F0),
            ("by(ebx+4)", 1),
            ("wo(1004)", 0x201),
            ("poi(fs:10)", 0x77F0_64F0),
            ("ntdll!ZwWriteFile+0xc", 0x77F0_5EBC),
            ("NtWriteFile", 0x77F0_5EB0),
            ("ntdll", 0x77EC_0000),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "missing"),
            ("foo", "'foo'"),
            ("@foo", "'@foo'"),
            ("$foo", "'$foo'"),
            ("poi(0)", "00000000"),
            ("1/0", "Divide"),
            ("(1", "')'"),
            ("1 2", "'2'"),
            ("1 +", "missing"),
        ] {
            let error = value(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_range_has_a_length_in_objects_or_an_end() {
        let names = names();
        for (text, address, bytes, rest) in [
            ("1000", 0x1000, 128, ""),
            ("1000 L191", 0x1000, 0x191 * 4, ""),
            ("1000 l4 1 2", 0x1000, 16, "1 2"),
            ("1000 L?2", 0x1000, 8, ""),
            ("1000 L-2", 0xFF8, 8, ""),
            ("1000 1007", 0x1000, 8, ""),
            ("ntdll!KiFastSystemCall+4 L2", 0x77F0_64F4, 8, ""),
        ] {
            let mut target = Still::default();
            let mut scope = Scope {
                names: &names,
                target: &mut target,
                radix: 16,
                variables: &[0; 10],
            };
            let found = range(text, &mut scope, 4, 32);
            assert_eq!(found, Ok((Range { address, bytes }, rest)), "{text}");
            assert!(range("2000 1000", &mut scope, 4, 32).is_err());
            assert!(range("0 L?80000000", &mut scope, 4, 32).is_err());
        }
    }
}
