"""Private orders end to end against the simulators: charged, noised, repeated, refunded."""

import json
from fractions import Fraction

import pytest

from compute import worker_steps
from compute.accountant import Charge
from compute.bundle import verify_bundle
from compute.crypt import decrypt_file
from compute.queries import run
from compute.repeat import question_key
from compute.utility import private_counts_request
from compute.worker_outcomes import Code
from compute.worker_run import lease_job
from compute.worker_start import reconcile
from compute.worker_steps import STEPS
from tests.compute.simulators import Death, now_ms
from tests.compute.worker_world import World, expected_counts, new_id

CRASHES = [
    step
    for step in STEPS
    if step.startswith(("query", "release")) and step != "query_draft_uploaded"
]
PRIVATE = {"mode": "private", "rho": "1/40"}


class PrivateWorld(World):
    """Owners who allow noise only, for a lifetime of 1/2 and a tenth of it in one order."""

    def terms(self, **more):
        settings = {"release_mode": "private", "lifetime_rho": "1/2", "order_share": "1/10"}
        return super().terms(**{**settings, **more})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    found = PrivateWorld(tmp_path_factory.mktemp("private"), people=104)
    yield found
    found.shop.store.close()


@pytest.fixture
def world(made):
    # The last people are spare: tests that need somebody gone take one of them.
    return made


def die():
    raise Death


def listed(*names):
    request = private_counts_request(list(names) or ["1-1000-A-G", "1-2000-A-G"], rho="1/40")
    return request["query"]


def spent(world, person):
    return world.shop.accountant.spent(f"{person.id}/{person.participant}")


def answer_of(world, order):
    return world.result(order)["answer"]


def test_a_private_order_is_noised_charged_and_needs_no_review(world):
    before = spent(world, world.people[0])
    order = world.order(query=listed(), release=PRIVATE)
    assert world.run("query", order).state == "released"
    answer = answer_of(world, order)
    assert answer["privacy"]["rho"] == "1/40"
    exact = expected_counts(world.people)
    for pos, ac, an in zip(*(answer["columns"][n] for n in ("pos", "ac", "an")), strict=True):
        assert abs(ac - exact[pos][0]) < 8 * answer["privacy"]["count_sd"] + 5
        assert abs(an - exact[pos][1]) < 8 * answer["privacy"]["an_sd"] + 5
    assert "hom_alt" not in answer["columns"]
    assert world.access_of(order).payload["release"] == PRIVATE
    assert spent(world, world.people[0]) - before == Fraction(1, 40)
    for kind, secret in (("bundle", world.result_secret), ("auditor_bundle", world.auditor_secret)):
        opened = decrypt_file(world.market.objects[order, kind], secret)
        report = verify_bundle(opened, world.trust, now_ms(), leaves=world.log.leaves)
        assert report.ok, report.verdict


def test_the_same_question_has_the_same_bytes_and_no_charge(world):
    query = listed("1-3000-A-G")
    first = world.order(query=query, release=PRIVATE)
    assert world.run("query", first).state == "released"
    before = spent(world, world.people[0])
    reordered = {**query, "params": {"variants": ["1-3000-A-G", "1-3000-A-G"]}}
    second = world.order(query=reordered, release=PRIVATE)
    assert world.run("query", second).state == "released"
    assert answer_of(world, first) == answer_of(world, second)
    assert spent(world, world.people[0]) == before
    assert world.access_of(first).id != world.access_of(second).id
    assert world.access_of(second).payload["release"] == {"mode": "private", "rho": "0"}
    assert len(world.members(second)) == len(world.members(first))
    opened = decrypt_file(world.market.objects[second, "bundle"], world.result_secret)
    report = verify_bundle(opened, world.trust, now_ms(), leaves=world.log.leaves)
    assert report.ok, report.verdict


def test_a_question_asked_while_its_answer_waits_for_the_tick_waits_too(world):
    query = listed("1-3500-A-G")
    first, second = (world.order(query=query, release=PRIVATE) for _ in range(2))
    job = lease_job(world.shop, world.market.add(new_id(), "query", first), beat=False)
    assert not job.go_on()
    before = spent(world, world.people[0])
    assert world.run("query", second) is None
    job.leave()
    assert job.go_on()
    assert world.run("query", second).state == "released"
    assert answer_of(world, first) == answer_of(world, second)
    assert spent(world, world.people[0]) == before


