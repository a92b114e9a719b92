meta:
  id: pilot_ipc
  title: Pilot Protocol local socket, one direction
  endian: be
  license: MIT OR Apache-2.0
  imports:
    - pilot_address
doc: |
  What a program and its daemon say to each other over a Unix stream socket: messages behind their length, at most
  1 MiB, which begin with a command. Bytes after a fixed payload are ignored. The shapes of JSON answers are in
  ../schemas.
seq:
  - id: messages
    type: message
    repeat: eos
types:
  message:
    seq:
      - id: len_body
        type: u4
        valid:
          max: 0x100000
      - id: body
        size: len_body
        type: body
        if: len_body != 0
  body:
    seq:
      - id: command
        type: u1
        enum: command
      - id: payload
        size-eos: true
        type:
          switch-on: command
          cases:
            'command::bind': port
            'command::bind_ok': port
            'command::dial': target
            'command::dial_ok': connection
            'command::accept': accept
            'command::send': connection_data
            'command::recv': connection_data
            'command::close': connection
            'command::close_ok': connection
            'command::error': error
            'command::send_to': send_to
            'command::recv_from': recv_from
            'command::handshake': handshake
            'command::network': network
            'command::resolve_hostname': text
            'command::set_hostname': text
            'command::set_webhook': text
            'command::set_tags': text
            'command::set_visibility': switch
            'command::set_task_exec': switch
            'command::info_ok': text
            'command::handshake_ok': text
            'command::resolve_hostname_ok': text
            'command::set_hostname_ok': text
            'command::set_visibility_ok': text
            'command::deregister_ok': text
            'command::set_tags_ok': text
            'command::set_webhook_ok': text
            'command::set_task_exec_ok': text
            'command::network_ok': text
            'command::health_ok': text
            'command::prefer_direct': node
            'command::prefer_direct_ok': text
            'command::unbind': port
            'command::unbind_ok': port
            'command::send_to_confirmed': send_to
            'command::extend': extend
            'command::extended': extended
            'command::tagged': tagged
            'command::tagged_answer': tagged
            'command::consumed': count
            'command::taken': count
            'command::finish': connection
            'command::broken': broken
            'command::event': text
  port:
    seq:
      - id: port
        type: u2
  target:
    seq:
      - id: address
        type: pilot_address
      - id: port
        type: u2
  connection:
    seq:
      - id: connection
        type: u4
  connection_data:
    seq:
      - id: connection
        type: u4
      - id: data
        size-eos: true
  accept:
    seq:
      - id: local_port
        type: u2
      - id: connection
        type: u4
      - id: remote
        type: pilot_address
      - id: remote_port
        type: u2
  error:
    seq:
      - id: code
        type: u2
      - id: text
        type: str
        size-eos: true
        encoding: UTF-8
  send_to:
    seq:
      - id: target
        type: target
      - id: data
        size-eos: true
  recv_from:
    seq:
      - id: source
        type: pilot_address
      - id: source_port
        type: u2
      - id: destination_port
        type: u2
      - id: data
        size-eos: true
  switch:
    seq:
      - id: value
        type: u1
        doc: 1 is on or public, anything else off or private.
  text:
    seq:
      - id: text
        type: str
        size-eos: true
        encoding: UTF-8
  node:
    seq:
      - id: node
        type: u4
  extend:
    doc: This message and the following are an extension (spec IPC-1), spoken only after this one was answered.
    seq:
      - id: flags
        type: u1
        doc: Bit 0 - tell events. Others mean nothing.
  extended:
    seq:
      - id: window
        type: u4
        doc: Bytes of a stream that may be under way in each direction (IPC-3).
  tagged:
    seq:
      - id: number
        type: u4
      - id: message
        size-eos: true
        doc: A request, or its answer, as a body of its own (IPC-2). One in another is refused.
  count:
    seq:
      - id: connection
        type: u4
      - id: bytes
        type: u4
        doc: How many more were consumed, or taken (IPC-3).
  broken:
    seq:
      - id: connection
        type: u4
      - id: text
        type: str
        size-eos: true
        encoding: UTF-8
  handshake:
    seq:
      - id: action
        type: u1
        enum: action
      - id: node
        type: u4
        if: action != action::pending and action != action::trusted
      - id: reason
        type: str
        size-eos: true
        encoding: UTF-8
        if: action != action::wait
      - id: timeout_ms
        type: u4
        if: action == action::wait
    enums:
      action:
        1: request
        2: approve
        3: reject
        4: pending
        5: trusted
        6: revoke
        7: wait
  network:
    seq:
      - id: action
        type: u1
        enum: action
      - id: network
        type: u2
        if: action != action::list and action != action::poll_invites
      - id: rest
        size-eos: true
        doc: join - a token; invite - a node (4 bytes); respond - 1 to accept.
    enums:
      action:
        1: list
        2: join
        3: leave
        4: members
        5: invite
        6: poll_invites
        7: respond
enums:
  command:
    0x01: bind
    0x02: bind_ok
    0x03: dial
    0x04: dial_ok
    0x05: accept
    0x06: send
    0x07: recv
    0x08: close
    0x09: close_ok
    0x0a: error
    0x0b: send_to
    0x0c: recv_from
    0x0d: info
    0x0e: info_ok
    0x0f: handshake
    0x10: handshake_ok
    0x11: resolve_hostname
    0x12: resolve_hostname_ok
    0x13: set_hostname
    0x14: set_hostname_ok
    0x15: set_visibility
    0x16: set_visibility_ok
    0x17: deregister
    0x18: deregister_ok
    0x19: set_tags
    0x1a: set_tags_ok
    0x1b: set_webhook
    0x1c: set_webhook_ok
    0x1d: set_task_exec
    0x1e: set_task_exec_ok
    0x1f: network
    0x20: network_ok
    0x21: health
    0x22: health_ok
    0x2b: cancel_dials
    0x2d: prefer_direct
    0x2e: prefer_direct_ok
    0x37: unbind
    0x38: unbind_ok
    0x39: send_to_confirmed
    0x3a: send_to_confirmed_ok
    0x61: extend
    0x62: extended
    0x63: tagged
    0x64: tagged_answer
    0x65: consumed
    0x66: taken
    0x67: finish
    0x68: broken
    0x6a: event
