//! Gathers micro-ops into the instructions they belong to.

use crate::Retired;
use spec::registers;

const CS_SELECTOR: u8 = registers::SELECTOR + registers::CS;
const CS_BASE: u8 = registers::BASE + registers::CS;

/// Something that an instruction changed or fetched, in the order it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// General register 0..7 got a value.
    Register(u8, u32),
    /// System register, numbered as in `spec::registers`.
    System(u8, u32),
    /// Memory at a linear address: bytes, value.
    Store(u32, u8, u64),
    /// Read from memory at a linear address: bytes, value.
    Load(u32, u8, u64),
    /// OUT: port, bytes, value.
    Out(u16, u8, u32),
    /// IN: port, bytes, value.
    In(u16, u8, u32),
}

/// One instruction with all that it did, or the delivery of an exception or interrupt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its last micro-op; what is the same for all micro-ops is read here.
    pub retired: Retired,
    /// Selector in CS when it began.
    pub cs: u16,
    /// Base of CS when it began.
    pub cs_base: u32,
    /// Base of CS when it had retired.
    pub next_cs_base: u32,
    /// EFLAGS when it began.
    pub eflags_before: u32,
    /// Micro-ops it took.
    pub micro_ops: u32,
    /// An exception ended it, or (`interrupt`) an interrupt was accepted: vector and error code.
    pub delivered: Option<Delivered>,
    /// What it wrote and read, in order.
    pub writes: Vec<Write>,
}

/// An exception or interrupt on its way to the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Vector number.
    pub vector: u8,
    /// Error code, if this exception has one.
    pub error_code: Option<u16>,
    /// CR2, if this is a page fault.
    pub cr2: Option<u32>,
    /// External interrupt or NMI rather than an exception.
    pub external: bool,
}

/// Gathers micro-ops; holds what must be remembered from one to the next.
#[derive(Debug, Clone)]
pub struct Instructions {
    writes: Vec<Write>,
    delivered: Option<Delivered>,
    micro_ops: u32,
    eflags: u32,
    eflags_before: u32,
    cs: u16,
    cs_base: u32,
    cs_before: (u16, u32),
    sysenter_cs: u16,
}

impl Default for Instructions {
    /// The state after reset.
    fn default() -> Self {
        Self {
            writes: Vec::new(),
            delivered: None,
            micro_ops: 0,
            eflags: 2,
            eflags_before: 2,
            cs: 0xF000,
            cs_base: 0xFFFF_0000,
            cs_before: (0xF000, 0xFFFF_0000),
            sysenter_cs: 0,
        }
    }
}

impl Instructions {
    /// Selector and base of CS now.
    pub fn cs(&self) -> (u16, u32) {
        (self.cs, self.cs_base)
    }

