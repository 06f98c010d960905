"""A backup from before a withdrawal and an erasure is put back, of every process that keeps data.

A stale ledger does not serve at all. The others replay what the ledger has had since before they
hand out anything, and then nothing of the erased person lies in any file any more.
"""

import shutil
import sqlite3

import httpx
import pytest

from marketplace.embedded import SetupError
from tests.e2e.test_cli import done, omic  # noqa: F401  (a fixture)
from tests.e2e.test_cli_rights import canaries, hits, person  # noqa: F401  (a fixture)

KEEPERS = ("ledger", "marketplace", "compute")


class Backups:
    """Copies of the processes' directories, beside the market."""

    def __init__(self, market, folder):
        self.root, self.folder = market.layout.root, folder

    def take(self, name):
        for keeper in KEEPERS:
            shutil.copytree(self.root / keeper, self.folder / name / keeper)

    def put_back(self, name, *keepers):
        for keeper in keepers:
            shutil.rmtree(self.root / keeper)
            shutil.copytree(self.folder / name / keeper, self.root / keeper)


def copies(market, grant):
    """How many derived copies of a grant compute holds keys for."""
    path = market.layout.directory("compute") / "store.sqlite"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("SELECT count(*) FROM copy WHERE grant_id=?", (grant,)).fetchone()[0]


def served(market, dataset):
    """What the marketplace answers a worker that asks for somebody's ciphertext."""
    token = (market.layout.directory("compute") / "worker.token").read_text().strip()
    url = f"{market.layout.url('marketplace')}/worker/v1/datasets/{dataset}/file"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code


def first_answer(market, dataset):
    """What is answered once the ledger can be checked."""
    return market.until(
        lambda: (status := served(market, dataset)) != 503 and status, what="a checked ledger"
    )


def test_stale_backups_forget_what_was_erased_before_they_serve(person, omic, market, tmp_path):  # noqa: F811
    ann, bob = person("ann"), person("bob")
    grants = {ann: ann.consent(), bob: bob.consent()}
    for one, grant in grants.items():
        market.until(lambda grant=grant: copies(market, grant), what=f"the ingest of {one.home}")
    needles, backups = canaries(ann), Backups(market, tmp_path / "backups")
    assert (served(market, ann.dataset), served(market, bob.dataset)) == (200, 200)
    market.stop()
    backups.take("stale")
    market.start()
    ann.do("erase", ann.dataset, "--yes")
    bob.do("consent", "withdraw", grants[bob])
    certificate = tmp_path / "certificate.json"
    ann.do("certificate", "make", ann.dataset, "--out", certificate)
    gone = lambda: not hits(market.layout.root, needles)  # noqa: E731
    market.until(gone, what="the erasure")
    market.until(lambda: not copies(market, grants[bob]), what="the withdrawal")
    market.stop()
    backups.take("newest")

    backups.put_back("stale", *KEEPERS)
    assert hits(market.layout.root, needles)
    assert copies(market, grants[bob]) == 1
    with pytest.raises(SetupError, match="this store is behind: witness"):
        market.start()

    backups.put_back("newest", "ledger")
    assert hits(market.layout.root, needles)
    market.start()
    # Whatever the background has done by now, her file is not handed out again; nobody's is (503)
    # while the marketplace cannot check the ledger yet.
    assert first_answer(market, ann.dataset) == 404
    assert first_answer(market, bob.dataset) == 200
    market.until(gone, what=f"nothing left of {hits(market.layout.root, needles)}")
    market.until(lambda: not copies(market, grants[bob]), what="the withdrawal, replayed")
    outsider = tmp_path / "outsider"
    done(omic(outsider, "keygen", "--trust", market.layout.trust_file))
    checked = done(omic(outsider, "certificate", "check", certificate))
    assert (checked["ok"], checked["ciphertext"]) == (True, "erased")
