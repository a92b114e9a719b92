"""Checks the Kaitai descriptions against the vectors.

    formats.py PARSERS

PARSERS is the folder kaitai.js wrote. Prints how many vectors each description was held against and fails if one of
them reads anything else than the vector says.
"""

import json
import pathlib
import struct
import sys
import zlib

from kaitaistruct import KaitaiStructError

sys.path.insert(0, sys.argv[1])
from pilot_address import PilotAddress
from pilot_beacon import PilotBeacon
from pilot_data_exchange import PilotDataExchange
from pilot_event_stream import PilotEventStream
from pilot_frame import PilotFrame
from pilot_ipc import PilotIpc
from pilot_packet import PilotPacket
from pilot_registry import PilotRegistry
from pilot_sack import PilotSack

VECTORS = pathlib.Path(__file__).parent.parent / "vectors"
counts = {}
wrong = []


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def read(description, data):
    """What the description reads; None if it refuses."""
    try:
        return description.from_bytes(data)
    except (KaitaiStructError, EOFError, UnicodeDecodeError):
        return None


def check(description, what, got, expected):
    counts.setdefault(description.__name__, [0, 0])[0] += 1
    if got != expected:
        counts[description.__name__][1] += 1
        wrong.append(f"{description.__name__}: {what}: reads {got!r}, the vector says {expected!r}")


def with_length(message):
    return struct.pack(">I", len(message)) + message


def checksum_holds(data, packet):
    covered = data[:30] + bytes(4) + data[34 : 34 + packet.len_payload]
    return zlib.crc32(covered) == packet.checksum


def fields(packet):
    names = {"SYN": packet.syn, "ACK": packet.ack, "FIN": packet.fin, "RST": packet.rst}
    protocol = packet.protocol
    return {
        "version": packet.version,
        "flag_names": [name for name, on in names.items() if on],
        "protocol": getattr(protocol, "value", protocol),
        "payload_len": packet.len_payload,
        "src": (packet.source.network, packet.source.node),
        "dst": (packet.destination.network, packet.destination.node),
        "src_port": packet.source_port,
        "dst_port": packet.destination_port,
        "seq": packet.sequence,
        "ack": packet.acknowledgment,
        "window": packet.window,
    }


def expected_fields(vector):
    named = dict(vector["fields"])
    for end in ("src", "dst"):
        named[end] = (named[end]["network"], named[end]["node"])
    known = ("SYN", "ACK", "FIN", "RST")
    named["flag_names"] = [n for n in known if n in named["flag_names"]]
    return {k: v for k, v in named.items() if k != "flags"}


def wire():
    vectors = load("wire")
    for v in vectors["addresses_binary"]:
        address = read(PilotAddress, bytes.fromhex(v["hex"]))
        check(PilotAddress, v["hex"], (address.network, address.node), (v["network"], v["node"]))
    for v in vectors["packets_valid"] + vectors["packets_accepted_with_extra"]:
        if "hex" not in v:
            continue  # given by a rule for its payload
        data = bytes.fromhex(v["hex"])
        packet = read(PilotPacket, data)
        check(PilotPacket, v["name"], packet and fields(packet), expected_fields(v))
        check(PilotPacket, v["name"], packet and packet.payload.hex(), v["payload_hex"])
        check(PilotPacket, v["name"], packet and checksum_holds(data, packet), True)
    for v in vectors["packets_malformed"]:
        data = bytes.fromhex(v["hex"])
        packet = read(PilotPacket, data)
        valid = packet is not None and checksum_holds(data, packet)
        check(PilotPacket, v["name"], valid, False)
        if v["reason"] in ("too_short", "truncated", "bad_version"):
            check(PilotPacket, f"{v['name']} by itself", packet, None)
    for v in vectors["sack_decode_ok"] + vectors["sack_encode"]:
        sack = read(PilotSack, bytes.fromhex(v["hex"]))
        blocks = sack and [[r.first, r.after] for r in sack.ranges]
        check(PilotSack, v["hex"], blocks or [], v["blocks"][:4])
    for v in vectors["sack_not_sack"]:
        check(PilotSack, v["hex"], read(PilotSack, bytes.fromhex(v["hex"])), None)


def tunnel():
    vectors = load("tunnel")
    magic = PilotFrame.Magic
    for v in vectors["pila"] + vectors["pilk"]:
        frame = read(PilotFrame, bytes.fromhex(v["frame"]))
        signed = "signature" in v
        got = frame and (frame.magic, frame.body.sender, frame.body.x25519_public.hex())
        kind = magic.exchange if signed else magic.anonymous_exchange
        check(PilotFrame, v["frame"][:16], got, (kind, v["node"], v["x25519_public"]))
        if signed:
            got = (frame.body.ed25519_public.hex(), frame.body.signature.hex())
            check(PilotFrame, v["frame"][:16], got, (v["ed25519_public"], v["signature"]))
    for v in vectors["pila_receive"] + vectors["pilk_receive"]:
        frame = read(PilotFrame, bytes.fromhex(v["frame"]))
        check(PilotFrame, v["name"], frame is None, v.get("reason") == "too_short")
    for v in vectors["pils_receive"]:
        data = bytes.fromhex(v["frame"])
        frame = read(PilotFrame, data)
        check(PilotFrame, v["name"], frame is None, v["outcome"] == "too_short")
        if frame:
            body = frame.body
            again = struct.pack(">II4sQ", frame.magic.value, body.sender, body.nonce_prefix, body.counter)
            check(PilotFrame, v["name"], again + body.ciphertext + body.tag, data)


