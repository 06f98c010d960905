"""The kinds of value a field of a ledger payload can have.

Pure tests on parsed JSON: no kind ever repairs, trims or guesses a value.
A test of a text may raise TypeError for a value that is none.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from ledger.envelope import canonical, unb64
from ledger.errors import FormatError

MAX_OBJECT_KEYS = 256
_ID = r"[0-9a-f]{32}"
_HEX = r"(?:[0-9a-f]{2}){16,64}"

PARTY_ROLES = (
    "owner",
    "researcher",
    "reviewer",
    "auditor",
    "attester",
    "marketplace",
    "compute",
    "operator",
)
SIGNING_KINDS = ("ed25519", "webauthn")
_KEY_USES = {"sign": SIGNING_KINDS, "recover": SIGNING_KINDS, "encrypt": ("x25519",)}


class Kind(NamedTuple):
    """A kind of value: its test, and how an error message says what it must be.

    pattern: of a text that is all there is to test; never matches a line end.
    """

    test: Callable[[Any], object]
    says: str
    pattern: str | None = None


def _text(pattern: str, says: str) -> Kind:
    return Kind(re.compile(pattern).fullmatch, says, pattern)


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _above_zero(value: Any) -> bool:
    return type(value) is int and value > 0


def _indexes(value: Any) -> bool:
    if not isinstance(value, list) or not all(map(_whole, value)):
        return False
    return all(a < b for a, b in pairwise(value))


def _base64_of(low: int, high: int) -> Callable[[Any], object]:
    def test(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > high * 2:
            return False
        try:
            return low <= len(unb64(value)) <= high
        except FormatError:
            return False

    return test


def _object(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_OBJECT_KEYS


def _counts(value: Any) -> bool:
    return _object(value) and all(CODE.test(k) and _whole(v) for k, v in value.items())


def _key(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"public_key", "kind", "use"}:
        return False
    kind, use = value["kind"], value["use"]
    if not isinstance(use, str) or kind not in _KEY_USES.get(use, ()):
        return False
    size = (32, 600) if kind == "webauthn" else (32, 32)
    return bool(_base64_of(*size)(value["public_key"]))


def _keys(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= 16 or not all(map(_key, value)):
        return False
    return len({item["public_key"] for item in value}) == len(value)


def _ids(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(map(ID.test, value)):
        return False
    return len(set(value)) == len(value)


def shape(**fields: Kind) -> Kind:
    """Make the kind of an object with exactly these fields."""
    tests = tuple((name, kind.test) for name, kind in fields.items())

    def test(value: Any) -> bool:
        if not isinstance(value, dict) or value.keys() != fields.keys():
            return False
        for name, test in tests:  # noqa: SIM110 -- one generator less for every grant
            if not test(value[name]):
                return False
        return True

    return Kind(test, "an object of " + ", ".join(f"{n} ({k.says})" for n, k in fields.items()))


def small_object(size: int, text: int) -> Kind:
    """Make the kind of an object of at most `size` canonical bytes, each text of it bounded too.

    For what people write into public entries: nothing takes it out of the log again.
    """

    def test(value: Any) -> bool:
        if not _object(value) or not _texts_within(value, text):
            return False
        try:
            return len(canonical(value)) <= size
        except FormatError:
            return False

    return Kind(test, f"an object of at most {size} bytes, no text longer than {text} characters")


def _texts_within(value: Any, text: int) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, str) and len(item) > text:
            return False
    return True


def nullable(kind: Kind) -> Kind:
    """Make the kind that also accepts null."""
    test = kind.test
    return Kind(lambda value: value is None or test(value), f"null or {kind.says}")


def one_of(*words: str) -> Kind:
    """Make the kind that is one of these words."""
    allowed = frozenset(words)
    return Kind(lambda v: isinstance(v, str) and v in allowed, "one of " + ", ".join(words))


ID = _text(_ID, "an id of 32 lower-case hex digits")
FINGERPRINT = _text(_ID, "a key fingerprint of 32 lower-case hex digits")
PSEUDONYM = _text(_HEX, "a pseudonym in lower-case hex")
DIGEST = _text(r"[0-9a-f]{64}", "a SHA-256 digest in lower-case hex")
COMMITMENT = _text(_HEX, "a commitment in lower-case hex")
CODE = _text(r"[A-Za-z0-9*][A-Za-z0-9_.:/+*-]{0,95}", "a short code")
CURRENCY = _text(r"[a-z]{3}", "a lower-case ISO 4217 code")
RATIO = _text(r"(?:0|[1-9][0-9]{0,11})(?:/[1-9][0-9]{0,11})?", 'an exact ratio such as "1/100"')
TIME = Kind(_whole, "a time in Unix milliseconds")
COUNT = Kind(_whole, "a whole number")
INDEX = Kind(_whole, "a leaf index")
INDEXES = Kind(_indexes, "a list of leaf indexes in rising order")
SOME_INDEXES = Kind(lambda v: v and _indexes(v), "one or more leaf indexes in rising order")
ONE_INDEX = Kind(lambda v: _indexes(v) and len(v) == 1, "a list of one leaf index")
AMOUNT = Kind(_above_zero, "an amount above zero in minor units")
MONEY = Kind(_whole, "an amount in minor units")
KEY32 = Kind(_base64_of(32, 32), "a 32-byte key in base64")
PUBLIC_KEY = Kind(_base64_of(32, 4096), "a public key in base64")
OBJECT = Kind(_object, "an object")
WRITTEN = small_object(4096, 200)
COUNTS = Kind(_counts, "an object of reason codes and counts")
KEY = Kind(_key, "a key {public_key, kind, use}")
KEYS = Kind(_keys, "a list of 1 to 16 different keys {public_key, kind, use}")
IDS = Kind(_ids, "one or more different ids")
ROLE = one_of(*PARTY_ROLES)
REGION = CODE
CIPHERTEXT = shape(sha256=DIGEST, size=COUNT, header_size=COUNT)
RECIPIENT = shape(key_id=CODE, region=REGION)
RELEASE = shape(mode=one_of("trusted", "private"), rho=nullable(RATIO))
PRICE = shape(amount=MONEY, currency=CURRENCY)
