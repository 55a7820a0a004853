//! The kernel's tables and variables: services, interrupt vectors, the first thread.

use super::{KernelOptions, console, interrupts, start, trap};
use crate::memory_map::{KERNEL_STACK_BYTES, KERNEL_STACK_TOP, THREAD_ENVIRONMENT};
use crate::module::{ModuleSource, Scope};
use abi::Windows;
use abi::layout::{KernelThread, ServiceDescriptor};
use abi::selectors::{IRQ_BASE_VECTOR, SYSTEM_SERVICE_VECTOR};
use std::mem::offset_of;

/// Present, 32-bit interrupt gate, reachable by hardware and ring 0.
const GATE: u32 = 0x8E00;
/// The same, reachable by INT from ring 3.
const USER_GATE: u32 = 0xEE00;
/// Standard input, output and error: handles 4, 8 and 0Ch.
pub const OPEN_HANDLES: &[u8] = &[0, READABLE, WRITABLE, WRITABLE];
/// Handles there can be; handle n is entry n/4 of the table.
pub const HANDLE_COUNT: u32 = 16;
/// The handle may be read from.
pub const READABLE: u8 = 1;
/// The handle may be written to.
pub const WRITABLE: u8 = 2;

pub fn add_constants(module: &mut ModuleSource, windows: Windows) {
    trap::add_constants(module);
    module.data("KiServiceTable", move |s| {
        windows
            .services()
            .iter()
            .flat_map(|service| s.at(service.name).to_le_bytes())
            .collect()
    });
    module.data("KiArgumentTable", move |_| {
        windows
            .services()
            .iter()
            .map(|service| service.argument_bytes)
            .collect()
    });
    module.data("KiInterruptTemplate", |s| {
        (0..0x40)
            .flat_map(|vector| gate(s, vector))
            .flat_map(u32::to_le_bytes)
            .collect()
    });
}

/// Handler and type of an interrupt vector.
fn gate(s: &Scope, vector: u32) -> [u32; 2] {
    let irq_base = u32::from(IRQ_BASE_VECTOR);
    match vector {
        3 | 4 => [s.at(&trap::handler_name(vector)), USER_GATE],
        0..0x20 => [s.at(&trap::handler_name(vector)), GATE],
        0x2A => [s.at("KiGetTickCount"), USER_GATE],
        0x2E => [s.at("KiSystemService"), USER_GATE],
        _ if (irq_base..irq_base + 15).contains(&vector) => [
            s.at(interrupts::handler_name((vector - irq_base) as u8)),
            GATE,
        ],
        _ => [s.at("KiUnexpectedVector"), GATE],
    }
}

const _: () = assert!(SYSTEM_SERVICE_VECTOR == 0x2E);

pub fn add_data(module: &mut ModuleSource, options: &KernelOptions) {
    console::add_data(module, console::received_bytes(options));
    // Four descriptors; Windows 7 uses the second for the window manager, which is not here.
    let services = options.windows.services().len() as u32;
    module.data("KeServiceDescriptorTable", move |s| {
        let mut bytes = vec![0; 4 * size_of::<ServiceDescriptor>()];
        put(
            &mut bytes,
            offset_of!(ServiceDescriptor, base),
            s.at("KiServiceTable"),
        );
        put(&mut bytes, offset_of!(ServiceDescriptor, limit), services);
        put(
            &mut bytes,
            offset_of!(ServiceDescriptor, argument_table),
            s.at("KiArgumentTable"),
        );
        bytes
    });
    module
        .data("KiInitialThread", |s| {
            let mut bytes = vec![0; size_of::<KernelThread>()];
            put(
                &mut bytes,
                offset_of!(KernelThread, initial_stack),
                KERNEL_STACK_TOP,
            );
            put(
                &mut bytes,
                offset_of!(KernelThread, stack_limit),
                KERNEL_STACK_TOP - KERNEL_STACK_BYTES,
            );
            put(
                &mut bytes,
                offset_of!(KernelThread, kernel_stack),
                start::ESP0,
            );
            put(
                &mut bytes,
                offset_of!(KernelThread, stack_base),
                KERNEL_STACK_TOP,
            );
            put(
                &mut bytes,
                offset_of!(KernelThread, teb),
                THREAD_ENVIRONMENT,
            );
            put(
                &mut bytes,
                offset_of!(KernelThread, service_table),
                s.at("KeServiceDescriptorTable"),
            );
            bytes
        })
        .align(16);
    module.data("ObpHandleTable", |_| {
        let mut bytes = OPEN_HANDLES.to_vec();
        bytes.resize(HANDLE_COUNT as usize, 0);
        bytes
    });
    module.dword("PspExitStatus", 0);
    module.space("MmPageInUse", super::services::memory::MAX_PAGES);
}

fn put(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}
