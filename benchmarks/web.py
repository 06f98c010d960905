"""The web app's figures: encryption in a browser, server time of pages, many users at once.

python -m benchmarks.web --json FILE [--quick]

Pages are served by the real application over a synthetic market: DATASETS people with a dataset and
a consent each, and a log of ENTRIES leaves with its whole tree, so that checkpoints, receipts and
proofs are real. Users are asyncio clients on the same two cores (they cost time too).
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import time
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx

from benchmarks.harness import Figure, machine, report
from compute.crypt import encrypt_file, generate_keypair
from ledger import Checkpoint, LogProof, format_leaf, format_proof, leaf_hash, node_hash
from ledger.checkpoint import format_checkpoint
from ledger.leaf import Leaf
from ledger.note import Note, format_note, sign_note
from marketplace.keyorigin import build
from marketplace.keyorigin.server import make_app
from marketplace.view import LedgerView
from tests.served import served

START = 1_700_000_000_000
FILES = 300  # that one owner holds beside: their page must stay light too
USERS, THINK_SECONDS, LOAD_SECONDS = 200, 2.0, 30.0
PUBLIC = ("/", "/how-it-works", "/catalogue", "/jobs", "/ledger", "/status", "/glossary", "/signin")
MORE = ("/docs/api", "/tour/4")
STYLES = "/assets/omic.css"
OWNERS = ("/me", "/me/uses", "/me/statement")
RESEARCHERS = ("/research", "/dry-run", "/catalogue?use=HMB&kind=genotypes")
ENCRYPT = """
async ({ size, native, workers }) => {
  const { Encryptor } = await import('/js/upload.js');
  const [b, c] = await Promise.all(['/js/bytes.js', '/js/crypt4gh.js'].map((n) => import(n)));
  const plain = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(plain.subarray(at, Math.min(size, at + 65536)));
  const file = new File([plain], 'x');
  const key = b.random(32);
  const header = c.makeHeader(key, c.publicOf(b.random(32)));
  const encryptor = new Encryptor();
  await encryptor.call({ do: 'start', file, dataKey: key, header, partSize: 4 << 20, allowNative: native, workers });
  const began = performance.now();
  for (;;) if ((await encryptor.call({ do: 'part' })).done) break;
  encryptor.end();
  return size / 1e6 / ((performance.now() - began) / 1000);
}
"""  # noqa: E501

# All that a page took to load, as sent: itself, styles, scripts, pictures.
WEIGHT = """
() => ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)
"""

BARE = """
async (size) => {
  const { chacha20poly1305 } = await import('/vendor/noble.js');
  const [key, nonce, block] = [new Uint8Array(32), new Uint8Array(12), new Uint8Array(65536)];
  const began = performance.now();
  for (let at = 0; at < size; at += 65536) chacha20poly1305(key, nonce).encrypt(block);
  return size / 1e6 / ((performance.now() - began) / 1000);
}
"""


class BigLog:
    """The public side of a log with many personal leaves; every level of its tree is kept."""

    def __init__(self, small, size: int) -> None:
        self.small = small
        plain = [
            format_leaf(Leaf("consent.granted", 1, START + i, os.urandom(32), about=os.urandom(16)))
            for i in range(size)
        ]
        self.leaves = plain
        self.levels = [[leaf_hash(leaf) for leaf in plain]]
        while len(self.levels[-1]) > 1:
            level = self.levels[-1]
            above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            self.levels.append([*above, *([level[-1]] if len(level) % 2 else [])])

    def checkpoint(self) -> str:
        root = self.levels[-1][0]
        text = format_checkpoint(Checkpoint(self.small.signer.vkey.name, len(self.leaves), root))
        note = sign_note(text, [self.small.signer])
        at = self.small.clock() // 1000
        signed = [witness.cosign(note.text, at) for witness in self.small.witnesses]
        return format_note(Note(note.text, (*note.signatures, *signed))).decode()

    def entries(self, start: int, end: int) -> list[bytes]:
        return self.leaves[start:end]

    def receipt(self, index: int) -> str:
        path, at = [], index
        for level in self.levels[:-1]:
            other = at ^ 1
            if other < len(level):
                path.append(level[other])
            at //= 2
        return format_proof(LogProof(index, tuple(path), self.checkpoint().encode())).decode()


def big_market(path: Path, datasets: int, entries: int):
    """Return a market whose state holds many people, and one owner signed in to it."""
    from marketplace.web.ports import EXTENSION
    from tests.marketplace.web.web_world import lively

    world, who = lively(path)
    state = world.follower.state  # what the pages' copies are made of
    template = state.datasets[who["owner"].dataset]
    for _ in range(datasets):
        _one_more(state, template)
    for _ in range(FILES):
        _one_more(state, template, template.owner)
    state.derived.clear()  # the index of consents was over the few of before
    object.__setattr__(world.services, "view", LedgerView(world.follower, world.clock))
    seen = world.services.view.refresh().state
    assert len(seen.datasets) > datasets + FILES, "the pages do not see the big market"
    pages = world.app.extensions[EXTENSION]
    world.app.extensions[EXTENSION] = replace(pages, ledger=BigLog(world.reader, entries))
    return world, who


def _one_more(state, template, of=None) -> None:
    """Add a dataset with a consent, of somebody new or one more of an owner."""
    dataset, owner, grant = (os.urandom(16).hex() for _ in range(3))
    owner = of or owner
    mine = replace(template.standing, id=grant, owner=owner, dataset=dataset)
    made = replace(
        template, id=dataset, owner=owner, participant=os.urandom(16).hex(), standing=mine
    )
    state.datasets[dataset], state.grants[grant] = made, mine
    known = state.parties[template.owner]
    held = [*known.datasets, dataset] if of else [dataset]
    state.parties[owner] = replace(known, id=owner, datasets=held)


@contextmanager
def serving(app):
    """Serve from this process for the block's length; yields the address."""
    with served(app, threads=8, connection_limit=500) as port:
        yield f"http://127.0.0.1:{port}"


