"""What the slow references read of a person: one call, one value, one term at a time.

Nothing of the engine is used but its data classes and its parsed parameters.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from scipy import stats

NO_CALL, NOT_COVERED = "no call", "not covered"
AUTOSOMES = {str(number) for number in range(1, 23)}


@dataclass(frozen=True)
class World:
    """A cohort as the references see it: references: SHA-256 -> text of a file or a hierarchy."""

    people: list
    names: list  # "chrom-pos-ref-alt"
    params: object
    references: dict = field(default_factory=dict)

    def levels(self, by):
        """The levels of a stratum, sorted; one, "all", where nothing is split."""
        return sorted({level(p, by) for p in self.people}) if by else ["all"]

    def of(self, by, name):
        return [p for p in self.people if not by or level(p, by) == name]

    def asked(self, variants=None):
        """Places of the variants asked for, in table order."""
        wanted = self.params.variants if variants is None else variants
        if isinstance(wanted, list):
            return [at for at, name in enumerate(self.names) if name in wanted]
        if hasattr(wanted, "panel"):
            return list(range(len(self.names)))
        chrom, _, place = wanted.region.partition(":")
        start, end = map(int, place.split("-"))
        inside = []
        for at, name in enumerate(self.names):
            own, pos, *_ = name.split("-")
            if own == chrom and start <= int(pos) <= end:
                inside.append(at)
        return inside


def level(person, by):
    return person.strata.get(by, "unknown")


def call(person, at):
    """(copies of ALT, alleles called), "no call" or "not covered"."""
    dosage = int(person.dosage[at])
    if dosage < 0:
        return NO_CALL if dosage == -1 else NOT_COVERED
    return dosage, 2 if person.ploidy is None else int(person.ploidy[at])


def called(person, at):
    return call(person, at) not in (NO_CALL, NOT_COVERED)


def doubled(person, at):
    """Copies of ALT, a haploid call counted as two; None without a call."""
    if not called(person, at):
        return None
    dosage, ploidy = call(person, at)
    return dosage * 2 // ploidy


def place(name):
    contig, pos, ref, alt = name.split("-")
    return {"contig": contig, "pos": int(pos), "ref": ref, "alt": alt}


def number(value):
    return None if value is None or not math.isfinite(value) else float(value)


def stated_as(person, namespace, unit):
    """Whether a person's features are in the namespace and unit asked for (None: any)."""
    if person.feature_kind is None:
        return True
    own = person.feature_kind
    return namespace in (None, own[0]) and unit in (None, own[1])


def on_scale(value, scale):
    if scale == "as_measured" or not math.isfinite(value):
        return value
    return math.log2(value + 1) if value > -1 else math.nan


def kin(term, ontology, references):
    """A term and its descendants."""
    return references[ontology].descendants(term) if ontology else {term}


def has(record, codes):
    return any(term.curie in codes and not term.excluded for term in record.terms)


def readings(record, code, unit):
    found = [m for m in record.measurements if (m.curie, m.unit) == (code, unit)]
    return [m.value for m in sorted(found, key=lambda m: -1 if m.time_ms is None else m.time_ms)]


def value_of(trait, person, references):
    """A person's value of a trait, None where the data do not say."""
    if trait.kind == "covariate":
        return number(person.covariates.get(trait.name))
    if trait.kind == "feature":
        fits = stated_as(person, trait.namespace, trait.unit)
        return number(person.features.get(trait.id)) if fits else None
    if person.clinical is None:
        return None
    if trait.kind == "term":
        return float(has(person.clinical, kin(trait.term, trait.ontology, references)))
    values = readings(person.clinical, trait.code, trait.unit)
    if not values:
        return None
    picks = {"mean": sum(values) / len(values), "first": values[0], "last": values[-1],
             "lowest": min(values), "highest": max(values)}  # fmt: skip
    return picks[trait.statistic]


def kept_by(one, person, world):
    """Whether one filter of a match keeps a person."""
    if one.kind == "group":
        return level(person, one.stratum) in one.levels
    if one.kind == "term":
        if person.clinical is None:
            return False
        return has(person.clinical, kin(one.term, one.ontology, world.references)) == one.present
    if one.kind == "carrier":
        at = world.names.index(one.variant) if one.variant in world.names else None
        if at is None or not called(person, at):
            return False
        return (call(person, at)[0] > 0) == one.carries
    value = value_of(one.of, person, world.references)
    least, most = float(one.least or "-inf"), float(one.most or "inf")
    return value is not None and least <= value <= most


def matched(world):
    """The world without those whom the match leaves out."""
    filters = getattr(world.params, "match", None) or []
    kept = [p for p in world.people if all(kept_by(one, p, world) for one in filters)]
    return World(kept, world.names, world.params, world.references)


def described(values):
    """n, mean, sd and type 7 quantiles by hand."""
    values = sorted(v for v in values if math.isfinite(v))
    n = len(values)
    names = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
    found = {"n": n, "mean": None, "sd": None, **dict.fromkeys(names)}
    if n:
        found["mean"] = math.fsum(values) / n
        for name, q in names.items():
            h = (n - 1) * q
            low = math.floor(h)
            high = min(low + 1, n - 1)
            found[name] = values[low] + (h - low) * (values[high] - values[low])
    if n > 1:
        found["sd"] = statistics.stdev(values)
    return found


def normal_scores(values):
    """Blom's normal scores of {who: value}; people who tie share their mean rank."""
    n = len(values)
    found = {}
    for who, value in values.items():
        below = sum(other < value for other in values.values())
        same = sum(other == value for other in values.values())
        found[who] = stats.norm.ppf((below + (same + 1) / 2 - 3 / 8) / (n + 1 / 4))
    return found


def summaries(world, by, metrics, measure):
    """(rows, facts): a row a stratum and metric. measure: a person's numbers, or why none."""
    found = {level: {metric: [] for metric in metrics} for level in world.levels(by)}
    left_out = {}
    for person in world.people:
        told = measure(person)
        if isinstance(told, str):
            left_out[told] = left_out.get(told, 0) + 1
            continue
        for metric, value in told.items():
            found[level(person, by) if by else "all"][metric].append(value)
    rows = [{"stratum": name, "metric": metric, **described(values)}
            for name, own in found.items() for metric, values in own.items()]  # fmt: skip
    return rows, {"left_out": left_out}
