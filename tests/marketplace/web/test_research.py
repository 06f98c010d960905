"""The researcher's pages: dry run, paying, cancelling, downloading."""

import json
import re
from html import unescape

from marketplace.catalogue import parse_request
from marketplace.web import pages_research
from marketplace.web.dry_run_form import empty_form, request_of
from tests.marketplace.web.web_world import post, purpose

BASE = {"family": "genotype_counts", "primary": "HMB", "build": "GRCh37", "q:variants": "panel",
        "mode": "trusted", "rho": "1/100", "project": "A <b>study</b>"}  # fmt: skip


def request_on(page):
    text = page.split('aria-label="The request as JSON"><code>')[1].split("</code>")[0]
    return json.loads(unescape(text))


def test_a_dry_run_answers_in_buckets_and_gives_the_request(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    page = post(client, "/dry-run", BASE)
    assert page.status_code == 200
    assert "20 to 49" in page.text
    assert "&lt;b&gt;study" in page.text
    assert "<b>study" not in page.text
    assert parse_request(request_on(page.text)).purpose.project == "A <b>study</b>"


def test_orders_come_in_pages_and_the_oldest_are_reached(lively_world, monkeypatch):
    world, who = lively_world
    monkeypatch.setattr(pages_research, "PER_PAGE", 2)
    client, path, seen = world.browser(who["researcher"]), "/research", []
    while path:
        page = client.get(path).text
        found = re.findall(r'href="/orders/([0-9a-f]{32})"', page)
        assert 0 < len(found) <= 2
        seen += found
        older = re.search(r'href="(/research\?after=[0-9a-f]{32})">Older', page)
        path = older and older[1]
    assert sorted(seen) == sorted(who["orders"].values())
    assert client.get(f"/research?after={'0' * 32}").status_code == 400


def test_while_a_question_changes_the_page_says_how_many_allow_it(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])

    def said(**fields):
        answer = post(client, "/dry-run/people", {**BASE, **fields}, page="/dry-run")
        assert answer.status_code == 200 and set(answer.json) == {"said"}
        return answer.json["said"]

    assert said() == "About 20 to 49 people allow this now."
    asked = {"family": "clinical_counts", "q:terms": "HP:0001631"}
    assert said(**asked) == "Nobody allows this now."
    assert said(**{"q:variants": "region"}) == ""  # not filled in yet
    assert client.post("/dry-run/people", data=BASE).status_code == 400
    assert 'data-url="/dry-run/people"' in client.get("/dry-run").text


def test_left_out_people_have_reasons(lively_world):
    world, who = lively_world
    page = post(world.browser(who["researcher"]), "/dry-run",
                {**BASE, "facet:population": ["CEU"]}).text  # fmt: skip
    assert "did not publish the population" in page


def test_the_association_form_makes_a_valid_request(lively_world):
    world, who = lively_world
    fields = {**BASE, "family": "cis_association", "q:variants": "none", "q:chrom": "22",
              "q:gene": "ENSG00000100266.11", "q:start": "43,000,000", "q:end": "43100000",
              "q:window_bp": "1000000", "q:covariates": "PC1, population"}  # fmt: skip
    page = post(world.browser(who["researcher"]), "/dry-run", fields)
    assert page.status_code == 200, page.text
    assert "Their terms" in page.text or "no data" in page.text.lower()


