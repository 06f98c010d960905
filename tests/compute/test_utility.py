from fractions import Fraction

import numpy as np
import pytest

import compute
from compute.expected import largest_sd, likely_hidden
from compute.private import FormNoise
from compute.utility import (
    UselessError,
    expected_error,
    least_of_bucket,
    private_counts_request,
    require_useful,
)
from compute.verdict import Release


def listed(count):
    names = [f"1-{1000 + at}-A-G" for at in range(count)]
    return private_counts_request(names, rho="1/20")["query"]


def private(rho):
    return Release(mode="private", rho=rho)


def test_only_the_bucket_of_people_is_looked_at():
    assert least_of_bucket(178) == 100
    assert expected_error(listed(3), private("1/20"), 0)["useful"] is False
    assert expected_error(listed(3), private("1/20"), 101) == expected_error(
        listed(3), private("1/20"), 199
    )


@pytest.mark.parametrize(("people", "variants", "sd"), [(1000, 1, 0.0022), (1000, 100, 0.0224)])
def test_the_error_is_the_published_one_at_a_rare_frequency(people, variants, sd):
    found = expected_error(listed(variants), private("1/10"), people, maf=Fraction(1, 1000))
    assert found["noise_sd"] == pytest.approx(sd, rel=0.02)


def test_the_error_expected_is_the_error_an_answer_states():
    from compute.queries import run
    from tests.compute.test_private import cohort_of, names_of, query_of

    rows = [[(int(at % 4 == 0) * 2, 2)] * 3 for at in range(200)]
    query = query_of(names_of(3))
    told = FormNoise(query).add(run(query, cohort_of(rows)), Fraction(1))
    expected = expected_error(query, private("1"), 200)
    assert told["columns"]["af_noise_sd"][0] == pytest.approx(expected["noise_sd"], rel=0.1)
    assert told["columns"]["af_se"][0] == pytest.approx(expected["se"], rel=0.1)


def test_the_demo_order_of_three_variants_is_useful_and_a_panel_is_not():
    assert require_useful(listed(3), private("1/20"), 178)["ratio"] < 2
    with pytest.raises(UselessError) as refused:
        require_useful(listed(60), private("1/20"), 178)
    message = str(refused.value)
    assert "people" in message
    assert "variants" in message
    assert "rho" in message


def test_a_family_with_a_floor_of_its_own_is_not_sold_below_it():
    query = {"v": 1, "family": "cohort_pca", "build": "GRCh37",
             "params": {"variants": {"panel": "all"}}}  # fmt: skip
    trusted = Release(mode="trusted", rho="0")
    assert require_useful(query, trusted, 200)["useful"]
    with pytest.raises(UselessError, match="at least 200 people"):
        require_useful(query, trusted, 199)


@pytest.mark.parametrize(("variants", "people"), [(60, 178), (500, 700), (900, 5000)])
def test_what_is_said_to_do_does(variants, people):
    release = private("1/50")
    needs = expected_error(listed(variants), release, people)["needs"]
    size = least_of_bucket(people)
    assert require_useful(listed(variants), private(needs["rho"]), size)["useful"]
    assert require_useful(listed(needs["variants"]), release, size)["useful"]
    with pytest.raises(UselessError):
        require_useful(listed(needs["variants"] + 1), release, size)
    enough = next(n for n in range(needs["people"], 10**7) if least_of_bucket(n) == n)
    assert require_useful(listed(variants), release, enough)["useful"]


def test_fewer_than_a_hundred_people_are_told_so():
    with pytest.raises(UselessError, match="at least 100 people"):
        require_useful(listed(1), private("1/20"), 60)


def test_what_private_mode_does_not_offer_is_said_before_payment():
    panel = {**listed(1), "params": {"variants": {"panel": "all"}}}
    for query, release, maf in (
        (panel, private("1/20"), Fraction(1, 4)),
        (listed(1), private("0"), Fraction(1, 4)),
        (listed(1), private("1/20"), Fraction(3, 4)),
    ):
        with pytest.raises(UselessError):
            expected_error(query, release, 500, maf=maf)


