// What a PC's board has beside the chip, as far as software must not hang that looks for it: keyboard controller and keyboard
// without anybody at it, CMOS memory with its clock, the retrace bits of a display. A part of the machine's state: plain data.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>

// The keyboard controller (8042) with a keyboard behind it.
struct KeyboardController {
    static constexpr uint8_t OUTPUT_FULL = 0x01, SYSTEM = 0x04, COMMAND = 0x08, UNLOCKED = 0x10;
    static constexpr uint8_t INTERRUPT = 0x01, CONFIG_SYSTEM = 0x04;  // in the configuration byte
    uint8_t queue[16] = {};  // what port 60h will give
    uint8_t waiting = 0;
    uint8_t status = UNLOCKED;
    uint8_t config = INTERRUPT;
    uint8_t output_port = 0x03;   // A20 open, no reset
    uint8_t expects = 0;          // the command whose parameter comes at port 60h
    uint8_t keyboard_expects = 0; // the same of the keyboard
    bool reset_asked = false;

    void push(uint8_t byte) {
        if (waiting < sizeof queue) queue[waiting++] = byte;
    }
    bool line() const { return waiting && config & INTERRUPT; }
    uint8_t read_status() const { return status | (waiting ? OUTPUT_FULL : 0); }
    uint8_t read_data() {
        const uint8_t byte = queue[0];
        if (waiting) {
            --waiting;
            std::memmove(queue, queue + 1, waiting);
        }
        return byte;
    }
    void write_command(uint8_t command) {
        status |= COMMAND;
        expects = 0;
        switch (command) {
        case 0x20: push(config); break;
        case 0xAA:  // self-test
            waiting = 0;
            status |= SYSTEM;
            config |= CONFIG_SYSTEM;
            push(0x55);
            break;
        case 0xA9: push(0xFF); break;  // no second port: there is no mouse
        case 0xAB: push(0x00); break;  // the keyboard's line is good
        case 0xC0: push(0xBF); break;  // input port
        case 0xD0: push(output_port); break;
        case 0xDD: output_port &= ~2; break;
        case 0xDF: output_port |= 2; break;
        case 0x60: case 0xD1: case 0xD2: case 0xD3: case 0xD4: expects = command; break;
        default:
            if (command >= 0xF0 && !(command & 1)) reset_asked = true;  // pulses the reset line
        }
    }
    void write_data(uint8_t data) {
        status &= ~COMMAND;
        const uint8_t command = expects;
        expects = 0;
        switch (command) {
        case 0x60: config = data; break;
        case 0xD1:
            output_port = data;
            if (!(data & 1)) reset_asked = true;
            break;
        case 0xD2: case 0xD3: push(data); break;
        case 0xD4: break;  // to a mouse
        default: keyboard(data);
        }
    }
    void keyboard(uint8_t byte) {
        if (keyboard_expects) {
            if (keyboard_expects == 0xF0 && byte == 0) {
                push(0xFA);
                push(0x02);  // scan code set 2
            } else {
                push(0xFA);
            }
            keyboard_expects = 0;
            return;
        }
        switch (byte) {
        case 0xEE: push(0xEE); break;  // echo
        case 0xF2:                     // what are you
            push(0xFA);
            push(0xAB);
            push(0x83);
            break;
        case 0xFF:  // reset
            waiting = 0;
            push(0xFA);
            push(0xAA);
            break;
        case 0xED: case 0xF0: case 0xF3: keyboard_expects = byte; push(0xFA); break;
        default: push(0xFA);
        }
    }
};

