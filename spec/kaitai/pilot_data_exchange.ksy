meta:
  id: pilot_data_exchange
  title: Pilot Protocol data exchange (port 1001), one direction
  endian: be
  license: MIT OR Apache-2.0
seq:
  - id: frames
    type: frame
    repeat: eos
types:
  frame:
    seq:
      - id: kind
        type: u4
        enum: kind
      - id: len_payload
        type: u4
      - id: payload
        size: len_payload
        type:
          switch-on: kind
          cases:
            'kind::file': file
  file:
    doc: Without room for the name it states, a file has no name and is refused by a service.
    seq:
      - id: len_name
        type: u2
        if: _io.size >= 2
      - id: name
        size: len_name
        if: has_name
        doc: Most often UTF-8, but nothing says so.
      - id: content
        size-eos: true
    instances:
      has_name:
        value: _io.size >= 2 and len_name <= _io.size - 2
enums:
  kind:
    1: text
    2: binary
    3: json
    4: file
