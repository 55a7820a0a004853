//! The processor: connects the stages and decides nothing.
//!
//! ```text
//! fetch ─ predecode ─ issue ─ address ─ memory ─ execute (retires)
//! ```
use crate::decode::{
    buffer::InstructionBuffer, handover::Handover, issue::Issue, predecode::Predecode,
};
use crate::execute::ExecuteStage;
use crate::fetch::{Fetch, RecentWords, Training};
use crate::hazard::Hazard;
use crate::memory::DataUnit;
use crate::prelude::*;
use crate::privilege::{Breakpoints, CheckUnit, Events, SystemRegisters};
use crate::retire::State;
use crate::segmentation::{AddressStage, SegmentCheck, SegmentRegisters};

/// An IA-32 core with two memory ports and three observation ports.
#[derive(LogicBlock, Default)]
pub struct Cpu {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<Out, Bit>,
    pub instruction_address: Signal<Out, Bits<32>>,
    /// Of the address in this clock: a cache may answer. PCD of its page is clear.
    pub instruction_cacheable: Signal<Out, Bit>,
    pub instruction_data: Signal<In, Bits<64>>,
    pub instruction_wait: Signal<In, Bit>,
    // data port
    pub data_request: Signal<Out, Bit>,
    pub data_write: Signal<Out, Bit>,
    pub data_io: Signal<Out, Bit>,
    pub data_address: Signal<Out, Bits<32>>,
    pub data_byte_enable: Signal<Out, Bits<8>>,
    pub data_write_data: Signal<Out, Bits<64>>,
    /// The answer of memory / of a port.
    pub data_read_data: Signal<In, Bits<64>>,
    pub data_io_read_data: Signal<In, Bits<64>>,
    pub data_wait: Signal<In, Bit>,
    /// As `instruction_cacheable`; means nothing for a write.
    pub data_cacheable: Signal<Out, Bit>,
    /// CR0.CD is clear: a read that misses may fill a cache.
    pub caches_fill: Signal<Out, Bit>,
    /// Caches shall forget what they hold (INVD, WBINVD).
    pub caches_flush: Signal<Out, Bit>,
    // interrupts
    pub interrupt_request: Signal<In, Bit>,
    pub interrupt_acknowledge: Signal<Out, Bit>,
    pub interrupt_vector: Signal<In, Bits<8>>,
    pub nmi: Signal<In, Bit>,
    /// HLT waits for an interrupt.
    pub halted: Signal<Out, Bit>,
    /// A third fault has stopped the processor.
    pub shutdown: Signal<Out, Bit>,
    // retire: one record per micro-op
    pub retire_valid: Signal<Out, Bit>,
    pub retire_first: Signal<Out, Bit>,
    pub retire_last: Signal<Out, Bit>,
    pub retire_cycle: Signal<Out, Bits<64>>,
    pub retire_eip: Signal<Out, Bits<32>>,
    pub retire_next_eip: Signal<Out, Bits<32>>,
    pub retire_length: Signal<Out, Bits<4>>,
    pub retire_bytes: Signal<Out, Bits<128>>,
    pub retire_cpl: Signal<Out, Bits<2>>,
    /// Bit 0 PE, 1 VM, 2 PG, 3 CS.D.
    pub retire_mode: Signal<Out, Bits<4>>,
    pub retire_micro_address: Signal<Out, Bits<12>>,
    pub retire_register_write: Signal<Out, Bit>,
    pub retire_register: Signal<Out, Bits<4>>,
    pub retire_register_data: Signal<Out, Bits<32>>,
    pub retire_esp_write: Signal<Out, Bit>,
    pub retire_esp_data: Signal<Out, Bits<32>>,
    pub retire_eflags: Signal<Out, Bits<32>>,
    pub retire_system_write: Signal<Out, Bit>,
    pub retire_system_number: Signal<Out, Bits<8>>,
    pub retire_system_data: Signal<Out, Bits<32>>,
    pub retire_load: Signal<Out, Bit>,
    pub retire_load_linear: Signal<Out, Bits<32>>,
    pub retire_load_physical: Signal<Out, Bits<32>>,
    pub retire_load_size: Signal<Out, Bits<4>>,
    pub retire_load_data: Signal<Out, Bits<64>>,
    pub retire_store: Signal<Out, Bit>,
    pub retire_store_linear: Signal<Out, Bits<32>>,
    pub retire_store_physical: Signal<Out, Bits<32>>,
    pub retire_store_size: Signal<Out, Bits<4>>,
    pub retire_store_data: Signal<Out, Bits<64>>,
    pub retire_access_io: Signal<Out, Bit>,
    pub retire_exception: Signal<Out, Bit>,
    pub retire_interrupt: Signal<Out, Bit>,
    pub retire_vector: Signal<Out, Bits<8>>,
    pub retire_has_error_code: Signal<Out, Bit>,
    pub retire_error_code: Signal<Out, Bits<16>>,
    pub retire_cr2: Signal<Out, Bits<32>>,
    // debug
    pub debug_halt: Signal<In, Bit>,
    pub debug_step: Signal<In, Bit>,
    pub debug_halted: Signal<Out, Bit>,
    pub debug_register: Signal<In, Bits<8>>,
    pub debug_read_data: Signal<Out, Bits<32>>,
    pub debug_write: Signal<In, Bit>,
    pub debug_write_data: Signal<In, Bits<32>>,
    pub debug_invalidate: Signal<In, Bit>,
    // pipeline
    pub pipeline_fetch_bytes: Signal<Out, Bits<6>>,
    pub pipeline_decode_valid: Signal<Out, Bit>,
    pub pipeline_issue_valid: Signal<Out, Bit>,
    pub pipeline_address_valid: Signal<Out, Bit>,
    pub pipeline_memory_valid: Signal<Out, Bit>,
    pub pipeline_execute_valid: Signal<Out, Bit>,
    pub pipeline_decode_eip: Signal<Out, Bits<32>>,
    pub pipeline_issue_eip: Signal<Out, Bits<32>>,
    pub pipeline_address_eip: Signal<Out, Bits<32>>,
    pub pipeline_memory_eip: Signal<Out, Bits<32>>,
    pub pipeline_execute_eip: Signal<Out, Bits<32>>,
    pub pipeline_micro_address: Signal<Out, Bits<12>>,
    pub pipeline_stall: Signal<Out, Bits<16>>,
    // stages
    fetch: Fetch,
    training: Training,
    recent_words: RecentWords,
    predecode: Predecode,
    buffer: InstructionBuffer,
    issue: Issue,
    handover: Handover,
    address: AddressStage,
    memory: SegmentCheck,
    data: DataUnit,
    execute: ExecuteStage,
    // beside them
    hazard: Hazard,
    segments: SegmentRegisters,
    system: SystemRegisters,
    check: CheckUnit,
    events: Events,
    breakpoints: Breakpoints,
    state: State,
    // wires
    issue_op: Signal<Local, MicroOp>,
    next_op: Signal<Local, MicroOp>,
    address_op: Signal<Local, MicroOp>,
    memory_op: Signal<Local, MicroOp>,
    op: Signal<Local, MicroOp>,
    found: Signal<Local, Predecoded>,
    real_mode: Signal<Local, Bit>,
    virtual_mode: Signal<Local, Bit>,
    real_segments: Signal<Local, Bit>,
    paging: Signal<Local, Bit>,
    debugger: Signal<Local, Bit>,
    debugger_writes: Signal<Local, Bit>,
    checked: Signal<Local, Check>,
    number: Signal<Local, Bits<8>>,
    is_load: Signal<Local, Bit>,
    is_store: Signal<Local, Bit>,
    is_port: Signal<Local, Bit>,
    delivers: Signal<Local, Bit>,
    page_faults: Signal<Local, Bit>,
    invalidates_page: Signal<Local, Bit>,
    quad_store: Signal<Local, Bits<64>>,
    high_store: Signal<Local, Bits<32>>,
    /// What fetch asks for in this clock is for level 3.
    fetches_user: Signal<Local, Bit>,
}

