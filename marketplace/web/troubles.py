"""What is wrong now, worst first, each with what to do: for the operator's desk and /status.

Pure: everything looked at is handed in. Nothing here names a person or an order of one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.texts import say
from marketplace.web.text import ago
from marketplace.web.witnessed import Witnessed, WitnessLine

WORKER_QUIET_MS = 120_000
COMPARED_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: what it is, what it means for people, what an operator does.

    stops: nothing is decided or opened until it is mended. command: an `omic` line, if one helps.
    """

    what: str
    do: str
    means: str = ""
    stops: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to watch: how much of it, whether it needs a person, and what to do."""

    key: str
    name: str
    count: int
    alarming: bool
    do: str


@dataclass(frozen=True, slots=True)
class Health:
    """What the public may see of the machine's state. seen: Unix ms of a worker's last report.

    late: jobs that wait for longer than they should; refused: entries the ledger did not take.
    """

    now: int
    checkpoint: Witnessed | None
    witnesses: tuple[WitnessLine, ...]
    undecidable: str | None
    followed: bool
    seen: int | None
    late: int
    refused: int


def of_health(health: Health) -> list[Trouble]:
    """Return what is wrong with the machine, worst first."""
    return [*_ledger(health), *_silent(health), *_work(health)]


def _ledger(health: Health) -> Iterator[Trouble]:
    means = say("No data is opened and no order is taken until it is mended.")
    if health.checkpoint is None:
        yield Trouble(
            say("The ledger cannot be reached, or shows what its keys do not prove"),
            say(
                "See that the ledger's process runs and read its log. If it runs, too few "
                "witnesses sign: start those that are silent below."
            ),
            means, stops=True,
        )  # fmt: skip
    elif not health.checkpoint.fresh:
        since = ago(health.checkpoint.quorum_at, health.now)
        yield Trouble(
            say("The last signature of a majority of witnesses is of %(1)s", since),
            say(
                "Start the witnesses that are silent below, or ask who runs them. If none is, see "
                "that the ledger's process runs and that all clocks are right."
            ),
            means, stops=True,
        )  # fmt: skip
    elif not health.followed:
        yield Trouble(
            say("The marketplace does not follow the ledger"),
            say("Read the marketplace's log for the reason; it tries again by itself."),
            means, stops=True,
        )  # fmt: skip
    if health.undecidable:
        yield Trouble(
            say("The ledger holds an entry this version does not know: %(1)s", health.undecidable),
            say("Install the version that knows it, then restart."),
            say("No consent is decided until this server knows it."), stops=True,
        )  # fmt: skip


def _silent(health: Health) -> Iterator[Trouble]:
    silent = [line for line in health.witnesses if line.signed_at is None]
    if health.checkpoint is None and len(silent) == len(health.witnesses):
        return  # said already: nobody's signature can be had
    for line in silent:
        last = say("not since this server started")
        if line.last_at is not None:
            last = say("last signed %(1)s", ago(line.last_at, health.now))
        yield Trouble(
            say("Witness %(1)s is silent: %(2)s", line.name, last),
            say("Restart it, or ask who runs it, before a second one fails."),
            say("Work goes on as long as a majority signs."),
        )


def _work(health: Health) -> Iterator[Trouble]:
    if health.refused:
        yield Trouble(
            say("Entries of this marketplace that the ledger refused: %(1)s", health.refused),
            say("Read the marketplace's log for the reason it gave."),
            say("What they say is not in force; their orders stand still."),
        )
    quiet = health.seen is None or health.now - health.seen > WORKER_QUIET_MS
    if health.late and quiet:
        last = say("never") if health.seen is None else ago(health.seen, health.now)
        yield Trouble(
            say("Jobs that wait too long: %(1)s; compute last reported: %(2)s", health.late, last),
            say(
                "See that a compute worker runs and reaches both marketplace and ledger; its log "
                "says what it waits for."
            ),
            say("Answers come later. An order that is never answered is paid back."),
        )  # fmt: skip
    elif health.late:
        yield Trouble(
            say("Jobs that wait too long: %(1)s, though compute works", health.late),
            say("Start another worker."),
            say("Answers come later. An order that is never answered is paid back."),
        )


def of_watch(watch: Iterable[Line]) -> list[Trouble]:
    """Return the lines of the desk that need a person and are not told of as health."""
    told = ("refused", "waiting")
    alarming = [line for line in watch if line.alarming and line.key not in told]
    return [Trouble(say("%(1)s: %(2)s", line.name, line.count), line.do) for line in alarming]


def of_money(
    runs: Sequence[Mapping[str, Any]], waiting: Iterable[Mapping[str, Any]], now: int
) -> list[Trouble]:
    """Return what book, ledger and Stripe need a person for. runs: comparisons, newest first."""
    found = [*_differences(runs[0])] if runs else []
    if runs and now - runs[0]["at"] > COMPARED_MS:
        found.append(
            Trouble(
                say("Nothing was compared since %(1)s", ago(runs[0]["at"], now)),
                say("See in the marketplace's log whether Stripe answers; then compare now."),
                say("A difference would stay unseen."),
                command="omic operator reconcile",
            )
        )
    return found + [_transfer(one) for one in waiting if one["action"] == "bank.sent"]


def _differences(run: Mapping[str, Any]) -> Iterator[Trouble]:
    for one in run["open"]:
        yield Trouble(
            say("Book, ledger and Stripe differ: %(1)s (%(2)s)", say(one["what"]), one["about"]),
            say("Mend it, then compare again: %(1)s", say(one["do"])),
            command="omic operator reconcile",
        )  # fmt: skip


def _transfer(one: Mapping[str, Any]) -> Trouble:
    return Trouble(
        say("A bank transfer is to be sent back to a buyer: %(1)s", one["invoice"]),
        say("Send it from the bank, then state that it was sent."),
        say("The buyer waits for the money."),
        command=f"omic operator confirm {one['invoice']}",
    )