    /// Takes the next micro-op; returns the instruction that it completes.
    pub fn push(&mut self, retired: &Retired) -> Option<Instruction> {
        if self.micro_ops == 0 {
            self.eflags_before = self.eflags;
            self.cs_before = (self.cs, self.cs_base);
        }
        self.micro_ops += 1;
        self.eflags = retired.eflags;
        if retired.load {
            self.writes.push(if retired.access_io {
                Write::In(
                    retired.load_linear as u16,
                    retired.load_size,
                    retired.load_data as u32,
                )
            } else {
                Write::Load(retired.load_linear, retired.load_size, retired.load_data)
            });
        }
        // The microcode's temporaries, numbers from 8, are nobody's business here.
        if retired.register_write && retired.register_number < 8 {
            self.writes.push(Write::Register(
                retired.register_number,
                retired.register_data,
            ));
        }
        if retired.esp_write {
            self.writes.push(Write::Register(4, retired.esp_data));
        }
        if retired.system_write {
            match retired.system_number {
                CS_SELECTOR => {
                    self.cs = retired.system_data as u16;
                    // The record has no room for the base. In real and virtual-8086 mode it follows from the selector;
                    // in protected mode it is zero unless a record says otherwise.
                    let is_protected = retired.mode & 1 != 0 && retired.mode & 2 == 0;
                    self.cs_base = if is_protected {
                        0
                    } else {
                        u32::from(self.cs) << 4
                    };
                }
                CS_BASE => self.cs_base = retired.system_data,
                registers::SYSENTER_CS => self.sysenter_cs = retired.system_data as u16,
                _ => {}
            }
            self.writes
                .push(Write::System(retired.system_number, retired.system_data));
        }
        if retired.store {
            self.writes.push(if retired.access_io {
                Write::Out(
                    retired.store_linear as u16,
                    retired.store_size,
                    retired.store_data as u32,
                )
            } else {
                Write::Store(retired.store_linear, retired.store_size, retired.store_data)
            });
        }
        if retired.exception || retired.interrupt {
            self.delivered = Some(Delivered {
                vector: retired.vector,
                error_code: retired.has_error_code.then_some(retired.error_code),
                cr2: (retired.exception && retired.vector == 14).then_some(retired.cr2),
                external: retired.interrupt,
            });
        }
        if !retired.last {
            return None;
        }
        // These load CS with constants, which no record shows.
        match (self.delivered, &retired.bytes[..2]) {
            (None, [0x0F, 0x34]) => (self.cs, self.cs_base) = (self.sysenter_cs & !3, 0),
            (None, [0x0F, 0x35]) => {
                (self.cs, self.cs_base) = ((self.sysenter_cs & !3).wrapping_add(16) | 3, 0)
            }
            _ => {}
        }
        let (cs, cs_base) = self.cs_before;
        Some(Instruction {
            retired: *retired,
            cs,
            cs_base,
            next_cs_base: self.cs_base,
            eflags_before: self.eflags_before,
            micro_ops: std::mem::take(&mut self.micro_ops),
            delivered: self.delivered.take(),
            writes: std::mem::take(&mut self.writes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro_op(change: impl FnOnce(&mut Retired)) -> Retired {
        let mut retired = Retired {
            eflags: 2,
            mode: 9,
            first: true,
            last: true,
            ..Default::default()
        };
        change(&mut retired);
        retired
    }

    #[test]
    fn micro_ops_are_gathered_up_to_the_last_of_their_instruction() {
        let mut instructions = Instructions::default();
        let first = micro_op(|retired| {
            retired.last = false;
            (
                retired.load,
                retired.load_linear,
                retired.load_size,
                retired.load_data,
            ) = (true, 0x1000, 4, 7);
            (retired.register_write, retired.register_number) = (true, 9);
        });
        assert_eq!(instructions.push(&first), None);
        let second = micro_op(|retired| {
            retired.first = false;
            (
                retired.register_write,
                retired.register_number,
                retired.register_data,
            ) = (true, 0, 7);
        });
        let whole = instructions.push(&second).unwrap();
        assert_eq!(whole.micro_ops, 2);
        assert_eq!(
            whole.writes,
            [Write::Load(0x1000, 4, 7), Write::Register(0, 7)],
            "temporaries are left out"
        );
    }

    #[test]
    fn an_exception_is_told_with_its_error_code_and_cr2() {
        let mut instructions = Instructions::default();
        let fault = micro_op(|retired| {
            retired.last = false;
            (retired.exception, retired.vector) = (true, 14);
            (retired.has_error_code, retired.error_code, retired.cr2) = (true, 5, 0xDEAD_B000);
        });
        instructions.push(&fault);
        let whole = instructions.push(&micro_op(|_| {})).unwrap();
        let delivered = Delivered {
            vector: 14,
            error_code: Some(5),
            cr2: Some(0xDEAD_B000),
            external: false,
        };
        assert_eq!(whole.delivered, Some(delivered));
        assert_eq!(
            instructions.push(&micro_op(|_| {})).unwrap().delivered,
            None
        );
    }

    #[test]
    fn the_base_of_cs_follows_from_the_selector_in_real_mode_and_is_zero_in_protected_mode() {
        let mut instructions = Instructions::default();
        assert_eq!(instructions.cs(), (0xF000, 0xFFFF_0000));
        for (mode, selector, base) in [(0, 0xF000, 0xF_0000), (9, 8, 0), (11, 0x1234, 0x1_2340)] {
            let write = micro_op(|retired| {
                retired.mode = mode;
                retired.system_write = true;
                (retired.system_number, retired.system_data) = (CS_SELECTOR, selector);
            });
            instructions.push(&write);
            assert_eq!(instructions.cs(), (selector as u16, base), "mode {mode}");
        }
    }

    #[test]
    fn sysenter_and_sysexit_load_the_selectors_that_the_msr_gives() {
        let mut instructions = Instructions::default();
        let write = micro_op(|retired| {
            retired.system_write = true;
            (retired.system_number, retired.system_data) = (registers::SYSENTER_CS, 8);
        });
        instructions.push(&write);
        for (second_byte, selector) in [(0x34, 8), (0x35, 0x1B)] {
            instructions.push(&micro_op(|retired| {
                retired.bytes[..2].copy_from_slice(&[0x0F, second_byte])
            }));
            assert_eq!(instructions.cs(), (selector, 0));
        }
    }
}
