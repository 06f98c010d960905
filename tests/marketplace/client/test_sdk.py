"""The SDK's face on a researcher whose server is played: typed answers, clear errors."""

import sys
from types import SimpleNamespace

import httpx
import pytest

from marketplace.client import Answer, ClientError, Market
from marketplace.client.market import Market as Connection
from marketplace.client.researcher import Answer as Opened
from marketplace.client.researcher import Researcher

REQUEST = {
    "purpose": {"primary": "HMB", "commercial": False},
    "query": {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": {"variants": {"panel": "all"}}},
    "scope": {"modalities": ["genotypes"], "build": "GRCh37", "facets": {}, "region": "local"},
    "release": {"mode": "trusted", "rho": "0"},
}  # fmt: skip
TOLD = {
    "order": "a" * 32,
    "state": "settled",
    "reason": None,
    "why": None,
    "amount": 700,
    "currency": "gbp",
}


@pytest.fixture
def market(monkeypatch):
    states = {"now": dict(TOLD)}
    monkeypatch.setattr(Researcher, "quote", lambda self, request, maf, sd: {"quote": "q"})
    monkeypatch.setattr(Researcher, "order", lambda self, request, quote: TOLD["order"])
    monkeypatch.setattr(Researcher, "status", lambda self, order: states["now"])
    monkeypatch.setattr(Researcher, "checkout", lambda self, order: {"url": "http://pay"})
    document = {"answer": {"columns": {"pos": [1, 2], "af": [0.5, None]}}}
    monkeypatch.setattr(Researcher, "answer", lambda self, order: Opened(document, b"", b"bundle"))
    made = Market(session=None)
    object.__setattr__(made, "session", None)
    return made, states


def test_an_order_is_placed_followed_and_opened(market):
    made, _ = market
    order = made.order(REQUEST)
    assert (order.state, order.amount, order.pay_url) == ("settled", 700, "http://pay")
    answer = made.wait(order, progress=False).answer()
    assert answer.columns == {"pos": [1, 2], "af": [0.5, None]}
    assert answer.to_tsv().splitlines() == ["pos\taf", "1\t0.5", "2\t"]
    assert answer.bundle == b"bundle"


def test_an_order_without_an_answer_says_why(market):
    made, states = market
    states["now"] = {**TOLD, "state": "refunded", "reason": "below_floor", "why": "too few people"}
    with pytest.raises(ClientError, match="refunded: too few people"):
        made.wait(TOLD["order"], progress=False)


def test_a_request_that_lacks_a_part_is_named(market):
    made, _ = market
    with pytest.raises(ClientError, match="scope"):
        made.dry_run({k: v for k, v in REQUEST.items() if k != "scope"})
    for part, wrong in (("query", {"v": 1, "family": "none"}), ("purpose", {"primary": "XX"})):
        with pytest.raises(ClientError, match="not a request that can be asked"):
            made.order({**REQUEST, part: wrong})


def test_what_a_buyer_assumes_is_sent_and_nothing_where_it_is_not_said(market, monkeypatch):
    made, _ = market
    sent = []
    told = dict.fromkeys(("people", "price", "currency", "expected_error", "left_out",
                          "other_builds", "match"))  # fmt: skip

    class Wire:
        def post(self, path, body):
            sent.append(body)
            return told

    monkeypatch.setattr(
        Market, "researcher", property(lambda self: Researcher(SimpleNamespace(market=Wire())))
    )
    made.dry_run(REQUEST, maf="1/100", sd="2.5")
    made.dry_run({**REQUEST, "currency": "eur"})
    assert [one["currency"] for one in sent] == ["gbp", "eur"]
    assert (sent[0]["assumed_maf"], sent[0]["assumed_sd"]) == ("1/100", "2.5")
    assert not {"assumed_maf", "assumed_sd"} & set(sent[1])


def test_a_match_in_words_joins_the_query_and_its_data_the_scope(market):
    made, _ = market
    asked = made.matching(REQUEST, "sex female", "has HP:0000001")
    again = made.matching(asked, "number height 150..")
    kinds = [one["kind"] for one in again["query"]["params"]["match"]]
    assert kinds == ["group", "term", "number"]
    assert again["scope"]["modalities"] == ["genotypes", "clinical", "participant"]
    assert "match" not in REQUEST["query"]["params"]
    with pytest.raises(ClientError, match="must begin with has"):
        made.matching(REQUEST, "tall people")
    with pytest.raises(ClientError, match=r"params\.match"):
        made.matching(REQUEST, "has heart")
    with pytest.raises(ClientError, match="order template"):
        made.matching({"query": []}, "sex female")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ClientError, match="pip install pandas"):
        Answer({"answer": {"columns": {"a": [1]}}}, b"").to_pandas()


