//! Faults, traps, interrupts, reset and the debugger: what stops the flow of instructions, and in which order.
use crate::prelude::*;

/// Decides at each interrupt point (before a first micro-op, or a boundary of a REP) whether an event comes first.
#[derive(LogicBlock, Default)]
pub struct Events {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // pins
    pub nmi: Signal<In, Bit>,
    pub interrupt_request: Signal<In, Bit>,
    pub interrupt_vector: Signal<In, Bits<8>>,
    pub interrupt_acknowledge: Signal<Out, Bit>,
    pub debug_halt: Signal<In, Bit>,
    pub debug_step: Signal<In, Bit>,
    pub debug_halted: Signal<Out, Bit>,
    /// The debugger halts here unless an I/O access is under way: none begins now.
    pub debug_halts: Signal<Out, Bit>,
    // from execute
    /// Nothing of the next micro-op's instruction has happened yet.
    pub interrupt_point: Signal<In, Bit>,
    /// An I/O access of the next instruction has begun.
    pub committed: Signal<In, Bit>,
    /// The oldest micro-op raises this fault.
    pub fault: Signal<In, Bit>,
    pub fault_vector: Signal<In, Bits<5>>,
    pub fault_code: Signal<In, Bits<16>>,
    /// A software interrupt begins.
    pub software_interrupt: Signal<In, Bit>,
    /// ... by INT1, which counts as an event from outside.
    pub interrupt_one: Signal<In, Bit>,
    pub software_vector: Signal<In, Bits<8>>,
    pub software_eip: Signal<In, Bits<32>>,
    /// A first micro-op retires.
    pub retires_first: Signal<In, Bit>,
    /// EFLAGS.TF: what it is when an instruction begins counts for the whole of it.
    pub single_step: Signal<In, Bit>,
    /// A last micro-op retires.
    pub retires_last: Signal<In, Bit>,
    /// ... and shields the next instruction from interrupts.
    pub shadow: Signal<In, Bit>,
    /// ... and from the single-step trap, too: it loads SS.
    pub loads_stack: Signal<In, Bit>,
    /// The micro-op in execute stands between two repetitions.
    pub boundary: Signal<In, Bit>,
    /// A micro-op retires, whose access meets these data breakpoints.
    pub retires: Signal<In, Bit>,
    pub data_hits: Signal<In, Bits<4>>,
    /// The fault is of an instruction that lies at these breakpoints.
    pub code_hits: Signal<In, Bits<4>>,
    /// A task switch goes to a task with the T bit.
    pub task_traps: Signal<In, Bit>,
    /// The boundary retires.
    pub retires_boundary: Signal<In, Bit>,
    /// One repetition is counted in ECX, and it is not the last: behind a boundary, more follow.
    pub counts: Signal<In, Bit>,
    /// HLT leaves execute; what follows it is dropped at once.
    pub stops: Signal<In, Bit>,
    /// HLT retires.
    pub halts: Signal<In, Bit>,
    /// IRET retires: NMIs are possible again.
    pub returns: Signal<In, Bit>,
    pub interrupts_enabled: Signal<In, Bit>,
    pub real_mode: Signal<In, Bit>,
    pub eip: Signal<In, Bits<32>>,
    // decisions
    /// The micro-op in execute does not happen: an event other than its own fault comes first.
    pub kill: Signal<Out, Bit>,
    /// The routine at `entry` begins in the next clock; everything in the pipeline is dropped.
    pub begins: Signal<Out, Bit>,
    pub entry: Signal<Out, Bits<11>>,
    /// Everything is dropped and nothing is fetched until an event or `resume`.
    pub stop: Signal<Out, Bit>,
    /// Fetch begins anew at EIP.
    pub resume: Signal<Out, Bit>,
    pub halted: Signal<Out, Bit>,
    pub shutdown: Signal<Out, Bit>,
    /// A debug exception other than INT1 is delivered, with these bits of DR6.
    pub debug_exception: Signal<Out, Bit>,
    pub debug_status: Signal<Out, Bits<16>>,
    /// For the trace: an exception or trap / an external interrupt or NMI.
    pub delivers_exception: Signal<Out, Bit>,
    pub delivers_interrupt: Signal<Out, Bit>,
    pub delivered_vector: Signal<Out, Bits<8>>,
    pub delivered_code: Signal<Out, Bits<16>>,
    pub delivered_has_code: Signal<Out, Bit>,
    // the event being delivered
    pub vector: Signal<Out, Bits<8>>,
    pub error_code: Signal<Out, Bits<16>>,
    pub has_error_code: Signal<Out, Bit>,
    pub saved_eip: Signal<Out, Bits<32>>,
    /// EFLAGS is saved with RF set.
    pub saves_resume_flag: Signal<Out, Bit>,
    pub software: Signal<Out, Bit>,
    /// Its routine runs.
    pub delivering_event: Signal<Out, Bit>,
    pub external: Signal<Out, Bit>,
    // state
    vector_reg: DFF<Bits<8>>,
    error_reg: DFF<Bits<16>>,
    has_error_reg: DFF<Bit>,
    saved_eip_reg: DFF<Bits<32>>,
    software_reg: DFF<Bit>,
    external_reg: DFF<Bit>,
    /// What the event being delivered is to a fault meanwhile; none of them if it is an interrupt.
    first_contributes: DFF<Bit>,
    first_is_page_fault: DFF<Bit>,
    first_is_double_fault: DFF<Bit>,
    /// An event's routine runs.
    delivering: DFF<Bit>,
    reset_pending: DFF<Bit>,
    /// TF was set when the instruction began.
    stepping: DFF<Bit>,
    /// A string instruction has begun its repetitions / has ended one that is not the last.
    repeating: DFF<Bit>,
    repeated: DFF<Bit>,
    trap_pending: DFF<Bit>,
    /// ... for the single step; for data breakpoints; for a task's T bit.
    step_reg: DFF<Bit>,
    hits_reg: DFF<Bits<4>>,
    task_trap_reg: DFF<Bit>,
    resume_flag_reg: DFF<Bit>,
    shadow_reg: DFF<Bit>,
    nmi_level: DFF<Bit>,
    nmi_pending: DFF<Bit>,
    nmi_blocked: DFF<Bit>,
    halted_reg: DFF<Bit>,
    shutdown_reg: DFF<Bit>,
    debug_reg: DFF<Bit>,
    /// An instruction has run since the debugger let go.
    stepped: DFF<Bit>,
    // wires
    point: Signal<Local, Bit>,
    takes_debug: Signal<Local, Bit>,
    takes_trap: Signal<Local, Bit>,
    steps: Signal<Local, Bit>,
    takes_nmi: Signal<Local, Bit>,
    takes_interrupt: Signal<Local, Bit>,
    takes_fault: Signal<Local, Bit>,
    contributory: Signal<Local, Bits<32>>,
    page_faults: Signal<Local, Bits<32>>,
    double_faults: Signal<Local, Bits<32>>,
    with_error_code: Signal<Local, Bits<32>>,
    second_contributes: Signal<Local, Bit>,
    second_is_page_fault: Signal<Local, Bit>,
    double_fault: Signal<Local, Bit>,
    gives_up: Signal<Local, Bit>,
    fault_has_code: Signal<Local, Bit>,
    final_vector: Signal<Local, Bits<8>>,
    final_code: Signal<Local, Bits<16>>,
    final_has_code: Signal<Local, Bit>,
    lets_go: Signal<Local, Bit>,
    hits: Signal<Local, Bits<4>>,
    debug_fault: Signal<Local, Bit>,
}

