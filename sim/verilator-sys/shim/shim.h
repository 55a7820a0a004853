// What crosses between Rust and C++. src/lib.rs declares the same; both assert the sizes.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

// One retired micro-op.
struct sg_retired {
    uint64_t number;  // of the instruction, from 0 at reset; a delivered exception counts as one with its routine
    uint64_t cycle;
    uint64_t load_data;
    uint64_t store_data;
    uint32_t eip;
    uint32_t next_eip;
    uint32_t register_data;
    uint32_t esp_data;
    uint32_t eflags;
    uint32_t system_data;
    uint32_t load_linear;
    uint32_t load_physical;
    uint32_t store_linear;
    uint32_t store_physical;
    uint32_t cr2;
    uint16_t error_code;
    uint16_t micro_address;
    uint8_t bytes[16];
    uint8_t length;
    uint8_t cpl;
    uint8_t mode;
    uint8_t register_number;
    uint8_t system_number;
    uint8_t load_size;
    uint8_t store_size;
    uint8_t vector;
    uint8_t first;
    uint8_t last;
    uint8_t register_write;
    uint8_t esp_write;
    uint8_t system_write;
    uint8_t load;
    uint8_t store;
    uint8_t access_io;
    uint8_t exception;
    uint8_t interrupt;
    uint8_t has_error_code;
    uint8_t padding[5];
};
static_assert(sizeof(sg_retired) == 120, "src/lib.rs declares 120 bytes");

// What the chip asks of its memory ports in a clock.
struct sg_requests {
    uint64_t data_write_data;
    uint32_t instruction_address;
    uint32_t data_address;
    uint8_t data_byte_enable;
    uint8_t instruction_request;
    uint8_t data_request;
    uint8_t data_write;
    uint8_t padding[4];
};
static_assert(sizeof(sg_requests) == 24, "src/lib.rs declares 24 bytes");

// What another memory than the shim's answers in the next clock.
struct sg_answers {
    uint64_t instruction_data;
    uint64_t data_read_data;
    uint8_t instruction_wait;
    uint8_t data_wait;
    uint8_t padding[6];
};
static_assert(sizeof(sg_answers) == 24, "src/lib.rs declares 24 bytes");

// One completed port access.
struct sg_port_access {
    uint64_t cycle;
    uint32_t data;
    uint16_t port;
    uint8_t size;
    uint8_t write;
};
static_assert(sizeof(sg_port_access) == 16, "src/lib.rs declares 16 bytes");

// What an SDRAM chip needs, in clocks.
struct sg_sdram {
    uint64_t rcd, rp, rc, ras, rrd, rfc, wr, mrd;  // as datasheets call them, with a t before
    uint64_t power_up;
    uint64_t refresh;            // from one REFRESH to the next, at most
    uint64_t initial_refreshes;
    uint64_t mode_register;
};
static_assert(sizeof(sg_sdram) == 96, "src/lib.rs declares 96 bytes");

struct sg_settings {
    uint64_t ram_bytes;
    const uint8_t* rom;
    uint64_t rom_bytes;
    uint64_t wait_seed;         // of the random wait states; 0: memory answers in one clock
    uint64_t bit_clocks_x256;   // clocks of one UART bit, times 256
    uint64_t hang_clocks;       // clocks without a retirement, not in HLT, that count as a hang
    uint8_t keep_retired;       // fill the ring of retired micro-ops
    uint8_t keep_ports;         // fill the ring of port accesses
    uint8_t shadow;             // the ROM's mirror below 1 MB is RAM that begins as a copy
    uint8_t padding[5];
    const sg_sdram* sdram;      // RAM is SDRAM behind caches; null: it answers in one clock
    uint64_t clock_hz;
    int64_t date;               // of the CMOS clock at the first reset, in seconds since 1970
};
static_assert(sizeof(sg_settings) == 80, "src/lib.rs declares 80 bytes");

// Accesses to a port that no device has.
struct sg_unknown_port {
    uint64_t reads;
    uint64_t writes;
    uint16_t port;  // the first of an access
    uint8_t padding[6];
};
static_assert(sizeof(sg_unknown_port) == 24, "src/lib.rs declares 24 bytes");

struct sg_status {
    uint64_t cycle;
    uint64_t instructions;
    uint64_t micro_ops;
    uint64_t completed;     // cycle in which the last instruction completed
    uint32_t eip;           // next instruction, as the last retirement left it
    uint32_t eflags;
    uint32_t exit_value;
    uint8_t cpl;
    uint8_t mode;
    uint8_t halted;
    uint8_t shutdown;
    uint8_t debug_halted;
    uint8_t leds;
    uint16_t cs;            // selector
    uint32_t cs_base;
};
static_assert(sizeof(sg_status) == 56, "src/lib.rs declares 56 bytes");

enum sg_stop : uint32_t {
    SG_STOP_CYCLES = 0,
    SG_STOP_EXIT_PORT = 1,
    SG_STOP_HALTED = 2,
    SG_STOP_SHUTDOWN = 3,
    SG_STOP_HUNG = 4,
    SG_STOP_BREAKPOINT = 5,
    SG_STOP_BUFFER_FULL = 6,
    SG_STOP_INSTRUCTIONS = 7,
    SG_STOP_DEBUG_HALTED = 8,
    SG_STOP_WATCH = 9,
    SG_STOP_MEMORY = 10,  // the memory system is wrong; sg_fault_get says how
    SG_STOP_RESET = 11,   // the guest asked for a reset through port 64h, 92h or CF9h
};

