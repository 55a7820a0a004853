//! Control, debug and model-specific registers, and the one multiplexer through which all system state is read.
use crate::prelude::*;

/// Numbers are those of `spec::registers`; from C0h on they name values inside the core that microcode reads.
#[derive(LogicBlock, Default)]
pub struct SystemRegisters {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // read
    pub number: Signal<In, Bits<8>>,
    pub value: Signal<Out, Bits<32>>,
    // what else can be read
    pub segment_selector: Signal<In, Bits<16>>,
    pub segment_base: Signal<In, Bits<32>>,
    pub segment_limit: Signal<In, Bits<32>>,
    pub segment_access: Signal<In, Bits<16>>,
    pub eip: Signal<In, Bits<32>>,
    pub eflags: Signal<In, Bits<32>>,
    pub cpl: Signal<In, Bits<2>>,
    /// EFLAGS is read for an event that saves it with RF set.
    pub event_resume_flag: Signal<In, Bit>,
    pub event_error: Signal<In, Bits<16>>,
    pub event_eip: Signal<In, Bits<32>>,
    pub descriptor: Signal<In, Bits<64>>,
    pub code_level: Signal<In, Bits<2>>,
    // write
    pub write: Signal<In, Bit>,
    pub write_number: Signal<In, Bits<8>>,
    pub data: Signal<In, Bits<32>>,
    pub write_cr2: Signal<In, Bit>,
    pub cr2_data: Signal<In, Bits<32>>,
    pub clear_task_switched: Signal<In, Bit>,
    /// EFLAGS is read by PUSHF, which does not show RF and VM.
    pub pushes_flags: Signal<In, Bit>,
    /// A debug exception is being delivered, with these bits of DR6.
    pub debug_exception: Signal<In, Bit>,
    pub debug_status: Signal<In, Bits<16>>,
    /// A task switch commits: local breakpoints end.
    pub switches_task: Signal<In, Bit>,
    pub invalidate_caches: Signal<In, Bit>,
    /// RDMSR, WRMSR: the MSR number; the register it names is read and written as `SELECTED_MSR`.
    pub select_msr: Signal<In, Bit>,
    pub msr_number: Signal<In, Bits<32>>,
    /// `msr_number` is none that exists.
    pub msr_unknown: Signal<Out, Bit>,
    // used all over
    pub cr0: Signal<Out, Bits<32>>,
    pub cr3: Signal<Out, Bits<32>>,
    pub cr4: Signal<Out, Bits<32>>,
    pub dr0: Signal<Out, Bits<32>>,
    pub dr1: Signal<Out, Bits<32>>,
    pub dr2: Signal<Out, Bits<32>>,
    pub dr3: Signal<Out, Bits<32>>,
    pub dr7: Signal<Out, Bits<32>>,
    pub sysenter_cs: Signal<Out, Bits<16>>,
    pub sysenter_eip: Signal<Out, Bits<32>>,
    pub tsc: Signal<Out, Bits<64>>,
    /// CR0 or CR4 was written in the clock before: translations are dropped.
    pub flush_translations: Signal<Out, Bit>,
    /// CR3 was: those of global pages stay.
    pub flush_local_translations: Signal<Out, Bit>,
    /// CR0.CD is clear: reads that miss may fill the caches.
    pub caches_fill: Signal<Out, Bit>,
    /// The caches forget what they hold, a clock after `invalidate_caches`.
    pub caches_flush: Signal<Out, Bit>,
    // state
    cr0_reg: DFF<Bits<32>>,
    cr2_reg: DFF<Bits<32>>,
    cr3_reg: DFF<Bits<32>>,
    cr4_reg: DFF<Bits<32>>,
    dr0_reg: DFF<Bits<32>>,
    dr1_reg: DFF<Bits<32>>,
    dr2_reg: DFF<Bits<32>>,
    dr3_reg: DFF<Bits<32>>,
    dr6_reg: DFF<Bits<32>>,
    dr7_reg: DFF<Bits<32>>,
    sysenter_cs_reg: DFF<Bits<32>>,
    sysenter_esp_reg: DFF<Bits<32>>,
    sysenter_eip_reg: DFF<Bits<32>>,
    tsc_reg: DFF<Bits<64>>,
    /// Upper half of the counter at the last read of the lower.
    tsc_high_reg: DFF<Bits<32>>,
    msr_select_reg: DFF<Bits<8>>,
    caches_flush_reg: DFF<Bit>,
    /// CR3 is written a clock late, for it lies far away; nothing is translated meanwhile.
    new_cr3_reg: DFF<Bits<32>>,
    writes_cr3_reg: DFF<Bit>,
    flush_reg: DFF<Bit>,
    msr_value_reg: DFF<Bits<32>>,
    selected_tsc_reg: DFF<Bit>,
    // wires
    tsc_next: Signal<Local, Bits<64>>,
    actual_write: Signal<Local, Bits<8>>,
    selected: Signal<Local, Bits<8>>,
    shown_flags: Signal<Local, Bits<32>>,
}

