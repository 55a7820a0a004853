//! `sysgate`: see `sysgate --help`.

fn main() -> std::process::ExitCode {
    sim::cli::main()
}
