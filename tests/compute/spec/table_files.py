"""Reads the written tables of `tables/`: one file a family, each a list of cases.

    == what the case pins
    how: where the expected numbers come from
    file NAME:            a scoring file or loadings, its cells parted by spaces
    people:               one line a person; without it, those of the case before
    ask: {...}            the family's parameters, as JSON
    expect:               the rows of the answer; only the columns written are compared
    facts: {...}          of the answer's facts; only those written are compared
    refused: code         instead of expect

A block ends at an empty line; a line that starts with spaces goes on with the one before. Columns of people: a variant (chrom-pos-ref-alt, or 1-[10..59]-A-G
for fifty neighbours, their cells as runs such as 0/1*30,0/0*20), population, sex, kind (namespace/
unit), G1 … (features), terms (HP:0000002, !absent, code@onset), born, seen, glucose (readings in
mg/dL); any other column is a number of the record. "ann*20" is twenty people. NA: nothing stated.

Numbers are exact, as an expression (3/7, sqrt(2)/2) or, after ~, rounded to the digits written.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compute.builds import CONTIGS
from compute.parsed import Clinical, Demographics, Measurement, Term
from compute.queries import CohortData, Frame, PersonData, VariantTable, parse_query
from compute.queries.loadings import parse_loadings
from compute.queries.scorefile import parse_scorefile

FOLDER = Path(__file__).parent / "tables"
GLUCOSE, UNIT = "LOINC:2339-0", "mg/dL"
CALLS = {"0/0": (0, 2), "0/1": (1, 2), "1/1": (2, 2), "0": (0, 1), "1": (1, 1),
         "./.": (-1, 0), "-": (-2, 0)}  # fmt: skip
DIGEST = {"score": "b" * 64, "loadings": "c" * 64, "tree": "a" * 64}
VARIANT = re.compile(r"(\w+)-(\d+|\[\d+\.\.\d+\])-([ACGT]+)-([ACGT]+)")
NAMES = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp, "inf": math.inf, "atan": math.atan,
         "pi": math.pi}  # fmt: skip


KIN = {"HP:0000001": {"HP:0000002", "HP:0000003", "HP:0000004"},
       "HP:0000002": {"HP:0000004"}, "HP:0000003": {"HP:0000004"}}  # fmt: skip


class Tree:
    """HP:0000001 has the children HP:0000002 and HP:0000003; HP:0000004 is a child of both."""

    def descendants(self, term):
        return frozenset({term, *KIN.get(term, ())})


@dataclass
class Case:
    family: str
    title: str
    people: list = field(default_factory=list)  # lines of a table
    ask: dict = field(default_factory=dict)
    expect: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    refused: str = ""
    how: str = ""
    files: dict = field(default_factory=dict)  # name -> text

    def query(self):
        text = json.dumps(self.ask)
        for name, digest in DIGEST.items():
            text = text.replace(f'"@{name}"', f'"{digest}"')
        value = {"v": 1, "family": self.family, "build": "GRCh37", "params": json.loads(text)}
        return parse_query(value)

    def cohort(self):
        readers = {"score": parse_scorefile, "loadings": parse_loadings}
        parsed = {DIGEST[n]: readers[n](text.encode()) for n, text in self.files.items()}
        made = cohort_of(self.people)
        frame = Frame(made.frame.table, made.frame.levels, None,
                      parsed | {DIGEST["tree"]: Tree()})  # fmt: skip
        return CohortData(frame, made.people)

    def references(self):
        """What the slow reference reads: texts, not what the engine made of them."""
        return {DIGEST[n]: text for n, text in self.files.items()} | {DIGEST["tree"]: Tree()}

    def rows(self):
        """[{column: expected cell}]"""
        return [dict(zip(self.expect[0], cells, strict=True)) for cells in self.expect[1:]]


def families():
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def cases(family):
    """Read a family's file."""
    text = (FOLDER / f"{family}.txt").read_text()
    found, lines = [], iter(re.sub(r"\n  +", " ", text).splitlines())
    for line in lines:
        head, colon, rest = line.partition(":")
        if line.startswith("== "):
            before = found[-1] if found else None
            found.append(Case(family, line[3:]))
            if before is not None:
                found[-1].people, found[-1].files = before.people, dict(before.files)
        elif not found or not line.strip() or line.startswith("#"):
            continue
        elif colon and head.startswith("file "):
            found[-1].files[head[5:]] = "\n".join(
                "\t".join("" if cell == "." else cell for cell in cells) for cells in block(lines)
            )
        elif head in ("people", "expect") and colon:
            setattr(found[-1], head, block(lines))
        elif head in ("ask", "facts") and colon:
            setattr(found[-1], head, json.loads(rest))
        elif head in ("how", "refused") and colon:
            setattr(found[-1], head, rest.strip())
        else:
            raise ValueError(f"{family}: not understood: {line}")
    return found