// CMOS memory and real-time clock (146818). Its time is that of the chip's clock, from a date that is always the same.
struct Cmos {
    static constexpr uint8_t B_24_HOURS = 0x02, B_BINARY = 0x04, B_SET = 0x80;
    static constexpr uint8_t PERIODIC = 0x40, ALARM = 0x20, UPDATE = 0x10;  // in B and C
    static constexpr uint64_t UPDATES_PER_SECOND = 450;                     // 1 / 2.2 ms: so long a change takes
    uint8_t ram[128] = {};
    uint8_t index = 0;
    uint64_t clock_hz = 1;
    int64_t seconds = 0;       // since 1970, at `since`
    uint64_t since = 0;        // tick
    uint64_t next_event = UINT64_MAX;  // tick at which a flag of register C may change
    uint64_t next_period = 0;

    void start(uint64_t ram_bytes, uint64_t clock, int64_t start_seconds) {
        clock_hz = clock;
        seconds = start_seconds;
        ram[0x0A] = 0x26;
        ram[0x0B] = B_24_HOURS;
        ram[0x0D] = 0x80;  // the battery is good
        const auto put = [&](uint8_t at, uint64_t value) {
            ram[at] = static_cast<uint8_t>(value);
            ram[at + 1] = static_cast<uint8_t>(value >> 8);
        };
        const uint64_t kilobytes = ram_bytes >> 10;
        const uint64_t extended = std::min<uint64_t>(kilobytes > 1024 ? kilobytes - 1024 : 0, 0xFC00);
        put(0x15, std::min<uint64_t>(kilobytes, 640));
        put(0x17, extended);
        put(0x30, extended);
        put(0x34, kilobytes > 16384 ? (kilobytes - 16384) / 64 : 0);
        uint16_t sum = 0;
        for (unsigned at = 0x10; at < 0x2E; ++at) sum = static_cast<uint16_t>(sum + ram[at]);
        ram[0x2E] = static_cast<uint8_t>(sum >> 8);
        ram[0x2F] = static_cast<uint8_t>(sum);
    }
    int64_t now(uint64_t tick) const { return seconds + static_cast<int64_t>((tick - since) / clock_hz); }

