"""Figures of consent: fold, cohort resolution, breach scope, withdrawals and opt-outs at the run.

python -m benchmarks.consent [--quick] [--only PART ...] [--json FILE]. Each part runs in a process
of its own, so that its memory is its own. The limit beside resolution is one numpy sum over as many
rows.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.consent_runs import each_left_out, opt_outs, withdrawals
from benchmarks.harness import Figure, machine, report
from benchmarks.workload import START, Signers, compute_key, digest, ident
from compute import (
    Claims,
    Purpose,
    Scope,
    breach_scope,
    index_of,
    preset,
    resolve_scope,
    terms_sha256,
)
from ledger import (
    Dataset,
    Entry,
    Grant,
    Record,
    Signature,
    State,
    b64,
    canonical,
    collector,
    complete_payload,
    fingerprint,
    format_leaf,
    make_leaf,
    parse_entry_bytes,
    parse_leaf,
    split_terms,
)
from ledger import entry_bytes as bytes_of
from marketplace.frozen import Frozen

MILLION, QUICK, BREACH = 1_000_000, 50_000, 100_000
SALT = bytes(32)
KINDS = 200  # bodies of terms a million people chose; from when differs for everybody
RECIPIENT = {"key_id": "epoch-1", "region": "local"}
CHUNK = 5_000
BUYER = {
    "sector": {"value": "academic", "attester": "a", "expires_at": 2**52},
    "non_profit": {"value": True, "attester": "a", "expires_at": 2**52},
}


def bodies() -> list[dict[str, Any]]:
    """Return KINDS different terms: prices, permissions and query families differ."""
    made = []
    for kind in range(KINDS):
        priced = kind % 3 == 0
        name = "everything_at_a_price" if priced else "non_profit_research"
        families = ("*",) if kind % 2 else ("freq", f"family{kind}")
        price = 100 + kind if priced else None
        terms = preset(name, valid_from=0, price=price, query_families=families)
        made.append(terms.to_dict())
    return made


def key_of(number: int) -> bytes:
    return digest("key", number)


def dataset_of(number: int) -> Dataset:
    return Dataset(
        id=ident("d", number), owner=ident("o", number), participant=ident("p", number),
        modality="genotypes", ciphertext_sha256="", size=1000, header_size=124,
        format={"build": "GRCh37"}, region="local", index=number + 1,
        signing_key=b64(key_of(number)), entries=[number + 1],
    )  # fmt: skip


def grant_payload(number: int, terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return one person's consent: terms from a moment of their own."""
    own = {**terms, "valid_from": START - MILLION + number}
    return {
        "id": ident("id", number), "time": START, "grant": ident("g", number),
        "owner": ident("o", number), "dataset": ident("d", number), "offer": None, "terms": own,
        "terms_sha256": terms_sha256(own),
        "facets": {"population": "CEU" if number % 3 else "YRI"}, "recipient": RECIPIENT,
        "sealed_grant_sha256": "22" * 32, "activity_commitment": "33" * 32, "order": None,
    }  # fmt: skip


def peopled(count: int) -> State:
    """Return a state with a compute key and so many registered datasets, put there directly."""
    state = State(Signers().pins())
    first = compute_key().entry
    state.apply(Record(0, make_leaf(first, None, START), first))
    for number in range(count):
        dataset = dataset_of(number)
        state.datasets[dataset.id] = dataset
    return state


