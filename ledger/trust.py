"""The trust policy: the public file that says whose keys count, copied to every client.

Holds public keys only. Services (marketplace, compute, operator, auditors, attesters) are
recognised by the keys pinned here, never by what an entry says about itself. No clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.entries import PasskeyPolicy
from ledger.envelope import b64, canonical, fingerprint, parse_json, unb64
from ledger.errors import FormatError, LedgerError, PolicyError
from ledger.policy import Policy, VerifiedCheckpoint, parse_policy
from ledger.proof import verify_proof

CLAIMS = (
    "person_verified",
    "unaffiliated",
    "organisation",
    "sector",
    "non_profit",
    "country",
    "ethics_approval",
    "accredited_researcher",
    "output_reviewer",
)
MAX_TRUST_BYTES = 4 << 20
CLOCK_TOLERANCE_MS = 5_000  # how far clocks of log, witnesses and readers may lie apart
_SERVICES = ("marketplace", "compute", "operator", "treasurer")


@dataclass(frozen=True, slots=True)
class Auditor:
    """A named auditor: an Ed25519 key to sign with, an X25519 key to encrypt to (raw 32 bytes)."""

    name: str
    sign: bytes
    encrypt: bytes


@dataclass(frozen=True, slots=True)
class Pins:
    """Pinned public keys, raw bytes, by service and by the claim an attester may state.

    A retired key stays in the list as long as entries it signed are to be read. treasurer: people
    who run the market, each with a key of their own; only they state money. operator: other keys
    that sign operator.acted, such as the ledger process's own. No key is both.
    """

    marketplace: tuple[bytes, ...] = ()
    compute: tuple[bytes, ...] = ()
    operator: tuple[bytes, ...] = ()
    treasurer: tuple[bytes, ...] = ()
    auditors: tuple[Auditor, ...] = ()
    attesters: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    _names: Mapping[str, frozenset[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        names = {name: _fingerprints(getattr(self, name)) for name in _SERVICES}
        if names["operator"] & names["treasurer"]:
            raise PolicyError("a treasurer's key is a person's own: pin it under no other operator")
        names["operator"] |= names["treasurer"]
        names["auditor"] = _fingerprints(item.sign for item in self.auditors)
        names["attester"] = _fingerprints(key for keys in self.attesters.values() for key in keys)
        for claim, keys in self.attesters.items():
            names[f"claim:{claim}"] = _fingerprints(keys)
        object.__setattr__(self, "_names", names)

    def is_service(self, role: str, key: str) -> bool:
        """Tell whether a key (fingerprint) is pinned for a role such as "compute"."""
        return key in self._names.get(role, ())

    def may_attest(self, claim: str, key: str) -> bool:
        """Tell whether a key (fingerprint) is pinned as attester of a claim."""
        return key in self._names.get(f"claim:{claim}", ())


def _fingerprints(keys: Iterable[bytes]) -> frozenset[str]:
    return frozenset(fingerprint(key) for key in keys)


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What a client trusts: one log, its witnesses, the pinned services, how old is too old (ms).

    witness_policy is the text of a C2SP tlog-policy; `policy` is that text, loaded and checked.
    """

    origin: str
    ledger_url: str
    marketplace_url: str
    witness_policy: str
    pins: Pins
    max_checkpoint_age_ms: int = 10_000
    embedded: bool = False
    passkeys: PasskeyPolicy | None = None
    policy: Policy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        policy = parse_policy(self.witness_policy.encode())
        if [log.vkey.name for log in policy.logs] != [self.origin]:
            raise PolicyError(f"the witness policy must name exactly one log, {self.origin!r}")
        if self.max_checkpoint_age_ms <= 0:
            raise PolicyError("max_checkpoint_age_ms must be above zero")
        object.__setattr__(self, "policy", policy)

    @classmethod
    def parse(cls, data: bytes) -> "TrustPolicy":
        """Read trust.json. Raises FormatError or PolicyError, naming the field."""
        if len(data) > MAX_TRUST_BYTES:
            raise FormatError(f"a trust policy has at most {MAX_TRUST_BYTES} bytes")
        try:
            return _from_json(parse_json(data))
        except LedgerError:
            raise
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"the trust policy lacks or misuses the field {error}") from None

    def format(self) -> bytes:
        """Return the canonical bytes of trust.json."""
        return canonical(_to_json(self))

    @classmethod
    def load(cls, path: Path | str) -> "TrustPolicy":
        """Read trust.json from a file. Raises FormatError or PolicyError."""
        try:
            return cls.parse(Path(path).read_bytes())
        except OSError as error:
            raise PolicyError(f"cannot read the trust policy {path}: {error.strerror}") from None


