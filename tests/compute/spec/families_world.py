"""Small random cohorts with every kind of data; what is expected of them is in slow.py."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

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
ON_X = [(22, 9_000_000 + 10 * k, "A", "G") for k in range(4)]


def with_x(members, seed=11):
    """The people with calls of ON_X appended: two copies each, one in men."""
    rng, found = np.random.default_rng(seed), []
    for person in members:
        copies = 1 if person.strata["sex"] == "male" else 2
        dosage = rng.binomial(copies, 0.4, len(ON_X)).astype(np.int8)
        dosage[rng.random(len(ON_X)) < 0.1] = -1
        dosage = np.append(person.dosage, dosage)
        ploidy = np.where(dosage < 0, 0, 2).astype(np.int8)
        ploidy[len(VARIANTS) :] = np.where(dosage[len(VARIANTS) :] < 0, 0, copies)
        found.append(replace(person, dosage=dosage, ploidy=ploidy if copies == 1 else None))
    return found


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
