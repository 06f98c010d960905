"""People's rights at the real command line, over a running market."""

import base64
import csv
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from compute import Purpose, Scope, preset
from compute.crypt import generate_keypair, write_key_files
from marketplace.client.researcher import Request
from tests.compute.ingest.vcf_text import vcf
from tests.e2e.test_cli import done, omic  # noqa: F401  (a fixture)

SITES = [("1", 700_100 + 50 * i, "A", "G", "0/1") for i in range(5)]
CRYPT4GH = Path(sys.executable).parent / "crypt4gh"


class Person:
    """Somebody with a home, one registered file and terms of their own condition."""

    def __init__(self, omic, home, market, file, disease="MONDO:0005148", acting=False):  # noqa: F811
        self.run = lambda *arguments: omic(home, *arguments)
        self.home = home
        done(self.run("keygen", "--trust", market.layout.trust_file))
        self.dataset = done(self.run("register", file))["dataset"]
        self.disease = disease

    def do(self, *arguments):
        return done(self.run(*arguments))

    def consent(self, *more):
        offer = self.do("offer", self.dataset, "--terms", "my_condition_free", "--disease",
                        self.disease, *more)["offer"]  # fmt: skip
        return self.do("consent", "grant", offer)["grants"][0]

    def state_of(self, grant):
        return {one["grant"]: one["state"] for one in self.do("consent", "list")}[grant]


@pytest.fixture
def person(omic, market, tmp_path):  # noqa: F811
    """Make people by name, each with a file of their own."""
    made = []

    def make(name, **more):
        file = tmp_path / f"{name}.vcf"
        shift = 10_000 * (len(made) + 1)
        file.write_bytes(vcf(*[(c, p + shift, r, a, g) for c, p, r, a, g in SITES]))
        made.append(name)
        return Person(omic, tmp_path / name, market, file, **more)

    return make


def test_pause_resume_object_and_lift(person):
    ann = person("ann")
    grant = ann.consent()
    ann.do("consent", "pause", grant)
    assert ann.state_of(grant) == "paused"
    ann.do("consent", "resume", grant)
    ann.do("consent", "object")
    assert ann.state_of(grant) == "withdrawn"
    status, _, said = ann.run("consent", "grant", ann.do("offer", ann.dataset)["offer"])
    assert (status, "objects to every use" in said) == (2, True)
    ann.do("consent", "lift")
    assert ann.state_of(ann.consent()) == "live"


def decrypted(file, secret):
    """What the ordinary crypt4gh tool makes of a file."""
    command = [str(CRYPT4GH), "decrypt", "--sk", str(secret)]
    done_ = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=False)
    assert done_.returncode == 0, done_.stderr
    return done_.stdout


def test_a_health_passport_opens_with_the_ordinary_tool_until_it_is_stopped(person, omic, tmp_path):  # noqa: F811
    ann = person("ann")
    plain = (tmp_path / "ann.vcf").read_bytes()
    key, _ = generate_keypair()
    secret, public = tmp_path / "doctor.sec", tmp_path / "doctor.pub"
    write_key_files(secret, public, key)
    whole = ann.do("passport", "share", ann.dataset, "--key", public, "--until", "2099-01-01")
    part = ann.do("passport", "share", ann.dataset, "--key", public, "--part", "1:710100-710160")
    files = tmp_path / "whole.c4gh", tmp_path / "part.c4gh"
    for shared, out in zip((whole, part), files, strict=True):
        done(omic(tmp_path / "nobody", "passport", "fetch", shared["link"], "--out", out))
    assert decrypted(files[0], secret) == plain
    cut = decrypted(files[1], secret).decode().splitlines()
    assert [line.split("\t")[1] for line in cut if not line.startswith("#")] == ["710100", "710150"]
    assert b"710300" not in files[1].read_bytes()
    listed = {one["share"]: one for one in ann.do("passport", "list")}
    assert (listed[whole["share"]]["status"], listed[whole["share"]]["fetches"]) == ("open", 1)
    assert "link" not in listed[whole["share"]]
    ann.do("passport", "stop", whole["share"])
    status, _, said = omic(
        tmp_path / "nobody", "passport", "fetch", whole["link"], "--out", tmp_path / "again.c4gh"
    )
    assert (status, "stopped this share" in said) == (2, True)
    wrong = part["link"].split("#")[0] + "#guess"
    assert omic(tmp_path / "nobody", "passport", "fetch", wrong, "--out", tmp_path / "x")[0] == 2


