meta:
  id: pilot_sack
  title: Pilot Protocol SACK report
  endian: be
  license: MIT OR Apache-2.0
doc: |
  The payload of an acknowledgment that reports gaps (spec STR-12).
seq:
  - id: magic
    contents: SACK
  - id: num_ranges
    type: u1
    valid:
      min: 1
      max: 4
  - id: ranges
    type: range
    repeat: expr
    repeat-expr: num_ranges
  - id: more
    type: range
    repeat: expr
    repeat-expr: '(_io.size - _io.pos) / 8 < 28 ? (_io.size - _io.pos) / 8 : 28'
    if: num_ranges == 4
    doc: Up to 28 further ranges, between peers that take long lists; others ignore them.
types:
  range:
    seq:
      - id: first
        type: u4
        doc: Sequence number of the first byte.
      - id: after
        type: u4
        doc: Sequence number after the last byte.
