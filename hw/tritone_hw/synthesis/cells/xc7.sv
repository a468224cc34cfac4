// SPDX-License-Identifier: Apache-2.0
// What cells of the 7 series do of which yosys has no model: block memories, as yosys uses them.
// After AMD's "7 Series FPGAs Memory Resources User Guide" (UG473).

// Bytes of 9 bits. Without output registers, cascades and resets, which netlist.py sees to. Of a
// simple dual port ("SDP") port A reads and port B writes, each with the pins of both if it is as
// wide as two.
module tritone_block_memory (
  clk_a, en_a, we_a, address_a, in_a, out_a,
  clk_b, en_b, we_b, address_b, in_b, out_b
);
  parameter ADDRESS = 15;  // bits of the address of a bit, the ninth ones aside
  parameter HALF = 4;      // bytes of the pins of one port
  parameter RAM_MODE = "TDP";
  parameter READ_WIDTH_A = 0;
  parameter READ_WIDTH_B = 0;
  parameter WRITE_WIDTH_A = 0;
  parameter WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";

  localparam SIMPLE = RAM_MODE == "SDP";
  localparam BITS = 9 * HALF;

  input clk_a, en_a, clk_b, en_b;
  input [HALF-1:0] we_a;
  input [2*HALF-1:0] we_b;
  input [ADDRESS-1:0] address_a, address_b;
  input [BITS-1:0] in_a, in_b;
  output [BITS-1:0] out_a, out_b;

  reg [8:0] bytes [0:(1<<(ADDRESS-3))-1];
  reg [2*BITS-1:0] read_a = 0, read_b = 0;
  integer byte_at, a, b;
  initial for (byte_at = 0; byte_at < 1 << (ADDRESS - 3); byte_at = byte_at + 1)
    bytes[byte_at] = 0;

  // Bytes of a port, none or one for less than 9 bits, and the first of them.
  function integer count(input integer width);
    count = width == 0 ? 0 : width < 9 ? 1 : width / 9;
  endfunction

  function [ADDRESS-4:0] first(input [ADDRESS-1:0] address, input integer width);
    first = address[ADDRESS-1:3] & ~(count(width) - 1);
  endfunction

  // The place of less than 9 bits in their byte.
  function [2:0] place(input [ADDRESS-1:0] address, input integer width);
    place = width < 9 && width > 0 ? address[2:0] & ~(width - 1) : 0;
  endfunction

  function [8:0] part(input [8:0] value, input [ADDRESS-1:0] address, input integer width);
    part = width < 9 ? (value >> place(address, width)) & ((1 << width) - 1) : value;
  endfunction

  function [8:0] merge(
    input [8:0] old, input [8:0] value, input [ADDRESS-1:0] address, input integer width
  );
    merge = width < 9
      ? (old & ~(((1 << width) - 1) << place(address, width)))
        | ((value & ((1 << width) - 1)) << place(address, width))
      : value;
  endfunction

  wire [2*BITS-1:0] data_b = SIMPLE && WRITE_WIDTH_B > BITS ? {in_b, in_a} : {in_b, in_b};
  wire write_a = !SIMPLE && WRITE_WIDTH_A > 0 && |we_a;
  wire write_b = WRITE_WIDTH_B > 0 && |we_b;

  always @(posedge clk_a) if (en_a) begin
    for (a = 0; a < count(READ_WIDTH_A); a = a + 1)
      if (!write_a || WRITE_MODE_A == "READ_FIRST")
        read_a[9*a +: 9] <= part(bytes[first(address_a, READ_WIDTH_A) + a], address_a, READ_WIDTH_A);
      else if (WRITE_MODE_A == "WRITE_FIRST")
        read_a[9*a +: 9] <= in_a[9*(a%HALF) +: 9];
    if (write_a) for (a = 0; a < count(WRITE_WIDTH_A); a = a + 1)
      if (we_a[a%HALF])
        bytes[first(address_a, WRITE_WIDTH_A) + a] <= merge(
          bytes[first(address_a, WRITE_WIDTH_A) + a], in_a[9*(a%HALF) +: 9],
          address_a, WRITE_WIDTH_A);
  end

  always @(posedge clk_b) if (en_b) begin
    for (b = 0; b < count(SIMPLE ? 0 : READ_WIDTH_B); b = b + 1)
      if (!write_b || WRITE_MODE_B == "READ_FIRST")
        read_b[9*b +: 9] <= part(bytes[first(address_b, READ_WIDTH_B) + b], address_b, READ_WIDTH_B);
      else if (WRITE_MODE_B == "WRITE_FIRST")
        read_b[9*b +: 9] <= in_b[9*(b%HALF) +: 9];
    if (write_b) for (b = 0; b < count(WRITE_WIDTH_B); b = b + 1)
      if (we_b[b])
        bytes[first(address_b, WRITE_WIDTH_B) + b] <= merge(
          bytes[first(address_b, WRITE_WIDTH_B) + b], data_b[9*b +: 9],
          address_b, WRITE_WIDTH_B);
  end

  assign out_a = read_a[BITS-1:0];
  assign out_b = SIMPLE ? read_a[2*BITS-1:BITS] : read_b[BITS-1:0];