def block(lines):
    """The cells of the lines up to an empty one."""
    found = []
    for line in lines:
        if not line.strip():
            break
        found.append(line.split())
    return found


# -- people ----------------------------------------------------------------------------------------


def cohort_of(table):
    """People of a table's lines of cells."""
    head, people = table[0], []
    places = {name: neighbours(name) for name in head[1:] if VARIANT.fullmatch(name)}
    keys = [key for own in places.values() for key in own]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for name, *cells in table[1:]:
        values = dict(zip(head[1:], cells, strict=True))
        calls = [one for column, own in places.items() for one in runs(values[column], len(own))]
        who, _, times = name.partition("*")
        for number in range(int(times or 1)):
            label = f"{who}-{number}" if times else who
            people.append(person(label, values, [calls[at] for at in order]))
    return CohortData.of(VariantTable.of("GRCh37", [keys[at] for at in order]), people)


def neighbours(name):
    contig, pos, ref, alt = VARIANT.fullmatch(name).groups()
    first, _, last = pos.strip("[]").partition("..")
    return [
        (CONTIGS.index(contig), at, ref, alt) for at in range(int(first), int(last or first) + 1)
    ]


def runs(cell, size):
    """Calls of a cell such as 0/1*30,0/0*20; one call stands for all."""
    parts = [part.partition("*") for part in cell.split(",")]
    found = [CALLS[one] for one, _, times in parts for _ in range(int(times or 1))]
    found = found * size if len(found) == 1 else found
    assert len(found) == size, cell
    return found


def person(name, values, calls):
    known = {k: v for k, v in values.items() if v != "NA" and not VARIANT.fullmatch(k)}
    features = {k: float(v) for k, v in known.items() if re.fullmatch(r"G\d+", k)}
    named = {"population", "sex", "kind", "terms", "born", "seen", "glucose", *features}
    kind = known.get("kind")
    dosage, ploidy = (np.array([one[k] for one in calls], np.int8) for k in (0, 1))
    return PersonData(
        name,
        dosage,
        ploidy if (ploidy == 1).any() else None,
        {k: known[k] for k in ("population", "sex") if k in known},
        {k: float(v) for k, v in known.items() if k not in named},
        features,
        tuple(kind.split("/")) if kind else None,
        record(known) if {"terms", "born", "seen", "glucose"} & set(values) else None,
    )


def record(known):
    terms = [] if known.get("terms", ".") == "." else known["terms"].split(",")
    readings = [] if known.get("glucose", ".") == "." else known["glucose"].split(",")
    told = Demographics("unknown", int(known["born"]) if "born" in known else None, None,
                        known.get("seen"))  # fmt: skip
    return Clinical("fhir", tuple(map(term, terms)), tuple(map(reading, readings)), told)


def term(text):
    code, _, onset = text.lstrip("!").partition("@")
    return Term(code, "", excluded=text.startswith("!"), onset=onset or None)


def reading(text):
    """100, or 5.5mmol/L in another unit."""
    value, unit = re.fullmatch(r"([\d.]+)(\D.*)?", text).groups()
    return Measurement(GLUCOSE, float(value), unit or UNIT)


# -- expected cells --------------------------------------------------------------------------------


def agrees(found, cell):
    """Whether a value is what a cell says."""
    if cell == "NA" or found is None:
        return cell == "NA" and found is None
    if isinstance(found, str):
        return found == ("" if cell == "." else cell)
    if isinstance(found, bool | np.bool_):
        return str(bool(found)) == cell
    rounded = cell.startswith("~")
    expected = float(eval(cell.lstrip("~"), {"__builtins__": {}}, NAMES))
    if not rounded:
        return bool(found == expected or abs(found - expected) <= 1e-9 * max(abs(expected), 1e-3))
    return bool(abs(found - expected) <= 0.5000001 * last_digit(cell))


def last_digit(cell):
    """One unit of the last digit written."""
    mantissa, _, power = cell.lstrip("~-").partition("e")
    _, _, places = mantissa.partition(".")
    return 10.0 ** (int(power or 0) - len(places))
