//! The system services of Windows x86: number, name, bytes of arguments. The 401 of Windows 7, which the image has by default, are
//! here; those of other versions in files of their own.

mod eight;
mod eight_one;
mod ten;
mod vista;
mod xp;

/// One system service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The value of EAX at the gate; also the index in the service table.
    pub number: u16,
    /// Name with the `Nt` prefix; the `Zw` name is the same address.
    pub name: &'static str,
    /// Bytes of arguments on the stack, a multiple of 4; the stub pops them.
    pub argument_bytes: u8,
}

/// A version of Windows: its services, and what it says about itself. Structures and addresses are those of Windows 7 in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Windows {
    /// Windows XP, Service Pack 3.
    Xp,
    /// Windows Vista, Service Pack 2.
    Vista,
    /// Windows 7, Service Pack 1.
    #[default]
    Seven,
    /// Windows 8.
    Eight,
    /// Windows 8.1.
    EightOne,
    /// Windows 10, version 20H2.
    Ten,
}

/// What a version of Windows says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// `NtMajorVersion`.
    pub major: u32,
    /// `NtMinorVersion`.
    pub minor: u32,
    /// `OSBuildNumber`.
    pub build: u16,
    /// `OSCSDVersion`: the service pack in the high byte.
    pub service_pack: u16,
}

impl Windows {
    /// All versions, the oldest first.
    pub const ALL: [Windows; 6] = [
        Windows::Xp,
        Windows::Vista,
        Windows::Seven,
        Windows::Eight,
        Windows::EightOne,
        Windows::Ten,
    ];

    /// All services in the order of their numbers.
    pub fn services(self) -> &'static [Service] {
        match self {
            Windows::Xp => xp::SERVICES,
            Windows::Vista => vista::SERVICES,
            Windows::Seven => SERVICES,
            Windows::Eight => eight::SERVICES,
            Windows::EightOne => eight_one::SERVICES,
            Windows::Ten => ten::SERVICES,
        }
    }

    /// Looks a service up by its `Nt` name.
    pub fn service(self, name: &str) -> Option<&'static Service> {
        self.services().iter().find(|service| service.name == name)
    }

    /// What it says about itself.
    pub fn release(self) -> Release {
        let (major, minor, build, service_pack) = match self {
            Windows::Xp => (5, 1, 2600, 0x0300),
            Windows::Vista => (6, 0, 6002, 0x0200),
            Windows::Seven => (6, 1, 7601, 0x0100),
            Windows::Eight => (6, 2, 9200, 0),
            Windows::EightOne => (6, 3, 9600, 0),
            Windows::Ten => (10, 0, 19042, 0),
        };
        Release {
            major,
            minor,
            build,
            service_pack,
        }
    }

    /// Since Windows 7 the Win32 functions that call the kernel are in KERNELBASE, behind API sets.
    pub fn has_kernelbase(self) -> bool {
        self >= Windows::Seven
    }

    /// Since Windows 8 every stub has a SYSENTER of its own; before, it calls through the pointer at 7FFE0300h.
    pub fn stubs_enter_themselves(self) -> bool {
        self >= Windows::Eight
    }
}

impl Service {
    /// Looks a service of Windows 7 up by its `Nt` name.
    pub fn named(name: &str) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// The name without its `Nt` prefix: `WriteFile` of `NtWriteFile`.
    pub fn base_name(&self) -> &'static str {
        &self.name[2..]
    }
}

const fn row(number: u16, name: &'static str, argument_bytes: u8) -> Service {
    Service {
        number,
        name,
        argument_bytes,
    }
}

