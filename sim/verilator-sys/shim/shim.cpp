// Runs the Verilated chip: clock, memory, terminal, observation. Knows the chip's edge and nothing of what runs on it.
#include "shim.h"

#include "mainboard.h"
#include "sdram.h"

#include "Vmemory.h"
#include "Vsysgate.h"
#include "verilated.h"
#include "verilated_fst_c.h"
#include "verilated_save.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace {

constexpr size_t RING_CAPACITY = 1 << 15;
constexpr uint64_t POISON = 0xCCCC'CCCC'CCCC'CCCCull;  // on read data that is not valid
constexpr unsigned RESET_CLOCKS = 16;
constexpr uint64_t HALT_CONFIRM_CLOCKS = 32;  // in HLT with interrupts off this long: it stays so
constexpr uint64_t EXIT_CLOCKS = 64;          // from a write to the exit port to the retirement of its OUT, at most
constexpr uint64_t QUIET_BITS = 12;           // bit times without a start bit: the UART has nothing more to send

constexpr uint32_t CONTROL_PORTS_EXIT[] = {0xF4, 0x501};
constexpr uint32_t CONTROL_PORTS_POST[] = {0x80, 0x190};
constexpr uint32_t DEBUG_CONSOLE_PORTS[] = {0xE9, 0x402};  // the second is where PC BIOSes have it
constexpr uint32_t INTERRUPT_FLAG = 0x200;  // in EFLAGS
constexpr uint8_t PAGE_FAULT = 14;
constexpr uint8_t SYSTEM_CS_SELECTOR = 0x21;  // spec::registers::SELECTOR + CS
constexpr uint8_t SYSTEM_CS_BASE = 0x31;
constexpr uint8_t SYSTEM_CR0 = 0x60;
constexpr uint8_t SYSTEM_CR3 = 0x63;
constexpr uint8_t SYSTEM_CR4 = 0x64;
constexpr uint32_t PAGE_BYTES = 1 << 12;  // in which RAM is saved
constexpr uint32_t COM1 = 0x3F8;
constexpr uint32_t COM1_LINE_CONTROL = COM1 + 3;

constexpr uint64_t low_bytes(uint64_t data, unsigned bytes) {
    return bytes >= 8 ? data : data & ((1ull << (8 * bytes)) - 1);
}

// Bytes appended at one end and taken at the other.
template <class T> struct Buffer {
    std::vector<T> items;
    size_t taken = 0;
    size_t size() const { return items.size() - taken; }
    void push(const T& item) { items.push_back(item); }
    size_t take(T* into, size_t capacity) {
        const size_t count = std::min(capacity, size());
        std::copy_n(items.begin() + taken, count, into);
        taken += count;
        if (taken == items.size()) {
            items.clear();
            taken = 0;
        }
        return count;
    }
};

// RAM from 0, ROM up to 4 GB with its end mirrored below 1 MB; all else reads as ones.
struct Memory {
    uint8_t* ram = nullptr;
    uint64_t ram_bytes = 0;
    std::vector<uint8_t> rom;
    uint64_t rom_base = 1ull << 32;
    uint32_t mirror_base = 0x100000;
    uint32_t mirror_bytes = 0;
    std::vector<uint8_t> written;  // per page of RAM: since it was cleared

    Memory(uint64_t size, const uint8_t* rom_from, uint64_t rom_size, bool shadow)
        : ram_bytes{size}, rom(rom_from, rom_from + rom_size) {
        // calloc: the pages of a large RAM that nobody touches cost nothing.
        ram = static_cast<uint8_t*>(std::calloc(std::max<uint64_t>(size, 1), 1));
        if (!ram) throw std::bad_alloc{};
        rom_base -= rom_size;
        mirror_bytes = static_cast<uint32_t>(std::min<uint64_t>(rom_size, 0x20000));
        mirror_base -= mirror_bytes;
        if (shadow && mirror_base + mirror_bytes <= size) {
            std::memcpy(ram + mirror_base, rom.data() + rom.size() - mirror_bytes, mirror_bytes);
            mirror_bytes = 0;
        }
        written.resize((size + PAGE_BYTES - 1) / PAGE_BYTES);
    }
    ~Memory() { std::free(ram); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    const uint8_t* rom_at(uint32_t address) const {
        if (address >= rom_base) return &rom[address - rom_base];
        if (address - mirror_base < mirror_bytes) return &rom[rom.size() - mirror_bytes + (address - mirror_base)];
        return nullptr;
    }
    // `address` is a multiple of 8; sizes are, too.
    uint64_t read(uint32_t address) const {
        uint64_t data = ~0ull;
        if (const uint8_t* from = rom_at(address)) {
            std::memcpy(&data, from, 8);
        } else if (address < ram_bytes) {
            std::memcpy(&data, ram + address, 8);
        }
        return data;
    }
    void write(uint32_t address, uint8_t byte_enable, uint64_t data) {
        if (address >= ram_bytes || rom_at(address)) return;
        uint8_t* to = ram + address;
        written[address / PAGE_BYTES] = 1;
        if (byte_enable == 0xFF) {
            std::memcpy(to, &data, 8);
            return;
        }
        for (unsigned lane = 0; lane < 8; ++lane) {
            if (byte_enable >> lane & 1) to[lane] = static_cast<uint8_t>(data >> (8 * lane));
        }
    }
};

// Caches and SDRAM between the chip's memory ports and RAM. Its clock is the chip's.
struct MemorySystem {
    Vmemory top;
    SdramChip chip;
    bool flush = false;  // in the next clock

