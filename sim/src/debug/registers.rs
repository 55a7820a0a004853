//! The registers of a stopped processor.

use spec::registers as number;

/// All registers of the debug port at one position, by their numbers in [`spec::registers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    values: Vec<u32>,
}

impl Registers {
    /// Asks `read` for every register there is.
    pub(super) fn gather(mut read: impl FnMut(u8) -> u32) -> Self {
        let mut values = vec![0; 256];
        for (number, _) in number::all() {
            values[usize::from(number)] = read(number);
        }
        Self { values }
    }

    /// A register's value, 0 for numbers that are none. Narrow registers (selectors, CPL) are zero-extended.
    pub fn get(&self, number: u8) -> u32 {
        self.values[usize::from(number)]
    }

    /// EAX.
    pub fn eax(&self) -> u32 {
        self.get(0)
    }

    /// ECX.
    pub fn ecx(&self) -> u32 {
        self.get(1)
    }

    /// EDX.
    pub fn edx(&self) -> u32 {
        self.get(2)
    }

    /// EBX.
    pub fn ebx(&self) -> u32 {
        self.get(3)
    }

    /// ESP.
    pub fn esp(&self) -> u32 {
        self.get(4)
    }

    /// EBP.
    pub fn ebp(&self) -> u32 {
        self.get(5)
    }

    /// ESI.
    pub fn esi(&self) -> u32 {
        self.get(6)
    }

    /// EDI.
    pub fn edi(&self) -> u32 {
        self.get(7)
    }

    /// Offset in CS of the next instruction.
    pub fn eip(&self) -> u32 {
        self.get(number::EIP)
    }

    /// Linear address of the next instruction.
    pub fn linear_eip(&self) -> u32 {
        self.base(number::CS).wrapping_add(self.eip())
    }

    /// EFLAGS.
    pub fn eflags(&self) -> u32 {
        self.get(number::EFLAGS)
    }

    /// Current privilege level, 0 to 3.
    pub fn cpl(&self) -> u8 {
        self.get(number::CPL) as u8
    }

    /// Selector in segment register `segment` (`spec::registers::ES` and so on).
    pub fn selector(&self, segment: u8) -> u16 {
        self.get(number::SELECTOR + segment) as u16
    }

    /// Base of a segment, LDTR, TR, GDTR or IDTR.
    pub fn base(&self, segment: u8) -> u32 {
        self.get(number::BASE + segment)
    }

    /// Limit in bytes of a segment, LDTR, TR, GDTR or IDTR.
    pub fn limit(&self, segment: u8) -> u32 {
        self.get(number::LIMIT + segment)
    }

    /// Access rights of a segment as in `spec::registers::ACCESS`.
    pub fn access(&self, segment: u8) -> u16 {
        self.get(number::ACCESS + segment) as u16
    }

    /// CR0.
    pub fn cr0(&self) -> u32 {
        self.get(number::CR0)
    }

    /// CR3.
    pub fn cr3(&self) -> u32 {
        self.get(number::CR3)
    }

    /// CR4.
    pub fn cr4(&self) -> u32 {
        self.get(number::CR4)
    }

    /// CR0.PE.
    pub fn protected_mode(&self) -> bool {
        self.cr0() & 1 != 0
    }

    /// CR0.PG.
    pub fn paging(&self) -> bool {
        self.cr0() >> 31 != 0
    }

    /// The default operand size of CS: 16 or 32 bits.
    pub fn code_bits(&self) -> u32 {
        if self.access(number::CS) & 0x4000 != 0 {
            32
        } else {
            16
        }
    }
}
