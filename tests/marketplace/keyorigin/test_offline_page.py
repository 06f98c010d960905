"""The page that checks proofs, kept as a file and opened without any network."""

import json
import os
import random

import pytest

from ledger import Entry, b64, entry_bytes
from marketplace.keyorigin import build
from marketplace.keyorigin.one_file import one_file
from tests.compute import bundle_world
from tests.compute.bundle_world import Story
from tests.ledger.test_entries import Passkey, passkey_owner
from tests.marketplace.keyorigin.conftest import CHROMIUM, trust_document
from tests.marketplace.web.test_browser import examine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]


@pytest.fixture(scope="module")
def story():
    return Story(people=2)


@pytest.fixture(scope="module")
def kept(story, chromium, tmp_path_factory):
    """The page saved from its address, opened from the disk in a browser without a network."""
    path = tmp_path_factory.mktemp("kept") / "omic-check-a-proof.html"
    path.write_bytes(build(story.trust.format()).files["/verify.html"])
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.trouble = []
    page.on("console", lambda said: page.trouble.append(said.text))
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()


def verdict(page, data, field="#proof"):
    page.evaluate("document.querySelector('[role=status]').replaceChildren()")
    page.set_input_files(field, {"name": "b.json", "mimeType": "", "buffer": data})
    page.locator("[role=status] > *").wait_for()
    return page.locator("[role=status]").inner_text()


def test_good_bundles_hold_without_a_network(kept, story):
    said = verdict(kept, story.researcher_bundle())
    assert said.startswith("It holds") and "The order was signed" in said
    assert "consents one by one" in verdict(kept, story.auditor_bundle())
    assert "You opened a kept copy" in kept.inner_text("main")
    assert kept.trouble == []


def test_as_served_it_runs_under_a_policy_that_lets_it_connect_nowhere(key_pages, chromium):
    page = chromium.new_page()
    trouble = []
    page.on("console", lambda said: trouble.append(said.text))
    answer = page.goto(f"{key_pages}/verify.html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "connect-src" not in answer.headers["content-security-policy"]
    with page.expect_download() as kept:
        page.get_by_role("link", name="Keep this page").click()
    assert kept.value.path().read_bytes() == answer.body()
    assert trouble == []
    refused = page.evaluate("fetch('/config.json').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_is_accessible_whatever_it_says(kept, story, width, scheme):
    kept.set_viewport_size({"width": width, "height": 844})
    kept.emulate_media(color_scheme=scheme)
    for data in (story.researcher_bundle(), b"{}"):
        verdict(kept, data)
        assert examine(kept) == []


def test_one_byte_changed_anywhere_does_not_hold(kept, story):
    data = story.researcher_bundle()
    places = random.Random(7).sample(range(len(data)), 120)
    places += range(data.rindex(b'"result":') + 9, len(data) - 1, 7)
    for at in places:
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        told = verdict(kept, changed)
        assert "It holds" not in told, (at, data[at - 30 : at + 10])
        assert told.startswith(("It does not hold", "This cannot be read", "The keys of this log", "This is no proof", "It is of another log")), told  # fmt: skip
    assert kept.trouble == []


def test_what_stands_beside_the_committed_bytes_does_not_hold(kept, story):
    """JSON readers take the last of two members of one name; what was committed to is the first."""
    data = story.researcher_bundle()
    assert "It holds" in verdict(kept, data)
    for more in (b',"answer":{"counts":[9]}', b',"zz":1'):
        for before in (b'},"v":1}', b',"v":2},"v":1}'):
            changed = data[: -len(before)] + more + before
            assert verdict(kept, changed).startswith("It does not hold"), changed[-80:]
    beside = b',"zz":' + data[data.rindex(b'"result":') + 9 : -7]
    assert verdict(kept, data[:-7] + beside + b',"v":1}').startswith("It does not hold")
    forged = {
        "v": 2,
        **story.result,
        "answer": {"counts": [9]},
    }  # a second result, read in its place
    again = b',"result":' + json.dumps(forged, separators=(",", ":")).encode() + b"}"
    assert verdict(kept, data[:-1] + again).startswith("It does not hold")


def test_a_bundle_of_another_log_is_named_as_one(kept, monkeypatch):
    same_name = Story(people=1)
    assert "The keys of this log did not sign it" in verdict(kept, same_name.researcher_bundle())
    monkeypatch.setattr(bundle_world, "ORIGIN", "elsewhere.test/log")
    other = Story(people=1)
    told = verdict(kept, other.researcher_bundle())
    assert told.startswith("It is of another log") and "elsewhere.test/log" in told
    kept.locator("summary").first.click()
    assert "It holds" in verdict(kept, other.trust.format(), "#own")  # believing that one's keys
    kept.reload()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"publisher": os.urandom(32)}, "is not signed by the compute service"),
        ({"payer": os.urandom(32)}, "is not signed by the marketplace service"),
        ({"order_seed": os.urandom(32)}, "not signed by a key of its researcher"),
        ({"cosigner": os.urandom(32)}, "not signed by a key of its researcher"),
        ({"paid": 1}, "1 was paid before the data was opened, the price is 700"),
        ({"code": "44" * 32}, "not of one question and one program"),
        ({"forged": "access.recorded"}, "a signature is wrong"),
        ({"judged_size": 1}, "in the wrong order"),
    ],
)
def test_what_never_was_true_does_not_hold_though_the_log_has_it(kept, change, told):
    story = Story(people=1, **change)
    kept.reload()  # with no proof chosen yet, other keys are taken in silence
    kept.set_input_files("#own", {"name": "t.json", "mimeType": "", "buffer": story.trust.format()})
    kept.get_by_text(story.trust.witness_policy.split()[1]).wait_for(state="attached")
    found = verdict(kept, story.researcher_bundle())
    assert found.startswith("It does not hold") and told in found
    kept.reload()