def browser_figures(megabytes: int) -> list[Figure]:
    from playwright.sync_api import sync_playwright

    from tests.marketplace.keyorigin.conftest import trust_document

    plain = os.urandom(megabytes * 1_000_000)
    limit = megabytes / _bare_encryption(plain)
    with served(make_app(build(trust_document()))) as port, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(f"http://localhost:{port}/#/verify", wait_until="load")
        page.wait_for_selector("main h1")
        weight = page.evaluate(WEIGHT)
        bare = page.evaluate(BARE, 20_000_000)
        rates = {
            workers: statistics.median(
                page.evaluate(ENCRYPT, {"size": len(plain), "native": True, "workers": workers})
                for _ in range(3)
            )
            for workers in (1, 2)
        }
        browser.close()
    name = "encrypt a file as Crypt4GH in a browser"
    both = "OpenSSL (cryptography) and SHA-256, one thread"
    return [
        Figure(f"{name}, 2 workers", rates[2], "MB/s", 50, True, limit, both,
               f"the cipher alone, one thread: {bare:.0f} MB/s"),
        Figure(f"{name}, 1 worker", rates[1], "MB/s", None, True, bare,
               "ChaCha20-Poly1305 of @noble alone, one thread"),
        Figure("the key pages as sent, with scripts and styles", weight / 1000, "KB", 300, False),
    ]  # fmt: skip


def journey_figures(megabytes: int) -> list[Figure]:
    """A new owner, from the landing page to a granted consent, on a whole market of processes."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.stack import Stack
    from tests.e2e.test_browser_owner import Person, a_vcf

    line = len(a_vcf(lines=1001)) - len(a_vcf(lines=1000))
    data = a_vcf(lines=megabytes * 1_000_000 // line)
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        market = Stack(Path(folder))
        market.start()
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            person, abroad = Person(browser, market), []
            person.page.on("request", lambda asked: abroad.extend(_elsewhere(asked.url)))
            began = time.perf_counter()
            person.page.goto(market.layout.url("marketplace"))
            person.click("Share my data", "link")
            person.enrol()
            person.share("me.vcf", data)
            grant = person.consent()
            seconds, clicks = time.perf_counter() - began, person.clicks
            person.withdraw(grant)
        finally:
            browser.close()
            market.stop()
    size = f"{len(data) / 1e6:.1f} MB"
    return [
        Figure(f"landing page to granted consent, {size}", seconds, "s", 120, False,
               _bare_encryption(data), "OpenSSL and SHA-256 over the same bytes, one thread",
               note="every click at once: what the machine takes, not the person"),
        Figure("clicks of it", clicks, "clicks", 8, False),
        Figure("clicks of a withdrawal, from my data", person.clicks, "clicks", 2, False),
        Figure("requests of that journey to another machine", len(abroad), "requests", 0, False,
               note=", ".join(sorted(set(abroad)))),
    ]  # fmt: skip


def _bare_encryption(data: bytes) -> float:
    """Return the seconds one thread needs to encrypt and hash these bytes outside a browser."""
    _, public = generate_keypair()
    began = time.perf_counter()
    encrypt_file(data, public)
    sha256(data).digest()
    return time.perf_counter() - began


def _elsewhere(url: str, own: tuple[str, ...] = ("localhost", "127.0.0.1")) -> list[str]:
    """Return a request's host where it is none of ours; data: and blob: stay in the browser."""
    parts = urlsplit(url)
    local = parts.scheme in ("data", "blob", "about") or parts.hostname in own
    return [] if local else [str(parts.hostname)]


