//! The length decoder in Verilator against iced-x86; `proof decode` does the same for as long as one likes.

use tests::decode::model::Model;
use tests::decode::{Report, campaign, compare, exhaustive};
use tests::random::Random;

fn assert_alike(report: &Report, at_least: usize) {
    for difference in &report.differences {
        println!("{difference}");
    }
    assert_eq!(report.failed, 0, "of {}", report.decoded);
    assert!(report.instructions >= at_least, "{}", report.instructions);
}

#[test]
fn every_opcode_with_every_modrm_and_size_is_cut_as_iced_cuts_it() {
    let model = Model::build("decode");
    let questions = exhaustive(&mut Random::new(0xDEC0DE));
    assert_eq!(questions.len(), 512 * 256 * 8);
    assert_alike(&compare(&model, &questions), questions.len() / 2);
    let seed = 0xDEC0DF;
    println!("seed {seed:#x}");
    assert_alike(&campaign(&model, 250_000, seed), 100_000);
}