enum sg_watch_kind : uint32_t {
    SG_WATCH_EXECUTE = 0,  // the next instruction is at linear address `address`
    SG_WATCH_READ = 1,     // memory, linear
    SG_WATCH_WRITE = 2,
    SG_WATCH_ACCESS = 3,
    SG_WATCH_PORT = 4,
    SG_WATCH_SYSTEM = 5,   // system register `address` is written
    SG_WATCH_VECTOR = 6,   // exception or interrupt `address` is delivered; any if `size` is 0
    SG_WATCH_RING = 7,     // the privilege level changes
};
struct sg_watch {
    uint32_t kind;
    uint32_t address;
    uint32_t size;
};
static_assert(sizeof(sg_watch) == 12, "src/lib.rs declares 12 bytes");

// The waveform's text lanes, each behind zeros, as Verilog keeps strings. build/ports.rs declares the same rows in the same order.
struct sg_texts {
    char symbol[48];
    char disassembly[48];
    char ring[12];
    char module_name[16];
    char microcode[32];
    char fetch[16];
    char decode[40];
    char issue[40];
    char address[40];
    char memory[40];
    char execute[40];
    char stall[96];
};
static_assert(sizeof(sg_texts) == 468, "src/lib.rs declares 468 bytes");

// One clock, for the text lanes.
struct sg_clock {
    const struct sg_machine* machine;
    const sg_retired* retired;  // what retires in it, or null
    uint32_t cs_base;           // this and the following as before that retirement
    uint32_t mode;
    uint32_t cr0;
    uint32_t cr3;
    uint32_t cr4;
    uint32_t pipeline[14];      // as sg_pipeline_get
    uint32_t padding;
};
static_assert(sizeof(sg_clock) == 96, "src/lib.rs declares 96 bytes");

// Changes the texts of a clock; called in every clock that is written to the waveform.
typedef void (*sg_lane_callback)(void* context, const sg_clock* clock, sg_texts* texts);

struct sg_machine;
sg_machine* sg_new(const sg_settings* settings);
void sg_delete(sg_machine* machine);
void sg_reset(sg_machine* machine);
uint32_t sg_run(sg_machine* machine, uint64_t max_cycles);
void sg_status_get(const sg_machine* machine, sg_status* status);
size_t sg_retired_take(sg_machine* machine, sg_retired* into, size_t capacity);
size_t sg_ports_take(sg_machine* machine, sg_port_access* into, size_t capacity);
size_t sg_posts_take(sg_machine* machine, uint32_t* into, size_t capacity);         // values written to 80h and 190h
size_t sg_console_take(sg_machine* machine, uint8_t* into, size_t capacity);        // decoded from uart_tx
size_t sg_debug_console_take(sg_machine* machine, uint8_t* into, size_t capacity);  // bytes written to port E9h
void sg_console_send(sg_machine* machine, const uint8_t* bytes, size_t count);      // to uart_rx
size_t sg_console_pending(const sg_machine* machine);                               // bytes not yet sent to uart_rx
uint8_t sg_memory_read(const sg_machine* machine, uint32_t physical, uint8_t* into, uint64_t count);
uint8_t sg_memory_write(sg_machine* machine, uint32_t physical, const uint8_t* from, uint64_t count);
size_t sg_unknown_ports_get(const sg_machine* machine, sg_unknown_port* into, size_t capacity);  // how many there are
size_t sg_fault_get(const sg_machine* machine, char* into, size_t capacity);  // bytes of its text, no zero behind
void sg_keep(sg_machine* machine, uint8_t retired, uint8_t ports);
void sg_waits(sg_machine* machine, uint64_t seed);
void sg_requests_get(const sg_machine* machine, sg_requests* requests);  // of the clock that the machine is in
void sg_answers_set(sg_machine* machine, const sg_answers* answers);     // for one clock, instead of the memory's
void sg_breakpoint(sg_machine* machine, uint32_t linear, uint8_t set);
void sg_watches(sg_machine* machine, const sg_watch* watches, size_t count);  // at most 64, instead of those before
uint64_t sg_watches_hit(const sg_machine* machine);                           // one bit each, after SG_STOP_WATCH
// All but RAM: the model, the ports, the terminal, the counts. The bytes stay valid until the next call.
size_t sg_save(sg_machine* machine, const uint8_t** bytes);
void sg_restore(sg_machine* machine, const uint8_t* bytes, size_t size);
uint8_t* sg_ram(sg_machine* machine);
uint8_t* sg_pages_written(sg_machine* machine, size_t* count);  // one byte per 4 KB of RAM, set by each write
void sg_instruction_limit(sg_machine* machine, uint64_t instructions);  // run stops there; UINT64_MAX: no limit
void sg_debug_halt(sg_machine* machine, uint8_t level);
void sg_debug_step(sg_machine* machine);
uint32_t sg_register_read(sg_machine* machine, uint8_t number);
void sg_register_write(sg_machine* machine, uint8_t number, uint32_t data);
void sg_invalidate(sg_machine* machine);
void sg_nmi(sg_machine* machine);
void sg_lines(sg_machine* machine, uint16_t lines);  // holds these interrupt lines high, one bit each
uint8_t sg_trace_open(sg_machine* machine, const char* path);
void sg_trace_close(sg_machine* machine);
void sg_trace_pause(sg_machine* machine, uint8_t paused);  // leaves a gap in the waveform
void sg_lanes(sg_machine* machine, sg_lane_callback callback, void* context);
void sg_pipeline_get(const sg_machine* machine, uint32_t* into);  // 14 words, see src/lib.rs
}