def external_figures(world, who) -> list[Figure]:
    """What pages in a real browser ask of any other origin: scripts, fonts, pictures, all of it."""
    from playwright.sync_api import sync_playwright

    with serving(world.app) as base:
        asked: list[str] = []
        weights: dict[str, int] = {}
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for role, paths in (("owner", OWNERS), ("researcher", RESEARCHERS)):
                page = browser.new_context().new_page()
                page.on("request", lambda request: asked.append(request.url))
                page.goto(f"{base}/signin#{world.link(who[role])}")
                page.wait_for_url(lambda url: "signin" not in url)
                for path in (*PUBLIC[:-1], *MORE, *paths):
                    page.goto(base + path, wait_until="load")
                    weights[path] = page.evaluate(WEIGHT)
            browser.close()
    others = [url for url in asked if not url.startswith((f"{base}/", "data:", "blob:"))]
    heaviest = max(weights, key=lambda path: weights[path])
    return [
        Figure("heaviest page as sent, with scripts and styles", weights[heaviest] / 1000, "KB",
               300, False, note=heaviest),
        Figure("requests of pages to another origin", len(others), "requests", 0, False,
               note=f"{len(asked)} requests in a browser; {sorted(set(others))[:3]}"),
    ]  # fmt: skip


def page_figures(world, who, rounds: int) -> list[Figure]:
    """Server time of every page, one after another: what a page costs without a queue."""
    anybody, owner = world.browser(), world.browser(who["owner"])
    researcher = world.browser(who["researcher"])
    size = len(world.app.extensions["omic-pages"].ledger.leaves)
    asked = [(anybody, path) for path in (*PUBLIC, *MORE)]
    asked += [(anybody, f"/ledger/{random.randrange(size)}") for _ in range(4)]
    asked += [(owner, "/me"), (researcher, "/research"), (researcher, "/dry-run")]
    asked += [(owner, "/me/uses"), (owner, "/me/statement")]
    asked += [(researcher, "/dry-run?family=linear_association")]
    asked += [(researcher, f"/catalogue?use={code}&kind=genotypes") for code in ("HMB", "POA")]
    asked += [(researcher, f"/orders/{order}") for order in who["orders"].values()]
    seconds, first, bare = [], [], []
    sizes: dict[str, int] = {}
    for turn in range(rounds):
        for client, path in asked:
            began = time.perf_counter()
            answer = client.get(path)
            (first if turn == 0 else seconds).append(time.perf_counter() - began)
            assert answer.status_code == 200, (path, answer.status_code)
            sizes[path] = max(len(answer.data), sizes.get(path, 0))
            began = time.perf_counter()
            client.get(STYLES)
            bare.append(time.perf_counter() - began)
    quantile = statistics.quantiles(seconds, n=100)[94] * 1000
    slowest = max(first) * 1000
    return [
        Figure("server time of a page, p95", quantile, "ms", 150, False,
               statistics.quantiles(bare, n=100)[94] * 1000,
               "the stylesheet through the same application, p95"),
        Figure("slowest page when asked for the first time", slowest, "ms", None, False,
               note="catalogue counts are computed once a ledger size"),
        Figure("largest page", max(sizes.values()) / 1000, "KB", 300, False,
               note=max(sizes, key=lambda path: sizes[path])),
    ]  # fmt: skip


async def _user(client, end, took, wrong) -> None:
    while time.perf_counter() < end:
        await asyncio.sleep(random.uniform(0, 2 * THINK_SECONDS))
        began = time.perf_counter()
        try:
            answer = await client.get(random.choice(PUBLIC))
            if answer.status_code != 200:
                wrong.append(answer.status_code)
        except httpx.HTTPError as error:
            wrong.append(type(error).__name__)
        took.append(time.perf_counter() - began)


async def _load(base: str, users: int, seconds: float):
    took: list[float] = []
    wrong: list[object] = []
    limits = httpx.Limits(max_connections=users, max_keepalive_connections=users)
    async with httpx.AsyncClient(base_url=base, timeout=30, limits=limits) as client:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(_user(client, end, took, wrong) for _ in range(users)))
    return took, wrong


def load_figures(world, users: int, seconds: float) -> list[Figure]:
    with serving(world.app) as base:
        took, wrong = asyncio.run(_load(base, users, seconds))
    note = f"{len(took)} pages in {seconds:.0f} s, think time {THINK_SECONDS} s on average"
    return [
        Figure(f"errors with {users} users at once", len(wrong), "errors", 0, False, note=note),
        Figure(f"time of a page with {users} users, p95",
               statistics.quantiles(took, n=100)[94] * 1000, "ms", None, False, note=note),
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.web", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rest; the journey whole"
    )
    options = parser.parse_args(arguments)
    started = machine()
    part = 10 if options.quick else 1
    figures = browser_figures(20 if options.quick else 100)
    figures += journey_figures(20)
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        world, who = big_market(Path(folder), 100_000 // part, 1_000_000 // part)
        print(f"built in {time.perf_counter() - began:.0f} s", flush=True)
        figures += page_figures(world, who, 3 if options.quick else 8)
        figures += external_figures(world, who)
        figures += load_figures(world, USERS, LOAD_SECONDS / (3 if options.quick else 1))
        world.close()
    report(figures, options.json, started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
