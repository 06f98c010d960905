"""The ledger explorer: the log newest first, by index, type and time, and one page an entry.

Everything shown is fetched from the public ledger and checked against a cosigned checkpoint.
Each page reads a bounded number of leaves, however long the log is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from compute import bundle_entry
from ledger import (
    RULES,
    LogProof,
    NotFoundError,
    TrustPolicy,
    VerifiedCheckpoint,
    parse_leaf,
    parse_proof,
    verify_receipt,
)
from marketplace import errors
from marketplace.errors import InputError
from marketplace.texts import say
from marketplace.web import log_view
from marketplace.web.ports import LedgerReader, pages
from marketplace.web.witnessed import newest, read_note

PER_PAGE = 50
SCAN = 2048
TYPES = tuple(sorted({type_ for type_, _version in RULES}))
LIVE_MS = 5_000
SHORTEST_ID = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the log is asked for: leaves below `before` (None: from the end), of one type."""

    before: int | None
    type: str
    until: str


def add_ledger_pages(made: Blueprint) -> None:
    """Add /ledger, what is found in it, and /ledger/<index> with its proof."""
    made.add_url_rule("/ledger", "ledger", ledger)
    made.add_url_rule("/ledger/size.json", "ledger_size", ledger_size)
    made.add_url_rule("/ledger/find", "find", find)
    made.add_url_rule("/ledger/<int:index>", "entry", entry)
    made.add_url_rule("/ledger/<int:index>/proof.json", "entry_proof", entry_proof)


def ledger() -> str:
    """Show a page of the log, newest first."""
    reader, now = pages().ledger, pages().services.clock()
    checkpoint = newest(reader, pages().services.trust, now)
    asked = _asked()
    end = _end(reader, checkpoint.size, asked)
    found, reached = _page(reader, end, asked.type)
    return render_template(
        "web/ledger.html", rows=found, checkpoint=checkpoint, asked=asked, end=end,
        older=reached if reached > 0 else None, types=TYPES,
    )  # fmt: skip


def ledger_size() -> Response:
    """Say how long the log is, for the notice of new entries; kept for some seconds."""
    now = pages().services.clock()
    size = pages().memo.get(
        ("size", now // LIVE_MS),
        lambda: newest(pages().ledger, pages().services.trust, now).size,
    )
    return jsonify({"size": size})


def _asked() -> Asked:
    before, until = request.args.get("before", ""), request.args.get("until", "")
    if before and not (before.isascii() and before.isdigit() and len(before) < 16):
        raise InputError("before must be a ledger index, a whole number")
    type_ = request.args.get("type", "")
    if type_ and type_ not in TYPES:
        raise InputError("there is no entry type of that name; choose one from the list")
    return Asked(int(before) if before else None, type_, until)


def _end(reader: LedgerReader, size: int, asked: Asked) -> int:
    if asked.before is not None:
        return min(size, asked.before)
    return _first_after(reader, size, _moment(asked.until)) if asked.until else size


def _moment(text: str) -> int:
    """Return the Unix ms of a date and time as a form sends it, in UTC. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InputError("the time must look like 2026-11-23T14:30") from None


def _first_after(reader: LedgerReader, size: int, moment: int) -> int:
    """Return the index of the first leaf later than a moment; leaf times rise with the index."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if parse_leaf(reader.entries(middle, middle + 1)[0]).time <= moment:
            low = middle + 1
        else:
            high = middle
    return low


def _page(reader: LedgerReader, end: int, type_: str) -> tuple[list[log_view.Row], int]:
    """Return up to PER_PAGE rows below `end`, and the index from which older ones go on."""
    if not type_:
        start = max(0, end - PER_PAGE)
        return log_view.rows(start, reader.entries(start, end) if end else []), start
    start = max(0, end - SCAN)
    found = log_view.rows(start, reader.entries(start, end) if end else [], type_)
    if len(found) > PER_PAGE:
        return found[:PER_PAGE], found[PER_PAGE - 1].index
    return found, start


def entry(index: int) -> str:
    """Show one entry with its inclusion proof. Raises NotFoundError beyond the end."""
    reader, services = pages().ledger, pages().services
    checkpoint = newest(reader, services.trust, services.clock())
    if index >= checkpoint.size:
        raise errors.NotFoundError(
            say("the ledger's newest checkpoint has %(1)s entries, counted from 0", checkpoint.size)
        )
    leaf = reader.entries(index, index + 1)[0]
    proof, proven = _proof(reader, index, leaf, services.trust)
    under = proven.checkpoint
    return render_template(
        "web/entry.html", entry=log_view.entry_view(index, leaf), raw=leaf.decode(),
        steps=log_view.climb(leaf, proof, under.size, under.root), log_size=checkpoint.size,
        checkpoint=read_note(proof.checkpoint.decode(), services.trust, services.clock()),
    )  # fmt: skip


def entry_proof(index: int) -> Response:
    """Give one entry as bundles carry it, to be checked offline. Raises NotFoundError."""
    reader, services = pages().ledger, pages().services
    if index >= newest(reader, services.trust, services.clock()).size:
        raise errors.NotFoundError("the log has no entry of this number")
    leaf = reader.entries(index, index + 1)[0]
    _proof(reader, index, leaf, services.trust)
    type_ = parse_leaf(leaf).type
    response = jsonify(bundle_entry(index, type_, leaf, reader.receipt(index)))
    response.headers["Content-Disposition"] = f'attachment; filename="entry-{index}.proof.json"'
    return response


def find() -> AnyResponse:
    """Lead to what an entry's number, or an order's id or its beginning, names."""
    asked = request.args.get("q", "").strip().lower().removeprefix("order ").removeprefix("entry ")
    if SHORTEST_ID <= len(asked) <= 32 and not set(asked) - set("0123456789abcdef"):
        orders = pages().services.view.snapshot().state.orders
        found = [order for order in orders if order.startswith(asked)]
        if len(found) > 1:
            raise InputError("several orders begin like this; give more letters of the id")
        if found:
            return redirect(url_for("web.job", order=found[0]), 303)
    number = asked.replace(",", "")
    if number.isascii() and number.isdigit() and len(number) < 16:
        return redirect(url_for("web.entry", index=int(number)), 303)
    raise InputError(
        "nothing here is called that; look for an entry by its number, or for an order by its id "
        "or the first 8 letters of it"
    )


def _proof(
    reader: LedgerReader, index: int, leaf: bytes, trust: TrustPolicy
) -> tuple[LogProof, VerifiedCheckpoint]:
    """Fetch and verify the proof of one leaf. Raises LedgerError."""
    data = reader.receipt(index).encode()
    verified, proof = verify_receipt(data, leaf, trust), parse_proof(data)
    if proof.index != index:
        raise NotFoundError("the ledger answered with the proof of another entry")
    return proof, verified
