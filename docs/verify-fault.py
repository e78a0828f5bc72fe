#!/usr/bin/env python3
"""Verifies evidence of a log's fault, alone: python3 verify-fault.py FILE VKEY...

VKEY are verifier keys that you know to be the log's, from somewhere else than the file. Needs Python 3.9 and `cryptography`.
Exit 0: a fault is proved. 3: signature, tree and documents are right, and the broken rule is one that this script leaves to
`treeline verify`. 1: nothing is proved. The bytes are described in formats.md.
"""
import base64
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENESIS, EVENT, POLICY, BATCH = 0, 1, 2, 4


class Unproved(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Unproved(why)


def sha256(data):
    return hashlib.sha256(data).digest()


def node(left, right):
    return sha256(b"\x01" + left + right)


def b64(text):
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw) == text, "base64 that is not canonical")
    return raw


def number(text):
    need(re.fullmatch(rb"0|[1-9][0-9]{0,15}", text), "a number that is not in its one spelling")
    return int(text)


def ordered(found, pattern):
    names = "".join(name + " " for name, _ in found)
    need(re.fullmatch(r"(log-key )*" + pattern, names), "sections are missing, or in another order")


def sections(data):
    first, data = data.split(b"\n", 1)
    need(first == b"treeline.evidence-of-fault@v1", "not evidence of a fault")
    kind, data = data.split(b"\n", 1)
    found = []
    while data:
        head, data = data.split(b"\n", 1)
        name, length = head.split(b" ")
        end = number(length)
        need(data[end : end + 1] == b"\n", "a section is cut off")
        found.append((name.decode(), data[:end]))
        data = data[end + 1 :]
    return kind, found


def checkpoint(note, vkeys):
    """Origin, size and root of a checkpoint that one of the keys has signed under its own name."""
    text, lines = note.rsplit(b"\n\n", 1)
    text += b"\n"
    signed = False
    for line in lines.rstrip(b"\n").split(b"\n"):
        dash, name, blob = line.decode().split(" ")
        blob = b64(blob.encode())
        for vkey in vkeys:
            key_name, key_id, key = vkey.split("+", 2)
            key = b64(key.encode())
            need(sha256(key_name.encode() + b"\n" + key)[:4].hex() == key_id, "a verifier key has another key id")
            if dash == "\u2014" and key_name == name and blob[:4].hex() == key_id and key[0] == 1:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[4:], text)
                signed = signed or text.decode().split("\n")[0] == name
    need(signed, "no given key signed a checkpoint")
    origin, size, root = text.decode().split("\n")[:3]
    return origin, int(size), b64(root.encode())


def hashes(data):
    raw = b64(data)
    need(len(raw) % 32 == 0, "a proof that is not made of hashes")
    return [raw[i : i + 32] for i in range(0, len(raw), 32)]


def climb(fn, sn, first, rest):
    """RFC 9162 sections 2.1.3.2 and 2.1.4.2: the hash of the old tree, or the leaf's side, and that of the new one."""
    fr = sr = first
    for sibling in rest:
        need(sn > 0, "a hash too many")
        if fn & 1 or fn == sn:
            fr, sr = node(sibling, fr), node(sibling, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, sibling)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "a hash too few")
    return fr, sr


def included(index, size, entry, proof, root):
    need(index < size, "an index outside of the tree")
    need(climb(index, size - 1, sha256(b"\x00" + entry), proof)[1] == root, f"entry {index} is not in the tree")


def consistent(old, new, old_root, new_root, proof):
    if old == 0:
        need(old_root == sha256(b"") and not proof, "the tree of nothing has one root, and no proof")
        return
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    path = ([old_root] if fn == 0 else []) + proof
    need(path, "no consistency proof")
    need(climb(fn, sn, path[0], path[1:]) == (old_root, new_root), "the root at the smaller size is not that of the second tree")


def fork(found, vkeys):
    ordered(found, "note note (root proof )?")
    notes = [checkpoint(text, vkeys) for name, text in found if name == "note"]
    need(len(notes) == 2 and notes[0][0] == notes[1][0], "not two checkpoints of one log")
    (origin, size, root), (_, larger, other) = notes
    need(size <= larger, "the larger checkpoint stands first")
    if size == larger:
        need(root != other, "the two checkpoints are the same")
    else:
        prefix = b64(dict(found)["root"])
        need(len(prefix) == 32, "a root that is not a hash")
        need(prefix != root, "the second tree is an extension of the first")
        consistent(size, larger, prefix, other, hashes(dict(found)["proof"]))
    print(f"proved: what {origin} signed at size {size} is no part of what it signed at size {larger}")
    return 0


