"""Loads PROV-JSON with the package `prov` and counts what it has; ends with 1 for what is no PROV document."""
import collections
import json
import sys

from prov.model import ProvDocument, ProvElement, ProvRelation

document = ProvDocument.deserialize(source=sys.argv[1], format="json")
counts = collections.Counter(type(record).__name__ for record in document.get_records())
elements = {element.identifier for element in document.get_records(ProvElement)}
# A relation to something that is nowhere described would load all the same.
dangling = [
    str(value)
    for relation in document.get_records(ProvRelation)
    for _, value in relation.formal_attributes
    if value is not None and value not in elements
]
# What is written again is the same document.
again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
print(json.dumps({"counts": counts, "dangling": dangling, "stable": again == document}))
