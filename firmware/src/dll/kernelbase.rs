//! `KERNELBASE`: the Win32 functions that talk to the kernel.

use super::base_functions;
use crate::module::{Access, ModuleSource};
use crate::stamps::Stamps;
use abi::Windows;

/// Windows 7's preferred base; address space layout randomisation moves it.
const PREFERRED_BASE: u32 = 0x0DCE_0000;

/// What comes from ntdll. The order is that of the slots: `NtWriteFile` is number 100, so that its slot
/// is at RVA 1190h.
#[rustfmt::skip]
pub const NTDLL_IMPORTS: &[&str] = &[
    "NtAccessCheckAndAuditAlarm", "NtAccessCheckByType", "NtAdjustGroupsToken", "NtAdjustPrivilegesToken",
    "NtAllocateLocallyUniqueId", "NtAllocateUserPhysicalPages", "NtAllocateVirtualMemory", "NtAreMappedFilesTheSame",
    "NtCallbackReturn", "NtCancelIoFile", "NtCancelIoFileEx", "NtCancelTimer", "NtClearEvent", "NtClose",
    "NtCompareTokens", "NtCreateDirectoryObject", "NtCreateEvent", "NtCreateIoCompletion", "NtCreateJobObject",
    "NtCreateKey", "NtCreateMailslotFile", "NtCreateMutant", "NtCreateNamedPipeFile", "NtCreateSection",
    "NtCreateThreadEx", "NtCreateTimer", "NtCreateUserProcess", "NtDelayExecution", "NtDeleteFile", "NtDeleteKey",
    "NtDeleteValueKey", "NtDeviceIoControlFile", "NtDuplicateObject", "NtEnumerateKey", "NtEnumerateValueKey",
    "NtFilterToken", "NtFlushBuffersFile", "NtFlushInstructionCache", "NtFlushKey", "NtFlushVirtualMemory",
    "NtFreeVirtualMemory", "NtGetContextThread", "NtGetWriteWatch", "NtImpersonateAnonymousToken",
    "NtImpersonateThread", "NtLoadKey", "NtLockFile", "NtLockVirtualMemory", "NtMapViewOfSection",
    "NtNotifyChangeKey", "NtOpenDirectoryObject", "NtOpenEvent", "NtOpenFile", "NtOpenKey", "NtOpenKeyEx",
    "NtOpenMutant", "NtOpenProcess", "NtOpenSection", "NtOpenSemaphore", "NtOpenThread", "NtOpenThreadToken",
    "NtOpenTimer", "NtPowerInformation", "NtProtectVirtualMemory", "NtQueryAttributesFile", "NtQueryDirectoryFile",
    "NtQueryFullAttributesFile", "NtQueryInformationFile", "NtQueryInformationJobObject",
    "NtQueryInformationProcess", "NtQueryInformationThread", "NtQueryInformationToken", "NtQueryMultipleValueKey",
    "NtQueryObject", "NtQueryPerformanceCounter", "NtQuerySection", "NtQuerySecurityObject",
    "NtQuerySystemInformation", "NtQuerySystemTime", "NtQueryTimer", "NtQueryValueKey",
    "NtQueryVolumeInformationFile", "NtReadFile", "NtReadFileScatter", "NtReadVirtualMemory", "NtReleaseMutant",
    "NtReleaseSemaphore", "NtRemoveIoCompletion", "NtResetEvent", "NtResumeThread", "NtSetInformationFile",
    "NtSetInformationThread", "NtSetTimer", "NtSignalAndWaitForSingleObject", "NtSuspendThread",
    "NtTerminateProcess", "NtUnlockFile", "NtUnmapViewOfSection", "NtWaitForMultipleObjects",
    "NtWaitForSingleObject", "NtWriteFile", "NtYieldExecution", "RtlExitUserProcess", "RtlNtStatusToDosError",
];

/// [`NTDLL_IMPORTS`] without the services that this version does not have.
pub fn ntdll_imports(windows: Windows) -> Vec<&'static str> {
    let there = |name: &&&str| !name.starts_with("Nt") || windows.service(name).is_some();
    NTDLL_IMPORTS.iter().filter(there).copied().collect()
}

pub fn source(windows: Windows, stamps: Stamps) -> ModuleSource {
    let mut module = ModuleSource::new("KERNELBASE", "KERNELBASE.dll", 3, 3, PREFERRED_BASE);
    module.section(".text", Access::Code);
    module.import_address_table(&[("ntdll.dll", &ntdll_imports(windows))]);
    base_functions::add(&mut module, stamps);
    module.directories();
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nt_write_file_has_slot_100() {
        assert_eq!(NTDLL_IMPORTS[100], "NtWriteFile");
    }

    #[test]
    fn every_imported_service_exists() {
        for name in NTDLL_IMPORTS.iter().filter(|name| name.starts_with("Nt")) {
            assert!(abi::Service::named(name).is_some(), "{name}");
        }
    }
}