def cbor(data, at=0):
    """The few types of an entry. Returns a value and where it ends."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info >= 24:
        need(info < 28, "an indefinite length")
        width = 1 << (info - 24)
        need(at + width <= len(data), "cut off")
        info, at = int.from_bytes(data[at : at + width], "big"), at + width
        need(info >= (24 if width == 1 else 1 << (4 * width)), "a number longer than it must be")
    if major == 0:
        return info, at
    if major in (2, 3):
        need(at + info <= len(data), "cut off")
        text = data[at : at + info]
        return (text if major == 2 else text.decode()), at + info
    need(major in (4, 5), "another type")
    items = []
    for _ in range(info * (major - 3)):
        item, at = cbor(data, at)
        items.append(item)
    keys = items[::2] if major == 5 else []
    need(all(a < b for a, b in zip(keys, keys[1:])), "keys out of order")
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at


def entry_of(data):
    """The map of an entry, or None for what is none."""
    try:
        entry, end = cbor(data)
        offset = int.from_bytes(data[end : end + 4], "big")
        whole = end + 5 == len(data) and data[-1] == 1 and data[offset : offset + 32] == entry[7] and entry[0] == 1
        return entry if whole and {1, 2, 7} <= entry.keys() else None
    except (Unproved, IndexError, KeyError, TypeError, ValueError):
        return None


def begins_with_genesis(items, origin):
    """Whether entry 0 carries a policy of this log: what stands in other logs are no entries, and accuses nobody."""
    for item in items:
        if item["index"] == 0 and "document" in item and item["map"] and item["map"][1] == GENESIS:
            policy = json.loads(base64.b64decode(json.loads(item["document"])["payload"]))
            return policy["origin"] == origin
    return False


def header_in(item):
    """What the header of a batch says, or None for another entry. Its place is not judged without its document."""
    if not item["map"] or item["map"][1] != BATCH:
        return None
    need("document" in item, f"the document of the header at {item['index']} is not shown")
    return json.loads(base64.b64decode(json.loads(item["document"])["payload"]))


def batch_root(leaves):
    """RFC 6962 section 2.1, over the key 7 of each item."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node(batch_root(leaves[:half]), batch_root(leaves[half:]))


def breaks_batch(index, entry, items):
    """Whether it stands among the items of a header that is shown and is none of them, completes another root, or names what is not its header."""
    for at, item in items.items():
        header = header_in(item) if at < index else None
        if header and index <= at + header["size"]:
            says = [entry.get(key) for key in (1, 8, 4, 3, 2, 9)]
            if says != [EVENT, [at, index - at - 1], header["payloadType"]] + [item["map"][key] for key in (3, 2, 9)]:
                return True
            if index == at + header["size"]:
                return batch_root([items[one]["map"][7] for one in range(at + 1, index + 1)]) != b64(header["root"].encode())
    need(entry[1] == EVENT and 8 in entry, "it is of no batch, and in none that is shown")
    at, position = entry[8]
    # In the span of a header that is shown it would have been found above.
    return index != at + 1 + position or not (header_in(items[at]) and index <= at + header_in(items[at])["size"])


def invalid_entry(found, vkeys):
    ordered(found, "note rule (index entry proof (document )?)+")
    fields = dict(found[: [name for name, _ in found].index("index")])
    origin, size, root = checkpoint(fields["note"], vkeys)
    items, rule = [], fields["rule"].decode()
    for name, text in found:
        if name == "index":
            items.append({"index": number(text)})
        elif items:
            items[-1][name] = hashes(text) if name == "proof" else b64(text)
    for item in items:
        included(item["index"], size, item["entry"], item["proof"], root)
        item["map"] = entry_of(item["entry"])
        if "document" in item:
            need(item["map"] and sha256(item["document"]) == item["map"][7], f"the document of entry {item['index']} is another one")
    need(begins_with_genesis(items, origin), f"it is not shown that {origin} is a log of events")
    accused, others = items[0], {item["index"]: item["map"] for item in items[1:]}
    whole = {item["index"]: item for item in items}
    index, entry = accused["index"], accused["map"]
    carries = {at for at, one in others.items() if one and one[1] in (GENESIS, POLICY)}
    if rule == "malformed":
        need(entry is None, "it is an entry: what else may be wrong with it is for treeline verify")
    elif rule == "genesis":
        need((entry[1] == GENESIS) != (index == 0), "the genesis is where it belongs")
    elif rule == "batch" and entry[1] != BATCH:
        need(breaks_batch(index, entry, whole), "it is where it belongs, among the items of its batch")
    elif rule == "time":
        need(entry[2] < others[index - 1][2], "its time is not before that of the entry before")
    elif rule == "policy-index":
        named = entry[9]
        later = any(named < at < index for at in carries)
        need(named >= index or later or (named in others and named not in carries), "it names the policy in force")
    else:
        print(f"entry {index} is in the tree that {origin} signed; treeline verify judges the rule {rule}")
        return 3
    print(f"proved: entry {index} of {origin} breaks the rule {rule}")
    return 0


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], "rb") as file:
            kind, found = sections(file.read())
        need(kind in (b"kind fork", b"kind invalid-entry"), "of no known kind")
        return (fork if kind == b"kind fork" else invalid_entry)(found, sys.argv[2:])
    except (Unproved, InvalidSignature, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        print(f"nothing is proved: {error or 'a signature does not verify'}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