impl Cpu {
    /// A core with its decode tables and microcode in place.
    pub fn new() -> Self {
        Self {
            fetch: Fetch::new(),
            predecode: Predecode::new(),
            issue: Issue::new(),
            ..Default::default()
        }
    }
}

impl Logic for Cpu {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(
            self,
            clock,
            fetch,
            training,
            recent_words,
            predecode,
            buffer,
            issue,
            handover,
            address,
            memory,
            data,
            execute,
            segments,
            system,
            events,
            breakpoints,
            state
        );
        self.issue_op.next = self.issue.micro_op.val();
        self.address_op.next = self.address.micro_op.val();
        self.memory_op.next = self.memory.micro_op.val();
        self.op.next = self.execute.micro_op.val();
        self.found.next = self.buffer.next_predecoded.val();
        self.real_mode.next = !self.system.cr0.val().get_bit(0);
        self.virtual_mode.next = self.state.eflags.val().get_bit(17);
        self.real_segments.next =
            self.real_mode.val() | (self.virtual_mode.val() & !self.events.delivering_event.val());
        self.paging.next = self.system.cr0.val().get_bit(31);
        self.debugger.next = self.events.debug_halted.val();
        self.debugger_writes.next = self.debugger.val() & self.debug_write.val();

        // fetch
        self.fetch.reset.next = self.reset.val();
        self.instruction_request.next = self.fetch.instruction_request.val();
        self.instruction_address.next = self.fetch.instruction_address.val();
        self.instruction_cacheable.next = self.fetch.instruction_cacheable.val();
        self.fetch.instruction_data.next = self.instruction_data.val();
        self.fetch.instruction_wait.next = self.instruction_wait.val();
        self.fetch.redirect.next = self.hazard.fetch_redirect.val();
        self.fetch.redirect_linear.next = self.hazard.fetch_linear.val();
        self.fetch.redirect_eip.next = self.hazard.fetch_eip.val();
        self.fetch.early.next = self.hazard.fetch_early.val();
        self.fetch.early_linear.next = self.hazard.fetch_early_linear.val();
        self.fetch.redirect_is_early.next = self.hazard.fetch_redirect_is_early.val();
        self.fetch.stop.next = self.hazard.fetch_stop.val();
        self.fetch.redirect_unpredicted.next = self.issue.miscut.val();
        self.fetch.redirect_calls.next = self.hazard.fetch_calls.val();
        self.fetch.redirect_returns_to.next = self.hazard.fetch_returns_to.val();
        self.fetch.issue_redirects.next = self.issue.predicts.val();
        self.fetch.retire_redirects.next = self.execute.redirect.val();
        self.fetch.call_issues.next = self.issue.call_leaves.val();
        self.fetch.return_issues.next = self.issue.return_leaves.val();
        self.fetch.call_retires.next =
            self.execute.branch_retires.val() & self.execute.branch_call.val();
        self.fetch.return_retires.next =
            self.execute.branch_retires.val() & self.execute.branch_returns.val();
        self.fetch.code_base.next = self.state.code_base.val();
        self.fetch.train.next = self.training.train.val();
        self.fetch.train_end.next = self.training.train_end.val();
        self.fetch.train_target.next = self.training.train_target.val();
        self.fetch.train_taken.next = self.training.train_taken.val();
        self.fetch.train_conditional.next = self.training.train_conditional.val();
        self.fetch.train_call.next = self.training.train_call.val();
        self.fetch.train_returns.next = self.training.train_returns.val();
        self.fetch.train_forget.next = self.training.train_forget.val();
        self.fetch.consume.next = self.predecode.consume.val();
        self.fetch.consume_bytes.next = self.predecode.consume_bytes.val();
        self.fetch.consume_cut.next = self.predecode.consume_cut.val();
        self.fetch.translate_hit.next = self.data.fetch_hit.val();
        self.fetch.asked_early.next = self.data.fetched_early.val();
        self.fetch.translate_physical.next = self.data.fetch_physical.val();
        self.fetch.translate_cacheable.next = self.data.fetch_cacheable.val();
        self.fetch.translate_fault.next = self.data.fetch_fault.val();
        self.fetch.translate_fault_code.next = self.data.fetch_fault_code.val();