    MemorySystem(VerilatedContext& context, const sg_sdram& needs, uint64_t bytes)
        : top{&context, "MEMORY"}, chip{needs, bytes} {
        top.clock = 0;
        top.eval();
    }
    ~MemorySystem() { top.final(); }

    void reset(unsigned clocks) {
        top.reset = 1;
        top.instruction_request = 0;
        top.data_request = 0;
        for (unsigned clock = 0; clock < clocks; ++clock) edge();
        top.reset = 0;
        chip.controller_reset();
    }
    void edge() {
        top.clock = 1;
        top.eval();
        top.clock = 0;
        top.eval();
    }
    // One clock with the requests that are at its ports.
    void clock() {
        top.sdram_data_in = chip.clock({top.sdram_cs_n != 0, top.sdram_ras_n != 0, top.sdram_cas_n != 0, top.sdram_we_n != 0,
                                        top.sdram_bank, top.sdram_address, top.sdram_dqm, top.sdram_data_out,
                                        top.sdram_data_drive != 0});
        top.flush = flush;
        flush = false;
        edge();
    }
};

struct Random {
    uint64_t state = 0;
    bool on() const { return state != 0; }
    // xorshift64*: any good mixer will do, it must only be the same everywhere.
    unsigned wait_clocks() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        const unsigned draw = static_cast<unsigned>((state * 0x2545'F491'4F6C'DD1Dull) >> 60);
        return draw < 8 ? 0 : draw - 7;
    }
};

// The slave's side of one local port.
struct Port {
    bool outstanding = false;
    unsigned wait_clocks = 0;
    uint64_t answer = 0;
    bool checked = false;  // with SDRAM: `answer` is what must come
    bool accepts() const { return !(outstanding && wait_clocks != 0); }
};

// Receives what the chip sends on uart_tx: 8 data bits, no parity, at the period given.
struct Receiver {
    int bit = -1;  // -1: waiting for a start bit
    uint64_t next_sample = 0;
    uint8_t shift = 0;
    uint64_t quiet_since = 0;

    // Returns a byte, or -1.
    int clock(bool line, uint64_t tick, uint64_t period_x256) {
        if (bit < 0) {
            if (line) return -1;
            bit = 0;
            next_sample = (tick << 8) + period_x256 / 2;
            return -1;
        }
        if ((tick << 8) < next_sample) return -1;
        next_sample += period_x256;
        const int sampled = bit++;
        if (sampled == 0) {
            if (line) bit = -1;  // a glitch, not a start bit
            return -1;
        }
        if (sampled <= 8) {
            shift = static_cast<uint8_t>(shift >> 1 | (line ? 0x80 : 0));
            return -1;
        }
        bit = -1;
        quiet_since = tick;
        return line ? shift : -1;  // without a stop bit it was a break or another speed
    }
};

// Shows `text` in a lane, the first character in the most significant byte.
template <size_t WORDS, size_t CHARACTERS>
void show(VlWide<WORDS>& lane, const char (&text)[CHARACTERS], const char (&shown)[CHARACTERS]) {
    static_assert(4 * WORDS == CHARACTERS, "the lane is as wide as build/ports.rs says");
    if (std::memcmp(text, shown, CHARACTERS) == 0) return;
    for (size_t word = 0; word < WORDS; ++word) {
        uint32_t bits = 0;
        for (size_t character = 0; character < 4; ++character) {
            bits = bits << 8 | static_cast<uint8_t>(text[4 * word + character]);
        }
        lane[WORDS - 1 - word] = bits;
    }
}

// Drives uart_rx.
struct Transmitter {
    int bit = -1;
    uint64_t next_edge = 0;
    uint8_t current = 0;