def entries(count: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield parts of (entry bytes, leaf bytes): consents with signatures nobody checks here."""
    terms = bodies()
    for start in range(0, count, CHUNK):
        part = []
        for number in range(start, min(count, start + CHUNK)):
            payload = grant_payload(number, terms[number % KINDS])
            actor = fingerprint(key_of(number))
            data = canonical(complete_payload("consent.granted", payload, actor))
            signature = Signature("ed25519", key_of(number), (bytes(64),))
            entry = Entry("consent.granted", 1, data, (signature,))
            part.append((bytes_of(entry), format_leaf(make_leaf(entry, SALT, START))))
        yield part


def fold(count: int) -> list[Figure]:
    """Fold so many consent.granted entries, each with terms of its own, as a follower does.

    From the bytes of leaf and envelope; commitments and signatures are other processes' work.
    """
    state, seconds = peopled(count), 0.0
    state.parties = _Parties()
    for part in entries(count):
        start = perf_counter()
        with collector.paused():  # as log, follower and audit do
            for data, leaf in part:
                entry = parse_entry_bytes(data)
                state.apply(Record(state.size, parse_leaf(leaf), entry, SALT))
        seconds += perf_counter() - start
    if state.violations or len(state.grants) != count:
        raise RuntimeError(f"the fold did not take every entry: {state.violations[:1]}")
    note = f"measured over {count:,}, every one with terms of its own; without signatures"
    return [
        Figure("fold of 1,000,000 consent entries", seconds / count * MILLION, "s", 60.0,
               at_least=False, note=note),
        Figure("memory of the fold a consent", peak_bytes() / count, "B", at_least=False,
               note="whole process"),
    ]  # fmt: skip


class _Parties(dict[str, Any]):
    """The enrolment of whoever is asked for: making a million of them is not what is measured."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, default)


def granted(count: int) -> State:
    """Return a state in which so many standing consents are in force."""
    state, terms = peopled(count), bodies()
    for number in range(count):
        p = grant_fields(number, terms[number % KINDS])
        state.grants[p.id] = p
        state.datasets[p.dataset].standing = p
        p.body = state.share(p.body)
    state.size = count + 1
    return state


def grant_fields(number: int, terms: Mapping[str, Any]) -> Grant:
    body, window = split_terms({**terms, "valid_from": START - MILLION + number})
    return Grant(
        id=ident("g", number), owner=ident("o", number), dataset=ident("d", number), offer=None,
        body=body, window=window, terms_sha256=hashlib.sha256(b"%d" % number).hexdigest(),
        facets={"population": "CEU" if number % 3 else "YRI"}, recipient=RECIPIENT,
        sealed_grant_sha256="", activity_commitment="", order=None, index=number + 1,
    )  # fmt: skip


def ask(state: State) -> Any:
    return resolve_scope(
        state,
        Scope(modalities=("genotypes",), region="local", build="GRCh37",
              facets={"population": ("CEU",)}),
        Purpose(primary="HMB", commercial=False),
        Claims.model_validate({"party": "me", "attested": BUYER}),
        family="freq", release={"mode": "private", "rho": "0"}, now_ms=START + 1,
    )  # fmt: skip


def resolve(count: int) -> list[Figure]:
    """Resolve a cohort over so many standing consents: cold, warm, and after a change."""
    state = granted(count)
    before = peak_bytes()
    cold = took(lambda: index_of(state))
    added = (peak_bytes() - before) / count
    warm = min(took(lambda: ask(state)) for _ in range(3))
    found = ask(state)
    plain = np.arange(count)
    limit = min(took(plain.sum) for _ in range(3))
    listed = took(lambda: list(found.people))
    gone = [ident("d", number) for number in range(0, count, max(1, count // 100))]
    for name in gone:
        grant = state.datasets[name].standing
        if grant is not None:
            grant.stopped_at = 1
            state.datasets[name].standing = None
    state.touched.extend(gone)
    state.size += len(gone)
    caught = took(lambda: index_of(state))
    people = found.left_out.total() + len(found.people)
    if people != count or len(ask(state).people) >= len(found.people):
        raise RuntimeError("the cohort is not who consented")
    scale = MILLION / count
    note = f"{count:,} consents, {KINDS} bodies of terms, {len(found.people):,} people in scope"
    return [
        Figure("cohort over 1,000,000 standing consents, warm", warm * scale, "s", 1.0,
               at_least=False, limit=limit * scale, limit_name="one numpy sum", note=note),
        Figure("index of 1,000,000 consents, cold", cold * scale, "s", at_least=False),
        Figure("index after 100 stops", caught, "s", 1.0, at_least=False, note=f"of {count:,}"),
        Figure("naming every person of that cohort", listed * scale, "s", at_least=False),
        Figure("memory of the index a consent", added, "B", at_least=False),
        Figure("memory of state and index a consent", peak_bytes() / count, "B", at_least=False,
               note="whole process"),
    ]  # fmt: skip


def readers(count: int) -> list[Figure]:
    """Copy the fold for the marketplace's readers: whole, and again after each of some stops."""
    state, copies = granted(count), Frozen()
    index_of(state)
    whole = took(lambda: copies.copy_of(state))
    again = []
    for number in range(0, count, max(1, count // 10)):
        grant = state.grants[ident("g", number)]
        state.journal.change(grant, "stopped_at", state.size)
        state.journal.change(state.datasets[grant.dataset], "standing", None)
        state.touched.append(grant.dataset)
        state.journal.change(state, "size", state.size + 1)
        again.append(took(lambda: copies.copy_of(state)))
    last = copies.copy_of(state)
    stopped = sum(grant.stopped_at is not None for grant in last.grants.values())
    if stopped != len(again):
        raise RuntimeError("the copy is not what the fold says")
    scale = MILLION / count
    return [
        Figure("whole copy of the fold, 1,000,000 consents", whole * scale, "s", at_least=False),
        Figure("next copy, after one more entry", sorted(again)[len(again) // 2] * scale * 1000,
               "ms", at_least=False, note=f"of {count:,}, its consents' index with it"),
    ]  # fmt: skip


def breach(count: int) -> list[Figure]:
    """Say whose data one key could open, over so many datasets."""
    state = granted(count)
    seconds = took(lambda: breach_scope(state, noticed_at=START, key_id="epoch-1").to_json())
    return [Figure(f"breach scope over {count:,} datasets", seconds, "s", 60.0, at_least=False)]


def took(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def peak_bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


PARTS: Mapping[str, tuple[Callable[[int], list[Figure]], int, int]] = {
    "fold": (fold, MILLION, QUICK),
    "resolve": (resolve, MILLION, QUICK),
    "readers": (readers, MILLION, QUICK),
    "breach": (breach, BREACH, BREACH // 10),
    "withdraw": (withdrawals, 30, 5),
    "each_out": (each_left_out, 200, 30),
    "opt_outs": (opt_outs, 150_000, 3_000),
}


def run_part(name: str, quick: bool) -> list[Figure]:
    """Run one part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.consent", "--part", name]
    done = subprocess.run(
        [*command, *(["--quick"] if quick else [])], stdout=subprocess.PIPE, check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    return [Figure(**value) for value in json.loads(done.stdout)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.consent", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # one, in this process
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args(arguments)
    if options.part is not None:
        work, full, quick = PARTS[options.part]
        from dataclasses import asdict

        print(json.dumps([asdict(figure) for figure in work(quick if options.quick else full)]))
        return 0
    started = machine()
    figures = [figure for name in options.only for figure in run_part(name, options.quick)]
    report(figures, options.json, started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
