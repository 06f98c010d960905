"""The ledger explorer: paging, filters, and a proof that is really climbed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    LogProof,
    VerificationError,
    inclusion_proof,
    leaf_hash,
    parse_leaf,
    tree_root,
    unb64,
    verify_receipt,
)
from marketplace.web.log_view import climb, rows


def indexes(page):
    return [
        int(i.replace(",", "")) for i in re.findall(r'href="/ledger/\d+">([\d,]+)</a></th>', page)
    ]


def test_the_newest_come_first_and_pages_cover_everything(lively_world):
    world, _who = lively_world
    seen, path = [], "/ledger"
    while path:
        page = world.http.get(path).text
        seen += indexes(page)
        older = re.search(r'href="(/ledger\?before=\d+)">Older', page)
        path = older[1] if older else None
    assert seen == list(reversed(range(len(world.ledger.records))))


def test_one_type_is_found_wherever_it_is(lively_world):
    world, _who = lively_world
    wanted = [r.index for r in world.ledger.records if r.leaf.type == "settlement.made"]
    assert indexes(world.http.get("/ledger?type=settlement.made").text) == wanted[::-1]
    assert world.http.get("/ledger?type=nonsense").status_code == 400


def test_time_selects_entries_up_to_it(lively_world):
    world, _who = lively_world
    start = world.ledger.records[0].leaf.time
    early = [r.index for r in world.ledger.records if r.leaf.time <= start + 60_000]
    page = world.http.get("/ledger?until=2027-01-15T08:01").text
    assert indexes(page)[0] == early[-1]
    assert world.http.get("/ledger?until=tomorrow").status_code == 400


def test_size_is_told_for_the_notice_of_new_entries(lively_world):
    world, _who = lively_world
    assert world.http.get("/ledger/size.json").json["size"] <= len(world.ledger.records)


def test_every_entry_page_proves_its_entry(lively_world):
    world, _who = lively_world
    for index in (0, 1, 63, 64, len(world.ledger.records) - 1):
        page = world.http.get(f"/ledger/{index}")
        assert page.status_code == 200
        assert page.text.count("Signed</span>") == 3


def test_a_proof_is_saved_as_bundles_carry_it_and_holds_offline(lively_world):
    world, _who = lively_world
    for index in (6, 90):
        answer = world.http.get(f"/ledger/{index}/proof.json")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        leaf = unb64(answer.json["leaf"])
        assert answer.json["type"] == parse_leaf(leaf).type
        verify_receipt(answer.json["receipt"], leaf, world.trust)
        assert f"/ledger/{index}/proof.json" in world.http.get(f"/ledger/{index}").text
    assert world.http.get("/ledger/999999/proof.json").status_code == 404


def test_an_entry_is_found_by_its_number_and_an_order_by_the_beginning_of_its_id(lively_world):
    world, who = lively_world
    order = who["orders"]["settled"]
    for asked, path in (
        ("6", "/ledger/6"), ("entry 6", "/ledger/6"), ("1,006", "/ledger/1006"),
        (order, f"/jobs/{order}"), (f" order {order[:8].upper()} ", f"/jobs/{order}"),
    ):  # fmt: skip
        answer = world.http.get("/ledger/find", query_string={"q": asked})
        assert (answer.status_code, answer.headers["Location"]) == (303, path)
    for asked in ("", "abc", "0" * 31 + "g", "<b>", "f" * 40):
        answer = world.http.get("/ledger/find", query_string={"q": asked})
        assert answer.status_code == 400 and "look for an entry by its number" in answer.text


def test_a_leaf_the_log_changed_is_not_shown(lively_world):
    world, _who = lively_world
    honest = world.reader.entries
    world.reader.entries = lambda start, end: honest(start - 1, end - 1)
    try:
        assert world.http.get("/ledger/7").status_code == 503
    finally:
        world.reader.entries = honest


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_a_climb_ends_at_the_root_and_nowhere_else(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    proof = LogProof(index, tuple(inclusion_proof(index, hashes)), b"")
    root = tree_root(hashes)
    steps = climb(leaves[index], proof, len(leaves), root)
    assert len(steps) == len(proof.path)
    assert (steps[-1].result if steps else hashes[0].hex()) == root.hex()
    with pytest.raises(VerificationError):
        climb(leaves[index] + b"!", proof, len(leaves), root)


def test_a_leaf_that_cannot_be_read_is_a_row_all_the_same():
    (row,) = rows(4, [b"not a leaf"])
    assert (row.index, row.type) == (4, "unknown")