    bool clock(std::deque<uint8_t>& queue, uint64_t tick, uint64_t period_x256) {
        if (bit < 0) {
            if (queue.empty()) return true;
            current = queue.front();
            queue.pop_front();
            bit = 0;
            next_edge = (tick << 8) + period_x256;
            return false;
        }
        if ((tick << 8) >= next_edge) {
            next_edge += period_x256;
            if (++bit == 10) {
                bit = -1;
                return true;
            }
        }
        if (bit == 0) return false;
        return bit == 9 || (current >> (bit - 1) & 1);
    }
};

// Verilator's two streams, into memory and back.
struct Saver final : VerilatedSerialize {
    std::vector<uint8_t>& bytes;
    explicit Saver(std::vector<uint8_t>& into) : bytes{into} { m_isOpen = true; }
    void flush() override {
        bytes.insert(bytes.end(), m_bufp, m_cp);
        m_cp = m_bufp;
    }
};
struct Restorer final : VerilatedDeserialize {
    const uint8_t* from;
    size_t left;
    Restorer(const uint8_t* bytes, size_t count) : from{bytes}, left{count} {
        m_isOpen = true;
        m_endp = m_cp;
    }
    void fill() override {
        // Asked before each read near the end, too, when the buffer holds all there is.
        if (left == 0) return;
        const size_t kept = m_endp - m_cp;
        std::memmove(m_bufp, m_cp, kept);
        const size_t count = std::min(left, bufferSize() - kept);
        std::memcpy(m_bufp + kept, from, count);
        from += count;
        left -= count;
        m_cp = m_bufp;
        m_endp = m_bufp + kept + count;
    }
};

// What the run depends on or is known by, besides the model, RAM and what is still to be sent to the chip.
struct State {
    Random random;
    Port instruction_port;
    Port data_port;
    uint32_t fetched_from = 0;  // of the fetch under way
    Receiver receiver;
    Transmitter transmitter;
    uint32_t divisor = 1;  // the terminal follows the speed that the guest chooses
    bool divisor_latch = false;
    bool serial_used = false;
    uint64_t last_tick_in_use = 0;
    uint64_t tick = 0;   // clocks since the first reset ended
    uint64_t cycle = 0;  // clocks since the last reset ended
    uint64_t instructions = 0;
    uint64_t micro_ops = 0;
    uint64_t completed = 0;
    uint64_t last_retirement = 0;
    uint64_t halted_since = 0;
    bool is_halted = false;
    uint32_t eip = 0xFFF0;
    uint32_t eflags = 2;
    uint8_t cpl = 0;
    uint8_t mode = 0;
    uint16_t cs = 0xF000;
    uint32_t cs_base = 0xFFFF'0000;
    uint32_t cr0 = 0;
    uint32_t cr3 = 0;
    uint32_t cr4 = 0;
    uint8_t ring = 0;  // of the next instruction
    uint32_t exit_value = 0;
    bool exit_written = false;
    uint64_t exit_cycle = 0;  // when it was written
    uint64_t exit_instructions = 0;
    bool breakpoint_hit = false;
    uint64_t watches_hit = 0;  // by the instruction under way, one bit each
    bool watch_stops = false;  // it has completed
    bool stop_at_debug_halt = false;
    sg_texts texts{};  // as the model's ports show them
    Mainboard mainboard;
    bool unknown_port = false;  // a byte cycle of the access under way was for a port that no device has
    uint16_t forced_lines = 0;  // interrupt lines that are held high from outside
};
static_assert(std::is_trivially_copyable_v<State>);

}  // namespace

struct sg_machine : State {
    VerilatedContext context;
    std::unique_ptr<Vsysgate> top;
    std::unique_ptr<VerilatedFstC> trace;
    bool trace_paused = false;
    uint64_t traced_until = 0;  // a waveform goes forward only
    Memory memory;  // as the chip has written it; with SDRAM some of it is still on its way
    std::unique_ptr<MemorySystem> memory_system;  // none: RAM answers in one clock
    std::string fault;
    std::deque<uint8_t> to_send;  // to the chip
    uint64_t bit_clocks_x256;     // at divisor 1
    uint64_t hang_clocks;
    bool keep_retired;
    bool keep_ports;
    uint64_t instruction_limit = UINT64_MAX;
    sg_answers answers{};       // of another memory
    bool has_answers = false;  // for the next clock

    std::unordered_set<uint32_t> breakpoints;  // linear
    std::vector<sg_watch> watches;
    uint64_t watches_reported = 0;
    std::vector<uint8_t> saved;
    Buffer<sg_retired> retired;
    Buffer<sg_port_access> ports;
    Buffer<uint32_t> posts;
    Buffer<uint8_t> console;
    Buffer<uint8_t> debug_console;
    std::map<uint16_t, sg_unknown_port> unknown_ports;
    sg_lane_callback lane_callback = nullptr;
    void* lane_context = nullptr;

    explicit sg_machine(const sg_settings& settings)
        : memory{settings.ram_bytes, settings.rom, settings.rom_bytes, settings.shadow != 0},
          bit_clocks_x256{settings.bit_clocks_x256},
          hang_clocks{settings.hang_clocks},
          keep_retired{settings.keep_retired != 0},
          keep_ports{settings.keep_ports != 0} {
        random.state = settings.wait_seed;
        mainboard.cmos.start(settings.ram_bytes, settings.clock_hz, settings.date);
        context.traceEverOn(true);
        context.timeunit(-9);
        context.timeprecision(-9);
        top = std::make_unique<Vsysgate>(&context, "TOP");
        top->clock = 0;
        top->uart_rx = 1;
        top->instruction_data = POISON;
        top->data_read_data = POISON;
        top->eval();
        if (settings.sdram) memory_system = std::make_unique<MemorySystem>(context, *settings.sdram, settings.ram_bytes);
        reset();
    }
    ~sg_machine() {
        trace_close();
        top->final();
    }

    void trace_close() {
        if (!trace) return;
        trace->close();
        trace.reset();
    }

    void reset() {
        instruction_port = {};
        data_port = {};
        receiver = {};
        top->reset = 1;
        top->instruction_wait = 0;
        top->data_wait = 0;
        top->debug_step = 0;
        top->debug_write = 0;
        top->debug_invalidate = 0;
        top->nmi = 0;
        top->external_selected = 0;
        top->external_lines = 0;
        mainboard.keyboard = {};
        unknown_port = false;
        const bool first = tick == 0;
        for (unsigned clock = 0; clock < RESET_CLOCKS; ++clock) {
            edge(!first);
            if (!first) ++tick;
        }
        if (memory_system) memory_system->reset(RESET_CLOCKS);
        top->reset = 0;
        edge(!first);
        cycle = 0;
        instructions = 0;
        micro_ops = 0;
        completed = 0;
        last_retirement = 0;
        is_halted = false;
        exit_written = false;
        breakpoint_hit = false;
        watches_hit = 0;
        watch_stops = false;
        ring = 0;
        divisor = 1;
        divisor_latch = false;
        serial_used = false;
        eip = 0xFFF0;
        cs = 0xF000;
        cs_base = 0xFFFF'0000;
        cr0 = cr3 = cr4 = 0;
        eflags = 2;
        cpl = 0;
        mode = 0;
    }

    // One rising and one falling edge. All registers of the chip change at the first.
    void edge(bool may_trace = true) {
        top->clock = 1;
        top->eval();
        const bool tracing = trace && may_trace && !trace_paused && tick >= traced_until;
        if (tracing) {
            if (lane_callback) show_texts();
            trace->dump(10 * tick);
        }
        top->clock = 0;
        top->eval();
        if (tracing) {
            trace->dump(10 * tick + 5);
            traced_until = tick + 1;
        }
    }

