//! Prints a tree of rust-hdl blocks as Verilog that means exactly what the Rust kernels mean.
//!
//! rust-hdl keeps a syntax tree of every kernel, but its own printer knows no widths and no precedence. Here each
//! kernel goes through four stages:
//!
//! 1. [`collect`]: the modules with their signals, enums and kernels.
//! 2. [`statement`] and [`expression`]: names are resolved, loops unrolled, and every expression gets its Rust width;
//!    what cannot be translated exactly is an error.
//! 3. [`check`]: every driven signal gets a value on all paths, and no signal changes after it was read.
//! 4. [`print`]: one `assign` or `always @(*)` per driven signal. All extensions and truncations are written out, so
//!    that no operand ever meets a context of another width.

mod check;
mod collect;
mod expression;
mod print;
mod statement;

pub use collect::identifier;

use rust_hdl_core::check_error::{CheckError, PathedName};
use rust_hdl_core::check_logic_loops::check_logic_loops;
use rust_hdl_core::check_write_inputs::check_inputs_not_written;
use rust_hdl_core::prelude::{Block, check_connected};

/// The Verilog of a block and of everything inside it.
#[derive(Clone, Debug)]
pub struct Verilog {
    /// The source text. SystemVerilog 2012 for its size casts (`8'(x)`), else plain Verilog.
    pub text: String,
    /// Every module in the text, the top first, a parent before its children.
    pub modules: Vec<ModuleInfo>,
}

/// One module of the emitted text; each is instantiated exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its Verilog name: the path of instances joined with `$`.
    pub name: String,
    /// The names of the instances from the top (included) down to it.
    pub path: Vec<String>,
    /// The ports in the order of the block's fields.
    pub ports: Vec<Port>,
    /// Whether its body is hand-written Verilog instead of a translated kernel.
    pub custom: bool,
}

/// A port of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name of the field, `bus$address` for that of an interface; in Verilog see [`identifier`].
    pub name: String,
    /// Width in bits.
    pub width: usize,
    /// Which way it goes, seen from inside the module.
    pub direction: PortDirection,
    /// Whether its Rust type is `Clock`.
    pub clock: bool,
}

/// Direction of a [`Port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDirection {
    /// Driven from outside.
    Input,
    /// Driven by the module.
    Output,
    /// Driven from both sides; only hand-written modules can use it.
    InOut,
}

/// Something the emitter refuses to translate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EmitError {
    /// Verilog name of the module.
    pub module: String,
    /// The signal that was being assigned or is wrong itself; empty where there is none.
    pub signal: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for EmitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: `{}`: {}", self.module, self.signal, self.message)
    }
}

impl std::error::Error for EmitError {}

/// Translates `top` (after its `connect_all()`) and all blocks inside it; the top module is called `top_name`.
///
/// # Errors
/// All findings at once: what rust-hdl's own checks say (open signals, writes to inputs, loops), constructs that have
/// no exact translation, widths that differ, signals without a value on some path, signals read too early.
pub fn emit(top_name: &str, top: &impl Block) -> Result<Verilog, Vec<EmitError>> {
    let mut errors = connection_errors(top_name, top);
    let design = collect::collect(top_name, top, &mut errors);
    let mut text = print::header();
    let mut library = Vec::new();
    for module in &design.modules {
        let kernel = statement::lower(module, &design.enums, &mut errors);
        if let Some(kernel) = &kernel {
            check::check(module, kernel, &mut errors);
        }
        print::module(&design, module, kernel.as_ref(), &mut text);
        library.extend(print::library(module));
    }
    errors.sort();
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut seen = std::collections::BTreeSet::new();
    for code in library {
        if seen.insert(code.clone()) {
            text.push('\n');
            text.push_str(&code);
            text.push('\n');
        }
    }
    let modules = design
        .modules
        .iter()
        .filter(|module| !module.is_blackbox())
        .map(collect::Module::info)
        .collect();
    Ok(Verilog { text, modules })
}

