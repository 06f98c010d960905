"""An owner and a researcher at the real command line, over a running market."""

import json
import shutil

import pytest

from compute.crypt import encrypt_file, generate_keypair, read_header
from ledger import LedgerError, TrustPolicy, b64, unb64
from marketplace.client import demo_owners, vault
from marketplace.client import owner as owners
from marketplace.client.home import Home
from marketplace.client.session import LedgerView, Session
from marketplace.client.statements import new_id
from tests.compute.ingest.vcf_text import vcf
from tests.marketplace.client.conftest import snapshot

SITES = [("1", 700_100 + 50 * i, "A", "G", "0/1") for i in range(5)]


@pytest.fixture
def omic(market, capsys, monkeypatch):
    """Run `omic --json --home H ...`: (status, parsed answer or None, what it said of errors)."""
    from tests.marketplace.client.program import run_omic

    def run(home, *arguments):
        status, out, told = run_omic(monkeypatch, capsys, "--home", home, "--json", *arguments)
        return status, json.loads(out) if out else None, told

    return run


def done(answer):
    status, value, said = answer
    assert status == 0, said
    return value


def size(market):
    return LedgerView(TrustPolicy.load(market.layout.trust_file)).sync().size


@pytest.fixture
def owner(market, omic, tmp_path):
    """(home, dataset, offer) of somebody who registered a file of their own."""
    home, file = tmp_path / "ann", tmp_path / "my.vcf"
    file.write_bytes(vcf(*SITES))
    done(omic(home, "keygen", "--trust", market.layout.trust_file))
    dataset = done(omic(home, "register", file))["dataset"]
    # A disease of one's own, so that this person is in nobody else's scope.
    offer = done(
        omic(home, "offer", dataset, "--terms", "my_condition_free", "--disease", "MONDO:0005148")
    )["offer"]
    return home, dataset, offer


def test_an_owners_whole_life(owner, market, omic):
    home, dataset, offer = owner
    (grant,) = done(omic(home, "consent", "grant", offer))["grants"]
    (listed,) = done(omic(home, "consent", "list"))
    assert (listed["grant"], listed["state"]) == (grant, "live")

    def ingested():
        uses = done(omic(home, "activity"))
        return [u for u in uses if u["kind"] == "ingest" and u["datasets"] == [dataset]]

    market.until(ingested, what="the access entry of the ingest in `omic activity`")
    assert done(omic(home, "receipts"))["verified"] >= 4
    done(omic(home, "consent", "withdraw", grant))
    assert done(omic(home, "consent", "list"))[0]["state"] == "withdrawn"
    done(omic(home, "erase", dataset, "--yes"))
    assert done(omic(home, "list"))[0]["erased"] is True
    assert not (home / "keys" / "datasets" / f"{dataset}.pem").exists()
    status, report, _ = omic(home, "audit", "ledger")
    assert (status, report["verdict"]) == (0, "pass")
    assert omic(home, "consent", "withdraw", grant)[0] == 2


def test_the_same_content_twice_is_refused(owner, market, omic, tmp_path):
    home, dataset, _ = owner
    again = tmp_path / "renamed.vcf"
    again.write_bytes(vcf(*SITES))
    before, entries = snapshot(home), size(market)
    status, _, said = omic(home, "register", again)
    assert status == 2
    assert dataset in said
    assert "renamed.vcf" in said
    assert (snapshot(home), size(market)) == (before, entries)


@pytest.mark.parametrize("how", ["flipped", "cut", "of somebody else"])
def test_a_tampered_header_packet_is_refused_before_anything_is_granted(how, owner, market, omic):
    home, dataset, offer = owner
    path = home / "datasets" / f"{dataset}.json"
    record = json.loads(path.read_text())
    header = bytearray(unb64(record["header"]))
    if how == "flipped":
        header[-5] ^= 1
    elif how == "cut":
        header = header[:-20]
    else:
        header = read_header(encrypt_file(b"x", generate_keypair()[1]))
    path.write_text(json.dumps({**record, "header": b64(bytes(header))}))
    entries = size(market)
    status, _, said = omic(home, "consent", "grant", offer)
    assert status == 2, said
    assert said.startswith("omic:")
    assert "Traceback" not in said
    assert size(market) == entries
    assert [d["state"] for d in done(omic(home, "consent", "list"))] == []


