meta:
  id: pilot_address
  title: Pilot Protocol virtual address
  endian: be
  license: MIT OR Apache-2.0
doc: |
  48 bits (spec ADR-1): a network and a node in it. Written `N:NNNN.HHHH.LLLL`.
seq:
  - id: network
    type: u2
  - id: node
    type: u4
instances:
  is_broadcast:
    value: node == 0xffffffff