    void show_texts() {
        Vsysgate& t = *top;
        sg_retired record;
        sg_clock clock{};
        clock.machine = this;
        if (t.retire_valid) {
            record = retirement();
            clock.retired = &record;
        }
        clock.cs_base = cs_base;
        clock.mode = mode;
        clock.cr0 = cr0;
        clock.cr3 = cr3;
        clock.cr4 = cr4;
        sg_pipeline_get(this, clock.pipeline);
        const sg_texts shown = texts;
        lane_callback(lane_context, &clock, &texts);
        show(t.text_symbol, texts.symbol, shown.symbol);
        show(t.text_disassembly, texts.disassembly, shown.disassembly);
        show(t.text_ring, texts.ring, shown.ring);
        show(t.text_module_name, texts.module_name, shown.module_name);
        show(t.text_microcode, texts.microcode, shown.microcode);
        show(t.text_fetch, texts.fetch, shown.fetch);
        show(t.text_decode, texts.decode, shown.decode);
        show(t.text_issue, texts.issue, shown.issue);
        show(t.text_address, texts.address, shown.address);
        show(t.text_memory, texts.memory, shown.memory);
        show(t.text_execute, texts.execute, shown.execute);
        show(t.text_stall, texts.stall, shown.stall);
    }

    // A system register that the shim follows has a new value.
    void system_written(uint8_t number, uint32_t data) {
        switch (number) {
        case SYSTEM_CS_SELECTOR:
            cs = static_cast<uint16_t>(data);
            // Protected mode: zero unless a record says otherwise. Else 16 times the selector.
            cs_base = (mode & 3) == 1 ? 0 : uint32_t{cs} << 4;
            break;
        case SYSTEM_CS_BASE: cs_base = data; break;
        case SYSTEM_CR0: cr0 = data; break;
        case SYSTEM_CR3: cr3 = data; break;
        case SYSTEM_CR4: cr4 = data; break;
        }
    }

    sg_retired retirement() const {
        const Vsysgate& t = *top;
        sg_retired r{};
        r.number = instructions;
        r.cycle = t.retire_cycle;
        r.eip = t.retire_eip;
        r.next_eip = t.retire_next_eip;
        r.eflags = t.retire_eflags;
        r.micro_address = t.retire_micro_address;
        r.length = t.retire_length;
        for (unsigned byte = 0; byte < r.length; ++byte) {
            r.bytes[byte] = static_cast<uint8_t>(t.retire_bytes[byte / 4] >> (8 * (byte % 4)));
        }
        r.cpl = t.retire_cpl;
        r.mode = t.retire_mode;
        r.first = t.retire_first;
        r.last = t.retire_last;
        // What means nothing stays zero, so that equal runs have equal records.
        if (t.retire_register_write) {
            r.register_write = 1;
            r.register_number = t.retire_register;
            r.register_data = t.retire_register_data;
        }
        if (t.retire_esp_write) {
            r.esp_write = 1;
            r.esp_data = t.retire_esp_data;
        }
        if (t.retire_system_write) {
            r.system_write = 1;
            r.system_number = t.retire_system_number;
            r.system_data = t.retire_system_data;
        }
        if (t.retire_load) {
            r.load = 1;
            r.load_linear = t.retire_load_linear;
            r.load_physical = t.retire_load_physical;
            r.load_size = t.retire_load_size;
            r.load_data = low_bytes(t.retire_load_data, r.load_size);
        }
        if (t.retire_store) {
            r.store = 1;
            r.store_linear = t.retire_store_linear;
            r.store_physical = t.retire_store_physical;
            r.store_size = t.retire_store_size;
            r.store_data = low_bytes(t.retire_store_data, r.store_size);
        }
        if (r.load || r.store) r.access_io = t.retire_access_io;
        if (t.retire_exception || t.retire_interrupt) {
            r.exception = t.retire_exception;
            r.interrupt = t.retire_interrupt;
            r.vector = t.retire_vector;
            r.has_error_code = t.retire_has_error_code;
            if (r.has_error_code) r.error_code = t.retire_error_code;
            if (r.exception && r.vector == PAGE_FAULT) r.cr2 = t.retire_cr2;
        }
        return r;
    }

    static bool is_control_port(uint16_t port) {
        const auto contains = [port](const auto& list) {
            return std::find(std::begin(list), std::end(list), port) != std::end(list);
        };
        return contains(CONTROL_PORTS_EXIT) || contains(CONTROL_PORTS_POST);
    }

    // One byte cycle on the chip's I/O bus. What the board's devices claim they answer in the same clock.
    void external_cycle() {
        Vsysgate& t = *top;
        const uint16_t port = t.external_port;
        uint8_t data = 0;
        const bool claimed = t.external_read ? mainboard.read(tick, port, data)
                                             : mainboard.write(tick, port, t.external_write_data);
        t.external_selected = claimed;
        t.external_read_data = data;
        if (!claimed && !t.external_inside && !(t.external_write && is_control_port(port))) unknown_port = true;
    }

