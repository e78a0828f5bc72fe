"""Signs what schemathesis generates, so that it reaches the log itself and not only the door.

Where schemathesis means a part of a request to be right, this makes it right: the name of a log that is there, indexes and digests
that the log has, envelopes with signatures that verify, over content that schemathesis made up. What it means to be wrong stays as
it is. Counts every answer into the file that TREELINE_COUNTS names.
"""

import atexit
import base64
import collections
import hashlib
import json
import os
import random
import threading
import urllib.request

import schemathesis
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from schemathesis.core.parameters import ParameterLocation

URL = os.environ["TREELINE_URL"]
ACTORS = json.load(open(os.environ["TREELINE_ACTORS"]))
COUNTS = os.environ["TREELINE_COUNTS"]
IN_TOTO = "application/vnd.in-toto+json"
CLOUDEVENTS = "application/cloudevents+json"
POLICY = "application/vnd.treeline.write-policy.v1+json"
REDACTION = "application/vnd.treeline.redaction.v1+json"

dice = random.Random(int(os.environ.get("TREELINE_SEED", "1")))
counts = collections.Counter()
lock = threading.Lock()


class Key:
    def __init__(self, pem):
        self.private = serialization.load_pem_private_key(pem.encode(), None)
        spki = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.id = hashlib.sha256(spki).hexdigest()

    def sign(self, message):
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(hashes.SHA256()))
        return self.private.sign(message)


SIGNERS = [Key(pem) for pem in ACTORS["signers"]]
ADMINISTRATOR = Key(ACTORS["administrator"])


def get(path):
    with urllib.request.urlopen(URL + path) as answer:
        return json.load(answer)


def envelope(payload_type, payload, keys):
    body = json.dumps(payload, ensure_ascii=dice.random() < 0.5).encode("utf-8", "replace")
    kind = payload_type.encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    spell = dice.choice([base64.standard_b64encode, base64.urlsafe_b64encode])
    hints = dice.choice([lambda key: {"keyid": key.id}, lambda key: {"keyid": ""}, lambda key: {}])
    return {
        "payloadType": payload_type,
        "payload": spell(body).decode(),
        "signatures": [{**hints(key), "sig": spell(key.sign(message)).decode()} for key in keys],
    }


def event(generated):
    """A signed event that holds what was generated, somewhere where anything may stand."""
    keys = dice.sample(SIGNERS, dice.randint(1, len(SIGNERS)))
    digest = {"sha256": dice.randbytes(32).hex()}
    if dice.random() < 0.2:
        attributes = {"id": digest["sha256"], "source": "/fuzz", "type": "fuzz", "specversion": "1.0"}
        return envelope(CLOUDEVENTS, {**attributes, "consumed": "sha256:" + digest["sha256"], "data": generated}, keys)
    return envelope(
        IN_TOTO,
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "fuzz/%d" % dice.getrandbits(32), "digest": digest}],
            "predicateType": dice.choice(["urn:treeline:fuzz:v1", "https://slsa.dev/provenance/v1"]),
            "predicate": {"consumed": [{"name": "in", "digest": digest}], "generated": generated},
        },
        keys,
    )


def policy():
    now = get("/%s/v1/policy" % ACTORS["events"])
    document = now["policy"]
    document["sequence"] += 1
    document["previous"] = {"index": now["index"], "sha256": now["sha256"]}
    document["private"] = ["urn:treeline:private:%d" % dice.getrandbits(32)]
    return envelope(POLICY, document, [ADMINISTRATOR])


def redaction():
    found = some_event()
    entries = [{"index": found["index"], "leafHash": found["leafHash"]}]
    request = {"origin": ACTORS["origin"], "entries": entries, "reason": "fuzz"}
    return envelope(REDACTION, request, [ADMINISTRATOR])


def some_event():
    size = get("/%s/v1/events?limit=1" % ACTORS["events"])["completeTo"]
    start = dice.randrange(size)
    page = get("/%s/v1/events?from=%d&limit=20" % (ACTORS["events"], start))["events"]
    fit = [one for one in page if one["kind"] == "event" and one["redacted"] is None]
    return dice.choice(fit or page)


def lines(generated):
    made = [json.dumps(event(generated)) for _ in range(dice.randint(1, 5))]
    made.insert(dice.randint(0, len(made)), str(generated).replace("\n", " "))
    return "\n".join(made) + dice.choice(["", "\n"])


BODIES = {
    "/{log}/v1/events": event,
    "/{log}/v1/events/batch": lines,
    "/{log}/v1/policy": lambda generated: policy(),
    "/{log}/v1/redactions": lambda generated: redaction(),
}


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    parts = case.meta.components

    def right(location):
        return location in parts and parts[location].mode.is_positive

    path = case.operation.path
    with lock:
        if right(ParameterLocation.PATH):
            place(case, path)
        if right(ParameterLocation.QUERY) and case.query and dice.random() < 0.5:
            size = get("/%s/v1/events?limit=1" % ACTORS["events"])["completeTo"]
            case.query = {
                name: value % size + (name in ("to", "size")) if type(value) is int and name != "limit" else value
                for name, value in case.query.items()
            }
            if "leaf" in case.query:
                found = some_event()
                case.query.pop(dice.choice(["leaf", "index"]), None)
                case.query.update({name: found["leafHash"] for name in case.query if name == "leaf"})
        if right(ParameterLocation.BODY) and path in BODIES and dice.random() < 0.9:
            case.body = BODIES[path](case.body)
            if path == "/{log}/v1/events" and dice.random() < 0.1:
                case.headers = {**(case.headers or {}), "Accept": "text/plain"}


def place(case, path):
    """A log that is there, and most times something that it has."""
    names = [ACTORS["raw"]] if path.endswith("/add") else [ACTORS["events"]]
    if "/tile/" in path or "/proofs/" in path or path.endswith("/checkpoint"):
        names.append(ACTORS["raw"])
    if "log" in case.path_parameters and dice.random() < 0.95:
        case.path_parameters["log"] = dice.choice(names)
    if "index" in case.path_parameters and dice.random() < 0.8:
        case.path_parameters["index"] = some_event()["index"]
    if "tile" in case.path_parameters and dice.random() < 0.8:
        # The raw log begins with more entries than a tile is wide.
        tile = {"log": ACTORS["raw"], "level": dice.choice(["0", "entries"]), "tile": "000"}
        case.path_parameters.update(tile)
        if "width" in case.path_parameters:
            case.path_parameters["width"] = dice.randint(1, 255)
    if "digest" in case.path_parameters and dice.random() < 0.8:
        digest = some_event()["addendum"]
        case.path_parameters.update({"a": digest[:2], "b": digest[2:4], "digest": digest})


@schemathesis.hook
def after_call(context, case, response):
    with lock:
        counts["%s %s %d" % (case.method.upper(), case.operation.path, response.status_code)] += 1
        if case.operation.path == "/{log}/v1/events/batch" and response.status_code == 200:
            for line in response.content.splitlines():
                counts["LINE %d" % json.loads(line)["status"]] += 1


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.deserializer("application/x-ndjson", "application/octet-stream", "text/html")
def deserialize_text(context, response):
    return response.content.decode("latin-1")


@atexit.register
def write_counts():
    with open(COUNTS, "w") as file:
        json.dump(counts, file)
