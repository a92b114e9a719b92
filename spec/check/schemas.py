"""Checks the JSON Schemas against the vectors.

    schemas.py

Every answer of the vectors must fit; every request that was answered without an error must fit; each shape must have
refused something else, so that none is empty words. Prints the counts and fails if one is wrong.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator

HERE = pathlib.Path(__file__).parent.parent
# Vectors about values that nobody may send, although a release took them. The shapes must refuse each of them.
MALFORMED = {
    "register-004": "signature of three bytes",
    "lookup-022": "a node id with a fraction",
    "network-154": "a join rule nobody knows",
    "network-155": "the same, listed",
    "timestamp not an integer": "",
    "signature not base64": "",
    "signature of 63 bytes": "",
    "public key not base64": "",
    "node id written as string": "",
    "node id 2^32": "",
    "node id -1": "",
}

wrong = []
refused = set()
seen = {}


class Schema:
    def __init__(self, name):
        self.name = name
        self.document = json.loads((HERE / "schemas" / f"{name}.json").read_text())
        Draft202012Validator.check_schema(self.document)
        self.shapes = {
            shape["$ref"].rsplit("/", 1)[1]: Draft202012Validator({**shape, "$defs": self.document["$defs"]})
            for shape in self.document["oneOf"]
        }
        seen[name] = {shape: 0 for shape in self.shapes}

    def check(self, what, shape, value):
        if shape not in self.shapes:
            wrong.append(f"{self.name}: {what}: no shape {shape}")
            return
        seen[self.name][shape] += 1
        for error in self.shapes[shape].iter_errors(value):
            if what in MALFORMED:
                refused.add(what)
                continue
            path = "/".join(str(p) for p in error.path)
            wrong.append(f"{self.name}: {what}: {shape}/{path}: {error.message[:160]}")

    def check_that_shapes_refuse(self):
        """An object without its required members must not fit, a member of another kind neither."""
        for shape, validator in self.shapes.items():
            definition = self.document["$defs"][shape]
            if definition["required"] and validator.is_valid({}):
                wrong.append(f"{self.name}: {shape}: an empty object fits")
            for member in definition["required"]:
                if validator.is_valid({member: [["neither"]]}):
                    wrong.append(f"{self.name}: {shape}: anything fits {member}")


def vectors(name):
    return json.loads((HERE / "vectors" / f"{name}.json").read_text())


request = Schema("registry-request")
reply = Schema("registry-reply")
trust = Schema("trust-message")
ipc = Schema("ipc-reply")

exchanges = [(p["id"], p.get("request"), p.get("response")) for p in vectors("registry")["pairs"]]
for version, trace in vectors("registry")["daemon_traces"].items():
    exchanges += [(version, e.get("request"), e.get("response")) for e in trace["exchanges"]]
exchanges += [(e["op"], e["request"], e["reply"]) for e in vectors("trust")["registry_relay_exchanges"]]
for what, asked, answered in exchanges:
    if not isinstance(answered, dict):
        continue
    for waiting in (answered.get("requests") or []) + (answered.get("responses") or []):
        if waiting["timestamp"] == "<unix seconds>":
            waiting["timestamp"] = 0
    reply.check(what, answered.get("type"), answered)
    if answered.get("type") != "error" and isinstance(asked, dict):
        request.check(what, asked.get("type"), asked)

for message in vectors("trust")["captured_from_reference"]:
    value = json.loads(message["utf8"])
    trust.check(message["name"], value["type"], value)
for message in vectors("trust")["messages"]:
    if message.get("recommended_result") == "same" and message.get("reference_result") not in (None, "ignored"):
        try:
            value = json.loads(message.get("utf8", ""))
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("type") in trust.shapes and set(value) >= {"node_id", "timestamp"}:
            trust.check(message["name"], value["type"], value)

BY_COMMAND = {
    0x0E: "info_ok", 0x12: "resolve_hostname_ok", 0x14: "set_hostname_ok", 0x16: "set_visibility_ok",
    0x18: "deregister_ok", 0x1A: "set_tags_ok", 0x1C: "set_webhook_ok", 0x1E: "set_task_exec_ok", 0x22: "health_ok",
}
for exchange in vectors("ipc")["exchanges"]:
    for step in exchange["steps"]:
        if "json" not in step:
            continue
        value = json.loads(step["json"])
        command = int(step["message_hex"][:2], 16)
        if command == 0x10:
            shape = next((f"handshake_{k}" for k in ("pending", "trusted") if k in value), "handshake_done")
        elif command == 0x20:
            shape = f"network_{value.get('type')}"
        else:
            shape = BY_COMMAND[command]
        ipc.check(exchange["name"], shape, value)

for schema in (request, reply, trust, ipc):
    schema.check_that_shapes_refuse()
    used = [n for n in seen[schema.name].values() if n]
    unused = sorted(shape for shape, n in seen[schema.name].items() if not n)
    print(f"{schema.name:18} {len(schema.shapes):3} shapes, {sum(used):4} vectors", "; no vector:" if unused else "", *unused)
print(f"malformed          {len(refused)} of {len(MALFORMED)} refused")
wrong += sorted(f"{what}: fits, and must not" for what in set(MALFORMED) - refused)
print("\n".join(wrong[:60]))
sys.exit(bool(wrong))
