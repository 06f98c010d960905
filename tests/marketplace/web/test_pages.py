"""Every page, with much in it and with nothing: it renders, leaks nothing, obeys the CSP."""

import re

import pytest

from marketplace.tables import Share
from marketplace.web.job_view import Moment
from marketplace.web.pages_me import shares_of
from marketplace.web.provenance import BOX_HEIGHT, columns_of, tall, wide
from marketplace.web.text import money
from marketplace.web.uses_view import Asked, _year, earned_by_month, uses_page
from marketplace.web.words import progress_words
from tests.marketplace.web.web_world import post

PUBLIC = ["/", "/how-it-works", "/glossary", "/catalogue", "/jobs", "/ledger", "/status", "/signin"]
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle\s*=|\son[a-z]+\s*=|javascript:", re.I)
ELSEWHERE = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//""", re.I)


def addresses(who):
    orders = who["orders"]
    return {
        None: [*PUBLIC, "/ledger/3", f"/jobs/{orders['settled']}", f"/jobs/{orders['failed']}"],
        "owner": ["/me"],
        "researcher": [
            "/research", "/dry-run", "/dry-run?family=cis_association",
            *(f"/orders/{order}" for order in orders.values()),
        ],
        "reviewer": ["/reviews"],
    }  # fmt: skip


def check_page(answer):
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/html; charset=utf-8"
    assert not INLINE.search(answer.text)
    assert not ELSEWHERE.search(answer.text)
    assert len(re.findall(r"<h1[ >]", answer.text)) == 1
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    assert len(answer.data) < 300_000


def test_every_page_renders_with_realistic_data(lively_world):
    world, who = lively_world
    for role, paths in addresses(who).items():
        client = world.browser(who[role] if role else None)
        for path in paths:
            check_page(client.get(path))


def test_every_page_renders_with_nothing_in_it(fresh):
    owner = fresh.sign_in(fresh.register(type(fresh.auditor)(), "owner"))
    people = [
        (None, PUBLIC),
        (owner, ["/me"]),
        (fresh.researcher(), ["/research", "/dry-run"]),
        (fresh.reviewer(), ["/reviews"]),
        (fresh.sign_in(fresh.auditor), ["/ledger"]),
    ]
    for party, paths in people:
        client = fresh.browser(party)
        for path in paths:
            check_page(client.get(path))


def test_pages_say_that_money_and_witnesses_are_stand_ins(fresh):
    assert "Test money" in fresh.http.get("/").text
    assert "stand-ins" in fresh.http.get("/").text


def test_a_signed_in_page_never_links_to_personal_ids(lively_world):
    world, who = lively_world
    page = world.browser(who["owner"]).get("/me").text
    links = re.findall(r'(?:href|action)="([^"]*)"', page)
    owner = who["owner"]
    for secret in (owner.id, owner.dataset, owner.grant):
        assert not any(secret in link for link in links)
    assert owner.grant in page  # within the withdraw command


def test_an_owner_sees_its_own_consents_and_uses_only(lively_world):
    world, who = lively_world
    page = world.browser(who["owner"]).get("/me").text
    shares = shares_of(world.services, who["owner"].id)
    assert len(shares) == 2
    earned = money(sum(share.amount for share in shares), "gbp")
    for words in ("In use", "Paused", "Withdrawn", "Allele frequencies", earned):
        assert words in page
    others = [g.id for g in world.ledger.state.grants.values() if g.owner != who["owner"].id]
    assert not any(grant in page for grant in others)


def test_each_use_names_the_entry_that_was_written_before_it(lively_world):
    world, who = lively_world
    page = world.browser(who["owner"]).get("/me").text
    state = world.services.view.snapshot().state
    for name in ("settled", "again"):
        (access,) = state.orders[who["orders"][name]].accesses
        index = state.accesses[access].index
        assert f'written down before it happened in <a class="ref" href="/ledger/{index}">' in page


def test_an_owner_of_many_files_gets_a_page_of_bounded_weight(fresh):
    ann = fresh.owner("CEU")
    for _ in range(32):
        fresh.more_data(ann, "expression", grant=False)
    fresh.services.view.refresh()
    fresh.stop(ann, fresh.more_data(ann, "participant"), "consent.paused")
    fresh.services.view.refresh()
    client = fresh.browser(ann)
    page = client.get("/me").text
    cards = '<article class="card">'
    assert page.count(cards) == 12
    assert "page 1 of 3, 34 files" in page
    assert "<dd>1 <small>of 34</small></dd>" in page
    states = re.findall(r'<span class="state \w+">(In use|Paused|Private)<', page)
    assert states == ["In use", "Paused", *["Private"] * 10]
    last = client.get("/me?page=3").text
    assert last.count(cards) == 10
    assert "page=2#datasets" in last and "page=4" not in last
    some = client.get("/me?kind=participant&state=paused").text
    assert some.count(cards) == 1 and "Resume" not in some  # no key pages here: by command
    assert "No file of yours is like that" in client.get("/me?state=gone").text
    assert client.get("/me?state=lost").status_code == 400
    assert client.get("/me?page=0").status_code == 400