def test_a_kept_answer_is_unreadable_in_the_store(world):
    query = listed("1-4000-A-G")
    order = world.order(query=query, release=PRIVATE)
    world.run("query", order)
    payload = world.log.state.orders[order].payload
    key = question_key(payload, world.shop.book.find(order).members)
    kept = world.shop.store.answer(key)
    assert json.loads(kept) == answer_of(world, order)
    raw = b"".join(path.read_bytes() for path in world.folder.glob("store.sqlite*"))
    assert kept[:60] not in raw


def test_another_rho_is_another_question(world):
    query = listed("1-5000-A-G")
    for rho in ("1/40", "1/50"):
        before = spent(world, world.people[0])
        order = world.order(query=query, release={"mode": "private", "rho": rho})
        assert world.run("query", order).state == "released"
        assert spent(world, world.people[0]) - before == Fraction(rho)


def test_a_withdrawal_destroys_the_answer_and_asks_anew(world):
    query = listed("1-6000-A-G")
    first = world.order(query=query, release=PRIVATE)
    world.run("query", first)
    payload = world.log.state.orders[first].payload
    key = question_key(payload, world.shop.book.find(first).members)
    assert world.shop.store.answer(key) is not None
    world.withdraw(world.people.pop())
    second = world.order(query=query, release=PRIVATE)
    assert world.run("query", second).state == "released"
    assert world.shop.store.answer(key) is None
    assert world.access_of(second).payload["release"] == PRIVATE


def test_an_order_cancelled_before_its_answer_gives_the_charge_back(world):
    before = spent(world, world.people[0])
    order = world.order(query=listed("1-7000-A-G"), release=PRIVATE)

    def cancel(_):
        found = world.shop.follower.state.orders.get(order)
        if found is not None and found.accesses:
            world.market.cancelled = True

    world.shop.follower.on_sync = cancel
    try:
        outcome = world.run("query", order)
    finally:
        world.shop.follower.on_sync, world.market.cancelled = None, False
    assert (outcome.state, outcome.code) == ("withheld", Code.CANCELLED.value)
    assert spent(world, world.people[0]) == before
    assert reconcile(world.shop) == 0
    assert spent(world, world.people[0]) == before


@pytest.mark.parametrize("step", CRASHES)
def test_killed_anywhere_it_charges_once_and_answers_once(world, monkeypatch, step):
    before = spent(world, world.people[0])
    monkeypatch.setattr(worker_steps, "_die", die)
    monkeypatch.setenv("OMIC_FAULT_STEP", step)
    name = f"1-{30_000 + STEPS.index(step)}-A-G"
    order = world.order(query=listed(name), release={"mode": "private", "rho": "1/200"})
    with pytest.raises(Death):
        world.run("query", order)
    monkeypatch.delenv("OMIC_FAULT_STEP")
    world.restart()
    reconcile(world.shop)
    assert world.run("query", order).state == "released"
    assert spent(world, world.people[0]) - before == Fraction(1, 200)
    again = world.order(query=listed(name), release={"mode": "private", "rho": "1/200"})
    assert world.run("query", again).state == "released"
    assert answer_of(world, again) == answer_of(world, order)
    assert spent(world, world.people[0]) - before == Fraction(1, 200)


def test_somebody_exhausted_between_judging_and_charging_is_left_out(world, monkeypatch):
    """Another order takes the rest of one person's budget first: judged again, without them."""
    person = world.people[7]
    order = world.order(query=listed("1-8000-A-G"), release={"mode": "private", "rho": "1/200"})
    real = world.shop.accountant.reserve
    calls = []

    def reserve(named, access, charges, rho, exact=0):
        if not calls:
            who = next(c for c in charges if c.person == f"{person.id}/{person.participant}")
            left = who.limit - world.shop.accountant.spent(who.person)
            real("rival", "rival", [Charge(who.person, who.datasets, who.limit)], left)
        calls.append(access)
        return real(named, access, charges, rho, exact)

    monkeypatch.setattr(world.shop.accountant, "reserve", reserve)
    assert world.run("query", order).state == "released"
    assert len(calls) == 2
    assert person not in world.members(order)
    access = world.access_of(order).payload
    assert (access["attempt"], access["excluded"]) == (1, {"budget": 1})
    world.shop.accountant.release("rival")


def test_a_lost_budget_database_is_rebuilt_from_the_ledger(world):
    """The rebuilt charges are those of every access: never fewer, refunds not known again."""
    person = world.people[0]
    before = spent(world, person)
    world.shop.store.close()
    for path in world.folder.glob("compute.sqlite*"):
        path.unlink()
    world.shop = world.worker()
    world.shop.follower.sync()
    assert spent(world, person) == 0
    assert reconcile(world.shop) > 0
    charged = sum(
        Fraction(access.payload["release"]["rho"] or 0)
        for access in world.log.state.accesses.values()
        if access.payload["purpose"] != "ingest"
    )
    assert spent(world, person) == charged
    assert before <= charged