        // training of fetch
        self.training.reset.next = self.reset.val();
        self.training.learns.next = self.fetch.learns.val();
        self.training.wrong.next = self.execute.branch_wrong.val();
        self.training.code_base.next = self.state.code_base.val();
        self.training.retires.next = self.execute.branch_retires.val();
        self.training.branch_next_eip.next = self.op.val().next_eip;
        self.training.target_eip.next = self.execute.next_eip.val();
        self.training.taken.next = self.execute.branch_taken.val();
        self.training.conditional.next = self.execute.branch_conditional.val();
        self.training.call.next = self.execute.branch_call.val();
        self.training.returns.next = self.execute.branch_returns.val();
        self.training.miscut.next = self.issue.miscut.val();
        self.training.cut_eip.next = self.issue.cut_eip.val();

        // stores to code
        self.recent_words.reset.next = self.reset.val();
        self.recent_words.asked.next = self.fetch.word_asked.val();
        self.recent_words.asked_linear.next = self.fetch.word_linear.val();
        self.recent_words.store_linear.next = self.memory.access_linear.val();
        self.recent_words.store_bytes.next = self.memory.access_size.val();
        self.recent_words.advance.next = self.hazard.execute_takes.val();
        self.execute.changes_code.next = self.recent_words.hit.val();

        // predecode
        self.predecode.window.next = self.fetch.window.val();
        self.predecode.window_marks.next = self.fetch.window_marks.val();
        self.predecode.window_bytes.next = self.fetch.window_bytes.val();
        self.predecode.window_cut.next = self.fetch.window_cut.val();
        self.predecode.head_eip.next = self.fetch.head_eip.val();
        self.predecode.fetch_fault.next = self.fetch.fetch_fault.val();
        self.predecode.fetch_fault_code.next = self.fetch.fetch_fault_code.val();
        self.predecode.fetch_fault_linear.next = self.fetch.fetch_fault_linear.val();
        self.predecode.code32.next = self.state.code32.val();
        self.predecode.flush.next = self.hazard.flush_front.val();
        self.predecode.advance.next = self.buffer.vacant.val();

        // buffer
        self.buffer.reset.next = self.reset.val();
        self.buffer.found.next = self.predecode.found.val();
        self.buffer.predecoded.next = self.predecode.predecoded.val();
        self.buffer.row_index.next = self.predecode.row_index.val();
        self.buffer.bytes.next = self.predecode.bytes.val();
        self.buffer.follows.next = self.predecode.follows.val();
        self.buffer.target_eip.next = self.fetch.target_eip.val();
        self.buffer.miscut.next = self.predecode.miscut.val();
        self.buffer.takes.next = self.issue.takes_found.val();
        self.buffer.flush.next = self.hazard.flush_front.val();

        // issue
        self.issue.reset.next = self.reset.val();
        self.issue.found.next = self.buffer.next_found.val();
        self.issue.found_predecoded.next = self.found.val();
        self.issue.found_row_index.next = self.buffer.next_row_index.val();
        self.issue.found_bytes.next = self.buffer.next_bytes.val();
        self.issue.found_follows.next = self.buffer.next_follows.val();
        self.issue.found_target_eip.next = self.buffer.next_target_eip.val();
        self.issue.found_miscut.next = self.buffer.next_miscut.val();
        self.issue.advance.next = self.hazard.issue_leaves.val();
        self.issue.flush.next = self.hazard.flush_issue.val();
        self.issue.micro_redirect.next = self.execute.micro_redirect.val();
        self.issue.micro_target.next = self.execute.micro_target.val();
        self.issue.micro_resizes.next = self.execute.micro_resizes.val();
        self.issue.micro_operand16.next = self.execute.micro_operand16.val();
        self.issue.event_begins.next = self.events.begins.val();
        self.issue.event_entry.next = self.events.entry.val();
        self.issue.real_mode.next = self.real_mode.val();
        self.issue.real_segments.next = self.real_segments.val();
        self.issue.ports_restricted.next = (!self.real_mode.val())
            & ((self.state.cpl.val() > self.state.iopl.val()) | self.virtual_mode.val());
        self.issue.event_has_error_code.next = self.events.has_error_code.val();
        self.issue.stack32.next = self.state.stack32.val();
        self.issue.code_limit.next = self.state.code_limit.val();

