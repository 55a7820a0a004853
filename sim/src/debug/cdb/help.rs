//! The list of commands, and `.help`.

use super::{Debugger, Outcome};
use std::fmt::Write;

/// A command.
pub struct Command {
    /// Its names.
    pub names: &'static [&'static str],
    /// What it takes.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    pub(super) run: fn(&mut Debugger, &str, &str) -> Outcome,
}

const fn row(
    names: &'static [&'static str],
    arguments: &'static str,
    help: &'static str,
    run: fn(&mut Debugger, &str, &str) -> Outcome,
) -> Command {
    Command {
        names,
        arguments,
        help,
        run,
    }
}

/// All commands. `?`, `*` and `$<` are found before, for they need no space behind them.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    row(&["u"], "[ADDRESS [Lcount|END]]", "instructions; 8, and more of them the next time", Debugger::unassemble),
    row(&["ub"], "[ADDRESS [Lcount]]", "the instructions before", Debugger::unassemble_before),
    row(&["uf"], "[ADDRESS]", "a whole function", Debugger::unassemble_function),
    row(&["db", "dw", "dd", "dp", "dq", "d"], "[RANGE]", "memory as bytes, words, doublewords, quadwords; as the last time", Debugger::dump),
    row(&["dc"], "[RANGE]", "memory as doublewords and characters", Debugger::dump),
    row(&["da", "du"], "[RANGE]", "memory as a text, of 8 or 16-bit characters", Debugger::dump),
    row(&["dps", "dds"], "[RANGE]", "memory as pointers, with names", Debugger::dump),
    row(&["eb", "ew", "ed", "ea", "eu"], "ADDRESS VALUES|\"TEXT\"", "write memory", Debugger::enter),
    row(&["s"], "[-b|-w|-d|-a|-u] RANGE VALUES|\"TEXT\"", "search memory", Debugger::search),
    row(&["r"], "[REGISTER[=VALUE]]", "registers; eax ax al efl zf cr3 cs.base gdtr ... $t0 to $t9", Debugger::show_or_set_registers),
    row(&["rdmsr"], "NUMBER", "read a model-specific register", Debugger::read_msr),
    row(&["wrmsr"], "NUMBER VALUE", "write one", Debugger::write_msr),
    row(&["k", "kb", "kv", "kn"], "[FRAMES]", "the stack; with arguments, with trap frames, with numbers", Debugger::stack),
    row(&["lm", "lmv"], "[m PATTERN] [a ADDRESS]", "modules", Debugger::list_modules),
    row(&["x"], "[MODULE!]PATTERN", "symbols; * and ? stand for any characters", Debugger::examine_symbols),
    row(&["ln"], "[ADDRESS]", "the symbols next to an address", Debugger::list_nearest),
    row(&["bp"], "[ADDRESS] [PASSES] [/1] [/w \"EXPRESSION\"] [\"COMMANDS\"]", "breakpoint", Debugger::set_breakpoint),
    row(&["ba"], "e1|r4|w4|i1 ADDRESS, m MSR|REGISTER, v VECTOR|*, c", "breakpoint on execution, access, write, port; on a register's write, a vector, a change of ring", Debugger::set_access_breakpoint),
    row(&["bl"], "", "list breakpoints", Debugger::list_breakpoints),
    row(&["bc", "bd", "be"], "*|NUMBERS", "clear, disable, enable breakpoints", Debugger::change_breakpoints),
    row(&["g", "gc"], "[ADDRESS]", "go; gc, in a breakpoint's commands, goes on", Debugger::go),
    row(&["gu"], "", "go until the function returns", Debugger::go_up),
    row(&["t", "p"], "[COUNT]", "step into, over calls (and over SYSENTER)", Debugger::step),
    row(&["tc", "pc", "tt", "pt"], "[COUNT]", "step to the next call, to the next return", Debugger::step_until),
    row(&["wt"], "", "run the function and print its calls with instructions and clocks", Debugger::watch_and_trace),
    row(&["ring"], "", "go to the next change of ring", Debugger::next_ring),
    row(&["t-"], "[COUNT]", "step back", Debugger::step_back),
    row(&["p-"], "[COUNT]", "step back, over what was called", Debugger::step_back_over),
    row(&["g-"], "[ADDRESS]", "go back to the breakpoint, or the address, before this", Debugger::go_back),
    row(&["cy"], "[CLOCKS]", "clock cycles, and what each stage of the pipeline holds; 0 looks only", Debugger::step_cycles),
    row(&["cy-"], "[CLOCKS]", "clock cycles back", Debugger::step_cycles_back),
    row(&["why"], "", "why the processor waits, and for how long", Debugger::why),
    row(&["!idt"], "[VECTOR]", "interrupt descriptors", Debugger::show_idt),
    row(&["dg"], "SELECTOR [LAST]", "segment descriptors", Debugger::show_descriptors),
    row(&["!gdt"], "", "all of them", Debugger::show_descriptors),
    row(&["!pte"], "[ADDRESS]", "page directory and page table entries", Debugger::show_page_table_entries),
    row(&["!dh"], "MODULE", "headers of a PE image", Debugger::dump_headers),
    row(&["dt"], "TYPE [FIELDS] [ADDRESS]", "a structure; dt * lists them", Debugger::display_type),
    row(&["!teb", "!peb"], "", "the thread's and the process's environment block", Debugger::show_environment),
    row(&["ssdt"], "[NUMBER|-h]", "system services with their owners; -h those that are hooked", Debugger::show_services),
    row(&[".formats"], "EXPRESSION", "a number in every form", Debugger::formats),
    row(&[".time"], "", "instruction and clock cycle of this position", Debugger::show_time),
    row(&[".goto"], "INSTRUCTION | c CYCLE", "go to a position, back or on, in decimal", Debugger::go_to),
    row(&[".checkpoint"], "", "keep this position", Debugger::checkpoint),
    row(&[".wave"], "on FILE | off", "write a waveform (FST)", Debugger::wave),
    row(&[".type"], "TEXT", "type a line at the guest's console", Debugger::type_line),
    row(&[".echo"], "TEXT", "print a text", Debugger::echo),
    row(&[".reload"], "", "nothing: the image brings its own symbols", Debugger::reload),
    row(&["version", "vertarget"], "", "what runs here", Debugger::version),
    row(&["n"], "[8|10|16]", "radix of numbers without a mark", Debugger::set_radix),
    row(&[".help", ".hh"], "[COMMAND]", "this list", Debugger::show_help),
    row(&["q", "qq", "qd"], "", "end", Debugger::end_session),
];