@pytest.fixture
def researcher(market, omic, tmp_path):
    home = tmp_path / "bob"
    done(omic(home, "keygen", "--trust", market.layout.trust_file, "--role", "researcher"))
    done(omic(home, "join", "--organisation", "A University", "--accredited"))
    return home


def test_an_unknown_order_is_said_and_so_is_an_unknown_offer(researcher, omic):
    for command in (("order", "show"), ("order", "wait"), ("order", "result")):
        status, _, said = omic(researcher, *command, "f" * 32)
        assert status == 2
        assert said.startswith("omic:")
        assert "order" in said
    status, _, said = omic(researcher, "review", "approve", "f" * 32)
    assert status == 2
    status, _, said = omic(researcher, "consent", "grant", "f" * 32)
    assert (status, "omic offer" in said) == (2, True)


def test_a_custodian_registers_under_a_mandate_that_the_person_ends(market, omic, tmp_path):
    study, out, trust = tmp_path / "study", tmp_path / "split", market.layout.trust_file
    lines = vcf(*SITES).decode().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("#CHROM"))
    lines[at] = "\t".join([*lines[at].split("\t")[:9], "p1", "p2"])
    lines[at + 1 :] = [line + "\t1/1" for line in lines[at + 1 :]]
    (tmp_path / "s.vcf").write_text("\n".join(lines) + "\n")
    done(omic(study, "keygen", "--trust", trust))
    done(omic(study, "enrol"))
    told = done(omic(study, "custodian", "split", tmp_path / "s.vcf", "--out", out))
    assert told["participants"] == ["p1", "p2"]
    assert all(p.read_bytes().startswith(b"crypt4gh") for p in out.glob("*/*"))
    first, second = done(omic(study, "custodian", "register", out, "--code", "study-x"))
    assert not list(out.glob("*/*.c4gh")) and first["dataset"] != second["dataset"]
    person = out / "p1" / "home"
    (kept,) = done(omic(person, "mandate", "list"))
    assert (kept["kind"], kept["mandate"], kept["ended"]) == ("custodian", first["mandate"], None)
    # Consent is the person's alone, with the keys they were handed.
    disease = ("--terms", "my_condition_free", "--disease", "MONDO:0005148")
    offer = done(omic(person, "offer", first["dataset"], *disease))["offer"]
    assert done(omic(person, "consent", "grant", offer))["grants"]
    done(omic(person, "mandate", "end", kept["mandate"]))
    # Ended: neither our own bookkeeping nor the ledger lets the custodian act any more.
    again = encrypt_file(vcf(*SITES[:3]), Home(study).keys.encryption().public)
    (out / "p1" / "genotypes.c4gh").write_bytes(again)
    status, _, said = omic(study, "custodian", "register", out, "--code", "study-x")
    assert status == 2 and "has ended your mandate" in said
    document = person / "mandates" / f"{kept['mandate']}.json"
    document.write_text(json.dumps({**json.loads(document.read_text()), "ended": None}))
    status, _, said = omic(study, "custodian", "register", out, "--code", "study-x")
    assert status == 2 and "the signer is not a sign key of the owner" in said


