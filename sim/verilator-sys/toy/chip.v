`default_nettype none
module chip(
    input wire clock,
    input wire reset,
    output wire instruction_request,
    output wire [31:0] instruction_address,
    input wire [63:0] instruction_data,
    input wire instruction_wait,
    output wire retire_valid,
    output wire retire_first,
    output wire retire_last,
    output wire [63:0] retire_cycle,
    output wire [31:0] retire_eip,
    output wire [31:0] retire_next_eip,
    output wire [3:0] retire_length,
    output wire [127:0] retire_bytes,
    output wire halted,
    output wire uart_tx,
    input wire uart_rx
);
    reg [31:0] pc;
    reg [63:0] cycle;
    reg outstanding;
    reg halt;
    wire answered = outstanding & ~instruction_wait;
    wire accepted = instruction_request & (~outstanding | ~instruction_wait);
    assign instruction_request = ~reset & ~halt & (~outstanding | answered);
    assign instruction_address = answered ? pc + 32'd8 : pc;
    assign retire_valid = answered & ~halt;
    assign retire_first = 1'b1;
    assign retire_last = 1'b1;
    assign retire_cycle = cycle;
    assign retire_eip = pc;
    assign retire_next_eip = pc + 32'd8;
    assign retire_length = 4'd1;
    assign retire_bytes = {64'd0, instruction_data};
    assign halted = halt;
    assign uart_tx = uart_rx;
    always @(posedge clock) begin
        cycle <= cycle + 64'd1;
        outstanding <= accepted | (outstanding & instruction_wait);
        if (answered) pc <= pc + 32'd8;
        if (answered & (instruction_data[7:0] == 8'hf4)) halt <= 1'b1;
        if (reset) begin
            pc <= 32'hfffffff0;
            cycle <= 64'd0;
            outstanding <= 1'b0;
            halt <= 1'b0;
        end
    end
endmodule