/// The findings of rust-hdl's `check_all`, from all of its checks instead of the first that fails.
fn connection_errors(top_name: &str, top: &impl Block) -> Vec<EmitError> {
    let finding = |at: &PathedName, message: &str| EmitError {
        module: at.path.replacen("uut", top_name, 1),
        signal: at.name.clone(),
        message: message.into(),
    };
    let mut errors = Vec::new();
    for result in [
        check_connected(top),
        check_logic_loops(top),
        check_inputs_not_written(top),
    ] {
        match result {
            Ok(()) => {}
            Err(CheckError::OpenSignal(open)) => {
                errors.extend(open.values().map(|at| finding(at, "is not connected")));
            }
            Err(CheckError::LogicLoops(loops)) => {
                errors.extend(
                    loops
                        .iter()
                        .map(|at| finding(at, "is read before it is written")),
                );
            }
            Err(CheckError::WritesToInputs(written)) => {
                errors.extend(
                    written
                        .iter()
                        .map(|at| finding(at, "is an input and written by the kernel")),
                );
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::emit;
    use crate::prelude::*;
    use rust_hdl_core::ast::{
        VerilogBlock, VerilogBlockOrConditional, VerilogCase, VerilogConditional,
        VerilogExpression as E, VerilogLoop, VerilogMatch, VerilogOp, VerilogOpUnary,
        VerilogStatement as S,
    };

    /// A block whose kernel is given as the syntax tree that the macro would make.
    #[derive(LogicBlock, Default)]
    struct Handmade {
        a: Signal<In, Bits<8>>,
        b: Signal<In, Bits<8>>,
        c: Signal<In, Bit>,
        wide: Signal<In, Bits<16>>,
        amount: Signal<In, Signed<8>>,
        x: Signal<Local, Bits<8>>,
        y: Signal<Out, Bits<8>>,
        colour: Signal<In, Colour>,
        child: Child,
        _code: VerilogBlock,
    }

    #[derive(Copy, Clone, Debug, PartialEq, LogicState)]
    #[allow(dead_code, reason = "only the names matter")]
    enum Colour {
        Red,
        Green,
        Blue,
    }

    impl Logic for Handmade {
        fn update(&mut self) {}
        fn connect(&mut self) {
            self.x.connect();
            self.y.connect();
            self.child.given.connect();
        }
        fn hdl(&self) -> Verilog {
            Verilog::Combinatorial(self._code.clone())
        }
    }

    #[derive(LogicBlock, Default)]
    struct Child {
        pub given: Signal<In, Bits<8>>,
        pub answer: Signal<Out, Bits<8>>,
    }

    impl Logic for Child {
        #[hdl_gen]
        fn update(&mut self) {
            self.answer.next = self.given.val();
        }
    }

    fn signal(name: &str) -> E {
        E::Signal(name.into())
    }

    fn number(value: u64) -> E {
        E::Literal(value.into())
    }

    fn binary(left: E, operator: VerilogOp, right: E) -> E {
        E::Binary(Box::new(left), operator, Box::new(right))
    }

    fn set(target: &str, value: E) -> S {
        S::Assignment(signal(&format!("{target}$next")), value)
    }

    fn when(test: E, then: VerilogBlock) -> S {
        let otherwise = VerilogBlockOrConditional::None;
        S::If(VerilogConditional {
            test,
            then,
            otherwise,
        })
    }

    fn matched(test: E, patterns: &[&str]) -> S {
        let case = |pattern: &&str| VerilogCase {
            condition: pattern.to_string(),
            block: vec![set("y", signal("a"))],
        };
        S::Match(VerilogMatch {
            test,
            cases: patterns.iter().map(case).collect(),
        })
    }

    /// All three signals driven, then `more`.
    fn driven(more: VerilogBlock) -> VerilogBlock {
        let mut code = vec![
            set("x", signal("a")),
            set("y", signal("a")),
            set("child$given", signal("a")),
        ];
        code.extend(more);
        code
    }

    fn emitted(code: VerilogBlock) -> Result<String, Vec<String>> {
        let mut top = Handmade {
            _code: code,
            ..Default::default()
        };
        top.connect_all();
        emit("top", &top)
            .map(|verilog| verilog.text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_has_no_exact_translation_is_refused() {
        use VerilogOp::*;
        let not = |inner| E::Unary(VerilogOpUnary::Not, Box::new(inner));
        #[rustfmt::skip]
        let rows: Vec<(VerilogBlock, &str)> = vec![
            (vec![set("x", signal("a")), set("child$given", signal("a"))], "`y`: is never driven"),
            (driven(vec![])[..2].to_vec(), "`child$given`: is never driven"),
            (driven(vec![set("z", signal("a"))]), "no signal `z$next` to assign"),
            (driven(vec![set("y", signal("z"))]), "`z` is no signal"),
            (driven(vec![set("y", signal("NO_SUCH_CONSTANT"))]), "`NO_SUCH_CONSTANT` is no signal"),
            (driven(vec![set("y", signal("wide"))]), "8 bits expected, 16 found"),
            (driven(vec![set("y", binary(signal("a"), Add, signal("wide")))]), "`+` between 8 and 16 bits"),
            (driven(vec![set("y", binary(signal("a"), Mul, signal("b")))]), "multiplication is not translated"),
            (driven(vec![set("y", number(256))]), "256 does not fit into 8 bits"),
            (driven(vec![set("y", binary(signal("a"), BitAnd, number(0x100)))]), "256 does not fit into 8 bits"),
            (driven(vec![set("y", not(number(1)))]), "width of the number 1 is not known"),
            (driven(vec![set("y", binary(number(1), Shl, signal("b")))]), "a number is shifted whose width is not known"),
            (driven(vec![set("y", binary(signal("a"), LogicalAnd, signal("b")))]), "`&&` of 8 bits"),
            (driven(vec![set("y", signal("amount"))]), "signed arithmetic is not translated"),
            (driven(vec![set("y", E::Signed(Box::new(signal("a"))))]), "signed arithmetic is not translated"),
            (driven(vec![set("y", E::Index(Box::new(signal("a")), Box::new(number(8))))]), "bit 8 of a value of 8 bits"),
            (driven(vec![when(signal("a"), vec![])]), "1 bits expected, 8 found"),
            (driven(vec![set("a", signal("b"))]), "`a`: is an input and written by the kernel"),
            (driven(vec![set("child$answer", signal("b"))]), "is driven by the sub-block"),
            (driven(vec![matched(signal("a"), &["300", "default"])]), "300 does not fit into 8 bits"),
            (driven(vec![matched(signal("a"), &["1", "1", "default"])]), "`1` is matched twice"),
            (driven(vec![matched(signal("a"), &["1", "2"])]), "2 arms for 256 values"),
            (driven(vec![matched(signal("a"), &["other", "default"])]), "the pattern `other` is no number"),
            (driven(vec![matched(signal("a"), &["Colour$Red", "default"])]), "`Colour$Red` has 2 bits, the value matched has 8"),
            (driven(vec![matched(signal("colour"), &["Colour$Red", "Colour$Blue"])]), "2 arms for 3 values"),
            (driven(vec![set("y", signal("child[a]"))]), "the index of `child[a]` must be constant"),
        ];
        for (code, expected) in rows {
            match emitted(code) {
                Ok(text) => panic!("{expected}: emitted\n{text}"),
                Err(errors) => assert!(
                    errors.iter().any(|error| error.contains(expected)),
                    "{expected}: {errors:?}"
                ),
            }
        }
    }

    #[test]
    fn a_signal_without_a_value_on_some_path_is_a_latch() {
        let code = vec![
            set("x", signal("a")),
            set("child$given", signal("a")),
            when(signal("c"), vec![set("y", signal("a"))]),
        ];
        let latch = "top: `y`: gets no value on some path (a latch): assign a default first";
        assert_eq!(emitted(code), Err(vec![latch.to_string()]));
    }

    #[test]
    fn fields_that_do_not_cover_a_signal_leave_a_latch() {
        let field = |offset: usize| S::SliceAssignment {
            base: signal("y"),
            width: 4,
            offset: E::Literal(offset.into()),
            replacement: number(3),
        };
        let others = || vec![set("x", signal("a")), set("child$given", signal("a"))];
        let mut code = others();
        code.push(field(4));
        assert!(emitted(code.clone()).is_err_and(|errors| errors[0].contains("a latch")));
        code.push(field(0));
        assert!(emitted(code).is_ok_and(|text| text.contains("assign y = {4'd3, 4'd3};")));
    }

    #[test]
    fn reading_before_writing_is_refused() {
        let early = driven(vec![])
            .into_iter()
            .rev()
            .chain([set("y", signal("x"))]);
        assert!(emitted(early.clone().collect()).is_ok());
        let mut early: Vec<S> = early.collect();
        early.rotate_right(1);
        let errors = emitted(early).unwrap_err();
        assert!(
            errors.contains(&"top: `x`: is read before it is written".to_string()),
            "{errors:?}"
        );
    }

    #[test]
    fn writing_again_after_reading_is_refused_unless_it_is_the_reader() {
        let again = driven(vec![set("y", signal("x")), set("x", signal("b"))]);
        assert_eq!(
            emitted(again),
            Err(vec![
                "top: `x`: is written again after it was read".to_string()
            ])
        );
        let sum = |target: &str| set(target, binary(signal(target), VerilogOp::Add, signal("b")));
        assert!(emitted(driven(vec![sum("x"), sum("y")])).is_ok());
        // Rust reads the old value of a sub-block's input.
        assert!(emitted(driven(vec![sum("child$given")])).is_err());
    }

    #[test]
    fn a_match_on_all_variants_needs_no_default() {
        let code = driven(vec![matched(
            signal("colour"),
            &["Colour$Red", "Colour$Green", "Colour$Blue"],
        )]);
        assert!(emitted(code).is_ok());
    }

    #[test]
    fn loops_are_unrolled_and_their_tests_decided() {
        let code = driven(vec![S::Loop(VerilogLoop {
            index: "i".into(),
            from: 0usize.into(),
            to: 4usize.into(),
            block: vec![when(
                binary(signal("i"), VerilogOp::Eq, number(3)),
                vec![set("y", binary(signal("a"), VerilogOp::Shr, signal("i")))],
            )],
        })]);
        assert!(emitted(code).is_ok_and(|text| text.contains("assign y = a >> 3;")));
    }

    #[test]
    fn emission_is_repeatable() {
        assert_eq!(emitted(driven(vec![])), emitted(driven(vec![])));
    }

    #[derive(LogicBlock, Default)]
    struct Keyword {
        pub event: Signal<In, Bit>,
        pub answer: Signal<Out, Bits<8>>,
        repeat: Child,
    }

    impl Logic for Keyword {
        #[hdl_gen]
        fn update(&mut self) {
            self.repeat.given.next = bit_cast::<8, 1>(self.event.val().into());
            self.answer.next = self.repeat.answer.val();
        }
    }

    #[test]
    fn names_that_verilog_reserves_are_escaped() {
        let mut top = Keyword::default();
        top.connect_all();
        let text = emit("top", &top).unwrap().text;
        assert!(text.contains("input wire \\event ,"), "{text}");
        assert!(
            text.contains("assign repeat$given = {7'd0, \\event };"),
            "{text}"
        );
        assert!(text.contains("top$repeat \\repeat ("), "{text}");
    }

    #[derive(LogicBlock, Default)]
    struct Open {
        child: Child,
    }

    impl Logic for Open {
        #[hdl_gen]
        fn update(&mut self) {}
    }

    #[test]
    fn an_open_input_of_a_sub_block_is_refused() {
        let mut top = Open::default();
        top.connect_all();
        let errors = emit("top", &top).unwrap_err();
        assert!(
            errors
                .iter()
                .any(|error| error.message == "is not connected" && error.signal == "given")
        );
    }

    #[test]
    fn kernels_use_nothing_that_the_macro_drops_silently() {
        let mut found = Vec::new();
        visit(
            std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut found,
        );
        assert!(
            found.is_empty(),
            "`..=` and match guards are lost in translation: {found:#?}"
        );
    }

    fn visit(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("the sources can be read");
                for kernel in text.split("#[hdl_gen]").skip(1) {
                    found.extend(dropped(kernel).map(|line| format!("{}: {line}", path.display())));
                }
            }
        }
    }

    /// Lines of the function that `source` starts with which have an inclusive range or a match guard.
    fn dropped(source: &str) -> impl Iterator<Item = String> {
        let mut depth = 0;
        let mut end = source.len();
        for (at, character) in source.char_indices() {
            depth += i32::from(character == '{') - i32::from(character == '}');
            if depth == 0 && character == '}' {
                end = at;
                break;
            }
        }
        let code: Vec<&str> = source[..end]
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""))
            .collect();
        let suspicious = |code: &str| {
            code.contains("..=")
                || (code.contains("=>")
                    && code
                        .split("=>")
                        .next()
                        .is_some_and(|pattern| pattern.split_whitespace().any(|word| word == "if")))
        };
        code.into_iter()
            .filter(move |line| suspicious(line))
            .map(str::to_string)
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn the_search_for_dropped_syntax_finds_it() {
        let source = "fn update(&mut self) {\n match x {\n A if c => {}\n if d => {}\n }\n for i in 0..=7 {}\n}\n0..=9";
        assert_eq!(dropped(source).count(), 3);
    }
}