def test_trusted_answers_are_exact():
    found = expected_error(listed(1), Release(mode="trusted"), 10)
    assert (found["kind"], found["useful"]) == ("exact", True)


def test_levels_are_for_private_answers_and_said_so_before_payment():
    split = {**listed(3)["params"], "by": "sex", "levels": ["female", "male"]}
    query = {**listed(3), "params": split}
    whole, halves = (expected_error(q, private("1"), 1000) for q in (listed(3), query))
    assert halves["noise_sd"] == pytest.approx(2 * whole["noise_sd"], rel=1e-3)
    assert halves["sampling_sd"] == pytest.approx(2**0.5 * whole["sampling_sd"], rel=1e-3)
    exact = {**query, "params": {**split, "variants": {"panel": "all"}}}
    with pytest.raises(UselessError, match="exact ones have every level"):
        require_useful(exact, Release(mode="trusted"), 1000)


@pytest.mark.parametrize(("people", "maf"), [(178, "1/4"), (100, "1/20"), (1000, "1/200")])
def test_what_is_likely_hidden_of_an_exact_answer_is_what_is_hidden(people, maf):
    """20,000 variants of the frequency assumed, through the rules themselves."""
    from compute.suppress import suppress_cells
    from tests.compute.test_suppress import table_of

    rng, p = np.random.default_rng(26), float(Fraction(maf))
    cells = rng.multinomial(people, [(1 - p) ** 2, 2 * p * (1 - p), p**2], 20_000)
    kept, _ = suppress_cells(table_of({"all": cells}))
    hidden = [
        np.mean([one is None for one in kept.columns[name].tolist()]) for name in ("ac", "het")
    ]
    assert likely_hidden(people, p) == pytest.approx(hidden, abs=0.03)
    query = {**listed(1), "params": {"variants": {"panel": "all"}}}
    found = expected_error(query, Release(mode="trusted"), people, maf=Fraction(maf))
    assert maf == found["maf_assumed"]
    assert "hide allele counts" in found["suppressed"]


def test_a_panel_and_half_a_million_variants_are_said_to_be_noise():
    panel = {**listed(1), "params": {"variants": {"panel": "all"}}}
    for query in (panel, listed(1001)):
        with pytest.raises(UselessError, match=r"500,000 variants at rho 1/10 .* noise"):
            require_useful(query, private("1/10"), 5_000)


def test_the_face_offers_them():
    assert compute.expected_error is expected_error
    assert compute.require_useful is require_useful


FEATURE = {"feature": "F", "low": "0", "high": "10"}


@pytest.mark.parametrize(
    ("family", "params", "of_value"),
    [("feature_distribution", {**FEATURE, "bins": 5}, True),
     ("private_association", {**FEATURE, "variants": ["1-1000-A-G"]}, True),
     ("genotype_counts", {"variants": ["1-1000-A-G"]}, False)],
)  # fmt: skip
def test_what_noise_drowns_for_a_worker_it_drowns_whatever_a_buyer_assumes(
    family, params, of_value
):
    """A worker must not refuse what was sold: it judges at the assumptions that fit noise best."""
    build = None if family == "feature_distribution" else "GRCh37"
    query = compute.queries.parse_query(
        {"v": 1, "family": family, "params": params, **({"build": build} if build else {})}
    )
    most = largest_sd(query)
    assert (most == 5) is of_value
    best = expected_error(query, private("1/20"), 1000, maf=Fraction(1, 2), sd=most)["ratio"]
    for maf in (Fraction(1, 100), Fraction(1, 4), Fraction(1, 2)):
        for sd in (None, Fraction(1), Fraction(5)) if of_value else (None,):
            ratio = expected_error(query, private("1/20"), 1000, maf=maf, sd=sd)["ratio"]
            assert ratio >= best