        // handover
        self.handover.reset.next = self.reset.val();
        self.handover.issue_leaves.next = self.hazard.issue_leaves.val();
        self.handover.issue_micro_op.next = self.issue_op.val();
        self.handover.issue_bytes.next = self.issue.bytes.val();
        self.handover.leaves.next = self.hazard.address_takes.val();
        self.handover.flush.next = self.hazard.flush_back.val();

        // address
        self.next_op.next = self.handover.micro_op.val();
        self.address.next_micro_op.next = self.next_op.val();
        self.address.next_bytes.next = self.handover.bytes.val();
        self.address.takes.next = self.hazard.address_takes.val();
        self.address.leaves.next = self.hazard.memory_takes.val();
        self.address.flush.next = self.hazard.flush_back.val();
        self.address.base_value.next = self.execute.base_value.val();
        self.address.index_value.next = self.execute.index_value.val();
        self.address.segment_base.next = self.segments.address_base.val();
        self.address.segment_limit.next = self.segments.address_limit.val();
        self.address.segment_access.next = self.segments.address_access.val();
        self.address.vector.next = self.events.vector.val();
        self.address.real_mode.next = self.real_mode.val();
        self.address.esp_restore.next =
            self.hazard.flush_back.val() | self.execute.writes_esp.val();
        self.address.esp_retired.next = self.execute.esp.val();
        self.address.esp_branch.next = self.execute.micro_redirect.val();
        self.address.esp_branch_value.next = self.execute.micro_esp.val();

        // memory
        self.memory.address_micro_op.next = self.address_op.val();
        self.memory.address_bytes.next = self.address.bytes.val();
        self.memory.address_effective.next = self.address.effective_address.val();
        self.memory.address_linear.next = self.address.linear_address.val();
        self.memory.address_limit.next = self.address.limit.val();
        self.memory.address_access.next = self.address.access.val();
        self.memory.address_segment.next = self.address.segment.val();
        self.memory.address_esp_after.next = self.address.esp_after.val();
        self.memory.address_table_code.next = self.address.table_code.val();
        self.memory.takes.next = self.hazard.memory_takes.val();
        self.memory.leaves.next = self.hazard.execute_takes.val();
        self.memory.flush.next = self.hazard.flush_back.val();
        self.memory.real_mode.next = self.real_mode.val();
        self.memory.checks_alignment.next =
            self.system.cr0.val().get_bit(18) & self.state.eflags.val().get_bit(18);
        self.memory.cpl.next = self.state.cpl.val();
        self.memory.switching.next = self.state.switching.val();
        self.memory.breakpoint.next = self.breakpoints.instruction_hit.val();
        self.memory.page_fault.next = self.data.page_fault.val();
        self.memory.page_fault_code.next = self.data.page_fault_code.val();
        self.memory.page_fault_linear.next = self.data.page_fault_linear.val();

        // data unit
        self.data.reset.next = self.reset.val();
        self.data.flush.next = self.hazard.flush_back.val();
        self.data.access_read.next = self.memory.access_read.val();
        self.data.access_write.next = self.memory.access_write.val();
        self.data.access_probe.next = self.memory.access_probe.val();
        self.data.access_io.next = self.memory.access_io.val();
        self.data.access_linear.next = self.memory.access_linear.val();
        self.data.access_size.next = self.memory.access_size.val();
        self.data.access_crosses.next = self.memory.access_crosses.val();
        self.data.access_user.next = self.memory.access_user.val();
        self.data.access_blocked.next = self.memory.access_blocked.val();
        self.data.access_refused.next = self.memory.access_refused.val();
        self.data.execute_empty.next = self.execute.empty.val();
        self.data.hold_io_reads.next = self.events.debug_halts.val();
        self.data.memory_advance.next = self.hazard.execute_takes.val();
        self.data.store_valid.next = self.execute.store_valid.val();
        // Of eight bytes: the descriptor latch, or twice what a register holds.
        self.high_store.next = 0.into();
        if self.op.val().access_size == 8 {
            self.high_store.next = self.execute.register_b.val();
            if self.op.val().b_source == BSource::System {
                self.high_store.next = self.state.descriptor.val().get_bits::<32>(32);
            }
        }
        self.quad_store.next = bit_cast::<64, 32>(self.execute.result.val())
            | (bit_cast::<64, 32>(self.high_store.val()) << 32);
        self.data.store_data.next = self.quad_store.val();
        self.data.paging.next = self.paging.val();
        self.data.write_protect.next = self.system.cr0.val().get_bit(16);
        self.data.page_size_extension.next = self.system.cr4.val().get_bit(4);
        self.data.page_global_enable.next = self.system.cr4.val().get_bit(7);
        self.data.cr3.next = self.system.cr3.val();
        self.invalidates_page.next =
            self.execute.retires_control.val() & (self.op.val().control == Control::InvalidatePage);
        self.data.tlb_flush.next =
            self.system.flush_translations.val() | self.debug_invalidate.val();
        self.data.tlb_flush_local.next = self.system.flush_local_translations.val();
        self.data.tlb_flush_linear.next = self.invalidates_page.val();
        self.data.tlb_flush_address.next = self.execute.linear_address.val();
        self.data.fetch_valid.next = self.fetch.translate_valid.val();
        self.data.fetch_linear.next = self.fetch.translate_linear.val();
        self.data.fetch_lookup.next = self.fetch.lookup_linear.val();
        self.data.fetch_asked.next = self.fetch.word_linear.val();
        self.data.fetch_user.next = self.state.cpl.val() == 3;
        self.fetches_user.next = self.state.cpl.val() == 3;
        if self.execute.goes_far.val() {
            self.fetches_user.next = self.execute.far_user.val();
        }
        self.data.fetch_lookup_user.next = self.fetches_user.val();
        self.data.fetch_walk_permitted.next = self.hazard.fetch_certain.val();
        self.data_request.next = self.data.data_request.val();
        self.data_write.next = self.data.data_write.val();
        self.data_io.next = self.data.data_io.val();
        self.data_address.next = self.data.data_address.val();
        self.data_byte_enable.next = self.data.data_byte_enable.val();
        self.data_write_data.next = self.data.data_write_data.val();
        self.data_cacheable.next = self.data.data_cacheable.val();
        self.data.data_read_data.next = self.data_read_data.val();
        self.data.io_read_data.next = self.data_io_read_data.val();
        self.data.data_wait.next = self.data_wait.val();

