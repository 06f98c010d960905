"""Objections in bulk, by the round trip of a list such as the NHS National Data Opt-Out's.

A custodian writes the people it holds as a list, the service gives back those who have not opted
out, and whoever is missing objects to every use from then on. Nothing says in anybody's record
that they opted out, and the lists are the custodian's to delete.
Spec: NHS England, Check for National Data Opt-outs (one ten-digit number a line, each followed by
a comma and a line feed).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from marketplace.client.errors import ClientError
from marketplace.client.home import Home
from marketplace.client.rights import lift_objection, object_to_all, objects
from marketplace.client.session import LedgerView, Session

_NUMBER = re.compile(r"\A[0-9]{10}\Z")
_MARK = "optout.json"


@dataclass(frozen=True, slots=True)
class Report:
    """What an imported list changed, by the homes' names."""

    raised: tuple[str, ...]
    lifted: tuple[str, ...]
    unchanged: int


def read_people(path: Path) -> dict[str, Path]:
    """Read the custodian's own table: number,home (a folder beside the table, or absolute).

    Raises ClientError naming the line.
    """
    people: dict[str, Path] = {}
    with _open(path) as file:
        for line, row in enumerate(csv.reader(file), 1):
            if len(row) != 2 or not _NUMBER.match(row[0]):
                raise ClientError(f"{path} line {line}: write a ten-digit number, a comma, a home")
            if row[0] in people:
                raise ClientError(f"{path} line {line}: this number is there already")
            people[row[0]] = path.parent / row[1]
    return people


def _open(path: Path) -> IO[str]:
    try:
        return path.open(newline="")
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from None


def write_list(numbers: Sequence[str]) -> bytes:
    """Return a list to send to the check."""
    return "".join(f"{number},\n" for number in numbers).encode()


def read_list(data: bytes, sent: Mapping[str, Path]) -> set[str]:
    """Return the numbers a check gave back: of people who have not opted out.

    Raises ClientError for anything but a list of numbers that were sent; then nothing is changed,
    because a list cut short would look like everybody opting out, and one of others' like nobody.
    """
    found: set[str] = set()
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise ClientError("the returned list is not plain text") from None
    for at, line in enumerate(lines, 1):
        number = line.strip().removesuffix(",")
        if not _NUMBER.match(number):
            raise ClientError(f"the returned list, line {at}: not a number of ten digits")
        if number not in sent:
            raise ClientError(f"the returned list, line {at}: a number that was not sent")
        found.add(number)
    if data and not data.endswith(b"\n"):
        raise ClientError("the returned list does not end with its line: it may be cut short")
    return found


def apply_list(people: Mapping[str, Path], kept: set[str], view: LedgerView | None) -> Report:
    """Raise an objection for whoever is missing, lift those an earlier list raised.

    An objection a person raised themselves is never lifted by a list.
    """
    raised, lifted = [], []
    for number, path in people.items():
        session = Session.open(Home(path), view)
        view = session.view
        by_list = session.home.read(_MARK) is not None
        if number not in kept and not objects(session):
            object_to_all(session)
            session.home.write(_MARK, {"by": "list"})
            raised.append(path.name)
        elif number in kept and by_list and objects(session):
            lift_objection(session)
            (session.home.path / _MARK).unlink()
            lifted.append(path.name)
    return Report(tuple(raised), tuple(lifted), len(people) - len(raised) - len(lifted))