def test_a_request_is_previewed_without_asking_anybody(market):
    made, _ = market
    columns = made.preview(REQUEST)
    assert len(columns["af"]) == 120
    private = {**REQUEST, "release": {"mode": "private", "rho": "1/20"}}
    with pytest.raises(ClientError, match="cannot be previewed"):
        made.preview(private)
    asked = {
        "v": 1,
        "family": "feature_distribution",
        "params": {"feature": "G", "low": "0", "high": "9"},
    }
    assert made.preview({**private, "query": asked})["count_sd"]


def test_an_answer_becomes_an_arrow_table():
    pytest.importorskip("pyarrow")
    answer = Answer({"answer": {"columns": {"pos": [1, 2], "af": [0.5, None]}}}, b"")
    assert answer.to_arrow().to_pydict() == {"pos": [1, 2], "af": [0.5, None]}


def test_an_answer_is_drawn_as_its_name_says(tmp_path):
    columns = {"term": ["HP:0001631"], "prevalence": [0.25]}
    answer = Answer({"answer": {"family": "clinical_counts", "columns": columns}}, b"")
    assert answer.plot(tmp_path / "p.svg").read_text().lstrip().startswith("<?xml")
    with pytest.raises(ClientError, match="no figure"):
        Answer({"answer": {"family": "x", "columns": {"a": ["b"]}}}, b"").plot(tmp_path / "p.png")


def answering(*answers):
    """A connection whose server gives these answers in turn; what was sent is kept."""
    left, sent = list(answers), []

    def handle(request):
        sent.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made = Connection("http://market.test", httpx.Client(transport=httpx.MockTransport(handle)))
    made._token = "t"
    return made, sent


def busy(status, **headers):
    return httpx.Response(status, headers=headers, json={"title": "busy", "detail": "wait"})


def test_a_server_that_asks_to_wait_is_asked_again_and_a_post_counts_once(monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    good = httpx.Response(200, json={"quote": "q"})
    market, sent = answering(
        busy(503, **{"Retry-After": "2"}), httpx.ReadError("cut"),
        busy(429, **{"Retry-After": "60"}), good,
    )  # fmt: skip
    assert market.post("/quotes", {}) == {"quote": "q"}
    assert pauses == [2.0, 0.2, 5.0]
    assert len({one.headers["Idempotency-Key"] for one in sent}) == 1


def test_what_is_refused_for_good_or_still_busy_is_said_at_once_or_in_the_end(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    market, sent = answering(busy(409))
    with pytest.raises(ClientError, match="busy"):
        market.post("/orders/x/cancel")
    assert len(sent) == 1
    market, sent = answering(*[busy(503, **{"Retry-After": "2"}) for _ in range(4)])
    with pytest.raises(ClientError, match="busy"):
        market.get("/status")
    assert len(sent) == 4
    market, sent = answering(httpx.ConnectError("no"))
    with pytest.raises(ClientError, match="is it running"):
        market.get("/status")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("releasing", "two output reviewers"),
        ("awaiting_payment", "waiting to be paid"),
        ("running", "still running after 0 s; it goes on"),
    ],
)
def test_who_waits_too_long_is_told_what_for(monkeypatch, state, said):
    monkeypatch.setattr(Researcher, "status", lambda self, order: {**TOLD, "state": state})
    with pytest.raises(ClientError, match=said):
        Researcher(None).wait(TOLD["order"], timeout=0.05)
