meta:
  id: pilot_packet
  title: Pilot Protocol packet
  endian: be
  bit-endian: be
  license: MIT OR Apache-2.0
  imports:
    - pilot_address
    - pilot_sack
doc: |
  The 34-byte header and its payload (spec PKT-1). Bytes after the payload are ignored (PKT-4). The checksum is CRC-32
  (IEEE 802.3) over header and payload with the checksum field zero; this description cannot compute it, so a reader
  must (PKT-3).
seq:
  - id: version
    type: b4
    valid: 1
  - id: rst
    type: b1
  - id: fin
    type: b1
  - id: ack
    type: b1
  - id: syn
    type: b1
  - id: protocol
    type: u1
    enum: protocol
    doc: Others are ignored without an answer (PKT-2).
  - id: len_payload
    type: u2
  - id: source
    type: pilot_address
  - id: destination
    type: pilot_address
  - id: source_port
    type: u2
  - id: destination_port
    type: u2
  - id: sequence
    type: u4
  - id: acknowledgment
    type: u4
  - id: window
    type: u2
    doc: Free segments, of up to 4096 bytes each; 0 means closed, to a peer of April "no limit" (STR-8, STR-9).
  - id: checksum
    type: u4
  - id: payload
    size: len_payload
instances:
  is_acknowledgment:
    value: protocol == protocol::stream and ack and not syn and not fin and not rst
  sack_magic:
    pos: 34
    type: u4
    if: is_acknowledgment and len_payload >= 13
  num_sack_ranges:
    pos: 38
    type: u1
    if: is_acknowledgment and len_payload >= 13
  has_sack:
    value: >-
      is_acknowledgment and len_payload >= 13 and sack_magic == 0x5341434b
      and num_sack_ranges >= 1 and num_sack_ranges <= 4 and len_payload >= 5 + 8 * num_sack_ranges
    doc: An acknowledgment is told from data by this shape alone (STR-12).
  sack:
    pos: 34
    size: len_payload
    type: pilot_sack
    if: has_sack
enums:
  protocol:
    1: stream
    2: datagram
    3: control
