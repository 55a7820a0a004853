// Runs the chip, as Verilog or as the netlist that synthesis made of it, and writes down what leaves it, clock by clock.
//
//   +program=FILE  the ROM, 128 KB: 16,384 words of 64 bits in hexadecimal
//   +limit=N       gives up after so many clocks
//   +bit=N         clocks of a bit of the serial line, times 256
//
// One line for each event: its clock, and
//   fetch ADDRESS | read ADDRESS LANES | write ADDRESS LANES DATA | tx LEVEL | leds VALUE | halted LEVEL | byte VALUE
// A byte is written when its stop bit is seen. The program ends with FFh on the LEDs and a serial line that keeps still.
//
// With WHOLE_BOARD the memory is inside, so only the last four kinds of events are seen.
`timescale 1ns / 1ns
/* verilator lint_off PROCASSINIT */
module bench;
  reg clock = 0;
  always #5 clock = !clock;
  reg reset = 1;
  integer cycles = 0, limit = 400000, bit_clocks = 256, still = 0;
  wire tx, halted, shutdown;
  wire [7:0] leds;

`ifdef WHOLE_BOARD
  // Memory and reset are inside.
  wire gpio0;
  wire [7:0] pins;
  ulx3s board (
      .clk_25mhz(clock),
      .btn_fire1(1'b0),
      .ftdi_rxd(tx),
      .ftdi_txd(1'b1),
      .led(pins),
      .wifi_gpio0(gpio0)
  );
  // The last LED is a heartbeat.
  assign leds = {1'b0, pins[6:0]};
  wire ended = pins[6:0] == 7'h7F;
  assign halted = 1'b0;
  assign shutdown = pins[7];
`else
  wire ended = leds == 8'hFF;
  wire instruction_request, data_request, data_write;
  wire [31:0] instruction_address, data_address;
  wire [7:0] data_byte_enable;
  wire [63:0] data_write_data;
  reg [63:0] instruction_data = 0, data_read_data = 0;
  board board (
      .clock(clock),
      .reset(reset),
      .instruction_request(instruction_request),
      .instruction_address(instruction_address),
      .instruction_data(instruction_data),
      .instruction_wait(1'b0),
      .data_request(data_request),
      .data_write(data_write),
      .data_address(data_address),
      .data_byte_enable(data_byte_enable),
      .data_write_data(data_write_data),
      .data_read_data(data_read_data),
      .data_wait(1'b0),
      .uart_tx(tx),
      .uart_rx(1'b1),
      .leds(leds),
      .halted(halted),
      .shutdown(shutdown)
  );

  // 192 KB RAM, and the ROM, seen below 1 MB too; all else reads as ones. Each answers in the next clock, as block RAM does.
  reg [63:0] ram [0:24575];
  reg [63:0] rom [0:16383];
  integer index;
  wire [63:0] lanes = {
    {8{data_byte_enable[7]}}, {8{data_byte_enable[6]}}, {8{data_byte_enable[5]}}, {8{data_byte_enable[4]}},
    {8{data_byte_enable[3]}}, {8{data_byte_enable[2]}}, {8{data_byte_enable[1]}}, {8{data_byte_enable[0]}}
  };
  always @(posedge clock) begin
    if (cycles == 7) reset <= 0;
    if (!reset) begin
      if (instruction_request) $display("%0d fetch %h", cycles, instruction_address);
      if (data_request & data_write) $display("%0d write %h %b %h", cycles, data_address, data_byte_enable, data_write_data & lanes);
      if (data_request & !data_write) $display("%0d read %h %b", cycles, data_address, data_byte_enable);
    end
    if (instruction_address < 32'h30000) instruction_data <= ram[instruction_address[17:3]];
    else if (&instruction_address[31:17] | instruction_address[31:17] == 15'h7) instruction_data <= rom[instruction_address[16:3]];
    else instruction_data <= ~64'h0;
    if (data_request & !data_write) begin
      if (data_address < 32'h30000) data_read_data <= ram[data_address[17:3]];
      else if (&data_address[31:17] | data_address[31:17] == 15'h7) data_read_data <= rom[data_address[16:3]];
      else data_read_data <= ~64'h0;
    end
    if (data_request & data_write & data_address < 32'h30000)
      ram[data_address[17:3]] <= ram[data_address[17:3]] & ~lanes | data_write_data & lanes;
  end
  reg [8191:0] program_file;
  initial begin
    for (index = 0; index < 24576; index = index + 1) ram[index] = 0;
    if ($value$plusargs("program=%s", program_file)) $readmemh(program_file, rom);
  end
`endif

  // What leaves the chip.
  reg tx_before = 1, halted_before = 0;
  reg [7:0] leds_before = 0;
  // The serial line, times 256: when to look at it next.
  reg [9:0] received = 0;
  integer bits = 0, elapsed = 0;
  always @(posedge clock) begin
    cycles <= cycles + 1;
    tx_before <= tx;
    leds_before <= leds;
    halted_before <= halted;
    if (tx != tx_before) $display("%0d tx %b", cycles, tx);
    if (leds != leds_before) $display("%0d leds %h", cycles, leds);
    if (halted != halted_before) $display("%0d halted %b", cycles, halted);
    if (bits == 0) begin
      if (tx_before & !tx) begin
        bits <= 10;
        elapsed <= bit_clocks / 2;
      end
    end else if (elapsed + 256 > bit_clocks) begin
      elapsed <= elapsed + 256 - bit_clocks;
      received <= {tx, received[9:1]};
      bits <= bits - 1;
      if (bits == 1) $display("%0d byte %h", cycles, received[9:2]);
    end else elapsed <= elapsed + 256;
    still <= tx == tx_before ? still + 1 : 0;
    if (ended & still == 4096) begin
      $display("ended after %0d clocks", cycles);
      $finish(0);
    end else if (shutdown) begin
      $display("failed: shutdown after %0d clocks", cycles);
      $finish(0);
    end else if (cycles >= limit) begin
      $display("failed: no end after %0d clocks", cycles);
      $finish(0);
    end
  end
  initial begin
    if ($value$plusargs("limit=%d", limit)) ;
    if ($value$plusargs("bit=%d", bit_clocks)) ;
  end
endmodule
/* verilator lint_on PROCASSINIT */