    void port_access(const sg_port_access& access) {
        if (keep_ports) ports.push(access);
        if (unknown_port) {
            unknown_port = false;
            sg_unknown_port& counts = unknown_ports[access.port];
            counts.port = access.port;
            ++(access.write ? counts.writes : counts.reads);
        }
        if (!access.write) return;
        for (uint32_t port : CONTROL_PORTS_EXIT) {
            if (access.port == port) {
                exit_value = access.data;
                if (!exit_written) exit_cycle = cycle, exit_instructions = instructions;
                exit_written = true;
            }
        }
        for (uint32_t port : CONTROL_PORTS_POST) {
            if (access.port == port) posts.push(access.data);
        }
        for (unsigned byte = 0; byte < access.size; ++byte) {
            const uint8_t value = static_cast<uint8_t>(access.data >> (8 * byte));
            switch (access.port + byte) {
            case COM1_LINE_CONTROL: divisor_latch = value >> 7; break;
            case COM1:
                if (divisor_latch) divisor = (divisor & 0xFF00) | value;
                else serial_used = true, last_tick_in_use = tick;
                break;
            case COM1 + 1:
                if (divisor_latch) divisor = (divisor & 0xFF) | static_cast<uint32_t>(value) << 8;
                break;
            }
        }
        // Two more ways to ask for a reset. The second is a byte within the address of PCI's configuration.
        if (access.size == 1 && ((access.port == 0x92 && access.data & 1) || (access.port == 0xCF9 && access.data & 4))) {
            mainboard.keyboard.reset_asked = true;
        }
        for (uint32_t port : DEBUG_CONSOLE_PORTS) {
            if (access.port == port) debug_console.push(static_cast<uint8_t>(access.data));
        }
    }

    uint64_t bit_period_x256() const { return bit_clocks_x256 * (divisor ? divisor : 65536); }

    // The chip's outputs of this clock are settled; sets what it sees in the next.
    void answer() {
        Vsysgate& t = *top;
        t.uart_rx = transmitter.clock(to_send, tick, bit_period_x256());
        if (t.external_read || t.external_write) {
            external_cycle();
        } else if (t.external_selected) {
            t.external_selected = 0;
        }
        if (tick >= mainboard.cmos.next_event) mainboard.cmos.event(tick);
        t.external_lines = mainboard.lines() | forced_lines;
        if (has_answers) {
            has_answers = false;
            t.instruction_wait = answers.instruction_wait;
            t.instruction_data = answers.instruction_data;
            t.data_wait = answers.data_wait;
            t.data_read_data = answers.data_read_data;
            return;
        }
        if (memory_system) {
            answer_from_memory_system();
            return;
        }
        // Fetch first: a fetch and a store accepted in the same clock meet as in a two-port block RAM, old data.
        if (instruction_port.accepts()) {
            instruction_port.outstanding = t.instruction_request;
            if (t.instruction_request) {
                instruction_port.answer = memory.read(t.instruction_address & ~7u);
                instruction_port.wait_clocks = random.on() ? random.wait_clocks() : 0;
            }
        } else {
            --instruction_port.wait_clocks;
        }
        bool waits = instruction_port.outstanding && instruction_port.wait_clocks != 0;
        t.instruction_wait = waits;
        t.instruction_data = instruction_port.outstanding && !waits ? instruction_port.answer : POISON;

        if (data_port.accepts()) {
            data_port.outstanding = t.data_request;
            if (t.data_request) {
                data_port.wait_clocks = random.on() ? random.wait_clocks() : 0;
                data_port.answer = POISON;
                const uint32_t address = t.data_address & ~7u;
                if (t.data_write) {
                    memory.write(address, t.data_byte_enable, t.data_write_data);
                } else {
                    data_port.answer = memory.read(address);
                }
            }
        } else {
            --data_port.wait_clocks;
        }
        waits = data_port.outstanding && data_port.wait_clocks != 0;
        t.data_wait = waits;
        t.data_read_data = data_port.outstanding && !waits ? data_port.answer : POISON;
    }

    // Asks the memory system, and compares what it answers with what was written.
    void answer_from_memory_system() {
        Vsysgate& t = *top;
        Vmemory& m = memory_system->top;
        const uint32_t fetched = t.instruction_address & ~7u, accessed = t.data_address & ~7u;
        const auto in_ram = [&](uint32_t address) { return address < memory.ram_bytes && !memory.rom_at(address); };
        m.fills = t.caches_fill;
        if (t.caches_flush) memory_system->flush = true;
        m.instruction_cacheable = t.instruction_cacheable;
        m.data_cacheable = t.data_cacheable;
        m.instruction_request = t.instruction_request;
        m.instruction_address = fetched;
        m.instruction_in_ram = in_ram(fetched);
        m.instruction_in_rom = memory.rom_at(fetched) != nullptr;
        m.instruction_rom_data = memory.read(m.instruction_rom_address & ~7u);
        m.data_request = t.data_request;
        m.data_write = t.data_write;
        m.data_address = accessed;
        m.data_in_ram = in_ram(accessed);
        m.data_in_rom = memory.rom_at(accessed) != nullptr;
        m.data_rom_data = memory.read(m.data_rom_address & ~7u);
        m.data_byte_enable = t.data_byte_enable;
        m.data_write_data = t.data_write_data;

        if (instruction_port.accepts()) {
            instruction_port.outstanding = t.instruction_request;
            instruction_port.answer = memory.read(fetched);
            instruction_port.checked = t.instruction_request;
            fetched_from = fetched;
        }
        if (data_port.accepts()) {
            data_port.outstanding = t.data_request;
            data_port.checked = t.data_request && !t.data_write;
            if (data_port.checked) data_port.answer = memory.read(accessed);
            if (t.data_request && t.data_write) {
                memory.write(accessed, t.data_byte_enable, t.data_write_data);
                // A fetch under way may get the old bytes or the new ones.
                if (accessed == fetched_from) instruction_port.checked = false;
            }
        }
        memory_system->clock();
        instruction_port.wait_clocks = m.instruction_wait;
        t.instruction_wait = m.instruction_wait;
        t.instruction_data = m.instruction_data;
        data_port.wait_clocks = m.data_wait;
        t.data_wait = m.data_wait;
        t.data_read_data = m.data_read_data;
        if (!m.instruction_wait) compare("instruction", instruction_port, m.instruction_data);
        if (!m.data_wait) compare("data", data_port, m.data_read_data);
        if (!memory_system->chip.fault.empty() && fault.empty()) fault = memory_system->chip.fault;
    }
    void compare(const char* name, Port& port, uint64_t data) {
        if (!port.outstanding || !port.checked) return;
        port.checked = false;
        if (data == port.answer || !fault.empty()) return;
        char text[128];
        std::snprintf(text, sizeof text, "the %s port read %016llx in clock %llu, and %016llx was stored", name,
                      static_cast<unsigned long long>(data), static_cast<unsigned long long>(cycle),
                      static_cast<unsigned long long>(port.answer));
        fault = text;
    }

