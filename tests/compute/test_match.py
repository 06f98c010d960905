"""The matcher against its truth table (spec_match.txt), and what the table cannot say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute import Claims, Purpose, Terms, Verdict, match_terms, preset, price_of
from compute.duo import BY_SHORTHAND, DUO_TERMS, Kind
from compute.modifiers import MODIFIERS_WITH_A_RULE, months_after
from compute.verdict import GROUPS

SPEC = Path(__file__).with_name("spec_match.txt").read_text().splitlines()
START = months_after(0, 12 * 50)  # 2020-01-01
DISEASES = {
    "melanoma": "MONDO:0005105",
    "cancer": "MONDO:0004992",
    "diabetes": "MONDO:0005015",
    "unheard-of": "MONDO:9999999",
}
PRIMARY = {"methods": "MDS", "clinical": "CC"}
ANSWERS = {"P": Verdict.PERMITTED, "F": Verdict.FORBIDDEN, "?": Verdict.NEEDS_OWNER}
PRICES = {"non_profit_research": 0, "commercial_research": 500, "methods": 0, "clinical_care": 0}


def tables():
    """Split the spec into its tables: lists of rows of stripped cells, the heading first."""
    found, rows = [], []
    for line in [*SPEC, ""]:
        if "|" in line and not line.startswith("#"):
            rows.append([cell.strip() for cell in line.split("|")])
        elif rows and not line.startswith("-"):
            found.append(rows)
            rows = []
    return found


PERMISSIONS, DETAILS = tables()


def make_terms(text, **more):
    value = {"permissions": [], "diseases": [], "modifiers": [], "prices": dict(PRICES)}
    value |= {"valid_from": START, "flags": {}, "release": {}, **more}
    for word in text.replace("RS(cohort studies)", "RS(cohort)").split():
        add_term(value, word)
    if not value["permissions"]:
        value["permissions"] = [BY_SHORTHAND["HMB"]]
    return Terms.model_validate(value)


def add_term(value, word):
    name, _, rest = word.partition("=")
    short, _, parameter = word.rstrip(")").partition("(")
    if word in ("NRES", "GRU", "HMB", "DS", "POA"):
        value["permissions"].append(BY_SHORTHAND[word])
    elif short in BY_SHORTHAND:
        value["modifiers"].append(make_modifier(short, parameter))
    elif word.startswith("+"):
        value["flags"][word[1:]] = False
    elif name == "never":
        value["prices"][rest] = "never"
    elif name == "families":
        value["query_families"] = rest.split(",")
    elif name == "regions":
        value["regions"] = rest.split(",")
    elif word == "trusted":
        value["release"]["mode"] = "trusted"
    elif name == "share":
        value["release"]["order_share"] = rest
    elif name == "until":
        value["valid_until"] = months_after(START, int(rest))
    else:
        value["diseases"] = [DISEASES[d] for d in word.split("+")]


def make_modifier(short, parameter):
    term = DUO_TERMS[BY_SHORTHAND[short]]
    if not parameter:
        return {"id": term.id}
    values = {"TS": lambda: int(parameter), "MOR": lambda: parameter}
    value = values.get(short, lambda: parameter.split(","))()
    return {"id": term.id, "parameters": {term.parameter[0]: value}}


def make_use(text):
    purpose = {"primary": "HMB", "commercial": False}
    context = {"family": "freq", "modalities": ["genotypes"], "region": "GB", "now_ms": START}
    release = {"mode": "private"}
    for word in text.split():
        name, _, rest = word.partition("=")
        if word in ("DS", "HMB", "POA", "GRU", *PRIMARY):
            purpose["primary"] = PRIMARY.get(word, word)
        elif word == "commercial":
            purpose["commercial"] = True
        elif word == "ai":
            purpose["ai_training"] = True
        elif word == "reidentify":
            purpose["reidentification"] = True
        elif name == "sensitive":
            purpose["controls"] = [rest]
        elif name == "promise":
            purpose["undertakings"] = [BY_SHORTHAND[rest]]
        elif name == "publish":
            purpose["publish_from"] = rest
        elif name == "project":
            purpose["project_id"] = rest
        elif name in ("mode", "rho"):
            release[name] = rest
        elif name == "month":
            context["now_ms"] = months_after(START, int(rest)) if int(rest) >= 0 else START - 1
        elif name == "modalities":
            context["modalities"] = rest.split(",")
        elif name in context:
            context[name] = rest
        else:
            purpose["diseases"] = [DISEASES[d] for d in word.split("+")]
    return Purpose.model_validate(purpose), {**context, "release": release}


def make_claims(text, now_ms):
    attested = {}
    for word in text.split():
        expires = now_ms if word.startswith("old_") else now_ms + 1
        name, _, rest = word.removeprefix("old_").partition("=")
        value = rest or True
        if name in ("academic", "commercial", "insurer", "employer"):
            name, value = "sector", name
        elif name == "for_profit":
            name, value = "non_profit", False
        attested[name] = {"value": value, "attester": "a" * 32, "expires_at": expires}
    return Claims.model_validate({"party": "me", "attested": attested})


@pytest.mark.parametrize(
    ("data", "use", "answer"),
    [
        (row[0], use, answer)
        for row in PERMISSIONS[1:]
        for use, answer in zip(PERMISSIONS[0][1:], row[1:], strict=True)
    ],
)
def test_permissions_and_purposes(data, use, answer):
    purpose, context = make_use(use)
    claims = make_claims("academic non_profit", START)
    assert match_terms(make_terms(data), purpose, claims, **context).verdict is ANSWERS[answer]


@pytest.mark.parametrize(("terms", "use", "buyer", "answer"), DETAILS[1:])
def test_modifiers_flags_and_limits(terms, use, buyer, answer):
    purpose, context = make_use(use)
    match = match_terms(
        make_terms(terms), purpose, make_claims(buyer, context["now_ms"]), **context
    )
    assert match.verdict is ANSWERS[answer], match.decisive
    assert match.decisive.group in GROUPS
    assert match.decisive.text


def test_the_table_shows_every_code_both_ways():
    seen = {code: set() for code in DUO_TERMS}
    for row in [*DETAILS[1:], *([r[0], "", "", a] for r in PERMISSIONS[1:] for a in r[1:])]:
        for word in row[0].split():
            code = BY_SHORTHAND.get(word.partition("(")[0])
            if code:
                seen[code].add(row[3])
    never_automatic = {"RS", "COL"}  # only the owner can judge them
    for code, answers in seen.items():
        short = DUO_TERMS[code].shorthand
        assert answers - {"P"} or short == "NRES", f"{short} never refuses in the table"
        assert "P" in answers or short in never_automatic, f"{short} never permits in the table"


def test_every_modifier_has_a_rule():
    modifiers = {t.id for t in DUO_TERMS.values() if t.kind is Kind.MODIFIER}
    assert modifiers == MODIFIERS_WITH_A_RULE
    assert (len(DUO_TERMS), len(modifiers)) == (23, 18)


words = st.sampled_from([row[0] for row in DETAILS[1:]])
uses = st.sampled_from([row[1] for row in DETAILS[1:]])
buyers = st.sampled_from([row[2] for row in DETAILS[1:]])


@given(
    words, uses, buyers, st.sampled_from(["RS(x)", "NCU", "NPU", "US(you)", "PUB", "TS(1)", "NMDS"])
)
def test_one_more_modifier_never_widens(terms, use, buyer, extra):
    if extra.partition("(")[0] in terms:
        return
    purpose, context = make_use(use)
    claims = make_claims(buyer, context["now_ms"])
    before = match_terms(make_terms(terms), purpose, claims, **context).verdict
    after = match_terms(make_terms(f"{terms} {extra}"), purpose, claims, **context).verdict
    order = list(Verdict)
    assert order.index(after) >= order.index(before)


@given(words, uses, buyers)
def test_reidentification_is_always_forbidden(terms, use, buyer):
    purpose, context = make_use(f"{use} reidentify")
    claims = make_claims(buyer, context["now_ms"])
    assert match_terms(make_terms(terms), purpose, claims, **context).verdict is Verdict.FORBIDDEN


@given(words, uses, buyers)
def test_losing_every_attestation_never_permits_more(terms, use, buyer):
    purpose, context = make_use(use)
    nobody = Claims(party="me")
    order = list(Verdict)
    with_claims = match_terms(
        make_terms(terms), purpose, make_claims(buyer, context["now_ms"]), **context
    )
    without = match_terms(make_terms(terms), purpose, nobody, **context)
    if with_claims.verdict is not Verdict.PERMITTED:
        return
    assert order.index(without.verdict) >= order.index(with_claims.verdict)


@pytest.mark.parametrize(
    ("buyer", "commercial", "price"),
    [
        ("non_profit", False, 0),
        ("", False, 500),
        ("for_profit", False, 500),
        ("non_profit", True, 500),
    ],
)
def test_who_is_not_attested_as_non_profit_pays_the_commercial_price(buyer, commercial, price):
    purpose = Purpose(primary="HMB", commercial=commercial)
    assert price_of(make_terms("HMB"), purpose, make_claims(buyer, START), START) == price


def test_never_is_not_a_price():
    purpose = Purpose(primary="HMB", commercial=True)
    terms = preset("non_profit_research", valid_from=0)
    assert price_of(terms, purpose, Claims(party="me"), 1) is None


def test_a_claim_of_another_type_does_not_count():
    claims = make_claims("academic non_profit=yes", START)
    purpose, context = make_use("")
    match = match_terms(make_terms("HMB NPU"), purpose, claims, **context)
    assert (match.verdict, match.decisive.code) == (Verdict.FORBIDDEN, BY_SHORTHAND["NPU"])
    assert price_of(make_terms("HMB"), purpose, claims, START) == 500


def test_months_are_calendar_months_and_clip_to_the_end_of_short_ones():
    jan31 = 1_706_659_200_000  # 2024-01-31T00:00Z
    assert months_after(jan31, 1) == 1_709_164_800_000  # 2024-02-29
    assert months_after(jan31 + 7, 12) == 1_738_281_600_007  # 2025-01-31
    assert months_after(jan31, 1200 * 100) > 2**47
