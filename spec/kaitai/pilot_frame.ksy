meta:
  id: pilot_frame
  title: Pilot Protocol tunnel frame
  endian: be
  license: MIT OR Apache-2.0
  imports:
    - pilot_packet
doc: |
  One UDP datagram of the tunnel socket whose first byte is 0x10 or more (spec TUN-1). One below 0x10 is a beacon
  message: see pilot_beacon.
seq:
  - id: magic
    type: u4
    enum: magic
  - id: body
    size-eos: true
    type:
      switch-on: magic
      cases:
        'magic::plain': pilot_packet
        'magic::sealed': sealed
        'magic::sealed_chacha': sealed
        'magic::anonymous_exchange': anonymous_exchange
        'magic::exchange': exchange
        'magic::punch': punch
types:
  sealed:
    doc: A packet under AES-256-GCM (TUN-6, TUN-7), or under ChaCha20-Poly1305 between peers that agreed on it (EXT-8).
    seq:
      - id: sender
        type: u4
        doc: Also the associated data of the cipher.
      - id: nonce_prefix
        size: 4
      - id: counter
        type: u8
      - id: ciphertext
        size: _io.size - 4 - 12 - 16
      - id: tag
        size: 16
  anonymous_exchange:
    doc: Refused unless the operator allows anonymous peers (TUN-10). What follows the key is ignored.
    seq:
      - id: sender
        type: u4
      - id: x25519_public
        size: 32
  exchange:
    doc: |
      The signature is Ed25519 over "auth", sender and X25519 key (TUN-5). What follows it is ignored.
    seq:
      - id: sender
        type: u4
      - id: x25519_public
        size: 32
      - id: ed25519_public
        size: 32
      - id: signature
        size: 64
  punch:
    doc: Opens a NAT mapping; releases send the bare magic. What follows is ignored.
    seq:
      - id: ignored
        size-eos: true
enums:
  magic:
    0x50494c54: plain
    0x50494c53: sealed
    0x50494c43: sealed_chacha
    0x50494c4b: anonymous_exchange
    0x50494c41: exchange
    0x50494c50: punch
