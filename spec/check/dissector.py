"""Checks the Wireshark dissector with tshark on captures made from the vectors.

    dissector.py [FOLDER]

Writes the captures and the key log into FOLDER (a scratch folder if none is given), reads them with tshark and compares
what it shows with what the vectors say. Prints the counts and fails if one is wrong.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent.parent
# The port of a relayed local socket.
IPC = 7000
wrong = []


def vectors(name):
    return json.loads((HERE / "vectors" / f"{name}.json").read_text())


def udp(payload, source_port=4000, destination_port=4000):
    """A raw IPv4 packet around a datagram; nobody looks at its checksums."""
    length = 28 + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
    return ip + struct.pack(">HHHH", source_port, destination_port, length - 20, 0) + payload


def tcp(payload, sequence=1, port=9000):
    length = 40 + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
    return ip + struct.pack(">HHIIBBHHH", 40000, port, sequence, 1, 0x50, 0x18, 65535, 0, 0) + payload


def write(path, packets):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for i, packet in enumerate(packets):
            out.write(struct.pack("<IIII", i, 0, len(packet), len(packet)) + packet)


def tshark(capture, fields, keylog=None):
    command = ["tshark", "-X", f"lua_script:{HERE / 'wireshark' / 'pilot.lua'}", "-n", "-r", str(capture), "-T", "fields", "-o", f"pilot.ipc:{IPC}"]
    if keylog:
        command += ["-o", f"pilot.keylog:{keylog}"]
    for field in fields:
        command += ["-e", field]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    if "Lua" in shown.stderr:
        wrong.append(shown.stderr)
    return [line.split("\t") for line in shown.stdout.splitlines()]


class Capture:
    """Datagrams, and what tshark must show of each."""

    def __init__(self, name):
        self.name, self.packets, self.expected = name, [], []

    def add(self, what, packet, **expected):
        self.packets.append(packet)
        self.expected.append((what, expected))

    def check(self, folder, keylog=None):
        fields = sorted({field for _, expected in self.expected for field in expected})
        path = folder / f"{self.name}.pcap"
        write(path, self.packets)
        shown = tshark(path, [f.replace("__", ".") for f in fields], keylog)
        checks = 0
        for (what, expected), line in zip(self.expected, shown, strict=True):
            values = dict(zip(fields, line, strict=True))
            for field, value in expected.items():
                checks += 1
                if values[field] != str(value):
                    wrong.append(f"{self.name}: {what}: {field} is {values[field]!r}, should be {value!r}")
        print(f"{self.name:9} {len(self.packets):4} packets {checks:5} checks")


def packets():
    capture = Capture("packets")
    for v in vectors("wire")["packets_valid"] + vectors("wire")["packets_accepted_with_extra"]:
        if "hex" not in v:
            continue
        said = v["fields"]
        capture.add(
            v["name"], udp(b"PILT" + bytes.fromhex(v["hex"])),
            pilot__magic="PILT", pilot__srcport=said["src_port"], pilot__dstport=said["dst_port"],
            pilot__seq=said["seq"], pilot__ack=said["ack"], pilot__window=said["window"],
            pilot__length=said["payload_len"], pilot__source=said["src"]["text"],
            pilot__destination=said["dst"]["text"], pilot__checksum__wrong="",
            pilot__payload=v["payload_hex"],
        )
    for v in vectors("wire")["packets_malformed"]:
        data = b"PILT" + bytes.fromhex(v["hex"])
        if v["reason"] == "checksum_mismatch":
            capture.add(v["name"], udp(data), pilot__checksum__wrong=1)
        elif v["reason"] in ("truncated", "too_short"):
            capture.add(v["name"], udp(data), pilot__short=1)
    return capture


def tunnel(keylog):
    frames = vectors("tunnel")
    keylog.write_text("".join(f"PILOT_KEY aes-256-gcm {s['aes_key']}\n" for s in frames["sessions"]))
    capture = Capture("tunnel")
    for v in frames["pila"]:
        capture.add(
            "PILA", udp(bytes.fromhex(v["frame"])),
            pilot__magic="PILA", pilot__sender=v["node"], pilot__x25519=v["x25519_public"],
            pilot__ed25519=v["ed25519_public"], pilot__signature=v["signature"],
        )
    for v in frames["pilk"]:
        capture.add("PILK", udp(bytes.fromhex(v["frame"])), pilot__magic="PILK", pilot__x25519=v["x25519_public"])
    for v in frames["pils_receive"]:
        data = bytes.fromhex(v["frame"])
        if v["outcome"] == "delivered":
            capture.add(v["name"], udp(data), pilot__decrypted=1, pilot__checksum__wrong="", pilot__version=1)
        elif v["name"] in ("ciphertext_flipped", "prefix_flipped", "counter_flipped"):
            capture.add(v["name"], udp(data), pilot__decrypted=0)
    return capture


def beacon():
    capture = Capture("beacon")
    for scenario in vectors("beacon")["scenarios"]:
        for step in scenario["steps"]:
            for sent in step["beacon_sends"]:
                data = bytes.fromhex(sent["hex"])
                capture.add(step["what"], udp(data, 9001, 4000), pilot__beacon=data[0])
    return capture


def registry():
    capture, sequence = Capture("registry"), 1
    for v in vectors("registry")["pairs"][:50]:
        text = json.dumps(v["request"]).encode()
        data = struct.pack(">I", len(text)) + text
        capture.add(v["id"], tcp(data, sequence), pilot__registry__length=len(text))
        sequence += len(data)
    capture.add("two in one segment", tcp(data + data, sequence), pilot__registry__length=f"{len(text)},{len(text)}")
    return capture


# What is shown of messages of which the vectors have no fields.
MALFORMED = (
    ("6500000001", {"short": 1}), ("63000000076300000008", {"number": "7,8", "command": "0x63,0x63"}),
)  # fmt: skip


def local_socket():
    capture, sequence = Capture("socket"), 1
    steps = [step for v in vectors("ipc")["exchanges"] for step in v["steps"] if "message_hex" in step]
    messages = [(step["message_hex"], {}) for step in steps if 0 < len(step["message_hex"]) < 2000]
    for v in vectors("ipc")["extensions"]["messages"]:
        inner = v["fields"].pop("message", None)
        if inner:
            v["fields"]["command"] = f"0x{v['message_hex'][:2]},0x{inner[:2]}"
        if "flags" in v["fields"]:
            v["fields"]["flags"] = f"0x{v['fields']['flags']:02x}"
        messages.append((v["message_hex"], v["fields"]))
    for text, said in [*messages, *MALFORMED]:
        data = struct.pack(">I", len(text) // 2) + bytes.fromhex(text)
        said = {"command": f"0x{text[:2]}", **said}
        capture.add(text[:20], tcp(data, sequence, IPC), pilot_ipc__length=len(text) // 2,
                    **{f"pilot_ipc__{field}": value for field, value in said.items()})  # fmt: skip
        sequence += len(data)
    both = struct.pack(">I", 5) + bytes.fromhex("6700000001") + struct.pack(">I", 1) + b"\x0d"
    capture.add("two in one segment", tcp(both, sequence, IPC), pilot_ipc__length="5,1", pilot_ipc__command="0x67,0x0d")
    return capture


def main(folder):
    keylog = folder / "keys.log"
    packets().check(folder)
    tunnel(keylog).check(folder, keylog)
    beacon().check(folder)
    registry().check(folder)
    local_socket().check(folder)
    print("\n".join(wrong[:40]))
    sys.exit(bool(wrong))


if len(sys.argv) > 1:
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main(pathlib.Path(sys.argv[1]))
else:
    with tempfile.TemporaryDirectory() as scratch:
        main(pathlib.Path(scratch))