def test_a_corrected_file_takes_the_place_of_a_wrong_one_under_the_same_consent(person, tmp_path):
    ann = person("ann")
    grant = ann.consent()
    better = tmp_path / "better.vcf"
    better.write_bytes(vcf(*[(c, p + 99_000, r, a, g) for c, p, r, a, g in SITES]))
    made = ann.do("replace", ann.dataset, better)
    assert ann.state_of(grant) == "replaced"
    assert ann.state_of(made["grants"][0]) == "live"
    assert ann.run("offer", ann.dataset)[0] == 2


def test_a_guardians_consent_says_so_and_ends_with_the_mandate(person, omic, tmp_path, market):  # noqa: F811
    parent = tmp_path / "parent"
    done(omic(parent, "keygen", "--trust", market.layout.trust_file))
    done(omic(parent, "enrol"))
    child = person("child")
    child.do("mandate", "give", parent, "--kind", "guardian", "--until", "2035-01-01")
    offer = child.do("offer", child.dataset, "--terms", "my_condition_free", "--disease",
                     "MONDO:0005148")["offer"]  # fmt: skip
    status, _, said = child.run("consent", "grant", offer)
    assert (status, "must end by then" in said) == (2, True)
    grant = child.consent("--until", "2034-01-01")
    (listed,) = [one for one in child.do("consent", "list") if one["grant"] == grant]
    assert listed["given_by"] == "guardian"
    assert listed["valid_until"] == 2_019_686_400_000  # 2034-01-01
    assert "Your guardian consented" in [event["text"] for event in child.do("activity")]
    exported = child.do("consent", "export", grant, "--form", "fhir-r5")
    assert exported["provision"][0]["period"]["end"].startswith("2034")
    (mandate,) = child.do("mandate", "list")
    # Ended early, by its owner: the consent ends with it, and the child is told.
    ended = child.do("mandate", "end", mandate["mandate"])
    assert ended["grants"] == [grant]
    assert child.state_of(grant) == "withdrawn"
    told = lambda: [one for one in child.do("notices") if one["kind"] == "mandate.ended"]  # noqa: E731
    market.until(told, what="the notice")
    assert "Nothing is used for that any more" in told()[0]["text"]
    # Of age, the child may consent; nobody else for them.
    assert child.state_of(child.consent()) == "live"
    (own,) = [one for one in child.do("consent", "list") if one["state"] == "live"]
    assert own["given_by"] == "you"


def test_a_deputy_acts_by_power_of_attorney_until_its_end(person, omic, tmp_path, market):  # noqa: F811
    deputy, other = tmp_path / "deputy", tmp_path / "other"
    for home in (deputy, other):
        done(omic(home, "keygen", "--trust", market.layout.trust_file))
        done(omic(home, "enrol"))
    ann = person("ann")
    own = ann.consent()
    until = f"{time.gmtime().tm_year + 1}-01-01"
    ann.do("mandate", "give", deputy, "--kind", "deputy", "--until", until)
    ann.do("consent", "withdraw", own)  # any stop, by the deputy's hand
    given = ann.consent("--until", until)
    assert {one["grant"]: one["given_by"] for one in ann.do("consent", "list")} == {
        own: "you", given: "deputy",
    }  # fmt: skip
    told = [event["text"] for event in ann.do("activity")]
    assert "You consented" in told
    assert "Your deputy withdrew a consent" in told
    assert "Your deputy consented" in told
    # Somebody else's keys under the same mandate are refused by the ledger itself.
    acting = ann.home / "acting.json"
    value = json.loads(acting.read_text())
    acting.write_text(json.dumps({**value, "home": str(other)}))
    status, _, said = ann.run("consent", "withdraw", given)
    assert (status, "the signer is not" in said) == (2, True)
    acting.write_text(json.dumps(value))
    (mandate,) = ann.do("mandate", "list")
    ann.do("mandate", "end", mandate["mandate"])
    assert ann.state_of(given) == "withdrawn"
    # Ended: even with the old bookkeeping put back, the deputy's hand counts no more.
    acting.write_text(json.dumps(value))
    status, _, said = ann.run("offer", ann.dataset, "--terms", "my_condition_free", "--disease",
                              ann.disease)  # fmt: skip
    assert (status, "the signer is not" in said) == (2, True)
    acting.unlink()
    assert ann.state_of(ann.consent()) == "live"