/// All services of Windows 7 in the order of their numbers.
#[rustfmt::skip]
pub const SERVICES: &[Service] = &[
    row(0x000, "NtAcceptConnectPort",                                     24),
    row(0x001, "NtAccessCheck",                                           32),
    row(0x002, "NtAccessCheckAndAuditAlarm",                              44),
    row(0x003, "NtAccessCheckByType",                                     44),
    row(0x004, "NtAccessCheckByTypeAndAuditAlarm",                        64),
    row(0x005, "NtAccessCheckByTypeResultList",                           44),
    row(0x006, "NtAccessCheckByTypeResultListAndAuditAlarm",              64),
    row(0x007, "NtAccessCheckByTypeResultListAndAuditAlarmByHandle",      68),
    row(0x008, "NtAddAtom",                                               12),
    row(0x009, "NtAddBootEntry",                                           8),
    row(0x00A, "NtAddDriverEntry",                                         8),
    row(0x00B, "NtAdjustGroupsToken",                                     24),
    row(0x00C, "NtAdjustPrivilegesToken",                                 24),
    row(0x00D, "NtAlertResumeThread",                                      8),
    row(0x00E, "NtAlertThread",                                            4),
    row(0x00F, "NtAllocateLocallyUniqueId",                                4),
    row(0x010, "NtAllocateReserveObject",                                 12),
    row(0x011, "NtAllocateUserPhysicalPages",                             12),
    row(0x012, "NtAllocateUuids",                                         16),
    row(0x013, "NtAllocateVirtualMemory",                                 24),
    row(0x014, "NtAlpcAcceptConnectPort",                                 36),
    row(0x015, "NtAlpcCancelMessage",                                     12),
    row(0x016, "NtAlpcConnectPort",                                       44),
    row(0x017, "NtAlpcCreatePort",                                        12),
    row(0x018, "NtAlpcCreatePortSection",                                 24),
    row(0x019, "NtAlpcCreateResourceReserve",                             16),
    row(0x01A, "NtAlpcCreateSectionView",                                 12),
    row(0x01B, "NtAlpcCreateSecurityContext",                             12),
    row(0x01C, "NtAlpcDeletePortSection",                                 12),
    row(0x01D, "NtAlpcDeleteResourceReserve",                             12),
    row(0x01E, "NtAlpcDeleteSectionView",                                 12),
    row(0x01F, "NtAlpcDeleteSecurityContext",                             12),
    row(0x020, "NtAlpcDisconnectPort",                                     8),
    row(0x021, "NtAlpcImpersonateClientOfPort",                           12),
    row(0x022, "NtAlpcOpenSenderProcess",                                 24),
    row(0x023, "NtAlpcOpenSenderThread",                                  24),
    row(0x024, "NtAlpcQueryInformation",                                  20),
    row(0x025, "NtAlpcQueryInformationMessage",                           24),
    row(0x026, "NtAlpcRevokeSecurityContext",                             12),
    row(0x027, "NtAlpcSendWaitReceivePort",                               32),
    row(0x028, "NtAlpcSetInformation",                                    16),
    row(0x029, "NtApphelpCacheControl",                                    8),
    row(0x02A, "NtAreMappedFilesTheSame",                                  8),
    row(0x02B, "NtAssignProcessToJobObject",                               8),
    row(0x02C, "NtCallbackReturn",                                        12),
    row(0x02D, "NtCancelIoFile",                                           8),
    row(0x02E, "NtCancelIoFileEx",                                        12),
    row(0x02F, "NtCancelSynchronousIoFile",                               12),
    row(0x030, "NtCancelTimer",                                            8),
    row(0x031, "NtClearEvent",                                             4),
    row(0x032, "NtClose",                                                  4),
    row(0x033, "NtCloseObjectAuditAlarm",                                 12),
    row(0x034, "NtCommitComplete",                                         8),
    row(0x035, "NtCommitEnlistment",                                       8),
    row(0x036, "NtCommitTransaction",                                      8),
    row(0x037, "NtCompactKeys",                                            8),
    row(0x038, "NtCompareTokens",                                         12),
    row(0x039, "NtCompleteConnectPort",                                    4),
    row(0x03A, "NtCompressKey",                                            4),
    row(0x03B, "NtConnectPort",                                           32),
    row(0x03C, "NtContinue",                                               8),
    row(0x03D, "NtCreateDebugObject",                                     16),
    row(0x03E, "NtCreateDirectoryObject",                                 12),
    row(0x03F, "NtCreateEnlistment",                                      32),
    row(0x040, "NtCreateEvent",                                           20),
    row(0x041, "NtCreateEventPair",                                       12),
    row(0x042, "NtCreateFile",                                            44),
    row(0x043, "NtCreateIoCompletion",                                    16),
    row(0x044, "NtCreateJobObject",                                       12),
    row(0x045, "NtCreateJobSet",                                          12),
    row(0x046, "NtCreateKey",                                             28),
    row(0x047, "NtCreateKeyedEvent",                                      16),
    row(0x048, "NtCreateKeyTransacted",                                   32),
    row(0x049, "NtCreateMailslotFile",                                    32),
    row(0x04A, "NtCreateMutant",                                          16),
    row(0x04B, "NtCreateNamedPipeFile",                                   56),
    row(0x04C, "NtCreatePagingFile",                                      16),
    row(0x04D, "NtCreatePort",                                            20),
    row(0x04E, "NtCreatePrivateNamespace",                                16),
    row(0x04F, "NtCreateProcess",                                         32),
    row(0x050, "NtCreateProcessEx",                                       36),
    row(0x051, "NtCreateProfile",                                         36),
    row(0x052, "NtCreateProfileEx",                                       40),
    row(0x053, "NtCreateResourceManager",                                 28),
    row(0x054, "NtCreateSection",                                         28),
    row(0x055, "NtCreateSemaphore",                                       20),
    row(0x056, "NtCreateSymbolicLinkObject",                              16),
    row(0x057, "NtCreateThread",                                          32),
    row(0x058, "NtCreateThreadEx",                                        44),
    row(0x059, "NtCreateTimer",                                           16),
    row(0x05A, "NtCreateToken",                                           52),
    row(0x05B, "NtCreateTransaction",                                     40),
    row(0x05C, "NtCreateTransactionManager",                              24),
    row(0x05D, "NtCreateUserProcess",                                     44),
    row(0x05E, "NtCreateWaitablePort",                                    20),
    row(0x05F, "NtCreateWorkerFactory",                                   40),
    row(0x060, "NtDebugActiveProcess",                                     8),
    row(0x061, "NtDebugContinue",                                         12),
    row(0x062, "NtDelayExecution",                                         8),
    row(0x063, "NtDeleteAtom",                                             4),
    row(0x064, "NtDeleteBootEntry",                                        4),
    row(0x065, "NtDeleteDriverEntry",                                      4),
    row(0x066, "NtDeleteFile",                                             4),
    row(0x067, "NtDeleteKey",                                              4),
    row(0x068, "NtDeleteObjectAuditAlarm",                                12),
    row(0x069, "NtDeletePrivateNamespace",                                 4),
    row(0x06A, "NtDeleteValueKey",                                         8),
    row(0x06B, "NtDeviceIoControlFile",                                   40),
    row(0x06C, "NtDisableLastKnownGood",                                   0),
    row(0x06D, "NtDisplayString",                                          4),
    row(0x06E, "NtDrawText",                                               4),
    row(0x06F, "NtDuplicateObject",                                       28),
    row(0x070, "NtDuplicateToken",                                        24),
    row(0x071, "NtEnableLastKnownGood",                                    0),
    row(0x072, "NtEnumerateBootEntries",                                   8),
    row(0x073, "NtEnumerateDriverEntries",                                 8),
    row(0x074, "NtEnumerateKey",                                          24),
    row(0x075, "NtEnumerateSystemEnvironmentValuesEx",                    12),
    row(0x076, "NtEnumerateTransactionObject",                            20),
    row(0x077, "NtEnumerateValueKey",                                     24),
    row(0x078, "NtExtendSection",                                          8),
    row(0x079, "NtFilterToken",                                           24),
    row(0x07A, "NtFindAtom",                                              12),
    row(0x07B, "NtFlushBuffersFile",                                       8),
    row(0x07C, "NtFlushInstallUILanguage",                                 8),
    row(0x07D, "NtFlushInstructionCache",                                 12),
    row(0x07E, "NtFlushKey",                                               4),
    row(0x07F, "NtFlushProcessWriteBuffers",                               0),
    row(0x080, "NtFlushVirtualMemory",                                    16),
    row(0x081, "NtFlushWriteBuffer",                                       0),
    row(0x082, "NtFreeUserPhysicalPages",                                 12),
    row(0x083, "NtFreeVirtualMemory",                                     16),
    row(0x084, "NtFreezeRegistry",                                         4),
    row(0x085, "NtFreezeTransactions",                                     8),
    row(0x086, "NtFsControlFile",                                         40),
    row(0x087, "NtGetContextThread",                                       8),
    row(0x088, "NtGetCurrentProcessorNumber",                              0),
    row(0x089, "NtGetDevicePowerState",                                    8),
    row(0x08A, "NtGetMUIRegistryInfo",                                    12),
    row(0x08B, "NtGetNextProcess",                                        20),
    row(0x08C, "NtGetNextThread",                                         24),
    row(0x08D, "NtGetNlsSectionPtr",                                      20),
    row(0x08E, "NtGetNotificationResourceManager",                        28),
    row(0x08F, "NtGetPlugPlayEvent",                                      16),
    row(0x090, "NtGetWriteWatch",                                         28),
    row(0x091, "NtImpersonateAnonymousToken",                              4),
    row(0x092, "NtImpersonateClientOfPort",                                8),
    row(0x093, "NtImpersonateThread",                                     12),
    row(0x094, "NtInitializeNlsFiles",                                    12),
    row(0x095, "NtInitializeRegistry",                                     4),
    row(0x096, "NtInitiatePowerAction",                                   16),
    row(0x097, "NtIsProcessInJob",                                         8),
    row(0x098, "NtIsSystemResumeAutomatic",                                0),
    row(0x099, "NtIsUILanguageComitted",                                   0),
    row(0x09A, "NtListenPort",                                             8),
    row(0x09B, "NtLoadDriver",                                             4),
    row(0x09C, "NtLoadKey",                                                8),
    row(0x09D, "NtLoadKey2",                                              12),
    row(0x09E, "NtLoadKeyEx",                                             32),
    row(0x09F, "NtLockFile",                                              40),
    row(0x0A0, "NtLockProductActivationKeys",                              8),
    row(0x0A1, "NtLockRegistryKey",                                        4),
    row(0x0A2, "NtLockVirtualMemory",                                     16),
    row(0x0A3, "NtMakePermanentObject",                                    4),
    row(0x0A4, "NtMakeTemporaryObject",                                    4),
    row(0x0A5, "NtMapCMFModule",                                          24),
    row(0x0A6, "NtMapUserPhysicalPages",                                  12),
    row(0x0A7, "NtMapUserPhysicalPagesScatter",                           12),
    row(0x0A8, "NtMapViewOfSection",                                      40),
    row(0x0A9, "NtModifyBootEntry",                                        4),
    row(0x0AA, "NtModifyDriverEntry",                                      4),
    row(0x0AB, "NtNotifyChangeDirectoryFile",                             36),
    row(0x0AC, "NtNotifyChangeKey",                                       40),
    row(0x0AD, "NtNotifyChangeMultipleKeys",                              48),
    row(0x0AE, "NtNotifyChangeSession",                                   32),
    row(0x0AF, "NtOpenDirectoryObject",                                   12),
    row(0x0B0, "NtOpenEnlistment",                                        20),
    row(0x0B1, "NtOpenEvent",                                             12),
    row(0x0B2, "NtOpenEventPair",                                         12),
    row(0x0B3, "NtOpenFile",                                              24),
    row(0x0B4, "NtOpenIoCompletion",                                      12),
    row(0x0B5, "NtOpenJobObject",                                         12),
    row(0x0B6, "NtOpenKey",                                               12),
    row(0x0B7, "NtOpenKeyEx",                                             16),
    row(0x0B8, "NtOpenKeyedEvent",                                        12),
    row(0x0B9, "NtOpenKeyTransacted",                                     16),
    row(0x0BA, "NtOpenKeyTransactedEx",                                   20),
    row(0x0BB, "NtOpenMutant",                                            12),
    row(0x0BC, "NtOpenObjectAuditAlarm",                                  48),
    row(0x0BD, "NtOpenPrivateNamespace",                                  16),
    row(0x0BE, "NtOpenProcess",                                           16),
    row(0x0BF, "NtOpenProcessToken",                                      12),
    row(0x0C0, "NtOpenProcessTokenEx",                                    16),
    row(0x0C1, "NtOpenResourceManager",                                   20),
    row(0x0C2, "NtOpenSection",                                           12),
    row(0x0C3, "NtOpenSemaphore",                                         12),
    row(0x0C4, "NtOpenSession",                                           12),
    row(0x0C5, "NtOpenSymbolicLinkObject",                                12),
    row(0x0C6, "NtOpenThread",                                            16),
    row(0x0C7, "NtOpenThreadToken",                                       16),
    row(0x0C8, "NtOpenThreadTokenEx",                                     20),
    row(0x0C9, "NtOpenTimer",                                             12),
    row(0x0CA, "NtOpenTransaction",                                       20),
    row(0x0CB, "NtOpenTransactionManager",                                24),
    row(0x0CC, "NtPlugPlayControl",                                       12),
    row(0x0CD, "NtPowerInformation",                                      20),
    row(0x0CE, "NtPrepareComplete",                                        8),
    row(0x0CF, "NtPrepareEnlistment",                                      8),
    row(0x0D0, "NtPrePrepareComplete",                                     8),
    row(0x0D1, "NtPrePrepareEnlistment",                                   8),
    row(0x0D2, "NtPrivilegeCheck",                                        12),
    row(0x0D3, "NtPrivilegedServiceAuditAlarm",                           20),
    row(0x0D4, "NtPrivilegeObjectAuditAlarm",                             24),
    row(0x0D5, "NtPropagationComplete",                                   16),
    row(0x0D6, "NtPropagationFailed",                                     12),
    row(0x0D7, "NtProtectVirtualMemory",                                  20),
    row(0x0D8, "NtPulseEvent",                                             8),
    row(0x0D9, "NtQueryAttributesFile",                                    8),
    row(0x0DA, "NtQueryBootEntryOrder",                                    8),
    row(0x0DB, "NtQueryBootOptions",                                       8),
    row(0x0DC, "NtQueryDebugFilterState",                                  8),
    row(0x0DD, "NtQueryDefaultLocale",                                     8),
    row(0x0DE, "NtQueryDefaultUILanguage",                                 4),
    row(0x0DF, "NtQueryDirectoryFile",                                    44),
    row(0x0E0, "NtQueryDirectoryObject",                                  28),
    row(0x0E1, "NtQueryDriverEntryOrder",                                  8),
    row(0x0E2, "NtQueryEaFile",                                           36),
    row(0x0E3, "NtQueryEvent",                                            20),
    row(0x0E4, "NtQueryFullAttributesFile",                                8),
    row(0x0E5, "NtQueryInformationAtom",                                  20),
    row(0x0E6, "NtQueryInformationEnlistment",                            20),
    row(0x0E7, "NtQueryInformationFile",                                  20),
    row(0x0E8, "NtQueryInformationJobObject",                             20),
    row(0x0E9, "NtQueryInformationPort",                                  20),
    row(0x0EA, "NtQueryInformationProcess",                               20),
    row(0x0EB, "NtQueryInformationResourceManager",                       20),
    row(0x0EC, "NtQueryInformationThread",                                20),
    row(0x0ED, "NtQueryInformationToken",                                 20),
    row(0x0EE, "NtQueryInformationTransaction",                           20),
    row(0x0EF, "NtQueryInformationTransactionManager",                    20),
    row(0x0F0, "NtQueryInformationWorkerFactory",                         20),
    row(0x0F1, "NtQueryInstallUILanguage",                                 4),
    row(0x0F2, "NtQueryIntervalProfile",                                   8),
    row(0x0F3, "NtQueryIoCompletion",                                     20),
    row(0x0F4, "NtQueryKey",                                              20),
    row(0x0F5, "NtQueryLicenseValue",                                     20),
    row(0x0F6, "NtQueryMultipleValueKey",                                 24),
    row(0x0F7, "NtQueryMutant",                                           20),
    row(0x0F8, "NtQueryObject",                                           20),
    row(0x0F9, "NtQueryOpenSubKeys",                                       8),
    row(0x0FA, "NtQueryOpenSubKeysEx",                                    16),
    row(0x0FB, "NtQueryPerformanceCounter",                                8),
    row(0x0FC, "NtQueryPortInformationProcess",                            0),
    row(0x0FD, "NtQueryQuotaInformationFile",                             36),
    row(0x0FE, "NtQuerySection",                                          20),
    row(0x0FF, "NtQuerySecurityAttributesToken",                          24),
    row(0x100, "NtQuerySecurityObject",                                   20),
    row(0x101, "NtQuerySemaphore",                                        20),
    row(0x102, "NtQuerySymbolicLinkObject",                               12),
    row(0x103, "NtQuerySystemEnvironmentValue",                           16),
    row(0x104, "NtQuerySystemEnvironmentValueEx",                         20),
    row(0x105, "NtQuerySystemInformation",                                16),
    row(0x106, "NtQuerySystemInformationEx",                              24),
    row(0x107, "NtQuerySystemTime",                                        4),
    row(0x108, "NtQueryTimer",                                            20),
    row(0x109, "NtQueryTimerResolution",                                  12),
    row(0x10A, "NtQueryValueKey",                                         24),
    row(0x10B, "NtQueryVirtualMemory",                                    24),
    row(0x10C, "NtQueryVolumeInformationFile",                            20),
    row(0x10D, "NtQueueApcThread",                                        20),
    row(0x10E, "NtQueueApcThreadEx",                                      24),
    row(0x10F, "NtRaiseException",                                        12),
    row(0x110, "NtRaiseHardError",                                        24),
    row(0x111, "NtReadFile",                                              36),
    row(0x112, "NtReadFileScatter",                                       36),
    row(0x113, "NtReadOnlyEnlistment",                                     8),
    row(0x114, "NtReadRequestData",                                       24),
    row(0x115, "NtReadVirtualMemory",                                     20),
    row(0x116, "NtRecoverEnlistment",                                      8),
    row(0x117, "NtRecoverResourceManager",                                 4),
    row(0x118, "NtRecoverTransactionManager",                              4),
    row(0x119, "NtRegisterProtocolAddressInformation",                    20),
    row(0x11A, "NtRegisterThreadTerminatePort",                            4),
    row(0x11B, "NtReleaseKeyedEvent",                                     16),
    row(0x11C, "NtReleaseMutant",                                          8),
    row(0x11D, "NtReleaseSemaphore",                                      12),
    row(0x11E, "NtReleaseWorkerFactoryWorker",                             4),
    row(0x11F, "NtRemoveIoCompletion",                                    20),
    row(0x120, "NtRemoveIoCompletionEx",                                  24),
    row(0x121, "NtRemoveProcessDebug",                                     8),
    row(0x122, "NtRenameKey",                                              8),
    row(0x123, "NtRenameTransactionManager",                               8),
    row(0x124, "NtReplaceKey",                                            12),
    row(0x125, "NtReplacePartitionUnit",                                  12),
    row(0x126, "NtReplyPort",                                              8),
    row(0x127, "NtReplyWaitReceivePort",                                  16),
    row(0x128, "NtReplyWaitReceivePortEx",                                20),
    row(0x129, "NtReplyWaitReplyPort",                                     8),
    row(0x12A, "NtRequestPort",                                            8),
    row(0x12B, "NtRequestWaitReplyPort",                                  12),
    row(0x12C, "NtResetEvent",                                             8),
    row(0x12D, "NtResetWriteWatch",                                       12),
    row(0x12E, "NtRestoreKey",                                            12),
    row(0x12F, "NtResumeProcess",                                          4),
    row(0x130, "NtResumeThread",                                           8),
    row(0x131, "NtRollbackComplete",                                       8),
    row(0x132, "NtRollbackEnlistment",                                     8),
    row(0x133, "NtRollbackTransaction",                                    8),
    row(0x134, "NtRollforwardTransactionManager",                          8),
    row(0x135, "NtSaveKey",                                                8),
    row(0x136, "NtSaveKeyEx",                                             12),
    row(0x137, "NtSaveMergedKeys",                                        12),
    row(0x138, "NtSecureConnectPort",                                     36),
    row(0x139, "NtSerializeBoot",                                          0),
    row(0x13A, "NtSetBootEntryOrder",                                      8),
    row(0x13B, "NtSetBootOptions",                                         8),
    row(0x13C, "NtSetContextThread",                                       8),
    row(0x13D, "NtSetDebugFilterState",                                   12),
    row(0x13E, "NtSetDefaultHardErrorPort",                                4),
    row(0x13F, "NtSetDefaultLocale",                                       8),
    row(0x140, "NtSetDefaultUILanguage",                                   4),
    row(0x141, "NtSetDriverEntryOrder",                                    8),
    row(0x142, "NtSetEaFile",                                             16),
    row(0x143, "NtSetEvent",                                               8),
    row(0x144, "NtSetEventBoostPriority",                                  4),
    row(0x145, "NtSetHighEventPair",                                       4),
    row(0x146, "NtSetHighWaitLowEventPair",                                4),
    row(0x147, "NtSetInformationDebugObject",                             20),
    row(0x148, "NtSetInformationEnlistment",                              16),
    row(0x149, "NtSetInformationFile",                                    20),
    row(0x14A, "NtSetInformationJobObject",                               16),
    row(0x14B, "NtSetInformationKey",                                     16),
    row(0x14C, "NtSetInformationObject",                                  16),
    row(0x14D, "NtSetInformationProcess",                                 16),
    row(0x14E, "NtSetInformationResourceManager",                         16),
    row(0x14F, "NtSetInformationThread",                                  16),
    row(0x150, "NtSetInformationToken",                                   16),
    row(0x151, "NtSetInformationTransaction",                             16),
    row(0x152, "NtSetInformationTransactionManager",                      16),
    row(0x153, "NtSetInformationWorkerFactory",                           16),
    row(0x154, "NtSetIntervalProfile",                                     8),
    row(0x155, "NtSetIoCompletion",                                       20),
    row(0x156, "NtSetIoCompletionEx",                                     24),
    row(0x157, "NtSetLdtEntries",                                         24),
    row(0x158, "NtSetLowEventPair",                                        4),
    row(0x159, "NtSetLowWaitHighEventPair",                                4),
    row(0x15A, "NtSetQuotaInformationFile",                               16),
    row(0x15B, "NtSetSecurityObject",                                     12),
    row(0x15C, "NtSetSystemEnvironmentValue",                              8),
    row(0x15D, "NtSetSystemEnvironmentValueEx",                           20),
    row(0x15E, "NtSetSystemInformation",                                  12),
    row(0x15F, "NtSetSystemPowerState",                                   12),
    row(0x160, "NtSetSystemTime",                                          8),
    row(0x161, "NtSetThreadExecutionState",                                8),
    row(0x162, "NtSetTimer",                                              28),
    row(0x163, "NtSetTimerEx",                                            16),
    row(0x164, "NtSetTimerResolution",                                    12),
    row(0x165, "NtSetUuidSeed",                                            4),
    row(0x166, "NtSetValueKey",                                           24),
    row(0x167, "NtSetVolumeInformationFile",                              20),
    row(0x168, "NtShutdownSystem",                                         4),
    row(0x169, "NtShutdownWorkerFactory",                                  8),
    row(0x16A, "NtSignalAndWaitForSingleObject",                          16),
    row(0x16B, "NtSinglePhaseReject",                                      8),
    row(0x16C, "NtStartProfile",                                           4),
    row(0x16D, "NtStopProfile",                                            4),
    row(0x16E, "NtSuspendProcess",                                         4),
    row(0x16F, "NtSuspendThread",                                          8),
    row(0x170, "NtSystemDebugControl",                                    24),
    row(0x171, "NtTerminateJobObject",                                     8),
    row(0x172, "NtTerminateProcess",                                       8),
    row(0x173, "NtTerminateThread",                                        8),
    row(0x174, "NtTestAlert",                                              0),
    row(0x175, "NtThawRegistry",                                           0),
    row(0x176, "NtThawTransactions",                                       0),
    row(0x177, "NtTraceControl",                                          24),
    row(0x178, "NtTraceEvent",                                            16),
    row(0x179, "NtTranslateFilePath",                                     16),
    row(0x17A, "NtUmsThreadYield",                                         4),
    row(0x17B, "NtUnloadDriver",                                           4),
    row(0x17C, "NtUnloadKey",                                              4),
    row(0x17D, "NtUnloadKey2",                                             8),
    row(0x17E, "NtUnloadKeyEx",                                            8),
    row(0x17F, "NtUnlockFile",                                            20),
    row(0x180, "NtUnlockVirtualMemory",                                   16),
    row(0x181, "NtUnmapViewOfSection",                                     8),
    row(0x182, "NtVdmControl",                                             8),
    row(0x183, "NtWaitForDebugEvent",                                     16),
    row(0x184, "NtWaitForKeyedEvent",                                     16),
    row(0x185, "NtWaitForMultipleObjects",                                20),
    row(0x186, "NtWaitForMultipleObjects32",                              20),
    row(0x187, "NtWaitForSingleObject",                                   12),
    row(0x188, "NtWaitForWorkViaWorkerFactory",                            8),
    row(0x189, "NtWaitHighEventPair",                                      4),
    row(0x18A, "NtWaitLowEventPair",                                       4),
    row(0x18B, "NtWorkerFactoryWorkerReady",                               4),
    row(0x18C, "NtWriteFile",                                             36),
    row(0x18D, "NtWriteFileGather",                                       36),
    row(0x18E, "NtWriteRequestData",                                      24),
    row(0x18F, "NtWriteVirtualMemory",                                    20),
    row(0x190, "NtYieldExecution",                                         0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_401_rows_in_the_order_of_their_numbers() {
        assert_eq!(SERVICES.len(), 401);
        for (index, service) in SERVICES.iter().enumerate() {
            assert_eq!(usize::from(service.number), index, "{}", service.name);
            assert_eq!(service.argument_bytes % 4, 0, "{}", service.name);
        }
    }

    #[test]
    fn every_version_has_its_services_in_order_and_each_once() {
        let counts = [284, 391, 401, 429, 433, 471];
        for (windows, count) in Windows::ALL.into_iter().zip(counts) {
            let services = windows.services();
            assert_eq!(services.len(), count, "{windows:?}");
            for (index, service) in services.iter().enumerate() {
                assert_eq!(usize::from(service.number), index, "{}", service.name);
                assert_eq!(service.argument_bytes % 4, 0, "{}", service.name);
            }
            let names: std::collections::HashSet<_> =
                services.iter().map(|service| service.name).collect();
            assert_eq!(names.len(), services.len(), "{windows:?}");
        }
    }

    #[test]
    fn nt_write_file_has_the_number_of_each_version() {
        let numbers = [0x112, 0x163, 0x18C, 5, 6, 7];
        for (windows, number) in Windows::ALL.into_iter().zip(numbers) {
            let service = windows.service("NtWriteFile").unwrap();
            assert_eq!(
                (service.number, service.argument_bytes),
                (number, 36),
                "{windows:?}"
            );
        }
    }

    #[test]
    fn the_argument_table_of_xp_begins_as_a_debugger_showed_it() {
        let dump = "18 20 2c 2c 40 2c 40 44 0c 08 18 18 08 04 04 0c 10 18 08 08 0c 04 08 08 04 04 0c 08 0c 04 04 20";
        let bytes = Windows::Xp
            .services()
            .iter()
            .map(|service| service.argument_bytes);
        let shown: Vec<String> = bytes.take(32).map(|bytes| format!("{bytes:02x}")).collect();
        assert_eq!(shown.join(" "), dump);
    }

    #[test]
    fn nt_write_file_is_service_18c_with_nine_arguments() {
        let service = Service::named("NtWriteFile").unwrap();
        assert_eq!((service.number, service.argument_bytes), (0x18C, 9 * 4));
    }
}
