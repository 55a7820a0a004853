//! The blocks of the chip mean the same in Rust and in Verilog, whatever their inputs.
use hdl::execute::ExecuteUnit;
use hdl::memory::DataUnit;
use hdl::prelude::*;
use tests::differential::{Run, compare};
use tests::draw_inputs;
use tests::random::Random;

#[rustfmt::skip]
const EXECUTE_OPS: &[ExecuteOp] = {
    use ExecuteOp::*;
    &[PassB, PassA, Add, Adc, Sub, Sbb, And, Or, Xor, Not, Neg, Shl, Shr, Sar, Rol, Ror, Rcl, Rcr, Shld, Shrd, Bt, Bts,
      Btr, Btc, Bsf, Bsr, Bswap, ZeroExtendByte, ZeroExtendWord, SignExtendByte, SignExtendWord, Mul, Imul, Div, Idiv,
      ReadHigh, SetCondition, ConditionalMove, SignFill, Lahf, Sahf, ClearCarry, SetCarry, ComplementCarry, Step,
      BitOffset, PackWords, HighWord, MergeHigh]
};

#[test]
fn execute_is_the_same_in_verilog() {
    let mut random = Random::new(0x10);
    let run = Run {
        name: "execute",
        clocks: 4000,
        clock: |top: &mut ExecuteUnit, level| top.clock.next = level.into(),
    };
    compare(&run, &mut ExecuteUnit::default(), |top, clock| {
        top.reset.next = clock == 0;
        top.flush.next = random.one_in(50);
        top.advance.next = !random.one_in(3);
        // A micro-op stays until it leaves.
        if clock == 0 || top.flush.val() || (top.ready.val() && top.advance.val()) {
            draw_inputs!(top, random, keep_carry, a, b, c, condition, eflags);
            top.op.next = random.variant(EXECUTE_OPS);
            top.width.next = random.variant(&[Width::Byte, Width::Word, Width::Dword, Width::Quad]);
            top.valid.next = !random.one_in(8);
        }
    });
}

#[test]
fn data_unit_is_the_same_in_verilog() {
    let mut random = Random::new(0x11);
    let run = Run {
        name: "data_unit",
        clocks: 3000,
        clock: |top: &mut DataUnit, level| top.clock.next = level.into(),
    };
    compare(&run, &mut DataUnit::default(), |top, clock| {
        draw_inputs!(
            top,
            random,
            access_io,
            access_user,
            execute_empty,
            store_data,
            fetch_user,
            fetch_walk_permitted
        );
        draw_inputs!(
            top,
            random,
            access_read,
            access_write,
            write_protect,
            page_size_extension,
            data_read_data
        );
        // Few pages, so that translations are found again; tables mostly say "present".
        let page = random.below(4) << 12 | random.below(3) << 22;
        top.access_linear.next = (page | random.bits(12)).into();
        top.fetch_linear.next = (random.below(4) << 12).into();
        top.tlb_flush_address.next = page.into();
        top.access_size.next = (1u64 << random.below(4)).into();
        let present = top.data_read_data.next | 0x0000_0007_0000_0007u64;
        if !random.one_in(8) {
            top.data_read_data.next = present;
        }
        if clock == 0 || random.one_in(100) {
            draw_inputs!(top, random, paging, cr3);
        }
        top.reset.next = clock == 0;
        top.flush.next = random.one_in(30);
        top.access_blocked.next = random.one_in(10);
        top.memory_advance.next = top.memory_ready.val() && !random.one_in(4);
        top.store_valid.next = random.one_in(3);
        top.fetch_valid.next = !random.one_in(4);
        top.tlb_flush.next = random.one_in(200);
        top.tlb_flush_linear.next = random.one_in(40);
        top.data_wait.next = random.one_in(3);
    });
}