    static bool overlap(const sg_watch& watch, uint32_t address, uint32_t size) {
        return address - watch.address < watch.size || watch.address - address < size;
    }
    template <class Matches> void watch(Matches matches) {
        for (size_t at = 0; at < watches.size(); ++at) {
            if (matches(watches[at])) watches_hit |= 1ull << at;
        }
    }
    void watch_retirement() {
        const Vsysgate& t = *top;
        watch([&](const sg_watch& w) {
            const bool memory = !t.retire_access_io;
            switch (w.kind) {
            case SG_WATCH_READ: return memory && t.retire_load && overlap(w, t.retire_load_linear, t.retire_load_size);
            case SG_WATCH_WRITE: return memory && t.retire_store && overlap(w, t.retire_store_linear, t.retire_store_size);
            case SG_WATCH_ACCESS:
                return memory && ((t.retire_load && overlap(w, t.retire_load_linear, t.retire_load_size))
                                  || (t.retire_store && overlap(w, t.retire_store_linear, t.retire_store_size)));
            case SG_WATCH_SYSTEM: return t.retire_system_write && t.retire_system_number == w.address;
            case SG_WATCH_VECTOR:
                return (t.retire_exception || t.retire_interrupt) && (w.size == 0 || t.retire_vector == w.address);
            default: return false;
            }
        });
    }

    void observe() {
        const Vsysgate& t = *top;
        if (t.retire_valid) {
            last_retirement = cycle;
            ++micro_ops;
            eflags = t.retire_eflags;
            cpl = t.retire_cpl;
            mode = t.retire_mode;
            if (keep_retired) retired.push(retirement());
            eip = t.retire_next_eip;
            if (t.retire_system_write) system_written(t.retire_system_number, t.retire_system_data);
            if (!watches.empty()) watch_retirement();
            // A delivered exception or interrupt is one with the routine behind it that enters the handler.
            if (t.retire_last && !t.retire_exception && !t.retire_interrupt) {
                ++instructions;
                completed = cycle;
                if (!breakpoints.empty() && breakpoints.contains(cs_base + eip)) breakpoint_hit = true;
                // In protected mode the privilege level is that of CS; virtual-8086 mode is ring 3.
                const uint8_t now = mode & 1 ? (mode & 2 ? 3 : cs & 3) : 0;
                if (!watches.empty()) {
                    const bool changes = now != ring;
                    const uint32_t next = cs_base + eip;
                    watch([=](const sg_watch& w) {
                        return (w.kind == SG_WATCH_RING && changes) || (w.kind == SG_WATCH_EXECUTE && w.address == next);
                    });
                    watch_stops = watches_hit != 0;
                }
                ring = now;
            }
        }
        if (t.io_valid) {
            if (!watches.empty()) {
                const uint32_t first = t.io_port, size = t.io_size;
                watch([=](const sg_watch& w) { return w.kind == SG_WATCH_PORT && overlap(w, first, size); });
            }
            port_access({cycle, t.io_data, t.io_port, t.io_size, t.io_write});
        }
        const int byte = receiver.clock(t.uart_tx, tick, bit_period_x256());
        if (byte >= 0) console.push(static_cast<uint8_t>(byte));
        if (t.halted != is_halted) {
            is_halted = t.halted;
            halted_since = cycle;
        }
    }

    // To the next clock, and looks at it. What happened in it is still on the pins when the run stops, so that the
    // debugger's pins, set then, work before anything else happens.
    void clock() {
        answer();
        ++tick;
        ++cycle;
        edge();
        observe();
    }

    bool uart_quiet() const {
        if (!serial_used) return true;
        const uint64_t since = std::max(receiver.quiet_since, last_tick_in_use);
        return receiver.bit < 0 && ((tick - since) << 8) >= QUIET_BITS * bit_period_x256();
    }

