"""An adapter for `pilot-conformance vectors`: packets, addresses and the replay window, with nothing but Python.

A question a line on standard input, an answer a line on standard output; see docs/adapters.md.
"""
import json, re, struct, sys, zlib

HEADER = struct.Struct(">BBHHIHIHHIIHI")
NAMES = ("source_network", "source_node", "destination_network", "destination_node", "source_port",
         "destination_port", "sequence", "acknowledgment", "window")

def decode_packet(q):
    data = bytes.fromhex(q["hex"])
    if len(data) < 34: raise ValueError("too_short")
    first, protocol, length, *fields, checksum = HEADER.unpack(data[:34])
    payload = data[34:34 + length]
    if len(payload) < length: raise ValueError("truncated")
    if zlib.crc32(data[:30] + bytes(4) + payload) != checksum: raise ValueError("checksum_mismatch")
    if first >> 4 != 1: raise ValueError("bad_version")
    return dict(zip(NAMES, fields), flags=first & 15, protocol=protocol, payload=payload.hex())

def encode_packet(q):
    payload = bytes.fromhex(q["payload"])
    if len(payload) > 65535: raise ValueError("payload_too_large")
    head = HEADER.pack(1 << 4 | q["flags"], q["protocol"], len(payload), *(q[name] for name in NAMES), 0)
    return {"hex": (head[:30] + struct.pack(">I", zlib.crc32(head + payload)) + payload).hex()}

def parse_address(q):
    left, colon, right = q["text"].partition(":")
    if not colon: raise ValueError("no_colon")
    if not re.fullmatch("[0-9]+", left) or int(left) > 65535: raise ValueError("bad_network_decimal")
    groups = right.split(".")
    if len(groups) != 3: raise ValueError("group_count")
    if any(len(group.encode()) != 4 for group in groups): raise ValueError("group_length")
    if not re.fullmatch("[0-9A-Fa-f]{4}", groups[0]): raise ValueError("bad_hex")
    if int(groups[0], 16) != int(left): raise ValueError("network_mismatch")
    if not re.fullmatch("[0-9A-Fa-f]{8}", groups[1] + groups[2]): raise ValueError("bad_hex")
    return {"network": int(left), "node": int(groups[1] + groups[2], 16)}

def format_address(q):
    network, node = q["network"], q["node"]
    return {"text": f"{network}:{network:04X}.{node >> 16:04X}.{node & 0xFFFF:04X}"}

def replay_window(q):
    seen, accepted = {}, []
    for step in q["steps"]:
        counters, counter = seen.setdefault(step["prefix"], set()), int(step["counter"])
        good = step["authentic"] and counter not in counters and counter + 255 >= max(counters, default=0)
        if good: counters.add(counter)
        accepted.append(good)
    return {"accepted": accepted}

OPERATIONS = {"decode-packet": decode_packet, "encode-packet": encode_packet, "parse-address": parse_address,
              "format-address": format_address, "replay-window": replay_window}
for line in sys.stdin:
    question = json.loads(line)
    operation = OPERATIONS.get(question["op"])
    try:
        answer = {"result": operation(question)} if operation else {"unsupported": True}
    except ValueError as refusal:
        answer = {"error": str(refusal)}
    print(json.dumps({"id": question["id"], **answer}), flush=True)
