"""The spread a buyer assumes of a measured value: what error follows, in closed formulas."""

import math
from fractions import Fraction

import numpy as np
import pytest

from compute.expected import sd_problem
from compute.queries import catalogue, parse_query
from compute.utility import UselessError, expected_error, require_useful
from compute.verdict import Release

TRUSTED = Release(mode="trusted", rho="0")
PRIVATE = Release(mode="private", rho="1/10")
KIND = {"namespace": "gene", "unit": "TPM"}
PLACE = {"variants": {"region": "22:17000000-17500000"}}
NUMBER = {"kind": "covariate", "name": "height"}
TERM = {"kind": "term", "term": "HP:0001631"}
CLAMP = {"low": "2", "high": "8"}
NAMES = ["1-1000-A-G", "1-1001-A-G"]
N, MAF = 500, Fraction(1, 10)  # 500 is a bucket's lower end
COPIES = float(2 * MAF * (1 - MAF))


def query_of(family, **params):
    return parse_query({"v": 1, "family": family, "build": "GRCh37", "params": params})


MEASURED = {
    "linear_association": query_of("linear_association", trait=NUMBER, **PLACE),
    "cis_association": query_of("cis_association", gene="F", **PLACE),
    "feature_summary": query_of("feature_summary", features=["F"], **KIND),
    "feature_by_genotype": query_of("feature_by_genotype", feature="F", variant=NAMES[0], **KIND),
    "feature_differential": query_of(
        "feature_differential", features=["F"], groups=TERM, **KIND
    ),
    "polygenic_score": query_of("polygenic_score", score="0" * 64),
    "time_in_range": query_of(
        "time_in_range", code="LOINC:99504-3", unit="mg/dL", low="70", high="180"
    ),
}  # fmt: skip
PER_SD = {
    **dict.fromkeys(MEASURED, 1 / math.sqrt(N)),
    **dict.fromkeys(
        ("linear_association", "cis_association", "feature_by_genotype"), 1 / math.sqrt(N * COPIES)
    ),
    "feature_differential": 2 / math.sqrt(N),
}
CLAMPED = {
    "feature_distribution": query_of("feature_distribution", feature="F", bins=4, **CLAMP),
    "score_distribution": query_of("score_distribution", weights=dict.fromkeys(NAMES, "1"), **CLAMP),
    "private_association": query_of("private_association", feature="F", variants=NAMES, **CLAMP),
    "top_association": query_of(
        "top_association", k=1, features=["F"], variants=NAMES, **KIND, **CLAMP
    ),
}  # fmt: skip
CLAMPED_PER_SD = {  # in the value's unit; C is of a value scaled to half the clamp
    "feature_distribution": 1 / math.sqrt(N),
    "score_distribution": 1 / math.sqrt(N),
    "private_association": 1 / math.sqrt(N * COPIES),
    "top_association": math.sqrt(N * COPIES) / 3,
}


def number_of(found):
    return found["more"][0] if "more" in found else found


def test_every_family_with_a_measured_value_is_tried_here():
    known = {name for name, family in catalogue().items() if family.sampled is not None}
    assert known == set(MEASURED) | set(CLAMPED)


@pytest.mark.parametrize("family", MEASURED)
@pytest.mark.parametrize("sd", ["1/2", "9.5"])
def test_an_exact_answers_error_is_the_formulas(family, sd):
    found = expected_error(MEASURED[family], TRUSTED, N, maf=MAF, sd=Fraction(sd))
    assert found["se"] == pytest.approx(PER_SD[family] * float(Fraction(sd)), rel=1e-3)
    assert (found["noise_sd"], found["kind"], found["useful"]) == (0, "exact", True)
    assert float(found["sd_assumed"]) == float(Fraction(sd))
    assert "unit" not in found
    unsaid = expected_error(MEASURED[family], TRUSTED, N, maf=MAF)
    assert unsaid["se"] == pytest.approx(PER_SD[family], rel=1e-3)
    assert unsaid["unit"] == "standard deviations of the value"