impl Logic for SystemRegisters {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            cr0_reg,
            cr2_reg,
            cr3_reg,
            cr4_reg,
            dr0_reg,
            dr1_reg,
            dr2_reg,
            dr3_reg,
            dr6_reg,
            dr7_reg,
            sysenter_cs_reg,
            sysenter_esp_reg,
            sysenter_eip_reg,
            tsc_reg,
            tsc_high_reg,
            msr_select_reg,
            msr_value_reg,
            caches_flush_reg,
            new_cr3_reg,
            writes_cr3_reg,
            flush_reg,
            selected_tsc_reg
        );
        self.cr0.next = self.cr0_reg.q.val();
        self.cr3.next = self.cr3_reg.q.val();
        self.cr4.next = self.cr4_reg.q.val();
        self.dr0.next = self.dr0_reg.q.val();
        self.dr1.next = self.dr1_reg.q.val();
        self.dr2.next = self.dr2_reg.q.val();
        self.dr3.next = self.dr3_reg.q.val();
        self.dr7.next = self.dr7_reg.q.val();
        self.sysenter_cs.next = self.sysenter_cs_reg.q.val().get_bits::<16>(0);
        self.sysenter_eip.next = self.sysenter_eip_reg.q.val();
        self.tsc.next = self.tsc_reg.q.val();
        self.caches_fill.next = !self.cr0_reg.q.val().get_bit(30);
        self.caches_flush_reg.d.next = self.invalidate_caches.val();
        self.caches_flush.next = self.caches_flush_reg.q.val();

        // MSR numbers.
        self.selected.next = 0.into();
        if self.msr_number.val() == MSR_TSC {
            self.selected.next = TSC_LOW.into();
        }
        if self.msr_number.val() == MSR_SYSENTER_CS {
            self.selected.next = SYSENTER_CS.into();
        }
        if self.msr_number.val() == MSR_SYSENTER_ESP {
            self.selected.next = SYSENTER_ESP.into();
        }
        if self.msr_number.val() == MSR_SYSENTER_EIP {
            self.selected.next = SYSENTER_EIP.into();
        }
        self.msr_unknown.next = self.selected.val() == 0;
        if self.select_msr.val() {
            self.msr_select_reg.d.next = self.selected.val();
        }

        // The value of the MSR that was selected, of this clock if that was before the clock before.
        self.tsc_next.next = self.tsc_reg.q.val() + 1;
        self.selected_tsc_reg.d.next = self.msr_select_reg.q.val() == TSC_LOW;
        match self.msr_select_reg.q.val().into() {
            SYSENTER_CS => {
                self.msr_value_reg.d.next = self.sysenter_cs_reg.q.val();
            }
            SYSENTER_ESP => {
                self.msr_value_reg.d.next = self.sysenter_esp_reg.q.val();
            }
            SYSENTER_EIP => {
                self.msr_value_reg.d.next = self.sysenter_eip_reg.q.val();
            }
            _ => {
                self.msr_value_reg.d.next = self.tsc_next.val().get_bits::<32>(0);
            }
        }

        // Read.
        self.shown_flags.next = self.eflags.val();
        if self.pushes_flags.val() {
            self.shown_flags.next = self.eflags.val() & 0x00FC_FFFF;
        }
        self.value.next = 0.into();
        match self.number.val().get_bits::<4>(4).index() {
            2 => {
                self.value.next = bit_cast::<32, 16>(self.segment_selector.val());
            }
            3 => {
                self.value.next = self.segment_base.val();
            }
            4 => {
                self.value.next = self.segment_limit.val();
            }
            5 => {
                self.value.next = bit_cast::<32, 16>(self.segment_access.val());
            }
            _ => {}
        }
        match self.number.val().into() {
            EIP => {
                self.value.next = self.eip.val();
            }
            EFLAGS => {
                self.value.next = self.shown_flags.val()
                    | (bit_cast::<32, 1>(self.event_resume_flag.val().into()) << 16);
            }
            CPL => {
                self.value.next = bit_cast::<32, 2>(self.cpl.val());
            }
            CR0 => {
                self.value.next = self.cr0_reg.q.val();
            }
            CR2 => {
                self.value.next = self.cr2_reg.q.val();
            }
            CR3 => {
                self.value.next = self.cr3_reg.q.val();
            }
            CR4 => {
                self.value.next = self.cr4_reg.q.val();
            }
            DR0 => {
                self.value.next = self.dr0_reg.q.val();
            }
            DR1 => {
                self.value.next = self.dr1_reg.q.val();
            }
            DR2 => {
                self.value.next = self.dr2_reg.q.val();
            }
            DR3 => {
                self.value.next = self.dr3_reg.q.val();
            }
            DR4 => {
                self.value.next = self.dr6_reg.q.val();
            }
            DR5 => {
                self.value.next = self.dr7_reg.q.val();
            }
            DR6 => {
                self.value.next = self.dr6_reg.q.val();
            }
            DR7 => {
                self.value.next = self.dr7_reg.q.val();
            }
            SYSENTER_CS => {
                self.value.next = self.sysenter_cs_reg.q.val();
            }
            SYSENTER_ESP => {
                self.value.next = self.sysenter_esp_reg.q.val();
            }
            SYSENTER_EIP => {
                self.value.next = self.sysenter_eip_reg.q.val();
            }
            TSC_LOW => {
                self.value.next = self.tsc_reg.q.val().get_bits::<32>(0);
                self.tsc_high_reg.d.next = self.tsc_reg.q.val().get_bits::<32>(32);
            }
            TSC_HIGH => {
                self.value.next = self.tsc_high_reg.q.val();
            }
            SELECTED_MSR => {
                self.value.next = self.msr_value_reg.q.val();
                self.tsc_high_reg.d.next = self.tsc_reg.q.val().get_bits::<32>(32);
            }
            SELECTED_MSR_HIGH => {
                // Only the time stamp counter is wider than 32 bits.
                if self.selected_tsc_reg.q.val() {
                    self.value.next = self.tsc_high_reg.q.val();
                }
            }
            EVENT_ERROR => {
                self.value.next = bit_cast::<32, 16>(self.event_error.val());
            }
            EVENT_EIP => {
                self.value.next = self.event_eip.val();
            }
            GATE_OFFSET => {
                self.value.next = bit_cast::<32, 16>(self.descriptor.val().get_bits::<16>(0))
                    | (bit_cast::<32, 16>(self.descriptor.val().get_bits::<16>(48)) << 16);
            }
            LATCH => {
                self.value.next = self.descriptor.val().get_bits::<32>(0);
            }
            GATE_SELECTOR => {
                self.value.next = bit_cast::<32, 16>(self.descriptor.val().get_bits::<16>(16));
            }
            GATE_PARAMETERS => {
                self.value.next = bit_cast::<32, 5>(self.descriptor.val().get_bits::<5>(32));
            }
            ACCESSED_BYTE => {
                self.value.next = bit_cast::<32, 8>(self.descriptor.val().get_bits::<8>(40)) | 1;
            }
            BUSY_BYTE => {
                self.value.next = bit_cast::<32, 8>(self.descriptor.val().get_bits::<8>(40)) | 2;
            }
            STACK_SLOT => {
                self.value.next =
                    (bit_cast::<32, 2>(self.descriptor.val().get_bits::<2>(45)) << 3) | 4;
            }
            CODE_LEVEL => {
                self.value.next = bit_cast::<32, 2>(self.code_level.val());
            }
            SYSENTER_STACK_SELECTOR => {
                self.value.next = (self.sysenter_cs_reg.q.val() & 0xFFFC) + 8;
            }
            CPUID_VENDOR_EBX => {
                self.value.next = VENDOR_EBX.into();
            }
            CPUID_VENDOR_EDX => {
                self.value.next = VENDOR_EDX.into();
            }
            CPUID_VENDOR_ECX => {
                self.value.next = VENDOR_ECX.into();
            }
            CPUID_SIGNATURE => {
                self.value.next = SIGNATURE.into();
            }
            CPUID_FEATURES => {
                self.value.next = FEATURES.into();
            }
            _ => {}
        }

        // Write.
        self.actual_write.next = self.write_number.val();
        if self.write_number.val() == SELECTED_MSR {
            self.actual_write.next = self.msr_select_reg.q.val();
        }
        if self.write_number.val() == SELECTED_MSR_HIGH {
            self.actual_write.next = ZERO.into();
            if self.msr_select_reg.q.val() == TSC_LOW {
                self.actual_write.next = TSC_HIGH.into();
            }
        }
        self.tsc_reg.d.next = self.tsc_next.val();
        self.flush_translations.next = self.flush_reg.q.val();
        self.flush_local_translations.next = self.writes_cr3_reg.q.val();
        self.flush_reg.d.next = false;
        self.writes_cr3_reg.d.next = false;
        self.new_cr3_reg.d.next = self.data.val() & 0xFFFF_F018_u64;
        if self.writes_cr3_reg.q.val() {
            self.cr3_reg.d.next = self.new_cr3_reg.q.val();
        }
        if self.write.val() {
            match self.actual_write.val().into() {
                CR0 => {
                    self.cr0_reg.d.next = (self.data.val() & 0xE005_002F_u64) | 0x10;
                    self.flush_reg.d.next = true;
                }
                CR2 => {
                    self.cr2_reg.d.next = self.data.val();
                }
                CR3 => {
                    self.writes_cr3_reg.d.next = true;
                }
                CR4 => {
                    self.cr4_reg.d.next = self.data.val();
                    self.flush_reg.d.next = true;
                }
                DR0 => {
                    self.dr0_reg.d.next = self.data.val();
                }
                DR1 => {
                    self.dr1_reg.d.next = self.data.val();
                }
                DR2 => {
                    self.dr2_reg.d.next = self.data.val();
                }
                DR3 => {
                    self.dr3_reg.d.next = self.data.val();
                }
                DR4 => {
                    self.dr6_reg.d.next = (self.data.val() & 0xE00F) | 0xFFFF_0FF0_u64;
                }
                DR5 => {
                    self.dr7_reg.d.next = (self.data.val() & 0xFFFF_2BFF_u64) | 0x400;
                }
                DR6 => {
                    self.dr6_reg.d.next = (self.data.val() & 0xE00F) | 0xFFFF_0FF0_u64;
                }
                DR7 => {
                    self.dr7_reg.d.next = (self.data.val() & 0xFFFF_2BFF_u64) | 0x400;
                }
                SYSENTER_CS => {
                    self.sysenter_cs_reg.d.next = self.data.val();
                }
                SYSENTER_ESP => {
                    self.sysenter_esp_reg.d.next = self.data.val();
                }
                SYSENTER_EIP => {
                    self.sysenter_eip_reg.d.next = self.data.val();
                }
                TSC_LOW => {
                    self.tsc_reg.d.next = (self.tsc_reg.q.val() & 0xFFFF_FFFF_0000_0000_u64)
                        | bit_cast::<64, 32>(self.data.val());
                }
                TSC_HIGH => {
                    self.tsc_reg.d.next = (bit_cast::<64, 32>(self.data.val()) << 32)
                        | bit_cast::<64, 32>(self.tsc_reg.q.val().get_bits::<32>(0));
                }
                _ => {}
            }
        }
        if self.write_cr2.val() {
            self.cr2_reg.d.next = self.cr2_data.val();
        }
        if self.clear_task_switched.val() {
            self.cr0_reg.d.next = self.cr0_reg.q.val() & 0xFFFF_FFF7_u64;
        }
        if self.debug_exception.val() {
            // BD and BS stay until software clears them; the breakpoints and BT are those of the last exception.
            self.dr6_reg.d.next = (self.dr6_reg.q.val() & 0xFFFF_6FF0_u64)
                | bit_cast::<32, 16>(self.debug_status.val());
            // The handler may use the debug registers.
            self.dr7_reg.d.next = self.dr7_reg.q.val() & 0xFFFF_DFFF_u64;
        }
        if self.switches_task.val() {
            self.dr7_reg.d.next = self.dr7_reg.q.val() & 0xFFFF_FEAA_u64;
        }
        if self.reset.val() {
            self.cr0_reg.d.next = 0x6000_0010.into();
            self.cr2_reg.d.next = 0.into();
            self.cr3_reg.d.next = 0.into();
            self.cr4_reg.d.next = 0.into();
            self.dr0_reg.d.next = 0.into();
            self.dr1_reg.d.next = 0.into();
            self.dr2_reg.d.next = 0.into();
            self.dr3_reg.d.next = 0.into();
            self.dr6_reg.d.next = 0xFFFF_0FF0_u64.into();
            self.dr7_reg.d.next = 0x400.into();
            self.sysenter_cs_reg.d.next = 0.into();
            self.sysenter_esp_reg.d.next = 0.into();
            self.sysenter_eip_reg.d.next = 0.into();
            self.tsc_reg.d.next = 0.into();
        }
    }
}