def test_uses_are_listed_a_page_at_a_time_and_by_who_and_when(lively_world):
    world, who = lively_world
    client = world.browser(who["owner"])
    page = client.get("/me/uses").text
    assert "2 uses." in page and page.count("written down before it happened") == 2
    (name,) = re.findall(r"<option>([^<]*university)</option>", page)
    assert client.get("/me/uses", query_string={"who": name}).text.count("<li>\n  <h2>") == 2
    assert "No use like that" in client.get("/me/uses?year=1999").text
    assert client.get("/me/uses?page=x").status_code == 400
    assert world.browser(who["researcher"]).get("/me/uses").status_code == 403


def test_many_uses_are_paged_and_none_is_counted_twice(lively_world):
    world, who = lively_world
    state = world.services.view.snapshot().state
    real = next(iter(who["orders"].values()))
    day = 86_400_000
    shares = [
        Share(order_id=real if n % 2 else f"{n:032x}", owner="o", position=n, amount=n,
              currency="gbp", salt="", given=False, created_at=1_800_000_000_000 - n * 10 * day)
        for n in range(60)
    ]  # fmt: skip
    seen = []
    for number in (1, 2, 3):
        view = uses_page(state, shares, Asked(page=number), 0)
        assert (view.found, view.last) == (60, 3)
        seen += [use.amount for use in view.uses]
    assert seen == list(range(60))
    assert view.earned == (("gbp", sum(range(60))),)
    assert view.years == ("2027", "2026", "2025")
    some = uses_page(state, shares, Asked(who=view.organisations[0], year="2026"), 0)
    assert some.found == sum(
        1 for s in shares if s.order_id == real and _year(s.created_at) == "2026"
    )
    assert 0 < some.found < 60


def test_a_month_without_earnings_stands_in_the_chart_too():
    at = [1_790_000_000_000, 1_790_000_000_000 + 70 * 86_400_000]
    lines = [{"kind": "earned", "at": one, "currency": "gbp", "amount": 50} for one in at]
    months = earned_by_month([*lines, {**lines[0], "kind": "paid out"}])["gbp"]
    assert [(one.name, one.amount) for one in months] == [
        ("Sep 2026", 50), ("Oct 2026", 0), ("Nov 2026", 50)]  # fmt: skip
    assert [one.width for one in months] == [210, 0, 210]


def test_personal_entries_show_their_commitment_only(lively_world):
    world, _who = lively_world
    index = next(r.index for r in world.ledger.records if r.leaf.type == "consent.granted")
    record = world.ledger.records[index]
    page = world.http.get(f"/ledger/{index}").text
    assert record.leaf.commitment.hex() in page
    for hidden in (record.entry.payload["owner"], record.entry.payload["grant"]):
        assert hidden not in page


def test_public_counts_are_buckets(lively_world):
    world, who = lively_world
    page = world.http.get(f"/jobs/{who['orders']['settled']}").text
    assert "of fewer than 20 people" in page
    assert "20 to 49" in world.http.get("/catalogue").text


