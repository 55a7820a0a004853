//! The blocks of the chip mean the same in Rust and in Verilog, whatever their inputs.
use hdl::execute::{ExecuteUnit, prepared};
use hdl::fetch::Fetch;
use hdl::memory::DataUnit;
use hdl::prelude::*;
use hdl::privilege::{Breakpoints, CheckUnit, Events, SystemRegisters};
use hdl::segmentation::SegmentRegisters;
use hdl::soc::{
    data_router::DataRouter, io_bus::IoBus, pic::InterruptControllers, pit::IntervalTimer,
};
use hdl::soc::{system_ports::SystemPorts, uart::Uart};
use tests::differential::{Run, compare};
use tests::draw_inputs;
use tests::random::Random;

#[rustfmt::skip]
const EXECUTE_OPS: &[ExecuteOp] = {
    use ExecuteOp::*;
    &[PassB, PassA, Add, Adc, Sub, Sbb, And, Or, Xor, Not, Neg, Shl, Shr, Sar, Rol, Ror, Rcl, Rcr, Shld, Shrd, Bt, Bts,
      Btr, Btc, Bsf, Bsr, Bswap, ZeroExtendByte, ZeroExtendWord, SignExtendByte, SignExtendWord, Mul, Imul, Div, Idiv,
      ReadHigh, SetCondition, ConditionalMove, SignFill, Lahf, Sahf, ClearCarry, SetCarry, ComplementCarry, Step,
      BitOffset, PackWords, HighWord, Exchange]
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
            draw_inputs!(
                top, random, keep_carry, a, b, c, late_a, late_b, factor, condition, eflags
            );
            top.op.next = random.variant(EXECUTE_OPS);
            top.width.next = random.variant(&[Width::Byte, Width::Word, Width::Dword, Width::Quad]);
            // The signals show their new values only when they have settled.
            top.prepared.next = prepared(top.op.next, top.width.next);
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
            hold_io_reads,
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
            page_global_enable,
            data_read_data,
            io_read_data
        );
        // Few pages, so that translations are found again; tables mostly say "present".
        let page = random.below(4) << 12 | random.below(3) << 22;
        top.access_linear.next = (page | random.bits(12)).into();
        top.fetch_linear.next = (random.below(4) << 12).into();
        top.fetch_lookup.next = (random.below(4) << 12).into();
        top.fetch_asked.next = (random.below(4) << 12).into();
        top.tlb_flush_address.next = page.into();
        let size = 1u64 << random.below(4);
        top.access_size.next = size.into();
        top.access_crosses.next = u64::from(top.access_linear.next) % 8 + size > 8;
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
        top.tlb_flush_local.next = random.one_in(100);
        top.tlb_flush_linear.next = random.one_in(40);
        top.data_wait.next = random.one_in(3);
    });
}

#[test]
fn fetch_is_the_same_in_verilog() {
    let mut random = Random::new(0x12);
    let run = Run {
        name: "fetch",
        clocks: 4000,
        clock: |top: &mut Fetch, level| top.clock.next = level.into(),
    };
    compare(&run, &mut Fetch::new(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(
            top,
            random,
            instruction_data,
            redirect_linear,
            redirect_eip,
            consume,
            early_linear,
            early
        );
        draw_inputs!(top, random, translate_physical, translate_fault_code);
        draw_inputs!(top, random, code_base, redirect_returns_to, redirect_calls);
        draw_inputs!(
            top,
            random,
            train,
            train_taken,
            train_conditional,
            train_call
        );
        draw_inputs!(top, random, train_returns, call_issues, return_issues);
        draw_inputs!(top, random, call_retires, return_retires);
        // Few words, so that their branches are met again.
        let mut word = || 0x40_0000 | random.below(2) << 20 | random.bits(6);
        top.redirect_linear.next = word().into();
        top.early_linear.next = word().into();
        top.train_end.next = word().into();
        top.train_target.next = word().into();
        top.train_forget.next = random.one_in(10);
        top.consume_cut.next = top.window_cut.val() && random.one_in(3);
        top.redirect_unpredicted.next = random.one_in(5);
        top.issue_redirects.next = random.one_in(20);
        top.retire_redirects.next = random.one_in(20);
        top.asked_early.next = random.one_in(20);
        top.consume_bytes.next = (1 + random.below(4)).into();
        top.redirect.next = random.one_in(20);
        top.redirect_is_early.next = random.one_in(3);
        top.stop.next = random.one_in(40);
        top.instruction_wait.next = random.one_in(3);
        top.translate_hit.next = !random.one_in(10);
        top.translate_fault.next = random.one_in(50);
    });
}

