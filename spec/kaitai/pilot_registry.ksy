meta:
  id: pilot_registry
  title: Pilot Protocol registry connection, one direction
  endian: be
  license: MIT OR Apache-2.0
doc: |
  A sequence of JSON objects, each behind its length (spec REG-1). Their shapes are in ../schemas.
seq:
  - id: messages
    type: message
    repeat: eos
types:
  message:
    seq:
      - id: len_text
        type: u4
        valid:
          max: 0x100000
      - id: text
        size: len_text
        type: str
        encoding: UTF-8