def stream():
    for trace in load("stream")["traces"]:
        for v in trace["events"]:
            if "frame_hex" not in v:
                continue
            data = bytes.fromhex(v["frame_hex"])
            if data[0] < 0x10:
                data = read(PilotBeacon, data).body.frame
            frame = read(PilotFrame, data)
            if v.get("flags") is None or frame is None or frame.magic != PilotFrame.Magic.plain:
                continue
            packet = frame.body
            got = (packet.source_port, packet.destination_port, packet.sequence, packet.acknowledgment, packet.window)
            expected = (v["sport"], v["dport"], v["seq"], v["ack"], v["window"])
            check(PilotPacket, trace["name"], got, expected)
            if "sack" in v and packet.has_sack:
                blocks = [[r.first, r.after] for r in packet.sack.ranges]
                check(PilotSack, trace["name"], blocks, v["sack"])


def beacon():
    vectors = load("beacon")
    for v in vectors["daemon_discover_reply"] + vectors["punch_command_encode"]:
        message = read(PilotBeacon, bytes.fromhex(v["hex"]))
        if "ip" in v:
            check(PilotBeacon, v["hex"], message and message.body.port, v["port"])
        elif v.get("endpoint"):
            port = int(v["endpoint"].rsplit(":", 1)[1])
            check(PilotBeacon, v["what"], message and message.body.port, port)
        else:
            address = message is not None and message.kind == PilotBeacon.Kind.your_address
            check(PilotBeacon, v["what"], address, False)
    for v in vectors["daemon_emits"]:
        data = bytes.fromhex(v["hex"])
        if data[0] < 0x10:
            message = read(PilotBeacon, data)
            sender = message and (getattr(message.body, "node", None) or getattr(message.body, "requester", None) or getattr(message.body, "sender", None))
            check(PilotBeacon, v["what"], sender, v["node"])
    for v in vectors["daemon_receives_relay"]:
        message = read(PilotBeacon, bytes.fromhex(v["hex"]))
        check(PilotBeacon, v["what"], message.kind, PilotBeacon.Kind.delivery)
        if "inner" in v:
            frame = read(PilotFrame, message.body.frame)
            check(PilotFrame, v["what"], frame.body.len_payload + 34, len(v["inner"]) // 2)
    for scenario in vectors["scenarios"]:
        for step in scenario["steps"]:
            for sent in step["beacon_sends"]:
                message = read(PilotBeacon, bytes.fromhex(sent["hex"]))
                check(PilotBeacon, step["what"], message is not None, True)
                if message.kind in (PilotBeacon.Kind.relay, PilotBeacon.Kind.delivery):
                    asked = read(PilotBeacon, bytes.fromhex(step["send"]))
                    check(PilotBeacon, step["what"], message.body.frame, asked.body.frame)


def ipc():
    for exchange in load("ipc")["exchanges"]:
        for step in exchange["steps"]:
            if not step.get("message_hex"):
                continue
            data = bytes.fromhex(step["message_hex"])
            stream = read(PilotIpc, with_length(data))
            refused = any("error" in s for s in exchange["steps"])
            if stream is None and refused:
                continue  # the vector is about a payload too short for its command
            check(PilotIpc, exchange["name"], stream is not None, True)
            if stream is None:
                continue
            body = stream.messages[0].body
            payload = getattr(body, "payload", None)
            if "error" in step:
                check(PilotIpc, exchange["name"], payload.text, step["error"])
            if "json" in step:
                check(PilotIpc, exchange["name"], json.loads(payload.text), json.loads(step["json"]))
    for v in load("ipc")["extensions"]["messages"]:
        stream = read(PilotIpc, with_length(bytes.fromhex(v["message_hex"])))
        payload = stream and stream.messages[0].body.payload
        for name, said in v["fields"].items():
            got = getattr(payload, name, None)
            check(PilotIpc, v["name"], got.hex() if isinstance(got, bytes) else got, said)


def registry():
    for v in load("registry")["framing"]:
        if isinstance(v["recv_hex"], str) and v["recv_hex"]:
            answer = read(PilotRegistry, bytes.fromhex(v["recv_hex"]))
            check(PilotRegistry, v["desc"], all("type" in json.loads(m.text) for m in answer.messages), True)


def services():
    vectors = load("services")
    for v in vectors["data_exchange"]["decode"] + vectors["data_exchange"]["encode"]:
        if "wire_hex" not in v or not v["wire_hex"]:
            continue
        stream = read(PilotDataExchange, bytes.fromhex(v["wire_hex"]))
        if not v.get("ok", True):
            check(PilotDataExchange, v["name"], stream, None)
            continue
        first = stream.frames[0]
        check(PilotDataExchange, v["name"], getattr(first.kind, "value", first.kind), v["type"])
        if v["type"] == 4 and first.payload.has_name:
            check(PilotDataExchange, v["name"], first.payload.name.hex(), v["filename_hex"])
        elif v["type"] == 4:
            check(PilotDataExchange, v["name"], "", v["filename_hex"])
    for v in vectors["event_stream"]["decode"] + vectors["event_stream"]["encode"]:
        if not v.get("wire_hex"):
            continue
        stream = read(PilotEventStream, bytes.fromhex(v["wire_hex"]))
        if v.get("ok", True):
            first = stream.events[0]
            check(PilotEventStream, v["name"], first.topic.encode().hex(), v.get("topic_hex", first.topic.encode().hex()))
            check(PilotEventStream, v["name"], first.payload.hex(), v.get("payload_hex", first.payload.hex()))
        else:
            check(PilotEventStream, v["name"], stream, None)


for part in (wire, tunnel, stream, beacon, ipc, registry, services):
    part()
for name, (total, bad) in sorted(counts.items()):
    print(f"{name:20} {total:5} checks {bad:3} wrong")
print("\n".join(wrong[:40]))
sys.exit(bool(wrong))