#[test]
fn segment_registers_are_the_same_in_verilog() {
    let mut random = Random::new(0x13);
    let run = Run {
        name: "segment_registers",
        clocks: 2000,
        clock: |top: &mut SegmentRegisters, level| top.clock.next = level.into(),
    };
    compare(&run, &mut SegmentRegisters::default(), |top, _| {
        draw_inputs!(
            top,
            random,
            address_segment,
            read_segment,
            write_segment,
            write_selector,
            write_base
        );
        draw_inputs!(
            top,
            random,
            write_limit,
            write_access,
            selector,
            base,
            limit,
            access
        );
    });
}

#[rustfmt::skip]
const CHECKS: &[Check] = {
    use Check::*;
    &[None, Ring0, InputOutput, PortBitmap, VirtualSensitive, PushFlags, DebugRegister, DataSegment, StackSegment, NewStack, ReturnStack, JumpCode, ReturnCode,
      GateCode, GateJump, EventGate, CallGate, LocalTable, TaskState, CodeTarget, NotNull, NotNullTask,
      PortPermitted, NestedTask, ShortTask, SysenterSet, SysexitAllowed, ControlRegister0, ControlRegister4,
      Undefined, TimeStamp, NoCounter, Coprocessor, CoprocessorProbe, Wait, Bounds, AccessRights, SegmentLimit, Readable, Writable]
};

#[test]
fn descriptor_checks_are_the_same_in_verilog() {
    let mut random = Random::new(0x14);
    let run = Run {
        name: "check_unit",
        clocks: 4000,
        clock: |_: &mut CheckUnit, _| {},
    };
    compare(&run, &mut CheckUnit::default(), |top, _| {
        draw_inputs!(
            top, random, a, b, descriptor, code_limit, code_level, real_mode, cpl, iopl
        );
        draw_inputs!(
            top,
            random,
            virtual_mode,
            task16,
            switching,
            debug_number,
            general_detect,
            debug_extensions
        );
        draw_inputs!(
            top,
            random,
            sysenter_cs,
            vector,
            software,
            external,
            status_word,
            time_stamp_disabled
        );
        top.rule.next = random.variant(CHECKS);
    });
}

#[test]
fn events_are_the_same_in_verilog() {
    let mut random = Random::new(0x15);
    let run = Run {
        name: "events",
        clocks: 3000,
        clock: |top: &mut Events, level| top.clock.next = level.into(),
    };
    compare(&run, &mut Events::default(), |top, clock| {
        draw_inputs!(
            top,
            random,
            interrupt_vector,
            fault_vector,
            fault_code,
            software_vector,
            software_eip,
            eip
        );
        draw_inputs!(
            top,
            random,
            interrupt_point,
            retires_first,
            retires_last,
            counts,
            interrupts_enabled,
            interrupt_one,
            real_mode
        );
        top.reset.next = clock == 0;
        top.nmi.next = random.one_in(30);
        top.interrupt_request.next = random.one_in(5);
        top.debug_halt.next = random.one_in(20);
        top.debug_step.next = random.one_in(4);
        top.committed.next = random.one_in(8);
        top.fault.next = random.one_in(8);
        top.software_interrupt.next = random.one_in(10);
        top.single_step.next = random.one_in(10);
        draw_inputs!(top, random, retires, code_hits);
        top.data_hits.next = if random.one_in(10) {
            random.bits(4).into()
        } else {
            0.into()
        };
        top.task_traps.next = random.one_in(20);
        top.loads_stack.next = random.one_in(10);
        top.boundary.next = random.one_in(5);
        top.retires_boundary.next = random.one_in(10);
        top.shadow.next = random.one_in(10);
        top.halts.next = random.one_in(20);
        top.stops.next = random.one_in(20);
        top.returns.next = random.one_in(20);
    });
}

#[test]
fn breakpoints_are_the_same_in_verilog() {
    let mut random = Random::new(0x1A);
    let run = Run {
        name: "breakpoints",
        clocks: 4000,
        clock: |top: &mut Breakpoints, level| top.clock.next = level.into(),
    };
    compare(&run, &mut Breakpoints::default(), |top, _| {
        draw_inputs!(
            top,
            random,
            dr7,
            extensions,
            address_first,
            shielded,
            memory_takes,
            reads,
            writes,
            io,
            exempt,
            execute_takes
        );
        // Near each other, so that they meet.
        let mut near = || (0x1000 + random.below(24)).into();
        top.dr0.next = near();
        top.dr1.next = near();
        top.dr2.next = near();
        top.dr3.next = near();
        top.address_linear.next = near();
        top.linear.next = near();
        top.size.next = (1 << random.below(4)).into();
    });
}