impl Logic for Events {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            vector_reg,
            error_reg,
            has_error_reg,
            saved_eip_reg,
            software_reg,
            external_reg,
            first_contributes,
            first_is_page_fault,
            first_is_double_fault,
            delivering,
            reset_pending,
            stepping,
            repeating,
            repeated,
            trap_pending,
            step_reg,
            hits_reg,
            task_trap_reg,
            resume_flag_reg,
            shadow_reg,
            nmi_level,
            nmi_pending,
            nmi_blocked,
            halted_reg,
            shutdown_reg,
            debug_reg,
            stepped
        );
        // Priorities: debugger, single-step trap, NMI, interrupt, then the instruction's own fault.
        self.point.next = self.interrupt_point.val()
            & !(self.delivering.q.val() | self.reset_pending.q.val() | self.debug_reg.q.val());
        self.debug_halts.next = self.debug_halt.val() & self.stepped.q.val() & self.point.val();
        self.takes_debug.next = self.debug_halt.val()
            & (self.stepped.q.val() | self.shutdown_reg.q.val())
            & (self.shutdown_reg.q.val() | (self.point.val() & !self.committed.val()))
            & (!self.debug_reg.q.val());
        // Repeated string instructions trap after each repetition.
        self.takes_trap.next = self.point.val()
            & (self.trap_pending.q.val()
                | (self.boundary.val()
                    & (self.stepping.q.val() | self.hits_reg.q.val().any())
                    & self.repeated.q.val()))
            & (!self.committed.val())
            & !self.takes_debug.val();
        self.takes_nmi.next = self.point.val()
            & self.nmi_pending.q.val()
            & !(self.nmi_blocked.q.val()
                | self.shadow_reg.q.val()
                | self.committed.val()
                | self.takes_debug.val()
                | self.takes_trap.val()
                | self.shutdown_reg.q.val());
        self.takes_interrupt.next = self.point.val()
            & self.interrupt_request.val()
            & self.interrupts_enabled.val()
            & !(self.shadow_reg.q.val()
                | self.committed.val()
                | self.takes_debug.val()
                | self.takes_trap.val()
                | self.takes_nmi.val()
                | self.shutdown_reg.q.val());
        self.kill.next = self.takes_debug.val()
            | self.takes_trap.val()
            | self.takes_nmi.val()
            | self.takes_interrupt.val();
        self.takes_fault.next = self.fault.val() & !self.kill.val();

        // A fault during delivery (SDM Vol. 3A, "Interrupt 8 - Double Fault Exception").
        self.contributory.next = CONTRIBUTORY.into();
        self.page_faults.next = PAGE_FAULTS.into();
        self.double_faults.next = DOUBLE_FAULTS.into();
        self.with_error_code.next = WITH_ERROR_CODE.into();
        self.second_contributes.next = self
            .contributory
            .val()
            .get_bit(self.fault_vector.val().index());
        self.second_is_page_fault.next = self
            .page_faults
            .val()
            .get_bit(self.fault_vector.val().index());
        self.double_fault.next = self.delivering.q.val()
            & ((self.first_contributes.q.val() & self.second_contributes.val())
                | (self.first_is_page_fault.q.val()
                    & (self.second_contributes.val() | self.second_is_page_fault.val())));
        self.gives_up.next = self.delivering.q.val()
            & self.first_is_double_fault.q.val()
            & (self.second_contributes.val() | self.second_is_page_fault.val());
        self.fault_has_code.next = self
            .with_error_code
            .val()
            .get_bit(self.fault_vector.val().index());
        self.final_vector.next = bit_cast::<8, 5>(self.fault_vector.val());
        self.final_code.next = self.fault_code.val();
        self.final_has_code.next = self.fault_has_code.val();
        if self.double_fault.val() {
            self.final_vector.next = 8.into();
            self.final_code.next = 0.into();
            self.final_has_code.next = true;
        }
        if self.takes_trap.val() {
            self.final_vector.next = 1.into();
            self.final_has_code.next = false;
        }
        if self.takes_nmi.val() {
            self.final_vector.next = 2.into();
            self.final_has_code.next = false;
        }
        if self.takes_interrupt.val() {
            self.final_vector.next = self.interrupt_vector.val();
            self.final_has_code.next = false;
        }
        self.interrupt_acknowledge.next = self.takes_interrupt.val();

        // Begin.
        self.begins.next = (self.takes_trap.val()
            | self.takes_nmi.val()
            | self.takes_interrupt.val()
            | (self.takes_fault.val() & !self.gives_up.val())
            | self.reset_pending.q.val())
            & !self.reset.val();
        self.entry.next = DELIVER_ENTRY.into();
        if self.reset_pending.q.val() {
            self.entry.next = RESET_ENTRY.into();
        }
        self.delivers_exception.next = self.takes_trap.val() | self.takes_fault.val();
        self.delivers_interrupt.next = self.takes_nmi.val() | self.takes_interrupt.val();
        self.delivered_vector.next = self.final_vector.val();
        self.delivered_code.next = self.final_code.val();
        self.delivered_has_code.next = self.final_has_code.val() & !self.real_mode.val();
        // Data breakpoints: what the processor accesses to deliver an event does not count.
        self.hits.next = self.hits_reg.q.val();
        if self.retires.val() & !self.delivering.q.val() {
            self.hits.next = self.hits_reg.q.val() | self.data_hits.val();
        }
        self.hits_reg.d.next = self.hits.val();
        if self.task_traps.val() {
            self.task_trap_reg.d.next = true;
        }
        self.debug_fault.next =
            self.takes_fault.val() & (self.fault_vector.val() == 1) & !self.double_fault.val();
        self.debug_exception.next = self.takes_trap.val() | self.debug_fault.val();
        self.debug_status.next = bit_cast::<16, 4>(self.hits_reg.q.val());
        if self.takes_trap.val() {
            if self.step_reg.q.val() | (self.boundary.val() & self.stepping.q.val()) {
                self.debug_status.next = bit_cast::<16, 4>(self.hits_reg.q.val()) | 0x4000;
            }
            if self.task_trap_reg.q.val() {
                self.debug_status.next = bit_cast::<16, 4>(self.hits_reg.q.val()) | 0x8000;
            }
        } else {
            self.debug_status.next = bit_cast::<16, 4>(self.code_hits.val());
            if self.code_hits.val() == 0 {
                // Access to a debug register.
                self.debug_status.next = 0x2000.into();
            }
        }
        self.steps.next = self.stepping.q.val();
        if self.retires_first.val() & !self.delivering.q.val() {
            self.steps.next = self.single_step.val();
            self.repeating.d.next = false;
            self.repeated.d.next = false;
        }
        self.stepping.d.next = self.steps.val();
        if self.retires_boundary.val() {
            self.repeating.d.next = true;
            self.repeated.d.next = false;
        }
        if self.counts.val() & self.repeating.q.val() {
            self.repeated.d.next = true;
        }
        if self.retires_last.val() {
            self.delivering.d.next = false;
            self.stepped.d.next = true;
            self.trap_pending.d.next =
                (self.steps.val() | self.hits.val().any() | self.task_trap_reg.q.val())
                    & !self.loads_stack.val();
            self.step_reg.d.next = self.steps.val();
            // STI shields only if it is what sets IF.
            self.shadow_reg.d.next =
                self.shadow.val() & (self.loads_stack.val() | !self.interrupts_enabled.val());
            self.stepping.d.next = false;
        }
        if self.software_interrupt.val() {
            self.vector_reg.d.next = self.software_vector.val();
            self.saved_eip_reg.d.next = self.software_eip.val();
            self.has_error_reg.d.next = false;
            self.resume_flag_reg.d.next = false;
            self.stepping.d.next = false;
            self.software_reg.d.next = !self.interrupt_one.val();
            self.first_contributes.d.next = false;
            self.first_is_page_fault.d.next = false;
            self.first_is_double_fault.d.next = false;
            self.external_reg.d.next = self.interrupt_one.val();
            self.delivering.d.next = true;
        }
        if self.takes_trap.val()
            | self.takes_nmi.val()
            | self.takes_interrupt.val()
            | self.takes_fault.val()
        {
            self.vector_reg.d.next = self.final_vector.val();
            self.error_reg.d.next = self.final_code.val();
            self.first_contributes.d.next =
                self.takes_fault.val() & self.second_contributes.val() & !self.double_fault.val();
            self.first_is_page_fault.d.next =
                self.takes_fault.val() & self.second_is_page_fault.val() & !self.double_fault.val();
            self.first_is_double_fault.d.next = self.takes_fault.val()
                & (self.double_fault.val()
                    | self
                        .double_faults
                        .val()
                        .get_bit(self.fault_vector.val().index()));
            self.has_error_reg.d.next = self.final_has_code.val() & !self.real_mode.val();
            self.saved_eip_reg.d.next = self.eip.val();
            self.software_reg.d.next = false;
            self.external_reg.d.next = true;
            self.delivering.d.next = true;
            self.trap_pending.d.next = false;
            self.hits_reg.d.next = 0.into();
            self.task_trap_reg.d.next = false;
            self.step_reg.d.next = false;
            self.stepping.d.next = false;
            self.halted_reg.d.next = false;
            // SDM Vol. 3B, "Instruction-Breakpoint Exception Condition": faults save RF set, but for that of an
            // instruction breakpoint, and so does whatever comes between two repetitions.
            self.resume_flag_reg.d.next = (self.takes_fault.val()
                & !(self.debug_fault.val() & self.code_hits.val().any()))
                | self.boundary.val();
        }
        if self.takes_nmi.val() {
            self.nmi_pending.d.next = false;
            self.nmi_blocked.d.next = true;
        }
        if self.returns.val() {
            self.nmi_blocked.d.next = false;
        }
        self.nmi_level.d.next = self.nmi.val();
        if self.nmi.val() & !self.nmi_level.q.val() {
            self.nmi_pending.d.next = true;
        }

        // Stop and go.
        if self.halts.val() {
            self.halted_reg.d.next = true;
        }
        if self.takes_fault.val() & self.gives_up.val() {
            self.shutdown_reg.d.next = true;
        }
        if self.takes_debug.val() {
            self.debug_reg.d.next = true;
            self.shutdown_reg.d.next = false;
            self.delivering.d.next = false;
        }
        self.lets_go.next =
            self.debug_reg.q.val() & (self.debug_step.val() | !self.debug_halt.val());
        if self.lets_go.val() {
            self.debug_reg.d.next = false;
            // A step completes an instruction before it halts again; whoever let go may halt at once.
            self.stepped.d.next = !self.debug_halt.val();
        }
        self.stop.next = self.stops.val()
            | self.takes_debug.val()
            | (self.takes_fault.val() & self.gives_up.val());
        self.resume.next = self.lets_go.val() & !self.halted_reg.q.val();
        self.halted.next = self.halted_reg.q.val();
        self.shutdown.next = self.shutdown_reg.q.val();
        self.debug_halted.next = self.debug_reg.q.val();

        self.vector.next = self.vector_reg.q.val();
        self.error_code.next = self.error_reg.q.val();
        self.has_error_code.next = self.has_error_reg.q.val();
        self.saved_eip.next = self.saved_eip_reg.q.val();
        self.saves_resume_flag.next = self.resume_flag_reg.q.val() & self.delivering.q.val();
        self.software.next = self.software_reg.q.val();
        self.delivering_event.next = self.delivering.q.val();
        self.external.next = self.external_reg.q.val() & self.delivering.q.val();

        if self.reset_pending.q.val() {
            self.reset_pending.d.next = false;
            self.delivering.d.next = true;
            self.software_reg.d.next = false;
        }
        if self.reset.val() {
            self.reset_pending.d.next = true;
            self.delivering.d.next = false;
            self.first_contributes.d.next = false;
            self.first_is_page_fault.d.next = false;
            self.first_is_double_fault.d.next = false;
            self.stepping.d.next = false;
            self.trap_pending.d.next = false;
            self.step_reg.d.next = false;
            self.hits_reg.d.next = 0.into();
            self.task_trap_reg.d.next = false;
            self.shadow_reg.d.next = false;
            self.nmi_pending.d.next = false;
            self.nmi_blocked.d.next = false;
            self.halted_reg.d.next = false;
            self.shutdown_reg.d.next = false;
            self.debug_reg.d.next = false;
            self.stepped.d.next = false;
        }
    }
}
