"""Small random cohorts with every kind of data, and the slow, obvious answer of each family.

The references walk people and variants one at a time with textbook formulas, scipy's optimisers
and exact enumeration; nothing of the engine is used but its data classes.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from scipy import optimize, stats

from compute.parsed import Clinical, Demographics, Measurement, Term
from compute.queries import CohortData, Frame, PersonData, VariantTable, parse_query

GLUCOSE, UNIT = "LOINC:2339-0", "mg/dL"
ONTOLOGY = "a" * 64
KIND = ("Ensembl", "TPM")


def ask(family, params, build="GRCh37"):
    return parse_query({"v": 1, "family": family, "build": build, "params": params})


def table(variants, build="GRCh37"):
    """variants: sorted (contig code, pos, ref, alt)."""
    return VariantTable.of(build, variants)


def people(n=40, variants=12, seed=3, missing=0.05, case_effect=0.8):
    """n people: genotypes, record, two features, clinical terms and glucose readings."""
    rng = np.random.default_rng(seed)
    af = rng.uniform(0.15, 0.5, variants)
    found = []
    for i in range(n):
        dosage = rng.binomial(2, af).astype(np.int8)
        population, sex = ("CEU", "YRI")[i % 2], ("female", "male", "unknown")[i % 3]
        pc = float(rng.normal())
        trait = float(1000 + 0.5 * dosage[0] + 0.3 * pc + rng.normal())
        chance = 1 / (1 + math.exp(-(-0.8 + case_effect * float(dosage[1]) + 0.4 * pc)))
        covariates = {"PC1": pc, "height": trait, "case": float(rng.random() < chance)}
        if i == 5:
            del covariates["height"]
        if i == 7:
            del covariates["PC1"]
        if i == 9:
            del covariates["case"]
        hidden = rng.random(variants)
        dosage[hidden < missing] = -1
        dosage[(hidden >= missing) & (hidden < 1.5 * missing)] = -2
        features = {"G1": float(rng.gamma(3)), "G2": float(rng.normal(population == "CEU"))}
        if i == 3:
            features["G1"] = math.nan
        found.append(
            PersonData(
                f"p{i}", dosage, None, {"population": population, "sex": sex}, covariates,
                features, KIND if i != 11 else ("Ensembl", "counts"), clinical(rng, i),
            )
        )  # fmt: skip
    return found


def clinical(rng, i):
    terms = []
    if rng.random() < 0.4:
        onset = ("P3Y6M", "1999", "P41Y", "P60Y", "HP:0003577", None, "P29Y11M30D")[i % 7]
        terms.append(Term("HP:0000002", "", onset=onset))
    if rng.random() < 0.3:
        terms.append(Term("HP:0000003", ""))
    if rng.random() < 0.2:
        terms.append(Term("HP:0000001", "", excluded=True))
    readings = tuple(
        Measurement(GLUCOSE, float(rng.normal(120, 45)), UNIT, 1000 * k)
        for k in range(20 + i % 3 * 10)
    )
    other = (Measurement(GLUCOSE, 6.1, "mmol/L", 5),)
    seen = ("P50Y", "2010", None, "P12Y", "P77Y")[i % 5]
    told = Demographics("female", 1971 if i % 4 else None, None, seen)
    return Clinical("fhir", tuple(terms), readings + other, told)


def onset_of(record, codes):
    """(age in whole years, whether it is an onset's), the age None where none is told."""
    born = record.demographics.birth_year
    years = {"P3Y6M": 3, "1999": 1999 - born if born else None, "P41Y": 41, "P60Y": 60,
             "P29Y11M30D": 29, "P50Y": 50, "2010": 2010 - born if born else None, "P12Y": 12,
             "P77Y": 77}  # fmt: skip
    onsets = [t.onset for t in record.terms if t.curie in codes and not t.excluded]
    if onsets:
        return years.get(onsets[0]), True
    known = [years.get(record.demographics.last_seen), *(years.get(t.onset) for t in record.terms)]
    return max((age for age in known if age is not None), default=None), False


class Tree:
    """HP:1 has the children HP:2 and HP:3."""

    def descendants(self, term):
        kin = {"HP:0000001": ("HP:0000002", "HP:0000003")}
        return frozenset({term, *kin.get(term, ())})


def cohort(members, variants, references=None, build="GRCh37"):
    made = CohortData.of(table(variants, build), members)
    levels = made.frame.levels
    return CohortData(Frame(made.frame.table, levels, None, references or {}), made.people)


VARIANTS = [(0, 1000 + 10 * k, "A", "G") for k in range(12)]


# -- references ------------------------------------------------------------------------------------


def design_value(person, name):
    if name == "population=YRI":
        return float(person.strata["population"] == "YRI")
    if name == "sex=male":
        sex = person.strata["sex"]
        return None if sex == "unknown" else float(sex == "male")
    return person.covariates.get(name)


def usable(members, trait, terms):
    for person in members:
        y, xs = trait(person), [design_value(person, t) for t in terms]
        if y is not None and not math.isnan(y) and None not in xs:
            yield person, y, xs


def ols(members, at, trait, terms):
    rows = [(y, [1.0, float(p.dosage[at]), *xs]) for p, y, xs in usable(members, trait, terms)
            if p.dosage[at] >= 0]  # fmt: skip
    y, x = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    slopes = np.linalg.lstsq(x, y, rcond=None)[0]
    df = len(y) - x.shape[1]
    s2 = ((y - x @ slopes) ** 2).sum() / df
    pinv = np.linalg.pinv(x)
    se = math.sqrt(s2 * (pinv @ pinv.T)[1, 1])
    return {"n": len(y), "beta": slopes[1], "se": se, "t": slopes[1] / se,
            "p": 2 * stats.t.sf(abs(slopes[1] / se), df)}  # fmt: skip


def log_likelihood(beta, x, y):
    eta = x @ beta
    return float(y @ eta - np.logaddexp(0, eta).sum())


def information(beta, x):
    mu = 1 / (1 + np.exp(-(x @ beta)))
    return (x.T * (mu * (1 - mu))) @ x


def maximise(x, y, *, firth):
    """Maximise the (penalised) likelihood by a general optimiser; SE from the information there."""

    def objective(beta):
        penalty = 0.5 * np.linalg.slogdet(information(beta, x))[1] if firth else 0.0
        return -(log_likelihood(beta, x, y) + penalty)

    best = optimize.minimize(objective, np.zeros(x.shape[1]), method="BFGS", options={"gtol": 1e-9})
    best = optimize.minimize(
        objective, best.x, method="Nelder-Mead",
        options={"xatol": 1e-11, "fatol": 1e-14, "maxiter": 40_000, "maxfev": 40_000},
    )  # fmt: skip
    return best.x, np.sqrt(np.diag(np.linalg.inv(information(best.x, x))))


def logistic_rows(members, terms):
    return list(usable(members, lambda p: p.covariates.get("case"), terms))


def wald(members, at, terms, *, firth):
    rows = [(y, [1.0, *xs, float(p.dosage[at])]) for p, y, xs in logistic_rows(members, terms)
            if p.dosage[at] >= 0]  # fmt: skip
    y, x = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    beta, se = maximise(x, y, firth=firth)
    return {"n": len(y), "beta": beta[-1], "se": se[-1]}


def score(members, at, terms):
    """U and V of the design with the dosage, mean-imputed, as a last column, under the null."""
    rows = logistic_rows(members, terms)
    y = np.array([y for _, y, _ in rows])
    x = np.array([[1.0, *xs] for _, _, xs in rows])
    null, _ = maximise(x, y, firth=False)
    mu = 1 / (1 + np.exp(-(x @ null)))
    g = np.array([float(p.dosage[at]) for p, _, _ in rows])
    g[g < 0] = g[g >= 0].mean()
    full = np.column_stack([x, g])
    i = (full.T * (mu * (1 - mu))) @ full
    v = i[-1, -1] - i[-1, :-1] @ np.linalg.solve(i[:-1, :-1], i[:-1, -1])
    u = g @ (y - mu)
    return {"u": u, "v": v, "beta": u / v, "se": 1 / math.sqrt(v),
            "p": stats.chi2.sf(u * u / v, 1)}  # fmt: skip


def described(values):
    """n, mean, sd and type 7 quantiles by hand."""
    values = sorted(v for v in values if not math.isnan(v))
    n = len(values)
    found = {"n": n}
    if n:
        found["mean"] = math.fsum(values) / n
        for name, q in (("q05", 0.05), ("q25", 0.25), ("q50", 0.5), ("q75", 0.75), ("q95", 0.95)):
            h = (n - 1) * q
            low = math.floor(h)
            high = min(low + 1, n - 1)
            found[name] = values[low] + (h - low) * (values[high] - values[low])
    if n > 1:
        found["sd"] = statistics.stdev(values)
    return found


def kinship(one, other):
    """KING-robust of two people, variant by variant (Manichaikul 2010, equation 11)."""
    both = opposite = het_one = het_other = 0
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        if a < 0 or b < 0:
            continue
        both += a == 1 and b == 1
        opposite += {a, b} == {0, 2}
        het_one += a == 1
        het_other += b == 1
    least = min(het_one, het_other)
    if not least:
        return None
    return (both - 2 * opposite) / (2 * least) + 0.5 - 0.25 * (het_one + het_other) / least


# -- principal components --------------------------------------------------------------------------


def components(cohort, count, least):
    """Eigenvalues, share, scores (people, k), loadings (variants, k), by a plain SVD of Z.

    variants: (name, AF) of those used: autosomal, called in least percent of people, and of both
    alleles 20 copies and 1 %.
    """
    names, used, columns = list(cohort.frame.table.names()), [], []
    for at, name in enumerate(names):
        if name.split("-")[0] in ("X", "Y", "MT"):
            continue
        calls = [
            int(p.dosage[at])
            if p.dosage[at] >= 0 and (p.ploidy is None or p.ploidy[at] == 2)
            else None
            for p in cohort.people
        ]
        there = [call for call in calls if call is not None]
        af = sum(there) / (2 * len(there))
        fewer = min(sum(there), 2 * len(there) - sum(there))
        if 100 * len(there) < least * len(calls) or fewer < 20 or fewer < 0.01 * 2 * len(there):
            continue
        used.append((name, af))
        sd = math.sqrt(2 * af * (1 - af))
        columns.append([0.0 if call is None else (call - 2 * af) / sd for call in calls])
    z = np.array(columns).T / math.sqrt(len(used))
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    return {
        "variants": used, "values": s[:count] ** 2, "share": s[:count] ** 2 / sum(s**2),
        "scores": u[:, :count], "loadings": vt[:count].T,
    }  # fmt: skip