    uint32_t run(uint64_t max_cycles) {
        const uint64_t end = max_cycles > UINT64_MAX - cycle ? UINT64_MAX : cycle + max_cycles;
        while (cycle < end) {
            if (retired.size() >= RING_CAPACITY || ports.size() >= RING_CAPACITY) return SG_STOP_BUFFER_FULL;
            clock();
            if (!fault.empty()) return SG_STOP_MEMORY;
            // The OUT itself retires a few clocks after its access.
            if (exit_written && (instructions != exit_instructions || cycle - exit_cycle >= EXIT_CLOCKS)) {
                exit_written = false;
                return SG_STOP_EXIT_PORT;
            }
            if (mainboard.keyboard.reset_asked) {
                mainboard.keyboard.reset_asked = false;
                return SG_STOP_RESET;
            }
            if (breakpoint_hit) {
                breakpoint_hit = false;
                return SG_STOP_BREAKPOINT;
            }
            if (watch_stops) {
                watch_stops = false;
                watches_reported = watches_hit;
                watches_hit = 0;
                return SG_STOP_WATCH;
            }
            if (instructions >= instruction_limit) return SG_STOP_INSTRUCTIONS;
            if (top->shutdown) return SG_STOP_SHUTDOWN;
            if (stop_at_debug_halt && top->debug_halted) return SG_STOP_DEBUG_HALTED;
            if (is_halted) {
                last_retirement = cycle;
                const bool for_ever = !(eflags & INTERRUPT_FLAG);
                if (for_ever && cycle - halted_since >= HALT_CONFIRM_CLOCKS && uart_quiet()) return SG_STOP_HALTED;
            } else if (top->debug_halted) {
                last_retirement = cycle;
            } else if (cycle - last_retirement >= hang_clocks) {
                last_retirement = cycle;
                return SG_STOP_HUNG;
            }
        }
        return SG_STOP_CYCLES;
    }
};

extern "C" {

sg_machine* sg_new(const sg_settings* settings) {
    try {
        return new sg_machine{*settings};
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void sg_delete(sg_machine* machine) { delete machine; }
void sg_reset(sg_machine* machine) { machine->reset(); }
uint32_t sg_run(sg_machine* machine, uint64_t max_cycles) { return machine->run(max_cycles); }

void sg_status_get(const sg_machine* m, sg_status* status) {
    *status = sg_status{m->cycle, m->instructions, m->micro_ops, m->completed, m->eip, m->eflags, m->exit_value,
                        m->cpl, m->mode, static_cast<uint8_t>(m->top->halted), static_cast<uint8_t>(m->top->shutdown),
                        static_cast<uint8_t>(m->top->debug_halted), static_cast<uint8_t>(m->top->leds), m->cs, m->cs_base};
}

size_t sg_retired_take(sg_machine* machine, sg_retired* into, size_t capacity) {
    return machine->retired.take(into, capacity);
}
size_t sg_ports_take(sg_machine* machine, sg_port_access* into, size_t capacity) {
    return machine->ports.take(into, capacity);
}
size_t sg_posts_take(sg_machine* machine, uint32_t* into, size_t capacity) {
    return machine->posts.take(into, capacity);
}
size_t sg_console_take(sg_machine* machine, uint8_t* into, size_t capacity) {
    return machine->console.take(into, capacity);
}
size_t sg_debug_console_take(sg_machine* machine, uint8_t* into, size_t capacity) {
    return machine->debug_console.take(into, capacity);
}
void sg_console_send(sg_machine* machine, const uint8_t* bytes, size_t count) {
    machine->to_send.insert(machine->to_send.end(), bytes, bytes + count);
}
size_t sg_console_pending(const sg_machine* machine) {
    return machine->to_send.size() + (machine->transmitter.bit >= 0 ? 1 : 0);
}

// 0: part of the range is neither RAM nor ROM; nothing is copied then.
uint8_t sg_memory_read(const sg_machine* machine, uint32_t physical, uint8_t* into, uint64_t count) {
    const Memory& memory = machine->memory;
    for (uint64_t at = 0; at < count; ++at) {
        const uint64_t address = physical + at;
        if (address >> 32 || (address >= memory.ram_bytes && !memory.rom_at(static_cast<uint32_t>(address)))) return 0;
    }
    for (uint64_t at = 0; at < count; ++at) {
        const uint32_t address = static_cast<uint32_t>(physical + at);
        const uint8_t* rom = memory.rom_at(address);
        into[at] = rom ? *rom : memory.ram[address];
    }
    return 1;
}
// 0: part of the range is not RAM; nothing is written then.
uint8_t sg_memory_write(sg_machine* machine, uint32_t physical, const uint8_t* from, uint64_t count) {
    Memory& memory = machine->memory;
    if (physical + count > memory.ram_bytes || physical + count < count) return 0;
    for (uint64_t at = 0; at < count; ++at) {
        if (memory.rom_at(static_cast<uint32_t>(physical + at))) return 0;
    }
    std::memcpy(memory.ram + physical, from, count);
    if (MemorySystem* system = machine->memory_system.get()) {
        std::memcpy(system->chip.bytes.data() + physical, from, count);
        system->flush = true;
    }
    for (uint64_t page = physical / PAGE_BYTES; page * PAGE_BYTES < physical + count; ++page) memory.written[page] = 1;
    return 1;
}

size_t sg_unknown_ports_get(const sg_machine* machine, sg_unknown_port* into, size_t capacity) {
    size_t at = 0;
    for (const auto& [port, counts] : machine->unknown_ports) {
        if (at == capacity) break;
        into[at++] = counts;
    }
    return machine->unknown_ports.size();
}

size_t sg_fault_get(const sg_machine* machine, char* into, size_t capacity) {
    return machine->fault.copy(into, capacity);
}

void sg_keep(sg_machine* machine, uint8_t retired, uint8_t ports) {
    machine->keep_retired = retired;
    machine->keep_ports = ports;
}
void sg_waits(sg_machine* machine, uint64_t seed) { machine->random.state = seed; }
void sg_requests_get(const sg_machine* machine, sg_requests* requests) {
    const Vsysgate& t = *machine->top;
    *requests = sg_requests{t.data_write_data,        t.instruction_address, t.data_address, t.data_byte_enable,
                            t.instruction_request, t.data_request,        t.data_write,   {}};
}
void sg_answers_set(sg_machine* machine, const sg_answers* answers) {
    machine->answers = *answers;
    machine->has_answers = true;
}
void sg_breakpoint(sg_machine* machine, uint32_t linear, uint8_t set) {
    if (set) {
        machine->breakpoints.insert(linear);
    } else {
        machine->breakpoints.erase(linear);
    }
}
void sg_watches(sg_machine* machine, const sg_watch* watches, size_t count) {
    machine->watches.assign(watches, watches + count);
    machine->watches_hit = 0;
    machine->watch_stops = false;
}
uint64_t sg_watches_hit(const sg_machine* machine) { return machine->watches_reported; }

// The bytes stay valid until the next call.
size_t sg_save(sg_machine* machine, const uint8_t** bytes) {
    std::vector<uint8_t>& saved = machine->saved;
    saved.clear();
    {
        Saver saver{saved};
        saver.write(static_cast<State*>(machine), sizeof(State));
        const uint64_t count = machine->to_send.size();
        saver.write(&count, sizeof count);
        for (uint8_t byte : machine->to_send) saver.write(&byte, 1);
        saver << *machine->top;
        if (MemorySystem* system = machine->memory_system.get()) {
            saver.write(&system->chip.state, sizeof system->chip.state);
            saver.write(system->chip.bytes.data(), system->chip.bytes.size());
            saver << system->top;
        }
        saver.flush();
    }
    *bytes = saved.data();
    return saved.size();
}
void sg_restore(sg_machine* machine, const uint8_t* bytes, size_t size) {
    Restorer restorer{bytes, size};
    restorer.read(static_cast<State*>(machine), sizeof(State));
    uint64_t count = 0;
    restorer.read(&count, sizeof count);
    machine->to_send.resize(count);
    for (uint8_t& byte : machine->to_send) restorer.read(&byte, 1);
    restorer >> *machine->top;
    if (MemorySystem* system = machine->memory_system.get()) {
        restorer.read(&system->chip.state, sizeof system->chip.state);
        restorer.read(system->chip.bytes.data(), system->chip.bytes.size());
        restorer >> system->top;
    }
}
uint8_t* sg_ram(sg_machine* machine) { return machine->memory.ram; }
uint8_t* sg_pages_written(sg_machine* machine, size_t* count) {
    *count = machine->memory.written.size();
    return machine->memory.written.data();
}
void sg_instruction_limit(sg_machine* machine, uint64_t instructions) { machine->instruction_limit = instructions; }

void sg_debug_halt(sg_machine* machine, uint8_t level) {
    machine->top->debug_halt = level;
    machine->stop_at_debug_halt = level;
    // Two clocks: one through the register at the chip's edge, one for the chip to leave its halt.
    if (!level) {
        machine->clock();
        machine->clock();
    }
}
void sg_debug_step(sg_machine* machine) {
    machine->top->debug_step = 1;
    machine->clock();
    machine->top->debug_step = 0;
    for (unsigned clock = 0; clock < 4 && machine->top->debug_halted; ++clock) machine->clock();
}
uint32_t sg_register_read(sg_machine* machine, uint8_t number) {
    machine->top->debug_register = number;
    machine->clock();
    return machine->top->debug_read_data;
}
void sg_register_write(sg_machine* machine, uint8_t number, uint32_t data) {
    machine->top->debug_register = number;
    machine->top->debug_write_data = data;
    machine->top->debug_write = 1;
    machine->clock();
    machine->top->debug_write = 0;
    machine->clock();
    if (number == SYSTEM_CR0 || number == SYSTEM_CR3 || number == SYSTEM_CR4) machine->system_written(number, data);
}
void sg_invalidate(sg_machine* machine) {
    machine->top->debug_invalidate = 1;
    machine->clock();
    machine->top->debug_invalidate = 0;
    machine->clock();
}
void sg_nmi(sg_machine* machine) {
    machine->top->nmi = 1;
    machine->clock();
    machine->clock();
    machine->top->nmi = 0;
    machine->clock();
}

void sg_lines(sg_machine* machine, uint16_t lines) { machine->forced_lines = lines; }

uint8_t sg_trace_open(sg_machine* machine, const char* path) {
    machine->trace_close();
    machine->trace = std::make_unique<VerilatedFstC>();
    // The model's constructor has set picoseconds.
    machine->trace->set_time_unit("1ns");
    machine->trace->set_time_resolution("1ns");
    machine->top->trace(machine->trace.get(), 99);
    machine->trace->open(path);
    machine->traced_until = 0;
    if (!machine->trace->isOpen()) {
        machine->trace.reset();
        return 0;
    }
    return 1;
}
void sg_trace_close(sg_machine* machine) { machine->trace_close(); }
void sg_trace_pause(sg_machine* machine, uint8_t paused) { machine->trace_paused = paused; }
void sg_lanes(sg_machine* machine, sg_lane_callback callback, void* context) {
    machine->lane_callback = callback;
    machine->lane_context = context;
}

void sg_pipeline_get(const sg_machine* machine, uint32_t* into) {
    const Vsysgate& t = *machine->top;
    const uint32_t words[14] = {
        t.pipeline_fetch_bytes,
        t.pipeline_decode_valid, t.pipeline_decode_eip,
        t.pipeline_issue_valid, t.pipeline_issue_eip,
        t.pipeline_address_valid, t.pipeline_address_eip,
        t.pipeline_memory_valid, t.pipeline_memory_eip,
        t.pipeline_execute_valid, t.pipeline_execute_eip,
        t.pipeline_micro_address, t.pipeline_stall, 0,
    };
    std::copy_n(words, 14, into);
}
}

// Verilator's legacy time callback, for models without a context.
double sc_time_stamp() { return 0; }