def test_other_files_are_told_from_proofs(kept, story):
    entry = json.dumps(story.carried([0])[0]).encode()
    assert "Entry 0 is in the log" in verdict(kept, entry)
    sealed = json.loads(json.dumps(story.carried(story.members[0]["indexes"])[0]))
    for name in ("entry", "salt"):
        sealed.pop(name)
    assert "sealed commitment" in verdict(kept, json.dumps(sealed).encode())
    data = story.researcher_bundle()
    assert "cut short" in verdict(kept, data[: len(data) // 2])
    assert "It is an answer alone" in verdict(kept, json.dumps(story.result).encode())
    assert "This is no proof" in verdict(kept, b"{}")
    assert kept.trouble == []


CHECK = """
const { parseEntryBytes } = await import("/js/entry.js");
const passkeys = { rp_id: "localhost", origins: ["http://localhost:8080"] };
try { await m.verifySignatures(parseEntryBytes(b.unb64(x)), passkeys); return "" } catch (e) { return e.message }
"""


def test_a_passkeys_signature_is_judged_as_the_ledger_judges_it(js):
    def judged(entry):
        return js("signatures", CHECK, b64(entry_bytes(entry)))

    for _ in range(8):  # r and s are of different lengths
        assert judged(passkey_owner(Passkey())) == ""
    good = passkey_owner(Passkey())
    moved = Entry(good.type, 1, good.payload_bytes + b" ", good.signatures)
    elsewhere = Passkey(origin="http://evil.example"), Passkey(rp_id="evil.example")
    for wrong in (moved, *map(passkey_owner, elsewhere)):
        assert judged(wrong) == "a signature is wrong"
    assert judged(Entry(good.type, 1, good.payload_bytes, ())) == "nobody signed it"


def test_a_module_written_another_way_is_refused():
    files = dict(build(trust_document()).files)
    files["/js/offline.js"] += b'\nimport * as all from "./bytes.js";\n'
    with pytest.raises(ValueError, match="not known here"):
        one_file(files, {})