const EXPRESSIONS: &str = "\
? EXPRESSION     its value          $<FILE           commands from a file          * TEXT           a comment
Commands are separated by ; and an empty line repeats the last one.

Expressions      18c 0x18c 18ch 0n396   eax @al zf $ip $t0   ntdll!NtWriteFile+c   fs:18   poi(esp+4) wo() by()
                 + - * / % << >> & | ^ == != < > <= >= and or not   numbers are hexadecimal unless n says otherwise
Ranges           ADDRESS L20 (objects)   ADDRESS END   ADDRESS L-8
Breakpoints      bp nt!KiFastCallEntry /w \"eax==18c\" \"kb; gc\"     stops only if the condition holds, runs the commands
                 ba w4 nt!KiServiceTable+(18c*4)    ba i1 3f8    ba m 176    ba m cr3    ba v 2e    ba v *    ba c
";

impl Debugger {
    fn show_help(&mut self, _: &str, arguments: &str) -> Outcome {
        self.help(arguments)
    }

    /// `.help [command]`, `?`.
    pub(super) fn help(&mut self, name: &str) -> Outcome {
        let mut out = String::new();
        for command in COMMANDS {
            if name.is_empty() || command.names.contains(&name) {
                let head = format!("{} {}", command.names.join(" "), command.arguments);
                match head.len() {
                    0..40 => writeln!(out, "{head:40} {}", command.help).unwrap(),
                    _ => writeln!(out, "{head}\n{:40} {}", "", command.help).unwrap(),
                }
            }
        }
        if out.is_empty() {
            return Err(format!("There is no command '{name}'; .help lists them"));
        }
        if name.is_empty() {
            out.push_str(EXPRESSIONS);
        }
        self.out.push_str(&out);
        Ok(())
    }
}
