//! The bill's stamps: RDTSC at each hop of WriteFile, in an image whose program is [`Program::Bill`] and in no other.
//!
//! User code keeps its stamps in the thread's TLS slots. The kernel leaves its own in the page of KUSER_SHARED_DATA, which
//! user code may read and nobody but the kernel may write.

use crate::image::{Gate, ImageOptions};
use crate::kernel::field;
use crate::programs::Program;
use abi::addresses::{KERNEL_STAMPS, SHARED_USER_DATA, SHARED_USER_DATA_KERNEL};
use abi::layout::SharedUserData;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

const _: () = assert!(KERNEL_STAMPS as usize >= size_of::<SharedUserData>());

/// First line of the bill.
pub const BILL_TITLE: &str = "WriteFile by RDTSC: clocks to";
/// Begin of the bill's last line.
pub const BILL_SUM: &str = "sum";
/// Characters of a line's name, and of each of the two numbers behind it.
const NAME_WIDTH: usize = 42;
pub const NUMBER_WIDTH: usize = 10;
/// Characters of a line with its end.
pub const LINE_BYTES: usize = NAME_WIDTH + 2 * NUMBER_WIDTH + 2;

/// Where a stamp is taken, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The program, before its call.
    Call,
    /// kernel32's WriteFile has been entered.
    Kernel32,
    /// KERNELBASE's WriteFile has been entered.
    KernelBase,
    /// It is about to call NtWriteFile.
    NtCall,
    /// First instruction of the kernel.
    KernelEntry,
    /// The service has been entered.
    Service,
    /// The service is done, and the registers are still the kernel's.
    KernelExit,
    /// NtWriteFile has returned to KERNELBASE.
    KernelBaseReturn,
    /// KERNELBASE has returned to kernel32.
    Kernel32Return,
    /// WriteFile has returned to the program.
    Return,
}

const ALL: [Stamp; 10] = [
    Stamp::Call,
    Stamp::Kernel32,
    Stamp::KernelBase,
    Stamp::NtCall,
    Stamp::KernelEntry,
    Stamp::Service,
    Stamp::KernelExit,
    Stamp::KernelBaseReturn,
    Stamp::Kernel32Return,
    Stamp::Return,
];

impl Stamp {
    fn is_kernels(self) -> bool {
        matches!(self, Self::KernelEntry | Self::Service | Self::KernelExit)
    }

    /// Whether an image with these options takes it; with a DLL less there are fewer hops.
    fn is_in(self, options: &ImageOptions) -> bool {
        match self {
            // Without KERNELBASE its functions are kernel32's own.
            Self::Kernel32 | Self::Kernel32Return => {
                options.has_kernel32() && options.has_kernelbase()
            }
            _ => true,
        }
    }

    /// Where user code reads it.
    pub fn place(self) -> AsmMemoryOperand {
        if self.is_kernels() {
            dword_ptr(SHARED_USER_DATA + KERNEL_STAMPS + 4 * self as u32)
        } else {
            dword_ptr(self.slot()).fs()
        }
    }

    /// Offset of the TLS slot in the thread environment block.
    fn slot(self) -> u32 {
        field!(ThreadEnvironment.tls_slots) as u32 + 4 * self as u32
    }

    /// The bill's name of the hop that ends here: module and symbol, and what happens if it is not the entry.
    fn name(self, options: &ImageOptions) -> String {
        let base = if options.has_kernelbase() {
            "KERNELBASE"
        } else {
            "kernel32"
        };
        match self {
            Self::Call => String::new(),
            Self::Kernel32 => "kernel32!WriteFileImplementation".into(),
            Self::KernelBase => format!("{base}!WriteFile"),
            Self::NtCall => format!("{base}!WriteFile, call NtWriteFile"),
            Self::KernelEntry => match options.gate {
                Gate::Sysenter => "nt!KiFastCallEntry".into(),
                Gate::Int2e => "nt!KiSystemService".into(),
            },
            Self::Service => "nt!NtWriteFile".into(),
            Self::KernelExit => "nt!KiServiceExit".into(),
            Self::KernelBaseReturn => format!("{base}!WriteFile, return"),
            Self::Kernel32Return => "kernel32!WriteFileImplementation, return".into(),
            Self::Return => "winlogon!WinMain, return".into(),
        }
    }
}