#[test]
fn system_registers_are_the_same_in_verilog() {
    let mut random = Random::new(0x16);
    let run = Run {
        name: "system_registers",
        clocks: 3000,
        clock: |top: &mut SystemRegisters, level| top.clock.next = level.into(),
    };
    compare(&run, &mut SystemRegisters::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(
            top,
            random,
            segment_selector,
            segment_base,
            segment_limit,
            segment_access,
            eip,
            eflags,
            cpl
        );
        draw_inputs!(
            top,
            random,
            event_error,
            event_resume_flag,
            event_eip,
            descriptor,
            code_level,
            write,
            data,
            write_cr2,
            cr2_data
        );
        draw_inputs!(
            top,
            random,
            debug_status,
            pushes_flags,
            select_msr,
            invalidate_caches
        );
        top.debug_exception.next = random.one_in(10);
        top.switches_task.next = random.one_in(10);
        top.clear_task_switched.next = random.one_in(10);
        top.number.next = (0x60 + random.below(32)).into();
        top.write_number.next = (0x60 + random.below(32)).into();
        top.msr_number.next = if random.one_in(2) {
            (0x174 + random.below(3)).into()
        } else {
            random.bits(32).into()
        };
    });
}

#[test]
fn the_io_bus_and_the_data_router_are_the_same_in_verilog() {
    let mut random = Random::new(0x17);
    let run = Run {
        name: "io_bus",
        clocks: 2000,
        clock: |top: &mut IoBus, level| top.clock.next = level.into(),
    };
    compare(&run, &mut IoBus::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(
            top,
            random,
            request,
            write,
            address,
            byte_enable,
            write_data,
            device_read_data
        );
    });
    let run = Run {
        name: "data_router",
        clocks: 1000,
        clock: |top: &mut DataRouter, level| top.clock.next = level.into(),
    };
    compare(&run, &mut DataRouter::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(top, random, core_request, core_io, memory_wait, io_wait);
    });
}

#[test]
fn the_devices_are_the_same_in_verilog() {
    let mut random = Random::new(0x18);
    let run = Run {
        name: "uart",
        clocks: 6000,
        clock: |top: &mut Uart, level| top.clock.next = level.into(),
    };
    // A clock of twice the sample rate: a character takes 320 clocks.
    compare(&run, &mut Uart::new(3_686_400), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(top, random, read);
        let random_write = (random.below(8), random.bits(8));
        let (register, value) = match clock {
            // Divisor 1, eight bits, FIFOs.
            0 | 1 => (3, 0x80),
            2 => (0, 2),
            3 => (0, 1),
            4 => (3, 3),
            5 => (2, 7),
            // Few changes of the line, or no character is ever complete.
            _ if clock % 1500 == 0 => random_write,
            _ if clock % 500 == 0 => (4, random.bits(5)),
            _ => ([0, 0, 1, 7][random.below(4) as usize], random.bits(8)),
        };
        top.port.next = (0x3F8 + register).into();
        top.write.next = clock < 6 || clock % 500 == 0 || random.one_in(30);
        top.write_data.next = value.into();
        // What is sent comes back, with a little noise.
        top.rx.next = top.tx.val() ^ random.one_in(200);
    });
    let run = Run {
        name: "pic",
        clocks: 4000,
        clock: |top: &mut InterruptControllers, level| top.clock.next = level.into(),
    };
    compare(&run, &mut InterruptControllers::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(top, random, read, write_data);
        top.port.next = ([0x20, 0xA0][random.below(2) as usize] + random.below(2)).into();
        top.write.next = random.one_in(4);
        top.lines.next = (random.bits(16) & random.bits(16)).into();
        top.interrupt_acknowledge.next = random.one_in(6);
    });
    let run = Run {
        name: "pit",
        clocks: 10_000,
        clock: |top: &mut IntervalTimer, level| top.clock.next = level.into(),
    };
    let mut channel = 0;
    compare(&run, &mut IntervalTimer::new(2_500_000), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(top, random, read);
        // A control word, a short count, then whatever reads or latches.
        let (port, value) = match clock % 100 {
            0 => {
                channel = random.below(3);
                (0x43, channel << 6 | 0x30 | random.below(8) << 1)
            }
            1 => (0x40 + channel, 2 + random.below(20)),
            2 => (0x40 + channel, 0),
            _ if random.one_in(3) => (0x61, random.bits(2)),
            _ if random.one_in(2) => (0x43, 0xC0 | random.bits(6)),
            _ => (0x40 + random.below(4), random.bits(6)),
        };
        top.port.next = port.into();
        top.write.next = clock % 100 < 3 || random.one_in(15);
        top.write_data.next = value.into();
    });
    let run = Run {
        name: "system_ports",
        clocks: 1000,
        clock: |top: &mut SystemPorts, level| top.clock.next = level.into(),
    };
    compare(&run, &mut SystemPorts::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(top, random, write, write_data);
        top.port.next = match random.below(4) {
            0 => 0x80.into(),
            1 => 0x70.into(),
            2 => 0x71.into(),
            _ => random.bits(16).into(),
        };
    });
}