@pytest.mark.parametrize(
    ("query", "release", "code"),
    [
        (listed(), {"mode": "private", "rho": "0"}, Code.BAD_ORDER),
        (listed(*(f"1-{at}-A-G" for at in range(1000, 1400))), PRIVATE, Code.NOISE),
    ],
)
def test_refused_before_anybody_is_charged(world, query, release, code):
    before = spent(world, world.people[0])
    order = world.order(query=query, release=release)
    assert world.run("query", order).code == code.value
    assert world.log.state.orders[order].accesses == []
    assert spent(world, world.people[0]) == before


def test_more_than_the_owners_share_is_refused_by_scope(world):
    order = world.order(query=listed(), release={"mode": "private", "rho": "11/100"})
    assert world.run("query", order).code == Code.COHORT_FLOOR.value


def test_a_score_distribution_goes_through_the_same_gate(world):
    """Another family, nothing of its own at the gate: charged, noised, floored like frequencies."""
    params = {
        "weights": {"1-1000-A-G": "1", "1-2000-A-G": "0.5"},
        "low": "0",
        "high": "3",
        "bins": 3,
    }
    query = {"v": 1, "family": "score_distribution", "build": "GRCh37", "params": params}
    before = spent(world, world.people[0])
    order = world.order(query=query, release=PRIVATE)
    assert world.run("query", order).state == "released"
    answer = answer_of(world, order)
    assert answer["columns"]["from"] == [0.0, 1.0, 2.0]
    assert abs(answer["facts"]["n"] - len(world.people)) < 8 * answer["facts"]["n_sd"] + 5
    assert answer["privacy"]["l2_sensitivity_squared"] == 2_000_000
    assert spent(world, world.people[0]) - before == Fraction(1, 40)
    assert "total" not in json.dumps(answer)


def test_the_lifetime_budget_ends_and_people_leave_together(world):
    """Spent to the end: the scope empties for everybody at once, and says only "below floor"."""
    outcome, asked = None, 0
    while outcome is None or outcome.state == "released":
        order = world.order(query=listed(f"1-{20_000 + asked}-A-G"), release=PRIVATE)
        outcome = world.run("query", order)
        asked += 1
        assert asked < 22
    assert outcome.code == Code.COHORT_FLOOR.value
    assert spent(world, world.people[0]) <= Fraction(1, 2)
    repeat = world.order(query=listed("1-20000-A-G"), release=PRIVATE)
    assert world.run("query", repeat).state == "released"


def test_whether_anybodys_file_lists_a_variant_changes_nobody_elses_calls(world):
    """An unlisted ALT at a site everybody states: covered for all, and so it must stay."""
    from compute.picked_rows import PickedRows
    from compute.queries import CohortData, PersonData, VariantTable, parse_query

    query = parse_query(listed("1-1000-A-C", "1-1000-A-G", "3-5-A-C"))
    keys = [(0, 1000, "A", "C"), (0, 1000, "A", "G"), (2, 5, "A", "C")]
    picked = PickedRows.named(world.shop.variants, query.build, keys)
    order = world.order(query=listed("1-20000-A-G"), release=PRIVATE)
    world.run("query", order)
    from compute.cohort import Cohort
    from compute.vault import recorded_access
    from compute.worker_entries import from_text, tree_of

    held = world.shop.book.find(order)
    tags = tree_of(from_text(held.access_submission))
    token = recorded_access(world.shop.follower, held.access, tags)
    from compute.selection import Member

    state = world.shop.follower.state
    members = [
        Member(state.grants[g].owner, str(at), {"genotypes": state.grants[g]}, 0)
        for at, g in enumerate(held.members)
    ]
    cohort = Cohort(world.shop.vault, world.shop.variants, members, token)
    table = VariantTable.of("GRCh37", keys)
    people = []
    for member in members:
        opened = cohort.vault.reader(member.grants["genotypes"].id, cohort.access)
        calls = picked.calls(opened)
        people.append(PersonData(member.participant, calls.dosage, calls.ploidy))
    answer = run(query, CohortData.of(table, people))
    other, own, unknown = answer.columns["an"].tolist()
    assert other == own == expected_counts(world.people)[1000][1]
    assert unknown == 0
    assert answer.columns["ac"].tolist()[0] == 0