        // execute
        self.execute.reset.next = self.reset.val();
        self.execute.memory_micro_op.next = self.memory_op.val();
        self.execute.memory_bytes.next = self.memory.bytes.val();
        self.execute.memory_effective_address.next = self.memory.effective_address.val();
        self.execute.memory_linear_address.next = self.memory.linear_address.val();
        self.execute.memory_segment.next = self.memory.segment.val();
        self.execute.memory_esp_after.next = self.memory.esp_after.val();
        self.execute.takes.next = self.hazard.execute_takes.val();
        self.execute.load_data.next = self.data.load_data.val();
        self.execute.aligned_load.next = self.data.aligned_load.val();
        self.execute.load_is_aligned.next = self.data.load_is_aligned.val();
        self.execute.load_ready.next = self.data.load_ready.val();
        self.execute.store_ready.next = self.data.store_ready.val();
        self.execute.base_register.next = self.address.base_register.val();
        self.execute.index_register.next = self.address.index_register.val();
        self.execute.kill.next = self.events.kill.val();
        self.execute.event_begins.next = self.events.begins.val();
        self.execute.system_value.next = self.system.value.val();
        self.execute.sysenter_eip.next = self.system.sysenter_eip.val();
        self.execute.msr_unknown.next = self.system.msr_unknown.val();
        self.execute.check_fault.next = self.check.fault.val();
        self.execute.check_refused.next = self.check.refused.val();
        self.execute.check_vector.next = self.check.fault_vector.val();
        self.execute.check_code.next = self.check.fault_code.val();
        self.execute.external.next = self.events.external.val();
        self.execute.eflags.next = self.state.eflags.val();
        self.execute.cpl.next = self.state.cpl.val();
        self.execute.code_base.next = self.state.code_base.val();
        self.execute.code_limit.next = self.state.code_limit.val();
        self.execute.descriptor.next = self.state.descriptor.val();
        self.execute.code_level.next = self.state.code_level.val();
        self.execute.checked_code_base.next = self.state.checked_code_base.val();
        self.execute.real_segments.next = self.real_segments.val();
        self.execute.drops_segments.next = self.state.drops_segments.val();
        self.execute.new_stack_selector.next = self.state.new_stack_selector.val();
        self.execute.task_selector.next = self.state.task_selector.val();
        self.execute.task16.next = self.state.task16.val();
        self.execute.debug_halted.next = self.debugger.val();
        self.execute.debug_register.next = self.debug_register.val();
        self.execute.debug_write.next = self.debugger_writes.val();
        self.execute.debug_write_data.next = self.debug_write_data.val();

        // hazard
        self.hazard.issue_valid.next = self.issue.issue_valid.val();
        self.hazard.issue_last.next = self.issue.may_be_last.val();
        self.hazard.issue_predicts.next = self.issue.predicts.val();
        self.hazard.issue_may_predict.next = self.issue.may_predict.val();
        self.hazard.issue_predicted_eip.next = self.issue.predicted_eip.val();
        self.hazard.issue_predicts_call.next = self.issue.predicts_call.val();
        self.hazard.issue_return_eip.next = self.issue.return_eip.val();
        self.hazard.issue_busy.next = self.issue.busy.val();
        self.hazard.issue_miscut.next = self.issue.miscut.val();
        self.hazard.fetch_repeats.next = self.fetch.word_repeats.val();
        self.hazard.decode_found.next = self.buffer.next_found.val();
        self.hazard.handover_held.next = self.handover.held.val();
        self.hazard.handover_control.next = self.handover.held_control.val();
        self.hazard.address_valid.next = self.address.valid.val();
        self.hazard.address_op.next = self.address_op.val();
        self.hazard.memory_valid.next = self.memory.valid.val();
        self.hazard.memory_op.next = self.memory_op.val();
        self.hazard.memory_ready.next = self.data.memory_ready.val();
        self.hazard.execute_valid.next = self.execute.valid.val();
        self.hazard.execute_empty.next = self.execute.empty.val();
        self.hazard.execute_op.next = self.op.val();
        self.hazard.execute_vacant.next = self.execute.vacant.val();
        self.hazard.execute_redirect.next = self.execute.redirect.val();
        self.hazard.execute_micro_redirect.next = self.execute.micro_redirect.val();
        self.hazard.execute_code_changed.next = self.execute.code_changed.val();
        self.hazard.execute_next_eip.next = self.execute.next_eip.val();
        self.hazard.execute_calls.next = self.execute.branch_call.val();
        self.hazard.execute_mispredicts.next = self.execute.mispredicts.val();
        self.hazard.execute_goes_far.next = self.execute.goes_far.val();
        self.hazard.execute_other_linear.next = self.execute.other_linear.val();
        self.hazard.event_begins.next = self.events.begins.val();
        self.hazard.stop.next = self.events.stop.val();
        self.hazard.resume.next = self.events.resume.val();
        self.hazard.eip.next = self.state.eip.val();
        self.hazard.code_base.next = self.state.code_base.val();
        self.hazard.code_base_next.next = self.state.code_base_next.val();

