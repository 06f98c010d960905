"""The slow, obvious reference: one person and one variant at a time, exact where it can be.

Used only by tests. Genotypes are dicts variant -> (dosage, ploidy) | "no call" | "not covered".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy import stats

NO_CALL = "no call"
NOT_COVERED = "not covered"


@dataclass
class Someone:
    name: str
    genotypes: dict
    population: str | None = None
    sex: str | None = None
    covariates: dict = field(default_factory=dict)
    features: dict = field(default_factory=dict)


def hwe(hom_ref, het, hom_alt):
    """Enumerate every configuration with whole numbers; no rounding until the end."""
    people = hom_ref + het + hom_alt
    rare = 2 * min(hom_ref, hom_alt) + het
    weights = {}
    for hets in range(rare % 2, rare + 1, 2):
        rare_homs = (rare - hets) // 2
        common_homs = people - hets - rare_homs
        f = math.factorial
        weights[hets] = Fraction(2**hets, f(rare_homs) * f(hets) * f(common_homs))
    observed = weights[het]
    return float(sum(w for w in weights.values() if w <= observed) / sum(weights.values()))


def hwe_x(hom_ref, het, hom_alt, hap_ref, hap_alt):
    """Enumerate men with ALT and women heterozygous, with whole numbers (Graffelman, Weir 2016)."""
    women, men = hom_ref + het + hom_alt, hap_ref + hap_alt
    copies, weights, f = 2 * hom_alt + het + hap_alt, {}, math.factorial
    for carrying in range(men + 1):
        for hets in range(women + 1):
            twice = copies - carrying - hets
            homs, others = twice // 2, women - hets - twice // 2
            if twice >= 0 and twice % 2 == 0 and others >= 0:
                ways = f(carrying) * f(men - carrying) * f(homs) * f(hets) * f(others)
                weights[carrying, hets] = Fraction(2**hets, ways)
    observed = weights[hap_alt, het]
    return float(sum(w for w in weights.values() if w <= observed) / sum(weights.values()))


def counts(people, variant):
    """Count one variant over some people."""
    out = dict.fromkeys(
        ["hom_ref", "het", "hom_alt", "hap_ref", "hap_alt", "no_call", "not_covered", "ac", "an"], 0
    )
    for person in people:
        call = person.genotypes[variant]
        if call == NO_CALL:
            out["no_call"] += 1
        elif call == NOT_COVERED:
            out["not_covered"] += 1
        else:
            dosage, ploidy = call
            names = ["hom_ref", "het", "hom_alt"] if ploidy == 2 else ["hap_ref", "hap_alt"]
            out[names[dosage]] += 1
            out["ac"] += dosage
            out["an"] += ploidy
    called = sum(out[k] for k in ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt"))
    diploid = out["hom_ref"] + out["het"] + out["hom_alt"]
    called_here = [p.genotypes[variant] for p in people]
    out["present"] = any(c not in (NO_CALL, NOT_COVERED) and c[0] > 0 for c in called_here)
    out["af"] = out["ac"] / out["an"] if out["an"] else None
    out["call_rate"] = called / (called + out["no_call"]) if called + out["no_call"] else None
    women = out["hom_ref"], out["het"], out["hom_alt"]
    men = (out["hap_ref"], out["hap_alt"]) if variant.startswith("X-") else (0, 0)
    out["hwe_p"] = (hwe_x(*women, *men) if any(men) else hwe(*women)) if diploid else None
    return out


def regression(people, variant, gene, covariates):
    """Fit one variant by numpy's lstsq on the design matrix itself."""
    rows, ys = [], []
    for person in people:
        call = person.genotypes[variant]
        y = person.features.get(gene, math.nan)
        values = [covariates[name](person) for name in covariates]
        if call in (NO_CALL, NOT_COVERED) or math.isnan(y) or None in values:
            continue
        dosage, ploidy = call
        rows.append([1.0, dosage * 2 / ploidy, *values])
        ys.append(y)
    n = len(ys)
    if n == 0:
        return {"n": 0, "na": "no_people"}
    design, y = np.array(rows), np.array(ys)
    if len(set(design[:, 1])) == 1:
        return {"n": n, "na": "monomorphic"}
    k = design.shape[1]
    if n <= k:
        return {"n": n, "na": "too_few_people"}
    slopes, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    if rank < k:
        return {"n": n, "na": "collinear"}
    residual = y - design @ slopes
    variance = residual @ residual / (n - k)
    # QR of the design, not the normal equations the engine uses.
    r = np.linalg.qr(design, mode="r")
    inverse = np.linalg.inv(r)
    se = math.sqrt(variance * (inverse @ inverse.T)[1, 1])
    t = slopes[1] / se
    p = 2 * stats.t.sf(abs(t), n - k)
    return {"n": n, "beta": slopes[1], "se": se, "t": t, "p": p, "na": ""}
