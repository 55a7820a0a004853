// A model of the SDRAM chip: keeps the bytes, and refuses every command that comes too soon or makes no sense.
//
// It says the same as the model in hdl/src/soc/sdram/chip.rs, with which the controller is tested by itself.
#pragma once
#include "shim.h"

#include <cstdio>
#include <string>
#include <vector>

// The pins in one clock, as the controller drives them.
struct SdramPins {
    bool cs_n, ras_n, cas_n, we_n;
    unsigned bank, address, dqm, data;
    bool drives;
};

class SdramChip {
public:
    std::vector<uint8_t> bytes;
    std::string fault;  // the first rule that was broken

    SdramChip(const sg_sdram& needs, uint64_t size) : bytes(size), needs{needs} {}

    // Power stays, the controller begins anew: it sets the chip up once more, and refreshes nothing meanwhile.
    void controller_reset() {
        state.mode_set = NEVER;
        state.refreshed = NEVER;
        state.refreshes = 0;
        state.write_left = 0;
        for (int64_t& read : state.reads) read = NOTHING;
        state.drove = false;
    }

    // One clock: sees the pins and says what the data pins carry at its end.
    uint16_t clock(const SdramPins& pins) {
        const int64_t now = state.clock;
        uint16_t data = FLOATING;
        if (state.reads[0] != NOTHING) {
            require(!pins.drives, "both drive the data pins");
            data = 0;
            for (unsigned lane = 0; lane < 2; ++lane) {
                const uint64_t at = state.reads[0] + lane;
                const uint8_t byte = state.dqm_before >> lane & 1 ? 0xCC : at < bytes.size() ? bytes[at] : 0;
                data |= static_cast<uint16_t>(byte) << (8 * lane);
            }
        }
        // It ends half a clock late.
        require(!(pins.drives && state.drove), "the controller drives before the chip has ended");
        state.drove = state.reads[0] != NOTHING;
        state.reads[0] = state.reads[1];
        state.reads[1] = NOTHING;

        const unsigned command = pins.ras_n << 2 | pins.cas_n << 1 | unsigned{pins.we_n};
        if (!pins.cs_n && command != NOP) {
            require(now >= static_cast<int64_t>(needs.power_up), "a command before the chip has powered up");
            since("a command", state.refreshed, needs.rfc, "tRFC");
            since("a command", state.mode_set, needs.mrd, "tMRD");
            Bank& bank = state.banks[pins.bank];
            switch (command) {
            case ACTIVE:
                initialised();
                require(bank.row < 0, "ACTIVE of an open bank");
                since("ACTIVE", bank.precharged, needs.rp, "tRP");
                since("ACTIVE", bank.activated, needs.rc, "tRC");
                since("ACTIVE", state.activated, needs.rrd, "tRRD");
                bank.row = pins.address;
                bank.activated = state.activated = now;
                break;
            case READ:
            case WRITE: {
                initialised();
                require(bank.row >= 0, "an access to a closed bank");
                since("READ or WRITE", bank.activated, needs.rcd, "tRCD");
                require(pins.address < 512 && pins.address % 2 == 0, "a column that no word begins at");
                require(state.write_left == 0 && state.reads[0] == NOTHING, "a burst is cut short");
                const int64_t at = ((bank.row << 2 | int64_t{pins.bank}) << 9 | pins.address) * 2;
                if (command == READ) {
                    state.reads[0] = at;
                    state.reads[1] = at + 2;
                } else {
                    state.write_at = at;
                    state.write_left = 2;
                    state.write_bank = pins.bank;
                }
                break;
            }
            case PRECHARGE:
                require(state.write_left == 0, "PRECHARGE cuts a WRITE short");
                for (unsigned index = 0; index < 4; ++index) {
                    if (!(pins.address >> 10 & 1) && index != pins.bank) continue;
                    Bank& closed = state.banks[index];
                    if (closed.row >= 0) {
                        since("PRECHARGE", closed.activated, needs.ras, "tRAS");
                        since("PRECHARGE", closed.written, needs.wr, "tWR");
                        require(state.reads[0] == NOTHING, "PRECHARGE cuts a READ short");
                    }
                    closed.row = -1;
                    closed.precharged = now;
                }
                break;
            case REFRESH:
            case LOAD_MODE:
                for (const Bank& each : state.banks) {
                    require(each.row < 0, "REFRESH or LOAD MODE with an open bank");
                    require(each.precharged != NEVER, "REFRESH before the first PRECHARGE");
                    since("REFRESH or LOAD MODE", each.precharged, needs.rp, "tRP");
                }
                if (command == REFRESH) {
                    state.refreshed = now;
                    ++state.refreshes;
                } else {
                    require(pins.address == needs.mode_register && pins.bank == 0, "another mode than expected");
                    state.mode_set = now;
                }
                break;
            default: require(false, "BURST TERMINATE, which is never needed");
            }
        }
        if (state.mode_set != NEVER) {
            require(now - state.refreshed <= static_cast<int64_t>(needs.refresh), "too long without REFRESH");
        }
        if (state.write_left) {
            require(pins.drives, "nobody drives what is written");
            for (unsigned lane = 0; lane < 2; ++lane) {
                const uint64_t at = state.write_at + lane;
                if (!(pins.dqm >> lane & 1) && at < bytes.size()) bytes[at] = static_cast<uint8_t>(pins.data >> (8 * lane));
            }
            state.banks[state.write_bank].written = now;
            state.write_at += 2;
            --state.write_left;
        }
        state.dqm_before = pins.dqm;
        ++state.clock;
        return data;
    }

    static constexpr int64_t NEVER = INT64_MIN / 2;
    static constexpr int64_t NOTHING = -1;
    struct Bank {
        int64_t row = -1;
        int64_t activated = NEVER;
        int64_t precharged = NEVER;
        int64_t written = NEVER;
    };
    struct State {
        int64_t clock = 0;
        Bank banks[4];
        int64_t activated = NEVER;
        int64_t refreshed = NEVER;
        int64_t mode_set = NEVER;
        uint64_t refreshes = 0;
        int64_t reads[2] = {NOTHING, NOTHING};  // columns that it drives at the end of the next clocks
        int64_t write_at = 0;
        unsigned write_left = 0;
        unsigned write_bank = 0;
        unsigned dqm_before = 3;
        bool drove = false;
    } state;

private:
    static constexpr uint16_t FLOATING = 0xCCCC;
    // RAS, CAS, WE, active when 0.
    enum : unsigned { LOAD_MODE = 0, REFRESH = 1, PRECHARGE = 2, ACTIVE = 3, WRITE = 4, READ = 5, NOP = 7 };
    sg_sdram needs;

    void require(bool kept, const char* rule) {
        if (kept || !fault.empty()) return;
        fault = "the SDRAM chip in its clock " + std::to_string(state.clock) + ": " + rule;
    }
    void since(const char* what, int64_t event, uint64_t clocks, const char* name) {
        const int64_t passed = state.clock - event;
        if (passed >= static_cast<int64_t>(clocks) || !fault.empty()) return;
        fault = "the SDRAM chip in its clock " + std::to_string(state.clock) + ": " + what + " " + std::to_string(passed)
                + " clocks after, " + name + " asks for " + std::to_string(clocks);
    }
    void initialised() {
        require(state.mode_set != NEVER && state.refreshes >= needs.initial_refreshes, "an access before the chip is set up");
    }
};
