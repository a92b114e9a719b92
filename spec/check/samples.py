"""Checks what the Wireshark dissector shows of the sample captures against what it showed when they were read by a person.

    samples.py [--write]

--write takes what it shows now as what it must show."""

import pathlib
import subprocess
import sys

SPEC = pathlib.Path(__file__).parent.parent
SAMPLES = SPEC / "wireshark" / "samples"
# Fields, not columns: those are worded differently in every Wireshark.
FIELDS = ["frame.number", "pilot.beacon", "pilot.magic", "pilot.sender", "pilot.decrypted", "pilot.source.node",
          "pilot.destination.node", "pilot.srcport", "pilot.dstport", "pilot.flags", "pilot.seq", "pilot.ack", "pilot.window",
          "pilot.length", "pilot.checksum.wrong", "pilot.short", "pilot.registry.length"]  # fmt: skip


def shown(capture):
    command = ["tshark", "-X", f"lua_script:{SPEC / 'wireshark' / 'pilot.lua'}", "-n", "-r", str(capture),
               "-o", f"pilot.keylog:{capture.with_suffix('.keys')}", "-Y", "pilot or pilot_registry", "-T", "fields",
               "-E", "header=y"]  # fmt: skip
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    if "Lua" in done.stderr:
        sys.exit(done.stderr)
    # Newer versions say True and False.
    return "".join("\t".join({"True": "1", "False": "0"}.get(value, value) for value in line.split("\t")) + "\n"
                   for line in done.stdout.splitlines())  # fmt: skip


def main():
    wrong = 0
    captures = sorted(SAMPLES.glob("*.pcapng"))
    for capture in captures:
        now, expected = shown(capture), capture.with_suffix(".txt")
        if "--write" in sys.argv:
            expected.write_text(now)
        rows = [line.split("\t") for line in now.splitlines()[1:]]
        opened, closed = ([row[FIELDS.index("pilot.decrypted")] for row in rows].count(value) for value in "10")
        same = now == expected.read_text()
        wrong += not same or opened == 0 or closed > 0
        print(f"{capture.stem:14} {len(rows):4} packets, {opened} opened, {closed} not {'' if same else '- NOT WHAT IT WAS'}")
    if not captures:
        sys.exit("no sample captures")
    sys.exit(wrong > 0)


main()
