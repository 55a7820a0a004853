//! Gathers micro-ops into the instructions they belong to.

use crate::Retired;
use spec::registers;
use std::sync::OnceLock;

const CS_SELECTOR: u8 = registers::SELECTOR + registers::CS;
const CS_BASE: u8 = registers::BASE + registers::CS;

/// Name of a system register; `None` for a number that only the microcode knows.
pub fn register_name(number: u8) -> Option<&'static str> {
    static NAMES: OnceLock<Vec<Option<String>>> = OnceLock::new();
    NAMES.get_or_init(|| (0..=255).map(registers::name).collect())[usize::from(number)].as_deref()
}

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
    /// The record of an exception or interrupt whose routine is under way.
    event: Option<Retired>,
    micro_ops: u32,
    eflags: u32,
    eflags_before: u32,
    cs: u16,
    cs_base: u32,
    cs_before: (u16, u32),
    ecx: u32,
}

impl Default for Instructions {
    /// The state after reset.
    fn default() -> Self {
        Self {
            writes: Vec::new(),
            delivered: None,
            event: None,
            micro_ops: 0,
            eflags: 2,
            eflags_before: 2,
            cs: 0xF000,
            cs_base: 0xFFFF_0000,
            cs_before: (0xF000, 0xFFFF_0000),
            ecx: 0,
        }
    }
}

impl Instructions {
    /// Selector and base of CS now.
    pub fn cs(&self) -> (u16, u32) {
        (self.cs, self.cs_base)
    }

    /// Whether the next micro-op belongs to the routine that enters the handler of an exception or interrupt.
    pub fn is_delivering(&self) -> bool {
        self.event.is_some()
    }

    /// Takes the next micro-op; returns the instruction that it completes.
    pub fn push(&mut self, retired: &Retired) -> Option<Instruction> {
        if self.micro_ops == 0 {
            self.eflags_before = self.eflags;
            self.cs_before = (self.cs, self.cs_base);
        }
        self.micro_ops += 1;
        self.eflags = retired.eflags;
        if retired.register_write && retired.register_number == 1 {
            self.ecx = retired.register_data;
        }
        if retired.system_write {
            match retired.system_number {
                CS_SELECTOR => {
                    self.cs = retired.system_data as u16;
                    // The record has no room for the base. In real and virtual-8086 mode it follows from the selector;
                    // in protected mode it is zero unless a record says otherwise.
                    let is_protected = retired.mode & 3 == 1;
                    self.cs_base = if is_protected {
                        0
                    } else {
                        u32::from(self.cs) << 4
                    };
                }
                CS_BASE => self.cs_base = retired.system_data,
                _ => {}
            }
        }
        let written = writes(retired).filter_map(|write| match write {
            Write::System(number, data) => self
                .system_number(number, retired)
                .map(|number| Write::System(number, data)),
            other => Some(other),
        });
        let written: Vec<Write> = written.collect();
        self.writes.extend(written);
        if retired.exception || retired.interrupt {
            self.delivered = Some(Delivered {
                vector: retired.vector,
                error_code: retired.has_error_code.then_some(retired.error_code),
                cr2: (retired.exception && retired.vector == 14).then_some(retired.cr2),
                external: retired.interrupt,
            });
        }
        if retired.exception || retired.interrupt {
            // The routine that enters the handler follows as micro-ops of its own, whose bytes mean nothing.
            self.event = Some(Retired {
                length: if retired.interrupt { 0 } else { retired.length },
                ..*retired
            });
            return None;
        }
        if !retired.last {
            return None;
        }
        let (cs, cs_base) = self.cs_before;
        let retired = match self.event.take() {
            Some(Retired {
                eip,
                bytes,
                length,
                cpl,
                ..
            }) => Retired {
                eip,
                bytes,
                length,
                cpl,
                ..*retired
            },
            None => *retired,
        };
        Some(Instruction {
            retired,
            cs,
            cs_base,
            next_cs_base: self.cs_base,
            eflags_before: self.eflags_before,
            micro_ops: std::mem::take(&mut self.micro_ops),
            delivered: self.delivered.take(),
            writes: std::mem::take(&mut self.writes),
        })
    }

