// SPDX-License-Identifier: Apache-2.0
// What cells of ECP5 do of which yosys has no model: block memories and multipliers, as yosys uses
// them. After Lattice's "ECP5 and ECP5-5G Memory Usage Guide" and "sysDSP Usage Guide".

// A memory of 1024 x 18 bits. Without output registers and resets, and with all chip selects 0,
// which netlist.py sees to. A port of 36 bits takes the pins of both.
module DP16KD (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
  DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
  DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
  DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
  DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";

  localparam WIDE_A = DATA_WIDTH_A == 36;
  localparam WIDE_B = DATA_WIDTH_B == 36;

  wire [17:0] di_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
  DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [13:0] ad_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3,
  ADA2, ADA1, ADA0};
  wire [17:0] di_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
  DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ad_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3,
  ADB2, ADB1, ADB0};

  reg [17:0] words [0:1023];
  reg [35:0] out_a = 0, out_b = 0;
  integer word;
  initial for (word = 0; word < 1024; word = word + 1) words[word] = 0;

  // The lowest bit of what an address means within its word of 18 bits: bytes are of 9 bits, and
  // the ninth is not there for narrower data.
  function [4:0] place(input [13:0] address, input integer width);
    place = width >= 18 ? 0 : width == 9 ? (address[3] ? 9 : 0)
      : (address[3] ? 9 : 0) + (address[2:0] & ~(width - 1));
  endfunction

  function [17:0] mask(input [13:0] address, input integer width);
    mask = width >= 18 ? {{9{address[1]}}, {9{address[0]}}}
      : ((1 << width) - 1) << place(address, width);
  endfunction

  function [17:0] narrow(input [17:0] data, input [13:0] address, input integer width);
    narrow = width >= 18 ? data : (data >> place(address, width)) & ((1 << width) - 1);
  endfunction

  wire [9:0] low_a = {ad_a[13:5], WIDE_A ? 1'b0 : ad_a[4]};
  wire [9:0] low_b = {ad_b[13:5], WIDE_B ? 1'b0 : ad_b[4]};
  wire [9:0] high_a = {ad_a[13:5], 1'b1};
  wire [9:0] high_b = {ad_b[13:5], 1'b1};
  wire [17:0] mask_a = mask(ad_a, DATA_WIDTH_A);
  wire [17:0] mask_b = mask(ad_b, DATA_WIDTH_B);
  wire [17:0] mask_high = {{9{ad_a[3]}}, {9{ad_a[2]}}};
  wire [17:0] new_a =
    (words[low_a] & ~mask_a) | ((di_a << place(ad_a, DATA_WIDTH_A)) & mask_a);
  wire [17:0] new_b =
    (words[low_b] & ~mask_b) | ((di_b << place(ad_b, DATA_WIDTH_B)) & mask_b);

  always @(posedge CLKA) if (CEA) begin
    if (WEA) begin
      words[low_a] <= new_a;
      if (WIDE_A) words[high_a] <= (words[high_a] & ~mask_high) | (di_b & mask_high);
    end
    if (!WEA || WRITEMODE_A == "READBEFOREWRITE")
      out_a <= {18'd0, narrow(words[low_a], ad_a, DATA_WIDTH_A)};
    else if (WRITEMODE_A == "WRITETHROUGH")
      out_a <= {18'd0, narrow(new_a, ad_a, DATA_WIDTH_A)};
  end

  always @(posedge CLKB) if (CEB) begin
    if (WEB) words[low_b] <= new_b;
    if (!WEB || WRITEMODE_B == "READBEFOREWRITE")
      out_b <= {words[high_b], narrow(words[low_b], ad_b, DATA_WIDTH_B)};
    else if (WRITEMODE_B == "WRITETHROUGH")
      out_b <= {18'd0, narrow(new_b, ad_b, DATA_WIDTH_B)};
  end

  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0}
    = WIDE_B ? out_b[17:0] : out_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0}
    = WIDE_B ? out_b[35:18] : out_b[17:0];
endmodule

// A product without registers.
module MULT18X18D (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
  P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  wire signed [35:0] a = {{18{SIGNEDA & A17}},
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire signed [35:0] b = {{18{SIGNEDB & B17}},
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
    = a * b;
endmodule