def verify_receipt(receipt: str | bytes, leaf: bytes, trust: TrustPolicy) -> VerifiedCheckpoint:
    """Check offline that a leaf is in the trusted log: signature, witnesses, inclusion.

    Returns the checkpoint the receipt rests on. Spec: C2SP tlog-proof. Raises FormatError,
    VerificationError or PolicyError.
    """
    data = receipt.encode() if isinstance(receipt, str) else receipt
    return verify_proof(leaf, trust.policy, data)


def _from_json(value: Mapping[str, Any]) -> TrustPolicy:
    if value.get("v") != 1:
        raise FormatError("the trust policy is of another version; update this program")
    pins = value["pins"]
    auditors = tuple(
        Auditor(_text(item["name"]), _key(item["sign"]), _key(item["encrypt"]))
        for item in pins.get("auditors", [])
    )
    attesters = {_claim(claim): _keys(keys) for claim, keys in pins.get("attesters", {}).items()}
    services = {name: _keys(pins.get(name, [])) for name in _SERVICES}
    passkeys = value.get("passkeys")
    return TrustPolicy(
        origin=_text(value["origin"]),
        ledger_url=_text(value["ledger_url"]),
        marketplace_url=_text(value["marketplace_url"]),
        witness_policy=_text(value["witness_policy"]),
        pins=Pins(auditors=auditors, attesters=attesters, **services),
        max_checkpoint_age_ms=_number(value["max_checkpoint_age_ms"]),
        embedded=value.get("embedded", False) is True,
        passkeys=None if passkeys is None else _passkeys(passkeys),
    )


def _to_json(trust: TrustPolicy) -> dict[str, Any]:
    pins: dict[str, Any] = {name: list(map(b64, getattr(trust.pins, name))) for name in _SERVICES}
    pins["auditors"] = [
        {"name": a.name, "sign": b64(a.sign), "encrypt": b64(a.encrypt)}
        for a in trust.pins.auditors
    ]
    pins["attesters"] = {c: list(map(b64, keys)) for c, keys in trust.pins.attesters.items()}
    value: dict[str, Any] = {
        "v": 1,
        "origin": trust.origin,
        "ledger_url": trust.ledger_url,
        "marketplace_url": trust.marketplace_url,
        "witness_policy": trust.witness_policy,
        "pins": pins,
        "max_checkpoint_age_ms": trust.max_checkpoint_age_ms,
        "embedded": trust.embedded,
    }
    if trust.passkeys is not None:
        origins = list(trust.passkeys.origins)
        value["passkeys"] = {"rp_id": trust.passkeys.rp_id, "origins": origins}
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise FormatError("a text of the trust policy is missing or empty")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise FormatError("max_checkpoint_age_ms of the trust policy must be a whole number")
    return value


def _key(value: Any) -> bytes:
    key = unb64(value)
    if len(key) < 32:
        raise FormatError("a key pinned in the trust policy has fewer than 32 bytes")
    return key


def _keys(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise FormatError("the pins of the trust policy must be lists of keys in base64")
    return tuple(_key(item) for item in value)


def _claim(name: str) -> str:
    if name not in CLAIMS:
        raise FormatError(f"the trust policy pins attesters of an unknown claim {name[:40]!r}")
    return name


def _passkeys(value: Any) -> PasskeyPolicy:
    origins = value["origins"]
    if not isinstance(origins, list) or not origins:
        raise FormatError("passkeys.origins of the trust policy must be a list of origins")
    return PasskeyPolicy(_text(value["rp_id"]), tuple(map(_text, origins)))
