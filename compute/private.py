"""Private mode of genotype_counts: which statistics leave, their sensitivity, and their error.

For m variants the vector (ALT copies, REF copies) of each variant is noised once, as one release.
One person adds (a, r) at a variant with a, r >= 0 and a + r <= 2: at most 2 in L2, and so at most
2 sqrt(m) over m variants, missing calls and haploid calls included (they only lower a + r). AC =
ALT copies and AN = ALT + REF copies are read off it, so AC and AN are charged together and move
together. AF, its error and its interval are post-processing of these noised counts alone.

Everything a reader is told here depends on the noised counts and on public quantities. Left out,
with the reason: genotype counts, call rate and Hardy-Weinberg (not noised, so not known here).
Counts are rounded for presentation on top of the noise. Small and negative ones are told as they
are: noise already protects them, and hiding or clipping them would bias whoever adds cohorts up.
Spec: DESIGN section 4 (release control).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from compute.builds import CONTIGS
from compute.noise import Int64, NoiseError, add_noise
from compute.queries import Answer, Query

MAX_VARIANTS = 1_000
ROUND_TO = 5
CONFIDENCE_Z = 1.959963984540054
LEAST_AN_SD = 5  # AF is given where the noised AN is this many of its own standard deviations
LEAST_AN = 40
NOT_NOISED = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt", "no_call", "not_covered")
DERIVED = ("call_rate", "hwe_p")


def sensitivity_squared(variants: int) -> int:
    """Return the square of the L2 sensitivity of (ALT, REF) copies over some variants: 4 each."""
    return 4 * variants


def private_problem(query: Query) -> str | None:
    """Return why a query is not offered in private mode, or None.

    Only a list of variants named by the buyer: which variants a panel or region holds, and which
    strata there are, depends on who is in the cohort.
    """
    if query.family != "genotype_counts":
        return "only genotype_counts is offered in private mode"
    if not query.picks_variants:
        return "private mode answers a list of variants, not a panel or a region"
    if getattr(query.params, "by", None) is not None:
        return "private mode does not split by strata"
    if len(asked_variants(query)) > MAX_VARIANTS:
        return f"private mode answers at most {MAX_VARIANTS} variants in one order"
    return None


def asked_variants(query: Query) -> list[str]:
    """Return the variants a buyer listed, or nothing."""
    found = getattr(query.params, "variants", None)
    return list(found) if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class CountNoise:
    """The `Noise` port of release.py for one query."""

    query: Query

    def add(self, answer: Answer, rho: Fraction) -> Mapping[str, Any]:
        """Return the private answer: one row for each variant asked, found or not.

        Raises NoiseError for a query that private mode does not offer.
        """
        problem = private_problem(self.query)
        if problem is not None:
            raise NoiseError(problem, code="not_private")
        names = sorted(asked_variants(self.query), key=_place)
        alt, ref = exact_copies(answer, names)
        done = add_noise(np.concatenate([alt, ref]), sensitivity_squared(len(names)), rho)
        noised_alt, noised_ref = done.values[: len(names)], done.values[len(names) :]
        rows = [
            {**_columns(name), **frequency(int(a), int(r), done.sd)}
            for name, a, r in zip(names, noised_alt, noised_ref, strict=True)
        ]
        return {
            "family": answer.family,
            "version": answer.version,
            "columns": {field: [row[field] for row in rows] for field in rows[0]},
            "facts": {"variants": len(names)},
            "privacy": _privacy(len(names), rho, done.sd),
            "suppressed": _left_out(),
        }


def exact_copies(answer: Answer, names: list[str]) -> tuple[Int64, Int64]:
    """Return exact ALT and REF copies of each variant; 0 where the cohort states nothing of it."""
    place = {name: at for at, name in enumerate(names)}
    alt, ref = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    columns = [answer.columns[name].tolist() for name in ("contig", "pos", "ref", "alt")]
    for at, parts in enumerate(zip(*columns, strict=True)):
        row = place.get("-".join(map(str, parts)))
        if row is not None:
            alt[row] = answer.columns["ac"][at]
            ref[row] = answer.columns["an"][at] - answer.columns["ac"][at]
    return alt, ref


def frequency(alt: int, ref: int, sd: float) -> dict[str, Any]:
    """Return what is told of one variant from its noised ALT and REF copies and their noise's sd.

    af_se counts both errors: sampling people from their population, and noise. af_low and af_high
    are a 95 % score interval with the noise's variance added (the population's frequency).
    """
    an = alt + ref
    told: dict[str, Any] = {
        "ac": _rounded(alt),
        "an": _rounded(an),
        "n": _rounded(an / 2),
        "count_sd": sd,
        **dict.fromkeys(("af", "af_se", "af_noise_sd", "af_low", "af_high")),
        "af_na": "",
    }
    if an < max(LEAST_AN, LEAST_AN_SD * sd * math.sqrt(2)):
        return {**told, "af_na": "too_few_calls_for_the_noise"}
    raw = alt / an
    af = min(1.0, max(0.0, raw))
    noise = sd * math.sqrt(af**2 + (1 - af) ** 2) / an
    low, high = score_interval(raw, an, noise)
    digits = 2 - math.floor(math.log10(noise))
    numbers = {
        "af": af,
        "af_se": math.sqrt(af * (1 - af) / an + noise**2),
        "af_noise_sd": noise,
        "af_low": low,
        "af_high": high,
    }
    return {**told, **{name: round(value, digits) for name, value in numbers.items()}}


def score_interval(raw: float, an: int, noise: float) -> tuple[float, float]:
    """Return the p with |raw - p| <= z sqrt(p (1 - p) / an + noise^2), within [0, 1]."""
    z2 = CONFIDENCE_Z**2
    a = 1 + z2 / an
    b = 2 * raw + z2 / an
    c = raw**2 - z2 * noise**2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    low, high = (b - root) / (2 * a), (b + root) / (2 * a)
    return min(1.0, max(0.0, low)), min(1.0, max(0.0, high))


def _rounded(count: float) -> int:
    return ROUND_TO * round(count / ROUND_TO)


def _place(name: str) -> tuple[int, int, str, str]:
    contig, pos, ref, alt = name.split("-")
    return CONTIGS.index(contig), int(pos), ref, alt


def _columns(name: str) -> dict[str, Any]:
    contig, pos, ref, alt = name.split("-")
    return {"stratum": "all", "contig": contig, "pos": int(pos), "ref": ref, "alt": alt}


def _privacy(variants: int, rho: Fraction, sd: float) -> dict[str, Any]:
    return {
        "rho": str(rho),
        "mechanism": "discrete Gaussian, zero-concentrated differential privacy",
        "unit": "one person, added or removed",
        "released": "ALT and REF copies of each variant, noised once as one vector",
        "statistics": 2 * variants,
        "l2_sensitivity_squared": sensitivity_squared(variants),
        "count_sd": sd,
        "an_sd": sd * math.sqrt(2),
        "confidence": 0.95,
        "counts_rounded_to": ROUND_TO,
        "counts_may_be_negative": True,
        "not_protected": "families: k relatives in one cohort lose up to k squared times rho",
    }


def _left_out() -> list[Mapping[str, str]]:
    notes = [{"path": f"columns/{name}", "code": "not_noised"} for name in NOT_NOISED]
    return [*notes, *({"path": f"columns/{name}", "code": "needs_not_noised"} for name in DERIVED)]