        // segment registers
        self.number.next = self.op.val().system;
        if self.debugger.val() {
            self.number.next = self.debug_register.val();
        }
        self.segments.address_segment.next = self.address.segment.val();
        self.segments.read_segment.next = self.number.val().get_bits::<4>(0);
        self.segments.write_segment.next = self.state.write_segment.val();
        self.segments.write_selector.next = self.state.write_selector.val();
        self.segments.write_base.next = self.state.write_base.val();
        self.segments.write_limit.next = self.state.write_limit.val();
        self.segments.write_access.next = self.state.write_access.val();
        self.segments.selector.next = self.state.selector.val();
        self.segments.base.next = self.state.base.val();
        self.segments.limit.next = self.state.limit.val();
        self.segments.access.next = self.state.access.val();

        // system registers
        self.system.reset.next = self.reset.val();
        self.system.number.next = self.number.val();
        self.system.segment_selector.next = self.segments.read_selector.val();
        self.system.segment_base.next = self.segments.read_base.val();
        self.system.segment_limit.next = self.segments.read_limit.val();
        self.system.segment_access.next = self.segments.read_access.val();
        self.system.eip.next = self.state.eip.val();
        self.system.eflags.next = self.state.eflags.val();
        self.system.event_resume_flag.next = self.events.saves_resume_flag.val();
        self.system.cpl.next = self.state.cpl.val();
        self.system.event_error.next = self.events.error_code.val();
        self.system.event_eip.next = self.events.saved_eip.val();
        self.system.descriptor.next = self.state.descriptor.val();
        self.system.code_level.next = self.state.code_level.val();
        self.system.write.next = self.state.system_write.val();
        self.system.write_number.next = self.state.system_number.val();
        self.system.data.next = self.state.system_data.val();
        self.page_faults.next = self.events.begins.val()
            & self.events.delivers_exception.val()
            & (self.execute.fault_vector.val() == 14)
            & !self.events.kill.val();
        self.system.write_cr2.next = self.page_faults.val();
        self.system.cr2_data.next = self.execute.fault_linear.val();
        self.system.clear_task_switched.next = self.execute.retires_control.val()
            & (self.op.val().control == Control::ClearTaskSwitched);
        self.system.pushes_flags.next = self.op.val().check == Check::PushFlags;
        self.system.debug_exception.next = self.events.debug_exception.val();
        self.system.debug_status.next = self.events.debug_status.val();
        self.system.switches_task.next = self.state.switches_task.val();
        self.system.invalidate_caches.next = self.execute.retires_control.val()
            & (self.op.val().control == Control::InvalidateCaches);
        self.caches_fill.next = self.system.caches_fill.val();
        self.caches_flush.next = self.system.caches_flush.val();
        self.system.select_msr.next =
            self.execute.retires_control.val() & (self.op.val().control == Control::SelectMsr);
        self.system.msr_number.next = self.execute.a.val();

        // checks
        self.checked.next = self.op.val().check;
        self.check.rule.next = self.checked.val();
        self.check.a.next = self.execute.a.val();
        self.check.b.next = self.execute.register_b.val();
        self.check.descriptor.next = self.state.descriptor.val();
        self.check.code_limit.next = self.state.checked_code_limit.val();
        self.check.code_level.next = self.state.code_level.val();
        self.check.real_mode.next = self.real_mode.val();
        self.check.cpl.next = self.state.cpl.val();
        self.check.iopl.next = self.state.iopl.val();
        self.check.virtual_mode.next = self.virtual_mode.val();
        self.check.task16.next = self.state.task16.val();
        self.check.switching.next = self.state.switching.val();
        self.check.debug_number.next = bit_cast::<3, 8>(self.op.val().system);
        self.check.general_detect.next = self.system.dr7.val().get_bit(13);
        self.check.debug_extensions.next = self.system.cr4.val().get_bit(3);
        self.check.sysenter_cs.next = self.system.sysenter_cs.val();
        self.check.status_word.next = self.system.cr0.val().get_bits::<4>(0);
        self.check.time_stamp_disabled.next = self.system.cr4.val().get_bit(2);
        self.check.vector.next = self.events.vector.val();
        self.check.software.next = self.events.software.val();
        self.check.external.next = self.events.external.val();

