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
            'kind::traced': traced
            'kind::chunked': chunked
            'kind::tagged': tagged
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
  traced:
    doc: A message with its sending time. A payload without this form is passed over by a service, and the stream goes on.
    seq:
      - id: inner
        type: u4
        enum: kind
        if: has_form
      - id: sent_at
        type: u8
        if: has_form
        doc: The sender's clock, nanoseconds since 1970.
      - id: content
        size-eos: true
    instances:
      has_form:
        value: _io.size >= 12
  chunked:
    doc: One step of a file that comes in pieces. Without form, as above, where a body has no room for its fields.
    seq:
      - id: step
        type: u1
        enum: step
        if: has_head
      - id: transfer
        size: 16
        if: has_head
        doc: First half of the SHA-256 of the file.
      - id: body
        size-eos: true
        type:
          switch-on: step
          cases:
            'step::init': init
            'step::data': piece
            'step::ack': position
            'step::init_ack': position
            'step::complete': complete
    instances:
      has_head:
        value: _io.size >= 17
  init:
    seq:
      - id: len_file
        type: u8
        if: has_fields
        doc: Bytes of the file.
      - id: sha256
        size: 32
        if: has_fields
      - id: len_chunk
        type: u4
        if: has_fields
      - id: len_name
        type: u2
        if: has_fields
      - id: name
        size: len_name
        if: has_name
    instances:
      has_fields:
        value: _io.size >= 46
      has_name:
        value: has_fields and len_name <= _io.size - 46
  piece:
    seq:
      - id: offset
        type: u8
        if: has_form
        doc: Bytes from the start of the file.
      - id: content
        size-eos: true
    instances:
      has_form:
        value: _io.size >= 8
  position:
    doc: Everything before it is there, or the sender is to go on from there.
    seq:
      - id: offset
        type: u8
        if: has_form
        doc: Bytes from the start of the file.
    instances:
      has_form:
        value: _io.size >= 8
  complete:
    seq:
      - id: status
        type: u1
        if: has_form
        doc: 0 for a file that is stored and has its hash.
      - id: text
        size-eos: true
    instances:
      has_form:
        value: _io.size >= 1
  tagged:
    doc: A message with an id.
    seq:
      - id: len_header
        type: u2
        if: _io.size >= 2
      - id: header
        size: len_header
        if: has_form
        doc: JSON object with `message_id` and, in an answer, `reply_to`.
      - id: inner
        type: u4
        enum: kind
        if: has_form
      - id: content
        size-eos: true
    instances:
      has_form:
        value: _io.size >= 6 and len_header >= 1 and len_header <= 1024 and len_header <= _io.size - 6
enums:
  kind:
    1: text
    2: binary
    3: json
    4: file
    5: traced
    7: chunked
    10: tagged
  step:
    1: init
    2: data
    3: ack
    4: done
    5: init_ack
    6: complete
    7: abort