def test_a_researcher_searches_what_is_usable_for_a_purpose_as_a_dry_run_tells_it(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    usable = "allow exact answers for your purpose"
    told = client.get("/catalogue?use=HMB").text
    assert usable in told and "<strong>20 to 49</strong> people allow exact" in told
    assert told.count("fewer than 20</td><td") == 3  # a column more for each published value
    refused = client.get("/catalogue?use=HMB&kind=clinical").text
    assert "<strong>No</strong> people allow" in refused
    assert client.get("/catalogue?use=HMB&population=YRI").text.count("fewer than 20") >= 3
    assert client.get("/catalogue?use=everything").status_code == 400
    assert client.get("/catalogue?use=DS&diseases=flu").status_code == 400
    assert usable not in client.get("/catalogue").text
    assert usable not in world.browser(None).get("/catalogue?use=HMB").text  # for buyers alone


def test_the_catalogue_narrows_by_published_facets_only(lively_world):
    world, _who = lively_world
    assert "fewer than 20" in world.http.get("/catalogue?population=YRI").text
    assert world.http.get("/catalogue?diagnosis=x").status_code == 400
    assert world.http.get("/catalogue?population=GBR").status_code == 400


def test_every_empty_page_tells_the_next_step(fresh):
    researcher, reviewer = fresh.researcher(), fresh.reviewer()
    for who, path in (
        (None, "/catalogue"), (None, "/jobs"), (None, "/ledger?type=payout.sent"),
        (researcher, "/research"), (reviewer, "/reviews"),
    ):  # fmt: skip
        page = fresh.browser(who).get(path).text
        box = page.partition('<div class="empty">')[2].partition("</div>")[0]
        assert "<a " in box or "<code>" in box, path
    assert "so the platform earned nothing" in fresh.http.get("/jobs").text


def test_the_trust_file_is_served_as_it_is(fresh):
    answer = fresh.http.get("/trust.json")
    assert answer.data == fresh.trust.format()
    assert answer.content_type == "application/json"


def test_status_says_when_the_ledger_is_stale_or_gone(fresh):
    fresh.reader.awake = (0, 1)
    assert "not on the newest checkpoint" in fresh.http.get("/status").text
    fresh.reader.age = 60
    assert "too old to decide" in fresh.http.get("/status").text
    fresh.reader.silent = fresh.follower.silent = True
    page = fresh.http.get("/status")
    assert page.status_code == 200
    assert "cannot be reached or believed" in page.text
    assert "not reachable" in fresh.http.get("/").text


def test_a_forged_checkpoint_is_not_believed(fresh):
    fresh.reader.awake = (2,)  # one of three is no majority
    assert "cannot be reached or believed" in fresh.http.get("/status").text
    assert fresh.http.get("/ledger").status_code == 503


@pytest.mark.parametrize("path", ["/nothing", "/ledger/999999", "/jobs/" + "0" * 32, "/a/b/c"])
def test_unknown_addresses_have_a_friendly_page(fresh, path):
    answer = fresh.http.get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_programs_keep_problem_documents(fresh):
    answer = fresh.http.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_the_api_document_stays_whole_and_without_pages(fresh):
    answer = fresh.http.get("/openapi.json")
    assert answer.status_code == 200
    assert all(path.startswith(("/api/", "/worker/", "/stripe/")) for path in answer.json["paths"])


def test_what_breaks_has_a_page_without_its_cause(fresh):
    fresh.reader.checkpoint = lambda: 1 / 0
    fresh.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = fresh.http.get("/ledger")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "division" not in answer.text


def test_a_form_without_a_token_is_refused(fresh):
    assert fresh.http.post("/signin", data={"code": "x"}).status_code == 400
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert post(fresh.http, "/signin", {"code": "x"}, headers=headers).status_code == 403


def test_an_owner_sees_the_budget_that_is_left_and_its_risk_as_a_picture(lively_world):
    world, who = lively_world
    page = world.browser(who["owner"]).get("/me").text
    assert "Privacy budget" in page
    assert "<svg" in page.split("<h3>Privacy budget")[1]
    assert "of 100 cases" in page


def test_the_api_page_names_every_operation_for_people(fresh):
    page = fresh.browser().get("/docs/api").text
    spec = fresh.http.get("/openapi.json").json
    shown = [path for path in spec["paths"] if not path.startswith(("/worker", "/stripe"))]
    assert len(shown) > 20
    assert all(path in page for path in shown)


def test_live_progress_is_a_stream_of_states_and_only_mine(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    answer = client.get(f"/orders/{who['orders']['settled']}/events")
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'event: state\ndata: {"state":"settled"' in answer.text
    assert '"progress":null,"said":""' in answer.text
    assert client.get(f"/orders/{'0' * 32}/events").status_code == 404
    assert world.browser().get(f"/orders/{who['orders']['settled']}/events").status_code == 401


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, ""),
        ({"step": "summing", "done": 2, "total": 8}, "Summing: 2 of 8 parts"),
        ({"step": "waiting", "done": 0, "total": 0}, "Done: it leaves on the next clock tick"),
    ],
)
def test_progress_is_said_in_words(told, said):
    assert progress_words(told) == said


def test_a_job_shows_where_its_answer_comes_from(lively_world):
    world, who = lively_world
    page = world.browser().get(f"/jobs/{who['orders']['settled']}").text
    for graph in page.split('<svg class="graph ')[1:]:
        for title in (
            "Consents", "Placed", "Payment arrived", "Data opened", "Answer recorded",
            "Owners paid",
        ):  # fmt: skip
            assert f">{title}</text>" in graph[: graph.index("</svg>")]


def test_the_graph_leads_from_consents_and_payment_to_who_was_paid():
    def moment(title, index, kind, people=""):
        return Moment(title, "", index, 0, kind, people)

    moments = [
        moment("Placed", 1, "asked"), moment("Payment arrived", 2, "asked"),
        moment("Data opened", 3, "opened", "50 to 99 people"), moment("Reviewed", 4, ""),
        moment("Answer recorded", 5, "answered"),
    ]  # fmt: skip
    columns = columns_of(moments)
    assert [[one.title for one in column] for column in columns] == [
        ["Consents", "Placed", "Payment arrived"], ["Data opened"], ["Answer recorded"],
    ]  # fmt: skip
    assert columns[0][0].index == 3  # the opening commits to every consent
    for graph in (wide(columns), tall(columns)):
        assert len(graph.arrows) == 4
        for box in graph.boxes:
            assert box.x >= 0 and box.x + box.width <= graph.width
            assert box.y >= 0 and box.y + BOX_HEIGHT <= graph.height
        corners = {(box.x, box.y) for box in graph.boxes}
        assert len(corners) == len(graph.boxes) == 5


def test_the_tour_shows_the_real_rules_over_made_up_data(fresh):
    client = fresh.browser()
    assert "/tour" in client.get("/").text
    allowed = client.get("/tour/2").text
    assert "A university studies diabetes" in allowed
    assert "An insurer compares risks" in allowed and "No</span>" in allowed
    assert "Prev" not in allowed and "Next: you consent" in allowed
    assert 'id="preview-data"' in client.get("/tour/4").text
    assert client.get("/tour").status_code == 200
    assert client.get("/tour/7").status_code == 404