def test_a_person_takes_over_and_the_custodians_copies_of_their_keys_count_no_more(
    market, omic, tmp_path
):
    study, out, copy = tmp_path / "study", tmp_path / "split", tmp_path / "copy"
    (tmp_path / "s.vcf").write_bytes(vcf(*SITES))
    done(omic(study, "keygen", "--trust", market.layout.trust_file))
    done(omic(study, "enrol"))
    done(omic(study, "custodian", "split", tmp_path / "s.vcf", "--out", out))
    (made,) = done(omic(study, "custodian", "register", out, "--code", "study-x"))
    (person,) = out.glob("*/home")
    vault.export(Home(person), "a passphrase the custodian chose")
    shutil.copytree(person, copy)
    terms = ("--terms", "my_condition_free", "--disease", "MONDO:0005148")
    offer = done(omic(person, "offer", made["dataset"], *terms))["offer"]
    (grant,) = done(omic(person, "consent", "grant", offer))["grants"]
    taken = done(omic(person, "mandate", "take-over", made["mandate"]))
    assert list(taken["datasets"]) == [made["dataset"]]
    (new,) = taken["datasets"].values()
    (kept,) = done(omic(person, "mandate", "list"))
    assert kept["ended"] == taken["index"]
    consents = {one["dataset"]: one for one in Home(person).documents("grants")}
    assert consents[made["dataset"]]["state"] == "replaced"
    assert consents[new]["state"] == "live" and consents[new]["grant"] != grant
    # The person goes on alone.
    done(omic(person, "consent", "withdraw", consents[new]["grant"]))
    again = done(omic(person, "offer", new, *terms))["offer"]
    assert done(omic(person, "consent", "grant", again))["grants"]
    assert not Home(person).keys.has(vault.VAULT)
    # What the custodian kept signs nothing any more: not as the person, not for the dataset.
    status, _, said = omic(copy, "account", "rotate")
    assert status == 2 and "the party has no such key" in said, said
    status, _, said = omic(copy, "account", "key", tmp_path / "recovery.json")
    assert status == 2 and "not a sign key" in said, said
    owner = owners.Owner(Session.open(Home(copy)))
    owner.session.view.sync()
    record = Home(copy).read(f"datasets/{made['dataset']}.json")
    forged = owner.grant(record, new_id(), demo_owners.demo_terms(), {})
    with pytest.raises(LedgerError, match="erased or replaced"):
        owner.session.ledger.append([forged])
    assert done(omic(person, "mandate", "take-over", made["mandate"]))["datasets"] == {}


def test_a_researcher_sees_what_names_stand_for_before_paying(market, omic, tmp_path):
    loci = market.layout.root / "reference" / "loci"
    loci.mkdir(parents=True, exist_ok=True)
    (loci / "genes.tsv").write_text(
        "##build=GRCh37\nname\tkind\tchrom\tstart\tend\tref\talt\n"
        "GNB1\tgene\t1\t1716725\t1822526\t.\t.\nrs7\trsid\t1\t100\t100\tA\tG\n"
    )
    home = tmp_path / "rita"
    done(omic(home, "keygen", "--trust", market.layout.trust_file, "--role", "researcher"))
    done(omic(home, "join", "--organisation", "Institute"))
    (item,) = [one for one in done(omic(home, "references")) if one["kind"] == "loci"]
    assert item["name"] == "genes.tsv" and len(item["sha256"]) == 64
    told = done(omic(home, "resolve", "GNB1", "rs7", "rs8", "2-5-A-C"))
    assert told["regions"] == ["1:1716725-1822526"]
    assert told["variants"] == ["1-100-A-G", "2-5-A-C"]
    assert [bool(one["problem"]) for one in told["names"]] == [False, False, True, False]
    (loci / "new.tsv").write_text(
        "##build=GRCh38\nname\tkind\tchrom\tstart\tend\tref\talt\nrs7\trsid\t1\t1100\t1100\tG\tA\n"
    )
    (loci.parent / "chains").mkdir()
    (loci.parent / "chains" / "up.chain").write_text(
        "chain 1 chr1 249250621 + 0 500 chr1 248956422 + 1000 1500 1\n500\n\n"
    )
    (chain,) = [one["sha256"] for one in done(omic(home, "references")) if one["kind"] == "chains"]
    told = done(omic(home, "resolve", "rs7", "1-200-A-C", "2-5-A-C", "--chain", chain))
    assert [(one["asked"], one["variant"], one["checked"]) for one in told["lifted"]] == [
        ("1-100-A-G", None, False), ("1-200-A-C", "1-1200-A-C", False), ("2-5-A-C", None, False),
    ]  # fmt: skip
    assert "swapped" in told["lifted"][0]["problem"] and "no chain" in told["lifted"][2]["problem"]
    status, _, said = omic(home, "resolve", "rs7", "--build", "hg19")
    assert status == 2 and "GRCh37" in said
