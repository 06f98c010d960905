"""The slow, obvious answer of each family that reads features or clinical records."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter

from scipy import stats

from tests.compute.spec.slow_people import (
    has,
    kin,
    level,
    on_scale,
    readings,
    stated_as,
    summaries,
    value_of,
)

# -- measured features -----------------------------------------------------------------------------


def feature_summary(world):
    params = world.params

    def measure(person):
        if not stated_as(person, params.namespace, params.unit):
            return "other_unit"
        return {name: on_scale(person.features[name], params.scale)
                for name in params.features if name in person.features}  # fmt: skip

    return summaries(world, params.by, params.features, measure)


def feature_differential(world):
    params, left_out, members = world.params, Counter(), []
    for person in world.people:
        if not stated_as(person, params.namespace, params.unit):
            left_out["other_unit"] += 1
            continue
        group = group_of(person, params.groups, world.references)
        if group is None:
            left_out["in_neither_group"] += 1
        else:
            members.append((person, group))
    rows = [differential_row(members, name, params.scale) for name in params.features]
    tested = [row["p"] for row in rows if row["p"] is not None]
    quality = iter(stats.false_discovery_control(tested)) if tested else iter(())
    for row in rows:
        row["q"] = None if row["p"] is None else float(next(quality))
    return rows, {"left_out": dict(left_out)}


def group_of(person, groups, references):
    if groups.kind == "stratum":
        return {groups.a: "a", groups.b: "b"}.get(level(person, groups.stratum))
    value = value_of(groups, person, references)
    return None if value is None else "a" if value else "b"


def differential_row(members, name, scale):
    values = {"a": [], "b": []}
    for person, group in members:
        value = on_scale(person.features.get(name, math.nan), scale)
        if math.isfinite(value):
            values[group].append(value)
    n = {group: len(own) for group, own in values.items()}
    mean = {g: math.fsum(own) / n[g] if own else None for g, own in values.items()}
    var = {g: statistics.variance(own) if n[g] > 1 else None for g, own in values.items()}
    row = {"feature": name, "n": n["a"] + n["b"], "n_a": n["a"], "n_b": n["b"],
           "mean_a": mean["a"], "mean_b": mean["b"], "t": None, "df": None, "p": None,
           "sd_a": None if var["a"] is None else math.sqrt(var["a"]),
           "sd_b": None if var["b"] is None else math.sqrt(var["b"]),
           "difference": None if None in mean.values() else mean["a"] - mean["b"]}  # fmt: skip
    if min(n.values()) < 2:
        return row | {"na": "too_few_people"}
    share = {g: var[g] / n[g] for g in values}
    both = share["a"] + share["b"]
    if not both:
        return row | {"na": "constant"}
    t = row["difference"] / math.sqrt(both)
    df = both**2 / sum(share[g] ** 2 / (n[g] - 1) for g in values)
    return row | {"t": t, "df": df, "p": 2 * stats.t.sf(abs(t), df), "na": ""}


# -- clinical records ------------------------------------------------------------------------------


def clinical_counts(world):
    params, rows = world.params, []
    for name in world.levels(params.by):
        own = world.of(params.by, name)
        for term in params.terms:
            codes = kin(term, params.ontology, world.references)
            with_term = [p for p in own if has(p.clinical, codes)]
            absent = [p for p in own if p not in with_term
                      and any(t.curie == term and t.excluded for t in p.clinical.terms)]  # fmt: skip
            rows.append({"stratum": name, "term": term, "n": len(own),
                         "with_term": len(with_term), "stated_absent": len(absent),
                         "prevalence": len(with_term) / len(own) if own else None})  # fmt: skip
    return rows, {}


def clinical_crosstab(world):
    params, rows = world.params, []
    codes = [kin(one.term, one.ontology, world.references) for one in (params.first, params.second)]
    for name in world.levels(params.by):
        own = world.of(params.by, name)
        cells = Counter(tuple(has(p.clinical, one) for one in codes) for p in own)
        a, b = cells[True, True], cells[True, False]
        c, d = cells[False, True], cells[False, False]
        odds = None if b * c == a * d == 0 else math.inf if b * c == 0 else a * d / (b * c)
        rows.append({"stratum": name, "n": len(own), "both": a, "first_only": b,
                     "second_only": c, "neither": d, "odds_ratio": odds,
                     "fisher_p": fisher(a, b, c, d)})  # fmt: skip
    return rows, {}


def fisher(a, b, c, d):
    """Every table with these margins that is no likelier than this one, with whole numbers."""
    row, column, n = a + b, a + c, a + b + c + d

    def ways(k):
        if k < 0 or row - k < 0 or column - k < 0 or n - row - column + k < 0:
            return 0
        return math.comb(row, k) * math.comb(n - row, column - k)

    weights = [ways(k) for k in range(n + 1)]
    return sum(w for w in weights if w <= ways(a)) / sum(weights)


def time_in_range(world):
    params = world.params

    def measure(person):
        values = readings(person.clinical, params.code, params.unit) if person.clinical else []
        if len(values) < params.min_readings:
            return "too_few_readings" if values else "no_readings"
        low, high, n = float(params.low), float(params.high), len(values)
        mean = math.fsum(values) / n
        return {
            "in_range": sum(low <= v <= high for v in values) / n,
            "below": sum(v < low for v in values) / n, "above": sum(v > high for v in values) / n,
            "mean": mean, "cv": statistics.stdev(values) / mean if mean else math.nan,
            "readings": n,
        }  # fmt: skip

    metrics = ("in_range", "below", "above", "mean", "cv", "readings")
    return summaries(world, params.by, metrics, measure)


# -- age at onset ----------------------------------------------------------------------------------


def age_of(text, born):
    """Whole years: of a duration as stated, of a calendar year since the year of birth."""
    if text is None:
        return None
    years = re.fullmatch(r"P(?:(\d+)Y)?(?:\d+M)?(?:\d+D)?", text)
    if years:
        return int(years[1] or 0)
    if re.fullmatch(r"\d{4}", text) and born is not None and int(text) >= born:
        return int(text) - born
    return None


def course(record, codes, params):
    """("event" | "censored", first year of its band), or why somebody is left out."""
    born, width = record.demographics.birth_year, params.width
    own = [t for t in record.terms if t.curie in codes and not t.excluded]
    if own:
        ages = [age for t in own if (age := age_of(t.onset, born)) is not None]
        if not ages:
            return "no_onset_age", None
        if min(ages) >= params.oldest:
            return "censored", params.oldest - width
        return "event", min(ages) // width * width
    told = [record.demographics.last_seen, *(t.onset for t in record.terms if not t.excluded)]
    ages = [age for one in told if (age := age_of(one, born)) is not None]
    if not ages:
        return "no_age", None
    return "censored", min(params.oldest - width, max(ages) // width * width)


def age_at_onset(world):
    params, rows, left_out = world.params, [], {"no_onset_age": 0, "no_age": 0}
    codes = set().union(*(kin(t, params.ontology, world.references) for t in params.terms))
    for name in world.levels(params.by):
        told = [course(p.clinical, codes, params) for p in world.of(params.by, name)]
        for what, _ in told:
            if what in left_out:
                left_out[what] += 1
        lives = [(what, at) for what, at in told if what not in left_out]
        alive, variance = 1.0, 0.0
        for start in range(0, params.oldest, params.width):
            at_risk = sum(at >= start for _, at in lives)
            events = lives.count(("event", start))
            row = {"stratum": name, "age_from": start, "age_to": start + params.width,
                   "at_risk": at_risk, "events": events,
                   "censored": lives.count(("censored", start))}  # fmt: skip
            if at_risk:
                alive *= 1 - events / at_risk
                left = at_risk - events
                variance = variance + events / (at_risk * left) if left else math.inf
            else:
                alive = math.nan
            rows.append(row | curve(alive, variance))
    return rows, {"left_out": left_out}


def curve(alive, variance):
    """S, Greenwood's error, and the interval on the scale of log(-log S)."""
    none = {"survival_low": None, "survival_high": None}
    if math.isnan(alive):
        return {"survival": None, "survival_se": None, **none}
    if math.isinf(variance):
        return {"survival": alive, "survival_se": None, **none}
    se = alive * math.sqrt(variance)
    if alive in (0.0, 1.0):
        return {"survival": alive, "survival_se": se, **none}
    reach = math.exp(float(stats.norm.ppf(0.975)) * math.sqrt(variance) / abs(math.log(alive)))
    return {"survival": alive, "survival_se": se, "survival_low": alive**reach,
            "survival_high": alive ** (1 / reach)}  # fmt: skip
