meta:
  id: pilot_beacon
  title: Pilot Protocol beacon message
  endian: be
  license: MIT OR Apache-2.0
doc: |
  One UDP datagram whose first byte is below 0x10 (spec NAT-1). Nothing in it is authenticated (NAT-2).
seq:
  - id: kind
    type: u1
    enum: kind
  - id: body
    type:
      switch-on: kind
      cases:
        'kind::register': register
        'kind::your_address': endpoint
        'kind::punch_request': punch_request
        'kind::punch': endpoint
        'kind::relay': relay
        'kind::delivery': delivery
        'kind::gossip': gossip
        'kind::wake': wake
types:
  register:
    seq:
      - id: node
        type: u4
      - id: ed25519_public
        size: 32
        if: _io.size - _io.pos >= 32
        doc: Only the newest beacons take it.
  endpoint:
    seq:
      - id: len_ip
        type: u1
        valid:
          any-of: [4, 16]
      - id: ip
        size: len_ip
      - id: port
        type: u2
  punch_request:
    seq:
      - id: requester
        type: u4
      - id: target
        type: u4
  relay:
    seq:
      - id: sender
        type: u4
      - id: destination
        type: u4
      - id: frame
        size-eos: true
        doc: See pilot_frame; a punch frame or a beacon message in it is ignored.
  delivery:
    seq:
      - id: sender
        type: u4
      - id: frame
        size-eos: true
  gossip:
    seq:
      - id: beacon
        type: u4
      - id: num_nodes
        type: u2
      - id: nodes
        type: u4
        repeat: expr
        repeat-expr: num_nodes
  wake:
    seq:
      - id: reason
        type: u1
        enum: reason
enums:
  kind:
    1: register
    2: your_address
    3: punch_request
    4: punch
    5: relay
    6: delivery
    7: gossip
    10: wake
  reason:
    1: handshake_waits
