// A system around `sysgate_core` that knows nothing of it but its ports: memory, ports and interrupts on Wishbone B4.
// Any simulator runs it: iverilog -g2012 -s bench -o bench bench.v sysgate_core.v && ./bench +program=program.hex
//
//   +program=FILE  the ROM: 4096 words of 32 bits in hexadecimal, the last at FFFFFFFCh
//   +waits=N       clocks that each word waits for its answer, 0 to 7; -1: 0 to 3 by chance
//   +bursts=0      the slave ignores CTI; by default it serves bursts from an address of its own, without waiting
//   +reset=N       one clock of reset in clock N, whatever the bus is doing
//   +spoil=N       makes the core disobey in one way, see below, to show that the bench notices
//
// It writes what the program sends to port E9h, and last a line that begins with `passed` or `failed`.
//
//   memory  0000_0000  64 KB RAM          ports  10h to 17h  kept bytes
//           FFFF_C000  16 KB ROM                 20h         written: an interrupt with this vector, 20 clocks later
//           elsewhere  err                       24h         written: an NMI, 20 clocks later
//                                                E9h         console
//                                                F4h         written: the end; zero means that all was well
//                                                elsewhere   err
`timescale 1ns / 1ns
/* verilator lint_off BLKSEQ */
/* verilator lint_off PROCASSINIT */
module bench;
  reg clock = 0;
  always #5 clock = !clock;
  reg reset = 1;

  // The core.
  wire core_cyc, core_stb, core_we, core_tga_io, core_interrupt_acknowledge;
  wire [29:0] core_adr;
  wire [3:0] core_sel;
  wire [2:0] core_cti;
  wire [1:0] core_bte;
  wire [31:0] core_dat_o;
  wire [31:0] dat_i;
  wire ack, err;
  reg interrupt_request = 0, nmi = 0;
  reg [7:0] interrupt_vector = 0;
  sysgate_core core (
      .clock(clock),
      .reset(reset),
      .wishbone_cyc(core_cyc),
      .wishbone_stb(core_stb),
      .wishbone_we(core_we),
      .wishbone_adr(core_adr),
      .wishbone_sel(core_sel),
      .wishbone_cti(core_cti),
      .wishbone_bte(core_bte),
      .wishbone_tga_io(core_tga_io),
      .wishbone_dat_o(core_dat_o),
      .wishbone_dat_i(dat_i),
      .wishbone_ack(ack),
      .wishbone_err(err),
      .interrupt_request(interrupt_request),
      .interrupt_acknowledge(core_interrupt_acknowledge),
      .interrupt_vector(interrupt_vector),
      .nmi(nmi)
  );

  // Ways to disobey.
  integer spoil = 0;
  wire cyc = core_cyc;
  wire stb = core_stb & !(spoil == 10 & core_cti == 3'b111 & core_adr[0] & slow);
  wire we = core_we;
  wire [29:0] adr = spoil == 1 ? core_adr & ~30'h1 : spoil == 2 ? core_adr ^ {29'h0, waited} : core_adr;
  wire [3:0] sel = spoil == 3 & core_we ? 4'hF : spoil == 4 ? {core_sel[0], core_sel[3:1]} : core_sel;
  wire [2:0] cti = spoil == 5 ? 3'b010 : spoil == 6 ? 3'b111 : core_cti;
  wire [1:0] bte = spoil == 7 ? 2'b01 : core_bte;
  wire tga_io = core_tga_io & spoil != 8;
  wire [31:0] dat_o = spoil == 9 ? {core_dat_o[23:0], core_dat_o[31:24]} : core_dat_o;
  wire interrupt_acknowledge = core_interrupt_acknowledge & spoil != 11;

  // The slave's answer.
  integer waits = 0, bursts = 1, seed = 1, reset_again = -1;
  reg [31:0] ram [0:16383];
  reg [31:0] rom [0:4095];
  reg [31:0] kept [0:1];
  reg [2:0] countdown = 0;
  reg in_burst = 0, waited = 0, slow = 0;
  reg [29:0] burst_adr = 0;
  wire access = cyc & stb;
  wire answers = access & countdown == 0;
  wire [29:0] at = in_burst & bursts != 0 ? burst_adr : adr;
  wire in_ram = !tga_io & at < 30'h4000;
  wire in_rom = !tga_io & at >= 30'h3FFF_F000;
  wire in_kept = tga_io & at[29:1] == 29'h2;
  wire in_interrupt = tga_io & at == 30'h8 & we;
  wire in_nmi = tga_io & at == 30'h9 & we;
  wire in_console = tga_io & at == 30'h3A & we;
  wire in_end = tga_io & at == 30'h3D & we;
  wire known = in_ram | in_rom | in_kept | in_interrupt | in_nmi | in_console | in_end;
  assign ack = answers & known;
  assign err = answers & !known;
  // Only the lanes that are asked for carry anything.
  wire [31:0] lanes = {{8{sel[3]}}, {8{sel[2]}}, {8{sel[1]}}, {8{sel[0]}}};
  wire [31:0] word = in_ram ? ram[at[13:0]] : in_rom ? rom[at[11:0]] : kept[at[0]];
  assign dat_i = ack & !we ? word & lanes | 32'h5A5A5A5A & ~lanes : 32'h5A5A5A5A;

  // What the master must keep to.
  reg [74:0] held = 0;
  wire [74:0] now = {cyc, stb, we, tga_io, adr, sel, cti, bte, we ? dat_o & lanes : 32'h0};
  reg burst_we = 0, burst_io = 0;
  integer cycles = 0, words = 0, bursts_seen = 0, interrupts = 0, delay = 0, chance = 0;
  reg [1:0] event_kind = 0;
  reg over = 0;

  task fail(input [639:0] what);
    if (!over) begin
      over = 1;
      $display("\nfailed: %0s; clock %0d, adr %h, we %b, sel %b, cti %b, io %b", what, cycles, adr, we, sel, cti, tga_io);
      $finish(0);
    end
  endtask

  always @(posedge clock) begin
    cycles <= cycles + 1;
    if (cycles == 7 | cycles == reset_again) reset <= 0;
    if (cycles + 1 == reset_again) reset <= 1;
    if (cycles == 200000) fail("the program does not end");
    if (!reset) begin
      if (^{cyc, stb} === 1'bx) fail("CYC or STB is unknown");
      if (access & (^now) === 1'bx) fail("a signal of the bus is unknown");
      if (stb & !cyc) fail("STB without CYC");
      if (waited & now != held) fail("the bus changes while it waits");
      if (in_burst & !access) fail("a burst stops before its end");
      if (interrupt_acknowledge & !interrupt_request) fail("an acknowledge without a request");
      if (access) begin
        case (sel)
          1, 2, 4, 8, 3, 6, 12, 7, 14, 15: ;
          default: fail("SEL is empty or has a hole");
        endcase
        if (cti != 3'b010 & cti != 3'b111) fail("CTI is neither 010 nor 111");
        if (bte != 0) fail("BTE is not 00");
        if (in_burst & (adr != burst_adr | we != burst_we | tga_io != burst_io)) fail("a burst does not go on at the next word");
      end
    end
    held <= now;
    waited <= !reset & access & !answers;
    slow <= access & !answers;

    if (reset) begin
      countdown <= 0;
      in_burst <= 0;
      kept[0] <= 0;
      kept[1] <= 0;
    end else if (answers) begin
      words <= words + 1;
      in_burst <= cti == 3'b010;
      burst_adr <= at + 1;
      burst_we <= we;
      burst_io <= tga_io;
      if (in_burst) bursts_seen <= bursts_seen + 1;
      if (cti == 3'b010 & bursts != 0) countdown <= 0;
      else countdown <= waits < 0 ? {1'b0, chance[1:0]} : waits[2:0];
      chance <= $random(seed);
      if (we & in_ram) ram[at[13:0]] <= ram[at[13:0]] & ~lanes | dat_o & lanes;
      if (we & in_kept) kept[at[0]] <= kept[at[0]] & ~lanes | dat_o & lanes;
      if (in_console & sel[1]) $write("%c", dat_o[15:8]);
      if (in_interrupt & sel[0]) begin
        interrupt_vector <= dat_o[7:0];
        event_kind <= 1;
        delay <= 20;
      end
      if (in_nmi & sel[0]) begin
        event_kind <= 2;
        delay <= 20;
      end
      if (in_end) begin
        if ((dat_o & lanes) != 0) fail("the program has found an error");
        else if (bursts_seen == 0) fail("there was no burst");
        else if (!over) begin
          over = 1;
          $display("passed: %0d clocks, %0d words, %0d bursts, %0d interrupts", cycles, words, bursts_seen, interrupts);
          $finish(0);
        end
      end
    end else if (access) countdown <= countdown - 1;

    // Interrupts.
    nmi <= 0;
    if (delay != 0) delay <= delay - 1;
    if (delay == 1) begin
      if (event_kind == 1) interrupt_request <= 1;
      else nmi <= 1;
    end
    if (interrupt_acknowledge) begin
      interrupt_request <= 0;
      interrupts <= interrupts + 1;
    end
    if (reset) begin
      interrupt_request <= 0;
      delay <= 0;
    end
  end

  integer index;
  reg [8191:0] program_file;
  initial begin
    for (index = 0; index < 16384; index = index + 1) ram[index] = 0;
    if ($value$plusargs("waits=%d", waits)) ;
    if ($value$plusargs("bursts=%d", bursts)) ;
    if ($value$plusargs("reset=%d", reset_again)) ;
    if ($value$plusargs("spoil=%d", spoil)) ;
    if (!$value$plusargs("program=%s", program_file)) begin
      $display("failed: no +program=FILE");
      $finish(0);
    end
    $readmemh(program_file, rom);
  end
endmodule
/* verilator lint_on PROCASSINIT */
/* verilator lint_on BLKSEQ */