def test_what_is_wrong_is_said_on_the_form_and_nothing_typed_is_lost(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    fields = {
        **BASE,
        "q:variants": "region",
        "q:variants.region.region": "chr22:1-2",
        "project": "Kept text",
    }
    page = post(client, "/dry-run", fields)
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert 'aria-describedby="wrong-variants.region.region"' in page.text
    assert 'value="Kept text"' in page.text
    assert 'value="chr22:1-2"' in page.text


def test_the_spread_a_buyer_expects_moves_the_estimate_or_is_refused_on_the_form(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    fields = {**BASE, "family": "feature_distribution", "mode": "private", "rho": "1/20",
              "q:feature": "F", "q:low": "0", "q:high": "10", "q:bins": "5"}  # fmt: skip

    def page(sd):
        return post(client, "/dry-run", {**fields, "sd": sd})

    def sampling(sd):
        answer = page(sd)
        assert answer.status_code == 200, answer.text
        return float(re.search(r"in each mean: noise [^,]+, sampling ([0-9.]+)<", answer.text)[1])

    assert abs(sampling("5") / sampling("") - 3) < 0.01  # unsaid: a third of half the clamp
    wide = page("50")
    assert wide.status_code == 400
    assert "at most 5" in wide.text
    assert 'value="50"' in wide.text
    assert page("much").status_code == 400
    label = "Spread you expect of the value measured"
    assert label in client.get("/dry-run?family=linear_association").text
    assert label not in client.get("/dry-run?family=genotype_counts").text
    exact = post(
        client, "/dry-run", {**BASE, "sd": "7"}
    )  # no field of this form: nothing to refuse
    assert "in each allele frequency: sampling alone" in exact.text
    assert 'class="plot"' not in exact.text  # nothing to compare it with


def test_the_first_form_stands_for_a_valid_request():
    request = request_of(empty_form("genotype_counts"), "local")
    assert parse_request(request).scope.modalities == ("genotypes",)


def test_a_question_is_previewed_over_made_up_people_with_the_noise_it_would_get(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    exact = post(client, "/dry-run", {**BASE, "do": "preview"})
    assert exact.status_code == 200, exact.text
    assert "made up" in exact.text
    data = json.loads(exact.text.split('id="preview-data">')[1].split("</script>")[0])
    assert len(data["columns"]["af"]) == 120
    assert data["query"]["family"] == "genotype_counts"
    fields = {**BASE, "family": "feature_distribution", "q:feature": "G1", "q:low": "0",
              "q:high": "10", "q:bins": "10", "mode": "private", "rho": "1/20", "do": "preview"}  # fmt: skip
    noisy = post(client, "/dry-run", fields)
    assert "count_sd" in noisy.text
    assert post(client, "/dry-run", {**fields, "rho": "many"}).status_code == 400


def test_an_order_is_asked_again_from_its_page(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    order = who["orders"]["settled"]
    assert f"/dry-run?again={order}" in client.get(f"/orders/{order}").text
    page = client.get(f"/dry-run?again={order}").text
    assert 'value="Allele frequencies in Europeans and Yoruba, part 1"' in page
    assert client.get(f"/dry-run?again={'0' * 32}").status_code == 404


def test_paying_leads_to_the_payment_page_and_cancelling_cancels(fresh):
    for _ in range(3):
        fresh.owner()
    researcher = fresh.researcher()
    order = fresh.place(researcher, purpose=purpose("Mine"))
    client = fresh.browser(researcher)
    page = client.get(f"/orders/{order}").text
    assert "Waiting for payment" in page
    paid = post(client, f"/orders/{order}/pay", {}, page=f"/orders/{order}")
    assert paid.status_code == 303
    assert paid.location.startswith("http://stripe.test/")
    cancelled = post(client, f"/orders/{order}/cancel", {}, page=f"/orders/{order}")
    assert cancelled.status_code == 303
    fresh.turn()
    assert "Cancelled" in client.get(f"/orders/{order}").text
    again = post(client, f"/orders/{order}/pay", {}, page="/signin")
    assert again.status_code == 409


def test_a_result_is_downloaded_as_the_ciphertext_it_is(lively_world):
    world, who = lively_world
    order = who["orders"]["settled"]
    client = world.browser(who["researcher"])
    answer = client.get(f"/orders/{order}/download/result")
    assert answer.data == b"encrypted"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert client.get(f"/orders/{order}/download/auditor_bundle").status_code == 404
    assert client.get(f"/orders/{who['orders']['running']}/download/result").status_code == 404


def test_a_failed_order_shows_its_refund(lively_world):
    world, who = lively_world
    page = world.browser(who["researcher"]).get(f"/orders/{who['orders']['failed']}").text
    assert "The money went back" in page
    assert "Refunded" in page


def test_an_order_page_can_watch_its_state(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    answer = client.get(f"/orders/{who['orders']['running']}/state.json")
    assert answer.json == {"state": "running", "objects": [], "progress": None, "said": ""}


def test_a_reviewer_sees_the_draft_that_waits(lively_world):
    world, who = lively_world
    page = world.browser(who["reviewer"]).get("/reviews").text
    assert f"omic review approve {who['orders']['draft']}" in page


def test_a_private_dry_run_says_its_error_or_why_it_is_refused(lively_world):
    world, who = lively_world
    fields = {
        **BASE,
        "q:variants": "list",
        "q:variants.list": "22-1000-A-G",
        "mode": "private",
        "rho": "1/20",
    }
    page = post(world.browser(who["researcher"]), "/dry-run", fields)
    assert page.status_code == 200, page.text
    assert 'class="plot"' in page.text
    assert "in each allele frequency" in page.text


def test_what_cannot_be_ordered_is_said_with_what_would_do(lively_world):
    world, who = lively_world
    fields = {**BASE, "q:variants": "list", "q:variants.list": "22-1000-A-G", "mode": "private",
              "rho": "1/200"}  # fmt: skip
    page = post(world.browser(who["researcher"]), "/dry-run", fields).text
    assert "Reckoned for 20 people, a frequency of 1/4" in page
    assert "cannot be ordered" in page  # to a hundred people at least, and it says so
    assert re.search(r"would do: [0-9]+ people who allow it", page)
    assert "order place" not in page


def test_what_a_buyer_assumes_goes_with_the_question_to_its_price(lively_world):
    world, who = lively_world
    page = post(world.browser(who["researcher"]), "/dry-run", {**BASE, "maf": "1/100"})
    assert "omic order place request.json --maf 1/100" in page.text
    assert "a frequency of 1/100: what you assume" in page.text
    assert "assumed" not in json.dumps(request_on(page.text))  # it is no part of what is signed
