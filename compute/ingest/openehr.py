"""openEHR compositions in canonical JSON: quantities, counts and coded texts of their entries.

A number's code is the nearest terminology code of its element or cluster (name or mapping), else
the archetype's own node. Plain texts (DV_TEXT), the composer, participants, links and feeder data
are left out and counted. Spec: openEHR RM 1.0.4, data types and EHR information model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from compute.errors import IngestError
from compute.ingest.codes import Record, curie, known_system, node_curie, time_of, words_of
from compute.ingest.jsontext import number_of, obj, objects, text_of
from compute.parsed import Clinical, Limits

_ENTRIES: Final = frozenset({"OBSERVATION", "EVALUATION", "INSTRUCTION", "ACTION", "ADMIN_ENTRY"})
_INTO: Final = (
    "items", "content", "data", "events", "state", "protocol", "description", "activities",
    "ism_transition",
)  # fmt: skip
_REQUIRED: Final = ("name", "archetype_node_id", "language", "territory", "category", "composer")
_TYPES: Final = _ENTRIES | frozenset(
    {"SECTION", "HISTORY", "POINT_EVENT", "INTERVAL_EVENT", "ITEM_TREE", "ITEM_LIST",
     "ITEM_SINGLE", "ITEM_TABLE", "CLUSTER", "ELEMENT", "ACTIVITY", "ISM_TRANSITION",
     "GENERIC_ENTRY", "EVENT_CONTEXT"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk stands: the archetype, the nearest code, the time of the event."""

    archetype: str = ""
    code: str | None = None
    label: str = ""
    time: int | None = None


def is_openehr(record: dict[str, Any]) -> bool:
    """Tell whether a JSON object is an openEHR composition."""
    return record.get("_type") == "COMPOSITION"


def parse_openehr(record: dict[str, Any], limits: Limits) -> Clinical:
    """Parse a composition. Raises IngestError ``bad_openehr``."""
    absent = [name for name in _REQUIRED if not isinstance(record.get(name), str | dict)]
    if absent:
        raise _refuse(f"the composition lacks {', '.join(absent)}", absent[0])
    people = [text_of(obj(record["composer"], "composer").get("name"))]
    context = obj(record.get("context"), "context")
    for participation in objects(context.get("participations"), "participations"):
        people.append(text_of(obj(participation.get("performer"), "performer").get("name")))
    found = Record(limits, private=words_of(people))
    found.region = _territory(record)
    start = _time(context.get("start_time"))
    for entry in objects(record.get("content"), "content"):
        _walk(entry, _Place(time=start), found)
    return Clinical(
        "openehr", tuple(found.terms), tuple(found.measurements), found.demographics(),
        dict(found.skipped),
    )  # fmt: skip


def _territory(record: dict[str, Any]) -> str | None:
    code = text_of(obj(record.get("territory"), "territory").get("code_string"))
    return code if len(code) == 2 and code.isascii() and code.isupper() else None


def _walk(node: dict[str, Any], place: _Place, found: Record) -> None:
    kind = text_of(node.get("_type"))
    if kind not in _TYPES:
        raise _refuse("an entry is of a type openEHR does not know", "_type")
    if kind in _ENTRIES and _is_of_another(node):
        found.skipped["entry_of_somebody_else"] += 1
        return
    here = _entered(node, place)
    if kind == "ELEMENT":
        _element(node, here, found)
        return
    for key in _INTO:
        value = node.get(key)
        children = [value] if isinstance(value, dict) else value
        for child in objects(children, key):
            if "_type" in child and not text_of(child["_type"]).startswith("DV_"):
                _walk(child, here, found)


def _is_of_another(entry: dict[str, Any]) -> bool:
    # Compared, not looked up in a set: what a file says may be a list, which has no hash.
    whose = obj(entry.get("subject"), "subject").get("_type")
    return whose is not None and whose != "PARTY_SELF"


def _entered(node: dict[str, Any], place: _Place) -> _Place:
    archetype = text_of(node.get("archetype_node_id"))
    if archetype.startswith("openEHR-EHR-"):
        place = replace(place, archetype=archetype, code=None, label="")
    time = _time(node.get("time")) or _time(node.get("origin"))
    if time is not None:
        place = replace(place, time=time)
    coded = _code_of(obj(node.get("name"), "name"))
    return place if coded is None else replace(place, code=coded[0], label=coded[1])


def _code_of(value: dict[str, Any]) -> tuple[str, str] | None:
    """Return a coded text's CURIE and label: its own code, else the first mapping kept."""
    phrases = [obj(value.get("defining_code"), "defining_code")]
    mappings = objects(value.get("mappings"), "mappings")
    phrases += [obj(mapping.get("target"), "target") for mapping in mappings]
    for phrase in phrases:
        system = text_of(obj(phrase.get("terminology_id"), "terminology_id").get("value"))
        known = curie(system.partition("(")[0], text_of(phrase.get("code_string")))
        if known is not None:
            return known, text_of(value.get("value"))
    return None


def _element(node: dict[str, Any], place: _Place, found: Record) -> None:
    value = obj(node.get("value"), "value")
    kind = text_of(value.get("_type"))
    own = node_curie(place.archetype, text_of(node.get("archetype_node_id")))
    code = place.code or own
    if kind in {"DV_QUANTITY", "DV_COUNT", "DV_PROPORTION", "DV_ORDINAL"}:
        _number(value, kind, code, place, found)
    elif kind == "DV_CODED_TEXT":
        _coded_text(value, found)
    else:
        found.skipped[f"value_{kind}" if kind in _OTHER else "value_other"] += 1


_OTHER: Final = frozenset(
    {"DV_TEXT", "DV_BOOLEAN", "DV_DATE", "DV_TIME", "DV_DATE_TIME", "DV_DURATION", "DV_IDENTIFIER",
     "DV_MULTIMEDIA", "DV_PARSABLE", "DV_URI", "DV_EHR_URI", "DV_INTERVAL"}
)  # fmt: skip


def _number(
    value: dict[str, Any], kind: str, code: str | None, place: _Place, found: Record
) -> None:
    if code is None:
        found.skipped["number_without_code"] += 1
        return
    if kind == "DV_QUANTITY":
        status = text_of(value.get("magnitude_status"))
        if status not in {"", "="}:
            found.skipped["value_beyond_range"] += 1
            return
        found.measurement(code, number_of(value.get("magnitude")), text_of(value.get("units")),
                          place.time)  # fmt: skip
    elif kind == "DV_COUNT":
        found.measurement(code, number_of(value.get("magnitude")), "1", place.time)
    elif kind == "DV_ORDINAL":
        found.measurement(code, number_of(value.get("value")), "1", place.time)
    else:
        over, under = number_of(value.get("numerator")), number_of(value.get("denominator"))
        ratio = over / under if over is not None and under else None
        found.measurement(code, ratio, "1", place.time)


def _coded_text(value: dict[str, Any], found: Record) -> None:
    coded = _code_of(value)
    phrase = obj(value.get("defining_code"), "defining_code")
    system = text_of(obj(phrase.get("terminology_id"), "terminology_id").get("value"))
    if coded is not None:
        found.term(*coded, excluded=False, onset=None)
    elif known_system(system):
        found.skipped["code_malformed"] += 1
    else:
        found.skipped["unknown_terminology"] += 1


def _time(value: Any) -> int | None:
    return time_of(text_of(value.get("value"))) if isinstance(value, dict) else None


def _refuse(what: str, field: str) -> IngestError:
    return IngestError(what, code="bad_openehr", where=f"field {field}")
