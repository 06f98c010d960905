"""Trust policy: which logs and how many witnesses make a checkpoint count. Spec: C2SP tlog-policy.

Fails closed: the loader refuses a policy under which two disjoint sets of witnesses could each
vouch for a checkpoint, since a log could then show two histories. Knows no clock: whether a
checkpoint is recent enough is for the caller, from `quorum_time`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.errors import FormatError, LedgerError, PolicyError, VerificationError
from ledger.merkle import EMPTY_ROOT
from ledger.note import Note, parse_note, verify_note
from ledger.vkey import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    VerifierKey,
    format_vkey,
    parse_decimal,
    parse_vkey,
)

MAX_POLICY_BYTES = 1024 * 1024
NO_QUORUM = "none"
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Log:
    """A log whose checkpoints are accepted; the key's name is the log's origin."""

    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner, under the name groups use for it."""

    name: str
    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group that has witnessed once `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as loaded. Make one with `parse_policy`, which checks it."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint that meets a policy.

    `cosignatures` maps the policy's witness names to the newest cosignature time of each (POSIX
    seconds). `quorum_time` is the newest time at which the quorum was still met: with k of n, the
    k-th newest. It is 0 under `quorum none`, which no freshness rule accepts.
    """

    checkpoint: Checkpoint
    note: Note
    cosignatures: Mapping[str, int]
    quorum_time: int

    @property
    def time_of_quorum(self) -> int:
        """The same as `quorum_time`."""
        return self.quorum_time


def parse_policy(data: bytes, *, allow_weak: bool = False) -> Policy:
    """Load and check a policy file. Section "Policy file syntax and structure".

    With `allow_weak` (to inspect somebody else's policy) quorums that allow a split view, and
    `quorum none`, are let through. Raises PolicyError, naming the line.
    """
    builder = _Builder()
    for number, line in enumerate(_lines(data), 1):
        words = _BLANKS.split(line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            continue
        try:
            builder.add(words)
        except LedgerError as error:
            raise PolicyError(f"policy line {number}: {error}") from None
    policy = builder.build()
    if not allow_weak:
        _require_intersection(policy)
    return policy


def format_policy(policy: Policy) -> bytes:
    """Write a policy file that `parse_policy` reads back to an equal policy."""
    lines = [_words("log", format_vkey(log.vkey), log.url) for log in policy.logs]
    lines += [_words("witness", w.name, format_vkey(w.vkey), w.url) for w in policy.witnesses]
    lines += [_words("group", g.name, str(g.threshold), *g.members) for g in policy.groups]
    lines.append(_words("quorum", policy.quorum))
    return "".join(lines).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)  # pure, and the receipts of one batch all rest on one checkpoint
def verify_checkpoint(policy: Policy, note_bytes: bytes) -> VerifiedCheckpoint:
    """Check a signed checkpoint: a listed log signed it and the quorum cosigned it.

    Raises FormatError (not a checkpoint note), VerificationError (a known key's signature is
    wrong, or no listed log signed) or PolicyError (the quorum is not met).
    """
    note = parse_note(note_bytes)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise VerificationError("the checkpoint of an empty log has another root than SHA-256('')")
    logs = [log.vkey for log in policy.logs if log.vkey.name == checkpoint.origin]
    if not logs:
        raise VerificationError(f"no log of the policy is named {checkpoint.origin!r}")
    verify_note(note, logs)
    times = cosignature_times(policy, note)
    quorum_time = time_of_quorum(policy, times)
    if quorum_time is None:
        raise PolicyError(
            f"checkpoint {checkpoint.size} of {checkpoint.origin!r} has cosignatures of "
            f"{sorted(times)} only, which do not meet quorum {policy.quorum!r}"
        )
    return VerifiedCheckpoint(checkpoint, note, times, quorum_time)


def cosignature_times(policy: Policy, note: Note) -> dict[str, int]:
    """Verify the policy's witnesses on a note: name -> newest time. Raises VerificationError."""
    names = {witness.vkey: witness.name for witness in policy.witnesses}
    known = {(key.name, key.key_id) for key in names}
    if not any((one.name, one.key_id) in known for one in note.signatures):
        return {}
    times: dict[str, int] = {}
    for verified in verify_note(note, names):
        name = names[verified.key]
        times[name] = max(times.get(name, 0), verified.time or 0)
    return times


def time_of_quorum(policy: Policy, times: Mapping[str, int]) -> int | None:
    """Return the newest time at which the quorum was still met, or None where it is not met."""
    if policy.quorum == NO_QUORUM:
        return 0
    reached: dict[str, int] = dict(times)
    for group in policy.groups:  # members are always defined before the group
        got = sorted((reached[m] for m in group.members if m in reached), reverse=True)
        if len(got) >= group.threshold:
            reached[group.name] = got[group.threshold - 1]
    return reached.get(policy.quorum)


def _require_intersection(policy: Policy) -> None:
    """Refuse a quorum that two disjoint sets of witnesses can both meet.

    A member that can itself be met twice counts double: with s of those among n members, two
    disjoint choices of k exist exactly when 2k <= n + s. For a flat group that is 2k <= n.
    """
    if policy.quorum == NO_QUORUM:
        raise PolicyError("quorum none accepts unwitnessed checkpoints; name a witness or group")
    divisible: dict[str, str] = {}
    for group in policy.groups:
        n = len(group.members)
        weak = sum(member in divisible for member in group.members)
        if 2 * group.threshold <= n + weak:
            divisible[group.name] = (
                f"group {group.name!r} needs {group.threshold} of {n} members"
                + (f", {weak} of which can be met twice" if weak else "")
            )
    if policy.quorum in divisible:
        raise PolicyError(
            f"{divisible[policy.quorum]}: two separate sets of witnesses could each meet the "
            "quorum, and the log could show two histories; require more than half"
        )


def _words(*words: str | None) -> str:
    return " ".join(word for word in words if word is not None) + "\n"


def _lines(data: bytes) -> list[str]:
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"the policy is longer than {MAX_POLICY_BYTES} bytes")
    if any((byte < 0x20 and byte not in b"\t\n") or byte == 0x7F for byte in data):
        raise PolicyError("the policy holds a control character other than tab and newline")
    if data and not data.endswith(b"\n"):
        raise PolicyError("the policy's last line does not end in a newline")
    # Names are opaque octets: what is not UTF-8 survives as surrogates and is written back.
    return data.decode("utf-8", "surrogateescape").split("\n")[:-1]


@dataclass(slots=True)
class _Builder:
    """Collects the lines of one file, refusing what earlier lines forbid."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=set)
    grouped: set[str] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)

    def add(self, words: list[str]) -> None:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                key = self._key(vkey, (ED25519, COSIGNATURE_MLDSA44))
                self.logs.append(Log(key, *url))
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._define(name)
                key = self._key(vkey, (COSIGNATURE_ED25519, COSIGNATURE_MLDSA44))
                self.witnesses.append(Witness(name, key, *url))
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, tuple(members))
            case ["quorum", name]:
                self._quorum(name)
            case _:
                raise PolicyError(f"not a log, witness, group or quorum line: {words[0]!r}")

    def build(self) -> Policy:
        if self.quorum is None:
            raise PolicyError("the policy has no quorum line")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _key(self, text: str, types: tuple[int, ...]) -> VerifierKey:
        key = parse_vkey(text)
        if key.key_type not in types:
            raise PolicyError(f"a key of type {key.key_type:#04x} cannot stand on this line")
        # Stricter than the specification, which looks at logs and witnesses separately: a log
        # that cosigns its own checkpoints with the same key is no witness.
        if key.public_key in self.keys:
            raise PolicyError(f"the public key of {key.name!r} appears twice")
        self.keys.add(key.public_key)
        return key

    def _define(self, name: str) -> None:
        if name == NO_QUORUM or name in self.names:
            raise PolicyError(f"the name {name!r} is already defined")
        self.names.add(name)

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        for member in members:
            if member not in self.names:
                raise PolicyError(f"group {name!r}: {member!r} is not defined on an earlier line")
            if member in self.grouped:
                raise PolicyError(f"{member!r} is listed as a group member twice")
            self.grouped.add(member)
        self._define(name)
        self.groups.append(Group(name, _threshold(threshold, len(members)), members))

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise PolicyError("a policy has exactly one quorum line")
        if name != NO_QUORUM and name not in self.names:
            raise PolicyError(f"quorum {name!r} is not defined on an earlier line")
        self.quorum = name


def _threshold(text: str, members: int) -> int:
    if text in ("all", "any"):
        return members if text == "all" else 1
    try:
        threshold = parse_decimal(text, "a threshold")
    except FormatError:
        raise PolicyError("a group's threshold must be all, any or a number") from None
    if not 1 <= threshold <= members:
        raise PolicyError(f"a threshold of {threshold} does not fit {members} members")
    return threshold