def test_an_opt_out_list_goes_out_and_comes_back(person, tmp_path):
    people = {"9000543664": person("ann"), "9000956406": person("bob")}
    grants = {number: one.consent() for number, one in people.items()}
    table = tmp_path / "people.csv"
    table.write_text("".join(f"{number},{one.home.name}\n" for number, one in people.items()))
    ann, bob = people.values()
    sent, back = tmp_path / "sent.dat", tmp_path / "back.dat"
    ann.do("objections", "write", table, "--out", sent)
    assert sent.read_bytes() == b"9000543664,\n9000956406,\n"
    back.write_bytes(b"9000543664,\n")
    assert ann.do("objections", "import", table, back)["raised"] == ["bob"]
    assert (ann.state_of(grants["9000543664"]), bob.state_of(grants["9000956406"])) == (
        "live", "withdrawn",
    )  # fmt: skip
    assert ann.do("objections", "import", table, back)["unchanged"] == 2
    assert ann.do("objections", "import", table, sent)["lifted"] == ["bob"]
    back.write_bytes(b"9000543664,\n90009564")
    assert ann.run("objections", "import", table, back)[0] == 2


def test_everything_about_me_goes_home_and_shows_when_it_was_changed(person, tmp_path, market):
    ann = person("ann")
    grant = ann.consent()
    market.until(lambda: any(e["kind"] == "ingest" for e in ann.do("activity")), what="the ingest")
    out = tmp_path / "mine.zip"
    ann.do("takeout", out)
    ann.do("takeout", out, "--check")
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        mine = next(name for name in names if name.startswith("data/") and name.endswith(".vcf"))
        assert archive.read(mine) == (tmp_path / "ann.vcf").read_bytes()
        held = json.loads(archive.read("marketplace/everything.json"))["tables"]
        assert [row["dataset"] for row in held["datasets"]] == [ann.dataset]
        rows = list(csv.DictReader(archive.read("activity.csv").decode().splitlines()))
        everything = json.loads(archive.read("activity.json"))
        assert [row["index"] for row in rows] == [str(event["index"]) for event in everything]
        assert f"consents/{grant}.fhir-r4.json" in names
        assert not any("keys" in name for name in names)
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data + b" " if name == "activity.csv" else data)
    status, _, said = ann.run("takeout", changed, "--check")
    assert (status, "activity.csv was changed" in said) == (2, True)


def canaries(person):
    """Bytes only this person's data, keys and statements hold."""
    found = {}
    for document in person.home.glob("grants/*.json"):
        found["activity key"] = json.loads(document.read_text())["activity_key"]
    for path in sorted(person.home.glob("entries/*.json")):
        document = json.loads(path.read_text())
        if person.dataset.encode() in base64.b64decode(document["entry"]):
            found[f"salt {path.name}"] = document["salt"]
    record = json.loads((person.home / f"datasets/{person.dataset}.json").read_text())
    found["ciphertext digest"] = record["ciphertext"]["sha256"]
    found["header"] = record["header"]
    return found


def hits(root, needles):
    """Where a needle lies in any file of the market: databases, WAL, free pages, broker, logs."""
    found = []
    for path in root.rglob("*"):
        if not path.is_file() or "people" in path.parts:
            continue
        data = path.read_bytes()
        for name, text in needles.items():
            raw = bytes.fromhex(text) if name == "ciphertext digest" else base64.b64decode(text)
            if raw in data or text.encode() in data:
                found.append((path.name, name))
    return found