        // breakpoints
        self.breakpoints.dr0.next = self.system.dr0.val();
        self.breakpoints.dr1.next = self.system.dr1.val();
        self.breakpoints.dr2.next = self.system.dr2.val();
        self.breakpoints.dr3.next = self.system.dr3.val();
        self.breakpoints.dr7.next = self.system.dr7.val();
        self.breakpoints.extensions.next = self.system.cr4.val().get_bit(3);
        // Routines are no instructions.
        self.breakpoints.address_first.next = self.address_op.val().first
            & (bit_cast::<1, 12>(self.address_op.val().micro_address >> 11) == 0);
        self.breakpoints.address_linear.next =
            self.state.code_base.val() + self.address_op.val().eip;
        // RF shields the first instruction behind an IRET: nothing is older.
        self.breakpoints.shielded.next = self.state.eflags.val().get_bit(16)
            & !(self.memory.valid.val() | self.execute.valid.val());
        self.breakpoints.memory_takes.next = self.hazard.memory_takes.val();
        self.breakpoints.linear.next = self.memory.access_linear.val();
        self.breakpoints.size.next = self.memory.access_size.val();
        self.breakpoints.reads.next = self.memory.reads.val();
        self.breakpoints.writes.next = self.memory.access_write.val();
        self.breakpoints.io.next = self.memory.access_io.val();
        self.breakpoints.exempt.next =
            self.memory_op.val().system_access | self.memory.access_probe.val();
        self.breakpoints.execute_takes.next = self.hazard.execute_takes.val();

        // events
        self.events.reset.next = self.reset.val();
        self.events.nmi.next = self.nmi.val();
        self.events.interrupt_request.next = self.interrupt_request.val();
        self.events.interrupt_vector.next = self.interrupt_vector.val();
        self.interrupt_acknowledge.next = self.events.interrupt_acknowledge.val();
        self.events.debug_halt.next = self.debug_halt.val();
        self.events.debug_step.next = self.debug_step.val();
        self.debug_halted.next = self.debugger.val() & self.data.store_buffer_empty.val();
        self.events.interrupt_point.next = self.execute.interrupt_point.val();
        self.events.committed.next = self.data.committed.val();
        self.events.fault.next = self.execute.fault.val();
        self.events.fault_vector.next = self.execute.fault_vector.val();
        self.events.fault_code.next = self.execute.fault_code.val();
        self.events.interrupt_one.next = self.op.val().control == Control::InterruptOne;
        self.events.software_interrupt.next = self.execute.retires_control.val()
            & ((self.op.val().control == Control::SoftwareInterrupt)
                | (self.op.val().control == Control::InterruptOne));
        self.events.software_vector.next = self.execute.late_b.val().get_bits::<8>(0);
        self.events.software_eip.next = self.op.val().next_eip;
        self.events.retires_last.next = self.execute.retires.val() & self.op.val().last;
        self.events.retires_first.next = self.execute.retires.val() & self.op.val().first;
        self.events.single_step.next = self.state.eflags.val().get_bit(8);
        self.events.shadow.next = self.op.val().shadow;
        self.events.loads_stack.next =
            self.op.val().shadow & (self.op.val().control == Control::LoadSegment);
        self.events.retires.next = self.execute.retires.val();
        self.events.data_hits.next = self.breakpoints.data_hits.val();
        self.events.code_hits.next = self.breakpoints.code_hits.val();
        self.events.task_traps.next =
            self.execute.retires_control.val() & (self.op.val().control == Control::TaskTrap);
        self.events.boundary.next = self.execute.valid.val() & self.op.val().boundary;
        self.events.retires_boundary.next = self.execute.retires.val() & self.op.val().boundary;
        self.events.counts.next = self.execute.register_write.val()
            & (self.execute.register_number.val() == 1)
            & (self.execute.a.val() != 1);
        self.events.halts.next =
            self.execute.retires_control.val() & (self.op.val().control == Control::Halt);
        self.events.stops.next =
            self.execute.leaves.val() & (self.op.val().control == Control::Halt);
        self.events.returns.next = self.execute.retires_control.val()
            & ((self.op.val().control == Control::ReturnFlags)
                | (self.op.val().control == Control::CommitReturn));
        self.events.interrupts_enabled.next = self.state.eflags.val().get_bit(9);
        self.events.real_mode.next = self.real_mode.val();
        self.events.eip.next = self.state.eip.val();
        self.halted.next = self.events.halted.val();
        self.shutdown.next = self.events.shutdown.val();

        // state
        self.state.reset.next = self.reset.val();
        self.state.retires.next = self.execute.retires.val();
        self.state.retires_control.next = self.execute.retires_control.val();
        self.state.op.next = self.op.val();
        self.state.a.next = self.execute.a.val();
        self.state.b.next = self.execute.b.val();
        self.state.register_b.next = self.execute.register_b.val();
        self.state.flags.next = self.execute.flags.val();
        self.state.zero_flag_of_sum.next = self.execute.zero_flag_of_sum.val();
        self.state.nonzero.next = self.execute.nonzero.val();
        self.state.next_eip.next = self.execute.next_eip.val();
        self.state.load_data.next = self.data.load_data.val();
        self.state.passes_code.next = self.check.passes_code.val();
        self.state.new_level.next = self.check.new_level.val();
        self.state.real_mode.next = self.real_mode.val();
        self.state.real_segments.next = self.real_segments.val();
        self.state.event_begins.next = self.events.begins.val();
        self.state.sysenter_cs.next = self.system.sysenter_cs.val();
        self.state.read_segment_access.next = self.segments.read_access.val();
        self.state.debug_write.next = self.debugger_writes.val();
        self.state.debug_register.next = self.debug_register.val();
        self.state.debug_write_data.next = self.debug_write_data.val();

        // debug port
        self.debug_read_data.next = self.system.value.val();
        if self.debug_register.val() < 16 {
            self.debug_read_data.next = self.execute.debug_general.val();
        }

