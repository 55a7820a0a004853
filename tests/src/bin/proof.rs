//! Records, packs and replays what the machine is proved against.

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use tests::silicon::{self, pack};

/// Records, packs and replays what the machine is proved against
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a smaller vector file with some cases of each encoding
    Pack {
        /// The vector file to choose from
        input: PathBuf,
        /// Cases to keep of each encoding
        #[arg(long, default_value_t = 20)]
        per_encoding: usize,
        /// The vector file to write
        #[arg(long, default_value = "tests/vectors/silicon.bin.xz")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Pack {
            input,
            per_encoding,
            out,
        } => {
            if per_encoding == 0 {
                bail!("--per-encoding 0 would leave no case");
            }
            let cases = pack::choose(&silicon::read_file(&input)?, per_encoding);
            let file = pack::compress(&cases)?;
            std::fs::write(&out, &file)
                .with_context(|| format!("cannot write {}", out.display()))?;
            println!(
                "{} cases, {} bytes in {}",
                cases.len(),
                file.len(),
                out.display()
            );
        }
    }
    Ok(())
}