def test_an_erasure_leaves_nothing_and_anybody_can_check_it(person, omic, market, tmp_path):  # noqa: F811
    ann = person("ann")
    ann.consent()
    market.until(lambda: any(e["kind"] == "ingest" for e in ann.do("activity")), what="the ingest")
    needles = canaries(ann)
    assert hits(market.layout.root, needles)
    ann.do("erase", ann.dataset, "--yes")
    certificate = tmp_path / "certificate.json"
    ann.do("certificate", "make", ann.dataset, "--out", certificate)
    outsider = tmp_path / "outsider"
    done(omic(outsider, "keygen", "--trust", market.layout.trust_file))

    def gone():
        return not hits(market.layout.root, needles)

    market.until(gone, what=f"nothing left of {hits(market.layout.root, needles)}")
    checked = done(omic(outsider, "certificate", "check", certificate))
    assert (checked["ok"], checked["ciphertext"]) == (True, "erased")
    forged = json.loads(certificate.read_text())
    forged["index"] += 1
    forged["leaf"] = forged["leaf"][:-4] + "AAA="
    certificate.write_text(json.dumps(forged))
    assert omic(outsider, "certificate", "check", certificate)[0] == 2


def test_the_record_of_processing_and_the_breach_scope(person, market):
    ann = person("ann")
    grant = ann.consent()
    record = ann.do("records")
    assert record["undescribed"] == []
    assert record["regions_of_compute"] == ["local"]
    token = market.layout.directory("auditor") / "ledger.token"
    key = json.loads(next(ann.home.glob("entries/*.json")).read_text())
    assert key
    found = ann.do("breach", "--token-file", token, "--dataset", ann.dataset)
    assert found["grants"] == [grant]
    assert found["people"] == [json.loads((ann.home / "identity.json").read_text())["party"]]


def asking_terms(path, **changes):
    """Terms on asthma alone, so that nobody else on this market is in scope."""
    whole = preset("everything_at_a_price", valid_from=0, price=0, release_mode="trusted").to_dict()
    value = {**whole, "permissions": ["DUO:0000007"], "diseases": ["MONDO:0004979"], **changes}
    path.write_text(json.dumps(value))
    return path


def test_an_order_waits_for_its_owner_and_a_rule_says_yes(person, market, tmp_path):
    asks = [{"id": "DUO:0000020", "parameters": {"investigators": ["somebody"]}}]
    ann = person("ann")
    offer = ann.do("offer", ann.dataset, "--terms",
                   asking_terms(tmp_path / "asks.json", modifiers=asks))["offer"]  # fmt: skip
    ann.do("consent", "grant", offer)
    request = Request(
        Purpose(primary="DS", diseases=("MONDO:0004979",), commercial=False, sponsor="a college"),
        {"v": 1, "family": "genotype_counts", "build": "GRCh37",
         "params": {"variants": {"panel": "all"}}},
        Scope(modalities=("genotypes",), build="GRCh37", facets={}, region="local"),
        {"mode": "trusted", "rho": "0"},
    )  # fmt: skip
    market.until(lambda: any(e["kind"] == "ingest" for e in ann.do("activity")), what="the ingest")
    order = market.place(request)
    market.pay(order)
    market.until_state(order, "needs_owners")
    (waits,) = ann.do("approvals", "list")
    assert (waits["order"], waits["attested"]["sector"]) == (order, "academic")
    assert waits["reasons"] == [
        "only together with people the owner names: the owner must confirm it"
    ]
    (notice,) = ann.do("notices")
    assert (notice["kind"], notice["about"]) == ("approval", order)
    assert ann.do("approvals", "auto") == {}
    ann.do("rules", "add", "asthma research", "--terms", asking_terms(tmp_path / "rule.json"))
    assert [rule["name"] for rule in ann.do("rules", "list")] == ["asthma research"]
    given = ann.do("approvals", "auto")
    assert list(given) == [order]
    assert ann.do("approvals", "list") == []
    # One person passes no floor: the worker refuses, and the money goes back.
    assert market.until_state(order, "refunded", seconds=120) == "refunded"
    assert any(event["kind"] == "refusal" for event in ann.do("activity"))