    uint8_t shown(unsigned value) const {
        return static_cast<uint8_t>(ram[0x0B] & B_BINARY ? value : value / 10 << 4 | value % 10);
    }
    unsigned meant(uint8_t value) const { return ram[0x0B] & B_BINARY ? value : 10 * (value >> 4) + (value & 15); }
    uint8_t shown_hour(unsigned hour) const {
        if (ram[0x0B] & B_24_HOURS) return shown(hour);
        return static_cast<uint8_t>(shown((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
    }
    // Puts the time of `tick` into the registers, unless software is setting it.
    void show(uint64_t tick) {
        using namespace std::chrono;
        if (ram[0x0B] & B_SET) return;
        const sys_seconds time{std::chrono::seconds{now(tick)}};
        const sys_days day = floor<days>(time);
        const year_month_day date{day};
        const hh_mm_ss<std::chrono::seconds> clock{time - day};
        const int year = static_cast<int>(date.year());
        ram[0] = shown(static_cast<unsigned>(clock.seconds().count()));
        ram[2] = shown(static_cast<unsigned>(clock.minutes().count()));
        ram[4] = shown_hour(static_cast<unsigned>(clock.hours().count()));
        ram[6] = static_cast<uint8_t>(weekday{day}.c_encoding() + 1);
        ram[7] = shown(static_cast<unsigned>(date.day()));
        ram[8] = shown(static_cast<unsigned>(date.month()));
        ram[9] = shown(static_cast<unsigned>(year % 100));
        ram[0x32] = ram[0x37] = static_cast<uint8_t>(year / 1000 << 4 | year / 100 % 10);
    }
    // Takes the time from the registers.
    void set(uint64_t tick) {
        using namespace std::chrono;
        const unsigned twelve = meant(ram[4] & 0x7F) % 12 + (ram[4] & 0x80 ? 12 : 0);
        const unsigned hour = ram[0x0B] & B_24_HOURS ? meant(ram[4]) : twelve;
        const int century = 10 * (ram[0x32] >> 4) + (ram[0x32] & 15);
        const year_month_day date{year{100 * century + static_cast<int>(meant(ram[9]))}, month{meant(ram[8])},
                                  day{meant(ram[7])}};
        const sys_days days = date.ok() ? sys_days{date} : sys_days{};
        seconds = sys_seconds{days}.time_since_epoch().count() + 3600 * hour + 60 * meant(ram[2]) + meant(ram[0]);
        since = tick;
    }
    // The next tick at which an interrupt that is enabled may come.
    void plan(uint64_t tick) {
        next_event = UINT64_MAX;
        if (ram[0x0B] & (UPDATE | ALARM)) next_event = since + ((tick - since) / clock_hz + 1) * clock_hz;
        const unsigned rate = ram[0x0A] & 15;
        if (ram[0x0B] & PERIODIC && rate) {
            const uint64_t period = clock_hz * (1ull << ((rate < 3 ? rate + 7 : rate) - 1)) / 32768;
            next_period = tick + period;
            next_event = std::min(next_event, next_period);
        }
    }
    void event(uint64_t tick) {
        if (tick >= next_period) ram[0x0C] |= PERIODIC & ram[0x0B];
        if ((tick - since) % clock_hz < clock_hz / 4096) {
            ram[0x0C] |= UPDATE;
            show(tick);
            const auto matches = [&](unsigned at) { return ram[at] >= 0xC0 || ram[at] == ram[at - 1]; };
            if (matches(1) && matches(3) && matches(5)) ram[0x0C] |= ALARM;
        }
        plan(tick);
    }
    bool line() const { return ram[0x0B] & ram[0x0C] & (PERIODIC | ALARM | UPDATE); }
    uint8_t read(uint64_t tick) {
        show(tick);
        const uint8_t at = index & 0x7F;
        uint8_t value = ram[at];
        if (at == 0x0A && !(ram[0x0B] & B_SET)) {
            const uint64_t left = clock_hz - (tick - since) % clock_hz;
            if (left < clock_hz / UPDATES_PER_SECOND) value |= 0x80;
        }
        if (at == 0x0C) ram[at] = 0;
        return value;
    }
    void write(uint64_t tick, uint8_t value) {
        const uint8_t at = index & 0x7F;
        if (at == 0x0C || at == 0x0D) return;
        const bool time = at <= 9 && at != 1 && at != 3 && at != 5;
        show(tick);
        const bool setting = ram[0x0B] & B_SET;
        ram[at] = at == 0x0A ? value & 0x7F : value;
        if ((time && !setting) || (at == 0x0B && setting && !(value & B_SET))) set(tick);
        plan(tick);
    }
};

// The board: which ports are whose.
struct Mainboard {
    KeyboardController keyboard;
    Cmos cmos;
    uint8_t retrace = 0;

    // True if a device of the board has the port; then `data` is its answer.
    bool read(uint64_t tick, uint16_t port, uint8_t& data) {
        switch (port) {
        case 0x60: data = keyboard.read_data(); return true;
        case 0x64: data = keyboard.read_status(); return true;
        case 0x70: data = cmos.index; return true;
        case 0x71: data = cmos.read(tick); return true;
        case 0x402: data = 0xE9; return true;  // there is a debug console
        case 0x3BA: case 0x3DA: data = retrace ^= 0x09; return true;  // in retrace, and not, and in it
        default: return false;
        }
    }
    bool write(uint64_t tick, uint16_t port, uint8_t data) {
        switch (port) {
        case 0x60: keyboard.write_data(data); return true;
        case 0x64: keyboard.write_command(data); return true;
        case 0x70: cmos.index = data; return true;
        case 0x71: cmos.write(tick, data); return true;
        case 0x402: return true;  // the shim shows it
        default: return false;
        }
    }
    uint16_t lines() const {
        return static_cast<uint16_t>((keyboard.line() ? 1 << 1 : 0) | (cmos.line() ? 1 << 8 : 0));
    }
};