    /// The register that a system write means to a user; `None` for what only the microcode knows.
    fn system_number(&self, number: u8, retired: &Retired) -> Option<u8> {
        if register_name(number).is_some() {
            return Some(number);
        }
        // WRMSR writes the low half of the register that ECX selects, and ends with the high half.
        let selected =
            spec::msr::by_number(self.ecx).filter(|_| retired.bytes[..2] == [0x0F, 0x30])?;
        if retired.last {
            selected.high
        } else {
            Some(selected.low)
        }
    }
}

/// What one micro-op read and wrote. The microcode's temporaries, registers from 8, are left out.
pub(super) fn writes(retired: &Retired) -> impl Iterator<Item = Write> {
    let load = retired.load.then_some(match retired.access_io {
        true => Write::In(
            retired.load_linear as u16,
            retired.load_size,
            retired.load_data as u32,
        ),
        false => Write::Load(retired.load_linear, retired.load_size, retired.load_data),
    });
    let register = (retired.register_write && retired.register_number < 8).then_some(
        Write::Register(retired.register_number, retired.register_data),
    );
    let esp = retired
        .esp_write
        .then_some(Write::Register(4, retired.esp_data));
    let system = retired
        .system_write
        .then_some(Write::System(retired.system_number, retired.system_data));
    let store = retired.store.then_some(match retired.access_io {
        true => Write::Out(
            retired.store_linear as u16,
            retired.store_size,
            retired.store_data as u32,
        ),
        false => Write::Store(retired.store_linear, retired.store_size, retired.store_data),
    });
    [load, register, esp, system, store].into_iter().flatten()
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
    fn the_routine_that_enters_the_handler_belongs_to_the_exception() {
        let mut instructions = Instructions::default();
        let fault = micro_op(|retired| {
            (retired.exception, retired.vector) = (true, 6);
            (retired.eip, retired.length, retired.cpl) = (0x1000, 2, 3);
            retired.bytes[..2].copy_from_slice(&[0x0F, 0x0B]);
        });
        assert_eq!(instructions.push(&fault), None);
        assert!(instructions.is_delivering());
        let routine = micro_op(|retired| {
            (retired.eip, retired.length, retired.next_eip) = (0x1000, 7, 0x8000)
        });
        let whole = instructions.push(&routine).unwrap();
        assert!(!instructions.is_delivering());
        assert_eq!(
            (
                whole.retired.length,
                whole.retired.cpl,
                whole.retired.next_eip
            ),
            (2, 3, 0x8000)
        );
        assert_eq!(whole.retired.bytes[..2], [0x0F, 0x0B]);
        assert_eq!(whole.delivered.unwrap().vector, 6);
    }

    #[test]
    fn wrmsr_is_told_by_the_name_of_the_register_that_ecx_selects() {
        let mut instructions = Instructions::default();
        instructions.push(&micro_op(|retired| {
            (
                retired.register_write,
                retired.register_number,
                retired.register_data,
            ) = (true, 1, 0x176);
        }));
        let half = |first: bool, number, data| {
            micro_op(|retired| {
                retired.bytes[..2].copy_from_slice(&[0x0F, 0x30]);
                (retired.first, retired.last) = (first, !first);
                (
                    retired.system_write,
                    retired.system_number,
                    retired.system_data,
                ) = (true, number, data);
            })
        };
        instructions.push(&half(true, 0xFE, 0x8280_10C0));
        let whole = instructions.push(&half(false, 0xFF, 0)).unwrap();
        assert_eq!(
            whole.writes,
            [Write::System(registers::SYSENTER_EIP, 0x8280_10C0)]
        );
    }
}
