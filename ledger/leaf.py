"""The leaf: the only bytes of an entry that stand in the log for ever.

A personal leaf holds type, version, time, a keyed commitment and a tag that tells whom it is about
to who knows that party (`about_tag`); a public leaf holds the whole entry. A leaf that stops
something names the leaves it ends in the clear, so that "in force at size n" can be checked when
every envelope is gone.
"""

import re
from dataclasses import dataclass

from ledger.envelope import (
    MAX_INTEGER,
    Entry,
    b64,
    canonical_parsed,
    entry_bytes,
    parse_entry_bytes,
    parse_to_compare,
    unb64,
)
from ledger.errors import FormatError

LEAF_VERSION = 1
MAX_LEAF_BYTES = 65_535
INDEX_LISTS = ("stops", "resumes", "erases")
# Canonical by its form: the leaf nearly every entry has, read without a JSON parser.
_PLAIN_PERSONAL = re.compile(
    rb'\{"about":"([0-9a-f]{32})","commitment":"([0-9a-f]{64})","time":(0|[1-9][0-9]{0,14}),"type":"([a-z._]+)",'
    rb'"v":1,"version":(0|[1-9][0-9]{0,8})\}'
).fullmatch
# The same for a public one. That its base64 has the only accepted spelling is `unb64`'s to say.
_PLAIN_PUBLIC = re.compile(
    rb'\{"entry":"([A-Za-z0-9+/=]*)","time":(0|[1-9][0-9]{0,14}),"type":"([a-z._]+)",'
    rb'"v":1,"version":(0|[1-9][0-9]{0,8})\}'
).fullmatch


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf: time is Unix milliseconds when the log sequenced it.

    Exactly one of commitment (personal, 32 bytes, with about, 16 bytes) and entry (public) is set.
    stops: indexes of the grants this leaf ends (or, for a pause, suspends); resumes: indexes of
    the pauses it lifts; erases: indexes of the leaves whose envelopes it lets disappear.
    """

    type: str
    version: int
    time: int
    commitment: bytes | None = None
    entry: Entry | None = None
    stops: tuple[int, ...] = ()
    resumes: tuple[int, ...] = ()
    erases: tuple[int, ...] = ()
    about: bytes | None = None


def format_leaf(leaf: Leaf) -> bytes:
    """Return the canonical bytes of a leaf (RFC 8785), at most 65,535."""
    value: dict[str, object] = {
        "v": LEAF_VERSION,
        "type": leaf.type,
        "version": leaf.version,
        "time": leaf.time,
    }
    if (leaf.commitment is None) == (leaf.entry is None):
        raise FormatError("a leaf holds either a commitment or an entry")
    if (leaf.commitment is None) != (leaf.about is None):
        raise FormatError("a personal leaf, and no other, says by a tag whom it is about")
    if leaf.commitment is not None and leaf.about is not None:
        value["commitment"] = leaf.commitment.hex()
        value["about"] = leaf.about.hex()
    if leaf.entry is not None:
        value["entry"] = b64(entry_bytes(leaf.entry))
    for name in INDEX_LISTS:
        if indexes := getattr(leaf, name):
            value[name] = list(indexes)
    if leaf.time > MAX_INTEGER:
        raise FormatError("the time of a leaf is beyond what JSON holds exactly")
    data = canonical_parsed(value)
    if len(data) > MAX_LEAF_BYTES:
        raise FormatError(f"the leaf has {len(data)} bytes; a log entry holds {MAX_LEAF_BYTES}")
    return data


def parse_leaf(data: bytes) -> Leaf:
    """Parse a leaf; refuses any byte string that is not the canonical form of what it says."""
    if (plain := _PLAIN_PERSONAL(data)) is not None:
        about, committed, time, type_, version = plain.groups()
        commitment, tag = bytes.fromhex(committed.decode()), bytes.fromhex(about.decode())
        return Leaf(type_.decode(), int(version), int(time), commitment, about=tag)
    if len(data) <= MAX_LEAF_BYTES and (public := _PLAIN_PUBLIC(data)) is not None:
        text, time, type_, version = public.groups()
        entry = parse_entry_bytes(unb64(text.decode()))
        return Leaf(type_.decode(), int(version), int(time), None, entry)
    value = parse_to_compare(data)
    try:
        if value["v"] != LEAF_VERSION:
            raise FormatError(f"leaf format {value['v']!r} is newer than this program; update it")
        leaf = Leaf(
            type=_text(value["type"]),
            version=_number(value["version"]),
            time=_number(value["time"]),
            commitment=_hex(value.get("commitment"), "commitment", 32),
            about=_hex(value.get("about"), "tag", 16),
            entry=parse_entry_bytes(unb64(value["entry"])) if "entry" in value else None,
            **{name: tuple(_number(i) for i in value.get(name, [])) for name in INDEX_LISTS},
        )
    except (KeyError, TypeError) as error:
        raise FormatError(f"a leaf lacks the field {error}") from None
    if format_leaf(leaf) != data:
        raise FormatError("the leaf is not in canonical form")
    return leaf


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise FormatError("a leaf field that must be text is not")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FormatError("a leaf field that must be a whole number is not")
    return value


def _hex(value: object, what: str, size: int) -> bytes | None:
    if value is None:
        return None
    try:
        data = bytes.fromhex(_text(value))
    except ValueError:
        raise FormatError(f"the {what} in a leaf is not hex") from None
    if len(data) != size:
        raise FormatError(f"the {what} in a leaf is not {size} bytes")
    return data
