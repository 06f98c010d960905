"""Bundles: everything somebody needs to check one result offline, years later.

A researcher's bundle holds roots and counts; an auditor's also opens every member of the cohort
and travels encrypted to that auditor. Verification asks nobody and believes only the trust policy.
What a bundle cannot show is reported as not checked, never as passed.
Spec: DESIGN section 3.1 (two audits).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import StrictStr, ValidationError

from compute import bundle_members as cohort
from compute import bundle_public as public
from compute.bundle_entries import BundleEntry, Signers, prove_all
from compute.bundle_members import BundleMember
from compute.errors import BundleError, ComputeError
from compute.ontology import Ontology
from compute.result import ResultDocument, answer_bytes
from compute.values import Value
from ledger import LedgerError, TrustPolicy, b64

MAX_BUNDLE_BYTES = 2 << 30


class Bundle(Value):
    """One order's proved entries and result; members only in an auditor's."""

    v: Literal[1]
    kind: Literal["researcher", "auditor"]
    order: StrictStr
    access: StrictStr
    entries: tuple[BundleEntry, ...]
    result: ResultDocument
    members: tuple[BundleMember, ...] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ok is None when this bundle cannot show it."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. ok: nothing failed; complete: everything could be checked."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Tell whether no check failed."""
        return bool(self.checks) and all(check.ok is not False for check in self.checks)

    @property
    def complete(self) -> bool:
        """Tell whether every check was made and passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def verdict(self) -> str:
        """Return the outcome in one sentence."""
        for check in self.checks:
            if check.ok is False:
                return f"Not verified: {check.name}: {check.detail}"
        left = [check.name for check in self.checks if check.ok is None]
        if left:
            return f"Verified as far as it goes; not checked: {', '.join(left)}"
        return "Verified: everything in this bundle holds"


def bundle_entry(
    index: int, type_: str, leaf: bytes, receipt: str, opening: tuple[bytes, bytes] | None = None
) -> dict[str, Any]:
    """Return one entry as bundles carry it; opening: (entry bytes, salt) of a personal one."""
    value = {"index": index, "type": type_, "leaf": b64(leaf), "receipt": receipt}
    if opening is not None:
        value |= {"entry": b64(opening[0]), "salt": b64(opening[1])}
    return value


def make_researcher_bundle(
    order: str, access: str, entries: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> bytes:
    """Return a researcher's bundle: public entries and the result. Encrypt it before it leaves."""
    return _bundle("researcher", order, access, entries, result, {})


def make_auditor_bundle(
    order: str,
    access: str,
    entries: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
    members: Sequence[Mapping[str, Any]],
) -> bytes:
    """Return an auditor's bundle. members: {grant, index, activity_key (b64), entries}."""
    return _bundle("auditor", order, access, entries, result, {"members": list(members)})


def _bundle(
    kind: str,
    order: str,
    access: str,
    entries: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
    more: Mapping[str, Any],
) -> bytes:
    head = {"v": 1, "kind": kind, "order": order, "access": access}
    return answer_bytes({**head, "entries": list(entries), "result": dict(result), **more})


def parse_bundle(data: bytes | Mapping[str, Any]) -> Bundle:
    """Parse a decrypted bundle. Raises BundleError naming the field."""
    try:
        if isinstance(data, bytes):
            if len(data) > MAX_BUNDLE_BYTES:
                raise BundleError("the bundle is larger than any we make")
            data = json.loads(data, parse_constant=_no_constant)
        bundle = Bundle.model_validate(data)
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, where["loc"]))
        raise BundleError(f"not a bundle we read: {place}: {where['msg']}") from None
    except (ValueError, RecursionError):
        raise BundleError("not a bundle: the file is not JSON") from None
    if (bundle.members is None) != (bundle.kind == "researcher"):
        raise BundleError("an auditor's bundle has members, a researcher's has none")
    return bundle


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def verify_bundle(
    data: bytes | Mapping[str, Any],
    trust: TrustPolicy,
    now_ms: int,
    *,
    leaves: Iterable[bytes] | None = None,
    ontology: Ontology | None = None,
) -> Report:
    """Check a decrypted bundle offline against a trust policy. now_ms: Unix milliseconds.

    leaves: the log's public leaves from the first one on (a mirror's), which alone can show that
    no consent was stopped; without them that check is reported as not made. ontology: the one
    disease terms are judged with. Never raises for a bad bundle: the report says what is wrong.
    """
    try:
        bundle = parse_bundle(data)
        entries = prove_all(bundle.entries, trust, now_ms)
        story = public.tell(entries, bundle.order, bundle.access, Signers(trust), bundle.result)
    except (ComputeError, LedgerError) as error:
        return Report((Check("log", False, str(error)),))
    checks = [Check("log", True, f"{len(entries)} entries are in the witnessed log")]
    checks += [_run(name, partial(check, story)) for name, check in _PUBLIC]
    if bundle.members is not None:
        checks += _check_members(story, bundle.members, trust, now_ms, leaves, ontology)
    return Report(tuple(checks))


_PUBLIC: tuple[tuple[str, Callable[[public.Story], str]], ...] = (
    ("order signature", public.order_signed),
    ("buyer", public.buyer_attested),
    ("payment", public.paid),
    ("compute identity", public.by_compute),
    ("query and code", public.same_query),
    ("release", public.same_release),
    ("access before result", public.in_sequence),
    ("review", public.reviewed),
    ("result commitment", public.opens),
)


def _check_members(
    story: public.Story,
    members: Sequence[BundleMember],
    trust: TrustPolicy,
    now_ms: int,
    leaves: Iterable[bytes] | None,
    ontology: Ontology | None,
) -> list[Check]:
    try:
        opened = cohort.open_members(members, trust, now_ms)
    except (ComputeError, LedgerError) as error:
        return [Check("members", False, str(error))]
    checks = [
        Check("members", True, f"{len(opened)} grants are opened and signed by their owners"),
        _run("cohort root", partial(cohort.cohort_is_recorded, story, opened)),
        _run("consents match", partial(cohort.consents_match, story, opened, ontology)),
        _run("price", partial(cohort.price_covers, story, opened)),
    ]
    if leaves is None:
        checks.append(Check("consents in force", None, "give the log's public leaves to check it"))
    else:
        in_force = partial(cohort.consents_in_force, story, opened, leaves)
        checks.append(_run("consents in force", in_force))
    return checks


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (ComputeError, LedgerError) as error:
        return Check(name, False, str(error))
