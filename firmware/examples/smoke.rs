//! Writes the bring-up ROM to the file named on the command line.
fn main() -> std::io::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "smoke.rom".into());
    std::fs::write(path, firmware::smoke())
}
