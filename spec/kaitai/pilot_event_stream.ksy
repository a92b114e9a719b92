meta:
  id: pilot_event_stream
  title: Pilot Protocol event stream (port 1002), one direction
  endian: be
  license: MIT OR Apache-2.0
doc: The first event of a subscriber names the topic it wants, `*` for all; its payload is ignored.
seq:
  - id: events
    type: event
    repeat: eos
types:
  event:
    seq:
      - id: len_topic
        type: u2
      - id: topic
        size: len_topic
        type: str
        encoding: UTF-8
      - id: len_payload
        type: u4
      - id: payload
        size: len_payload
