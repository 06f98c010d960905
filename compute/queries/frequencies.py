"""Private form of genotype_counts: which statistics leave, their sensitivity, and their error.

For m variants the vector (ALT copies, REF copies) of each variant is noised once, as one release.
One person adds (a, r) at a variant with a, r >= 0 and a + r <= 2: at most 2 in L2, and so at most
2 sqrt(m) over m variants, missing calls and haploid calls included (they only lower a + r), and
over strata, of which a person is in one (`compute.queries.split`). AC =
ALT copies and AN = ALT + REF copies are read off it, so AC and AN are charged together and move
together. AF, its error and its interval are post-processing of these noised counts alone.

Left out, with the reason: genotype counts, presence, call rate and Hardy-Weinberg (not noised, so
not known here). Counts are rounded for presentation on top of the noise. Small and negative ones
are told as they are: noise already protects them, and hiding them would bias whoever adds cohorts
up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Final

import numpy as np

from compute.builds import CONTIGS
from compute.queries.assumed import Assumed
from compute.queries.family import Answer
from compute.queries.params import picked_by_buyer
from compute.queries.private import CONFIDENCE_Z, ROUND_TO, Int64, Shape, Told, rounded
from compute.queries.split import split_problem, stacked, strata_of

MAX_VARIANTS: Final = 1_000
DROWNED = (
    "noise grows with how many share rho, and 500,000 variants at rho 1/10 and 5,000 people would "
    "be noise and nothing else"
)
LEAST_AN_SD = 5  # AF is given where the noised AN is this many of its own standard deviations
LEAST_AN = 40
NOT_NOISED = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt", "no_call", "not_covered")
DERIVED = ("present", "call_rate", "hwe_p")


def sensitivity_squared(variants: int) -> int:
    """Return the square of the L2 sensitivity of (ALT, REF) copies over some variants: 4 each."""
    return 4 * variants


class Frequencies:
    """The form (see the module)."""

    row: ClassVar[str] = "variants"

    def problem(self, params: Any) -> str | None:
        """Return why not, or None: only variants and levels that the buyer lists.

        Which variants a panel or region holds, and which strata there are, depends on the cohort.
        """
        if not picked_by_buyer(params.variants):
            return f"private mode answers a list of variants, not a panel or a region: {DROWNED}"
        if len(params.variants) > MAX_VARIANTS:
            return f"private mode answers at most {MAX_VARIANTS} variants in one order: {DROWNED}"
        return split_problem(params)

    def shape(self, params: Any) -> Shape:
        """Return ALT and REF copies of each variant in each stratum; a person is in one."""
        count = len(params.variants)
        return Shape(len(params.strata) * 2 * count, sensitivity_squared(count))

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return by stratum ALT copies, then REF copies; a place a variant, found or not."""
        names = in_order(params.variants)
        return stacked(
            [copies for one in strata_of(params, answer) for copies in exact_copies(one, names)]
        )

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return one row for each stratum and variant asked."""
        names = in_order(params.variants)
        rows = [
            {"stratum": level, **place_columns(name), **frequency(int(a), int(r), sd)}
            for level, copies in zip(params.strata, noised.reshape(-1, 2, len(names)), strict=True)
            for name, a, r in zip(names, *copies, strict=True)
        ]
        return Told(
            columns={field: [row[field] for row in rows] for field in rows[0]},
            facts={"variants": len(names), **({"by": params.by} if params.by else {})},
            suppressed=tuple(_left_out()),
            released="ALT and REF copies of each variant"
            + (" and stratum" if params.by else "")
            + ", noised once as one vector",
            privacy={"an_sd": sd * math.sqrt(2), "counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: Any) -> int:
        """Return the number of variants."""
        return len(params.variants)

    def square_ratio(self, params: Any, assumed: Assumed) -> Fraction:
        """Return it for an allele frequency: a count over AN copies, in strata of one size."""
        maf = assumed.maf
        return len(params.strata) * (maf**2 + (1 - maf) ** 2) / (maf * (1 - maf))

    def errors(self, params: Any, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the error of each allele frequency, in strata of one size."""
        maf, copies = assumed.maf, 2 * people / len(params.strata)
        return {
            "statistic": "allele frequency",
            "noise_sd": sd * math.sqrt(maf**2 + (1 - maf) ** 2) / copies,
            "sampling_sd": math.sqrt(maf * (1 - maf) / copies),
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
        "ac": rounded(alt),
        "an": rounded(an),
        "n": rounded(an / 2),
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


def score_interval(raw: float, an: float, noise: float) -> tuple[float, float]:
    """Return the p with |raw - p| <= z sqrt(p (1 - p) / an + noise^2), within [0, 1]."""
    z2 = CONFIDENCE_Z**2
    a = 1 + z2 / an
    b = 2 * raw + z2 / an
    c = raw**2 - z2 * noise**2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    low, high = (b - root) / (2 * a), (b + root) / (2 * a)
    return min(1.0, max(0.0, low)), min(1.0, max(0.0, high))


def in_order(names: list[str]) -> list[str]:
    """Return variant names in genome order."""

    def place(name: str) -> tuple[int, int, str, str]:
        contig, pos, ref, alt = name.split("-")
        return CONTIGS.index(contig), int(pos), ref, alt

    return sorted(names, key=place)


def place_columns(name: str) -> dict[str, Any]:
    """Return contig, pos, ref and alt of a variant's name."""
    contig, pos, ref, alt = name.split("-")
    return {"contig": contig, "pos": int(pos), "ref": ref, "alt": alt}


def _left_out() -> list[Mapping[str, str]]:
    notes = [{"path": f"columns/{name}", "code": "not_noised"} for name in NOT_NOISED]
    return [*notes, *({"path": f"columns/{name}", "code": "needs_not_noised"} for name in DERIVED)]