endmodule

module RAMB36E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [15:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DIADI, DIBDI,
  input [3:0] DIPADIP, DIPBDIP, WEA,
  input [7:0] WEBWE,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  parameter RAM_MODE = "TDP";
  parameter READ_WIDTH_A = 0;
  parameter READ_WIDTH_B = 0;
  parameter WRITE_WIDTH_A = 0;
  parameter WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";

  wire [35:0] out_a, out_b;
  tritone_block_memory #(
    .ADDRESS(15), .HALF(4), .RAM_MODE(RAM_MODE),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B)
  ) memory (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .we_a(WEA), .address_a(ADDRARDADDR[14:0]),
    .in_a({
      DIPADIP[3], DIADI[31:24], DIPADIP[2], DIADI[23:16],
      DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]
    }),
    .out_a(out_a),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .we_b(WEBWE), .address_b(ADDRBWRADDR[14:0]),
    .in_b({
      DIPBDIP[3], DIBDI[31:24], DIPBDIP[2], DIBDI[23:16],
      DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0]
    }),
    .out_b(out_b)
  );
  assign {
    DOPADOP[3], DOADO[31:24], DOPADOP[2], DOADO[23:16],
    DOPADOP[1], DOADO[15:8], DOPADOP[0], DOADO[7:0]
  } = out_a;
  assign {
    DOPBDOP[3], DOBDO[31:24], DOPBDOP[2], DOBDO[23:16],
    DOPBDOP[1], DOBDO[15:8], DOPBDOP[0], DOBDO[7:0]
  } = out_b;
endmodule

module RAMB18E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DIADI, DIBDI,
  input [1:0] DIPADIP, DIPBDIP, WEA,
  input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  parameter RAM_MODE = "TDP";
  parameter READ_WIDTH_A = 0;
  parameter READ_WIDTH_B = 0;
  parameter WRITE_WIDTH_A = 0;
  parameter WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";

  wire [17:0] out_a, out_b;
  tritone_block_memory #(
    .ADDRESS(14), .HALF(2), .RAM_MODE(RAM_MODE),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
    .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B)
  ) memory (
    .clk_a(CLKARDCLK), .en_a(ENARDEN), .we_a(WEA), .address_a(ADDRARDADDR),
    .in_a({DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]}), .out_a(out_a),
    .clk_b(CLKBWRCLK), .en_b(ENBWREN), .we_b(WEBWE), .address_b(ADDRBWRADDR),
    .in_b({DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0]}), .out_b(out_b)
  );
  assign {DOPADOP[1], DOADO[15:8], DOPADOP[0], DOADO[7:0]} = out_a;
  assign {DOPBDOP[1], DOBDO[15:8], DOPBDOP[0], DOBDO[7:0]} = out_b;
endmodule