/// The stamps that an image with these options takes, in order of time.
pub fn stamps(options: &ImageOptions) -> Vec<Stamp> {
    let mut stamps = ALL.to_vec();
    stamps.retain(|stamp| stamp.is_in(options));
    stamps
}

/// The bill with blanks for its numbers; every line has [`LINE_BYTES`].
pub fn blank_bill(options: &ImageOptions) -> String {
    let line = |name: &str, first: &str, second: &str| {
        format!("{name:NAME_WIDTH$}{first:>NUMBER_WIDTH$}{second:>NUMBER_WIDTH$}\r\n")
    };
    let hops = stamps(options);
    let hops = hops[1..]
        .iter()
        .map(|stamp| line(&stamp.name(options), "", ""));
    let title = line(BILL_TITLE, "1st call", "2nd call");
    let text: Vec<String> = [title]
        .into_iter()
        .chain(hops)
        .chain([line(BILL_SUM, "", "")])
        .collect();
    assert!(text.iter().all(|line| line.len() == LINE_BYTES));
    text.concat()
}

/// What may take stamps while a module is built.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    on: bool,
}

impl Stamps {
    /// Stamps only for the bill.
    pub fn of(options: &ImageOptions) -> Self {
        Self {
            on: options.program == Program::Bill,
        }
    }

    /// In user code. Uses EAX and EDX, keeps the flags.
    pub fn take(self, a: &mut CodeAssembler, stamp: Stamp) -> Result<(), IcedError> {
        if !self.on {
            return Ok(());
        }
        a.rdtsc()?;
        a.mov(dword_ptr(stamp.slot()).fs(), eax)
    }

    /// In user code behind a call. Keeps EAX and the flags, uses ECX and EDX.
    pub fn take_behind_call(self, a: &mut CodeAssembler, stamp: Stamp) -> Result<(), IcedError> {
        if !self.on {
            return Ok(());
        }
        a.mov(ecx, eax)?;
        self.take(a, stamp)?;
        a.mov(eax, ecx)
    }

    /// At the kernel's first instruction, where DS is still the user's. Uses ECX and four bytes of stack.
    pub fn take_at_entry(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
        if !self.on {
            return Ok(());
        }
        a.mov(ecx, eax)?;
        a.push(edx)?;
        a.rdtsc()?;
        a.mov(kernel_place(Stamp::KernelEntry).ss(), eax)?;
        a.pop(edx)?;
        a.mov(eax, ecx)
    }

    /// At the begin of a service, behind its frame. Uses EAX and EDX.
    pub fn take_at_service(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
        if !self.on {
            return Ok(());
        }
        a.rdtsc()?;
        a.mov(kernel_place(Stamp::Service), eax)
    }

    /// At the exit, before the user's registers come back. Keeps EAX and the flags, uses EBX and EDX.
    pub fn take_at_exit(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
        if !self.on {
            return Ok(());
        }
        a.mov(ebx, eax)?;
        a.rdtsc()?;
        a.mov(kernel_place(Stamp::KernelExit), eax)?;
        a.mov(eax, ebx)
    }
}

/// Where the kernel writes a stamp.
fn kernel_place(stamp: Stamp) -> AsmMemoryOperand {
    dword_ptr(SHARED_USER_DATA_KERNEL + KERNEL_STAMPS + 4 * stamp as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_listed_in_order_of_time() {
        for (index, stamp) in ALL.iter().enumerate() {
            assert_eq!(*stamp as usize, index);
        }
    }
}