@pytest.mark.parametrize("family", CLAMPED)
def test_a_private_answers_sampling_error_grows_with_the_sd_and_its_noise_does_not(family):
    found = {
        sd: expected_error(CLAMPED[family], PRIVATE, N, maf=MAF, sd=sd)
        for sd in (Fraction(1, 2), Fraction(3), None)
    }
    for sd, one in found.items():
        number = number_of(one)
        stated = float(sd or 1)  # not said: a third of half the clamp, which is 3 wide
        assert number["sampling_sd"] == pytest.approx(CLAMPED_PER_SD[family] * stated, rel=1e-3)
        assert number["se"] == pytest.approx(
            math.hypot(number["noise_sd"], number["sampling_sd"]), rel=1e-3
        )
        assert float(one["sd_assumed"]) == stated
    assert len({number_of(one)["noise_sd"] for one in found.values()}) == 1


def test_a_value_that_hardly_spreads_is_drowned_by_noise_that_a_wide_one_bears():
    query = CLAMPED["private_association"]
    wide, narrow = Fraction(2), Fraction(1, 10)
    assert require_useful(query, PRIVATE, N, maf=MAF, sd=wide)["ratio"] < 2
    with pytest.raises(UselessError, match="rho"):
        require_useful(query, PRIVATE, N, maf=MAF, sd=narrow)
    needs = expected_error(query, PRIVATE, N, maf=MAF, sd=narrow)["needs"]
    enough = Release(mode="private", rho=needs["rho"])
    assert require_useful(query, enough, N, maf=MAF, sd=narrow)["useful"]


def test_the_error_expected_of_a_mean_is_that_of_sampled_people():
    """4,000 cohorts of 500 people with a value of sd 2: their means spread as the dry run says."""
    rng = np.random.default_rng(26)
    means = rng.normal(5, 2, (4_000, N)).mean(axis=1)
    found = expected_error(MEASURED["feature_summary"], TRUSTED, N, sd=Fraction(2))
    assert found["se"] == pytest.approx(means.std(), rel=0.05)


@pytest.mark.parametrize(
    ("query", "sd", "why"),
    [
        (MEASURED["feature_summary"], Fraction(0), "above 0"),
        (MEASURED["feature_summary"], Fraction(-1), "above 0"),
        (CLAMPED["feature_distribution"], Fraction("3.01"), "at most 3"),
        (CLAMPED["top_association"], Fraction(4), "at most 3"),
        (query_of("linear_association", trait=TERM, **PLACE), Fraction("0.51"), r"at most 0\.5"),
        (query_of("cis_association", gene="F", transform="inverse_normal", **PLACE), Fraction(1),
         "normal scores"),
        (query_of("genotype_counts", variants={"panel": "all"}), Fraction(1), "no measured value"),
        (query_of("logistic_association", trait=TERM, **PLACE), Fraction(1), "no measured value"),
        (query_of("clinical_counts", terms=["HP:0001631"]), Fraction(1), "no measured value"),
    ],
)  # fmt: skip
def test_a_spread_the_value_cannot_have_is_refused_with_the_reason(query, sd, why):
    mode = sorted(catalogue()[query.family].modes, reverse=True)[0]
    with pytest.raises(UselessError, match=why) as refused:
        expected_error(query, TRUSTED if mode == "trusted" else PRIVATE, N, sd=sd)
    assert refused.value.code == "sd"
    assert sd_problem(query, sd) == str(refused.value)


def test_the_widest_spread_there_can_be_is_taken():
    assert sd_problem(CLAMPED["feature_distribution"], Fraction(3)) is None
    term = query_of("linear_association", trait=TERM, **PLACE)
    assert sd_problem(term, Fraction(1, 2)) is None


def test_an_exact_frequency_has_the_sampling_error_of_a_private_one():
    query = query_of("genotype_counts", variants=NAMES)
    exact = expected_error(query, TRUSTED, N, maf=MAF)
    assert exact["se"] == exact["sampling_sd"] == pytest.approx(
        math.sqrt(float(MAF * (1 - MAF)) / (2 * N)), rel=1e-3
    )  # fmt: skip
    assert exact["sampling_sd"] == expected_error(query, PRIVATE, N, maf=MAF)["sampling_sd"]