        // retire port
        self.delivers.next =
            self.events.delivers_exception.val() | self.events.delivers_interrupt.val();
        self.is_port.next = (self.op.val().address == AddressMode::Port)
            | (self.op.val().address == AddressMode::PortImmediate);
        self.is_load.next = (self.op.val().memory == MemoryOp::Load)
            | (self.op.val().memory == MemoryOp::Modify)
            | (self.op.val().memory == MemoryOp::LoadForWrite);
        self.is_store.next =
            (self.op.val().memory == MemoryOp::Store) | (self.op.val().memory == MemoryOp::Modify);
        self.retire_valid.next = self.execute.retires.val() | self.delivers.val();
        self.retire_first.next = self.op.val().first;
        self.retire_last.next = self.op.val().last;
        self.retire_cycle.next = self.system.tsc.val();
        self.retire_eip.next = self.state.eip.val();
        self.retire_next_eip.next = self.execute.next_eip.val();
        self.retire_length.next = self.op.val().length;
        self.retire_bytes.next = self.execute.bytes.val();
        self.retire_cpl.next = self.state.cpl.val();
        self.retire_mode.next = bit_cast::<4, 1>((!self.real_mode.val()).into())
            | (bit_cast::<4, 1>(self.virtual_mode.val().into()) << 1)
            | (bit_cast::<4, 1>(self.paging.val().into()) << 2)
            | (bit_cast::<4, 1>(self.state.code32.val().into()) << 3);
        self.retire_micro_address.next = self.op.val().micro_address;
        self.retire_register_write.next = self.execute.register_write.val();
        self.retire_register.next = self.execute.register_number.val();
        self.retire_register_data.next = self.execute.register_value.val();
        self.retire_esp_write.next = self.execute.esp_write.val();
        self.retire_esp_data.next = self.execute.esp_after.val();
        self.retire_eflags.next = self.state.eflags_next.val();
        self.retire_system_write.next =
            self.state.system_write.val() | self.state.write_selector.val();
        self.retire_system_number.next = self.state.system_number.val();
        self.retire_system_data.next = self.state.system_data.val();
        if self.state.write_selector.val() {
            self.retire_system_number.next =
                bit_cast::<8, 4>(self.state.write_segment.val()) | 0x20;
            self.retire_system_data.next = bit_cast::<32, 16>(self.state.selector.val());
        }
        self.retire_load.next = self.is_load.val() & !self.delivers.val();
        self.retire_load_linear.next = self.execute.linear_address.val();
        self.retire_load_physical.next = self.data.load_physical.val();
        self.retire_load_size.next = self.op.val().access_size;
        self.retire_load_data.next = self.data.load_data.val();
        self.retire_store.next = self.is_store.val() & !self.delivers.val();
        self.retire_store_linear.next = self.execute.linear_address.val();
        self.retire_store_physical.next = self.data.store_physical.val();
        self.retire_store_size.next = self.op.val().access_size;
        self.retire_store_data.next = self.quad_store.val();
        self.retire_access_io.next = self.is_port.val();
        if self.execute.fault.val() {
            self.retire_bytes.next = self.execute.fault_bytes.val();
            self.retire_length.next = self.execute.fault_length.val();
        }
        self.retire_exception.next = self.events.delivers_exception.val();
        self.retire_interrupt.next = self.events.delivers_interrupt.val();
        self.retire_vector.next = self.events.delivered_vector.val();
        self.retire_has_error_code.next = self.events.delivered_has_code.val();
        self.retire_error_code.next = self.events.delivered_code.val();
        self.retire_cr2.next = self.execute.fault_linear.val();

        // pipeline port
        self.pipeline_fetch_bytes.next = self.fetch.window_bytes.val();
        self.pipeline_decode_valid.next = self.buffer.next_found.val();
        self.pipeline_issue_valid.next = self.issue.issue_valid.val();
        self.pipeline_address_valid.next = self.address.valid.val();
        self.pipeline_memory_valid.next = self.memory.valid.val();
        self.pipeline_execute_valid.next = self.execute.valid.val();
        self.pipeline_decode_eip.next = self.found.val().eip;
        self.pipeline_issue_eip.next = self.issue_op.val().eip;
        self.pipeline_address_eip.next = self.address_op.val().eip;
        self.pipeline_memory_eip.next = self.memory_op.val().eip;
        self.pipeline_execute_eip.next = self.op.val().eip;
        self.pipeline_micro_address.next = self.issue_op.val().micro_address;
        self.pipeline_stall.next = self.hazard.stalls.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_emitted_without_findings() {
        let mut cpu = Cpu::new();
        connect_inputs(&mut cpu);
        cpu.connect_all();
        match crate::emit::emit("cpu", &cpu) {
            Ok(verilog) => {
                if let Ok(path) = std::env::var("SYSGATE_EMIT_TO") {
                    std::fs::write(path, verilog.text).unwrap();
                }
            }
            Err(findings) => {
                let findings: Vec<_> = findings.iter().map(|f| f.to_string()).collect();
                panic!("{}", findings.join("\n"));
            }
        }
    }

    fn connect_inputs(cpu: &mut Cpu) {
        cpu.clock.connect();
        cpu.reset.connect();
        cpu.instruction_data.connect();
        cpu.instruction_wait.connect();
        cpu.data_read_data.connect();
        cpu.data_io_read_data.connect();
        cpu.data_wait.connect();
        cpu.interrupt_request.connect();
        cpu.interrupt_vector.connect();
        cpu.nmi.connect();
        cpu.debug_halt.connect();
        cpu.debug_step.connect();
        cpu.debug_register.connect();
        cpu.debug_write.connect();
        cpu.debug_write_data.connect();
        cpu.debug_invalidate.connect();
    }
}
