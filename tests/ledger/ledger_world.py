"""A whole small deployment for tests: keys, trust policy, witnesses, a ledger, and its entries."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ledger import server, witness
from ledger.client import LedgerClient
from ledger.config import load_ledger, load_tokens, load_witness
from ledger.entries import make_entry, public_key, sign_ed25519, sign_entry, submission_for
from ledger.envelope import Submission, b64, canonical
from ledger.service import Service
from ledger.trust import Pins, TrustPolicy
from tests.served import served

ORIGIN = "ledger.test/log"
REPO = Path(__file__).parents[2]


def new_id() -> str:
    return os.urandom(16).hex()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check, seconds=60.0):
    """Poll until `check` returns something true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


def memory_kib(pid) -> int:
    """Return the resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@dataclass
class Keys:
    """The seeds of everybody whose key is pinned."""

    marketplace: bytes = field(default_factory=lambda: os.urandom(32))
    compute: bytes = field(default_factory=lambda: os.urandom(32))
    attester: bytes = field(default_factory=lambda: os.urandom(32))

    def pins(self, operator: bytes = b"") -> Pins:
        attester = (public_key(self.attester),)
        return Pins(
            marketplace=(public_key(self.marketplace),),
            compute=(public_key(self.compute),),
            operator=(operator,) if operator else (),
            attesters={"person_verified": attester},
        )

    def note(self, **fields) -> Submission:
        """A small public entry anybody can make many of: web.released."""
        value = {"id": new_id(), "time": now_ms(), "digest": os.urandom(32).hex(), **fields}
        return Submission(sign_entry(self.marketplace, "web.released", value))

    def compute_key(self) -> Submission:
        value = {
            "id": new_id(), "time": now_ms(), "key_id": "epoch-1", "region": "local",
            "crypt4gh_public": b64(os.urandom(32)), "hpke_public": b64(os.urandom(1216)),
            "not_before": 0, "not_after": 2**50,
        }  # fmt: skip
        return Submission(sign_entry(self.compute, "compute.key_published", value))

    def access(self, tags: list[bytes]) -> Submission:
        from ledger.access_tree import format_access_tree, tree_root_of

        value = {
            "id": new_id(), "time": now_ms(), "access": new_id(), "order": None,
            "purpose": "ingest", "query_digest": None, "code_digest": None, "judged_size": 1,
            "judged_root": "00" * 32, "cohort_size": len(tags), "opened": len(tags),
            "cohort_root": tree_root_of(sorted(tags)).hex(), "excluded": {}, "release": None,
            "region": "local", "attempt": 1,
        }  # fmt: skip
        entry = sign_entry(self.compute, "access.recorded", value)
        return Submission(entry, None, {"access_tree": format_access_tree(tags)})


class Owner:
    """One data owner with one dataset, and the entries it can make."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.seed, self.id = os.urandom(32), new_id()
        self.dataset, self.dataset_seed = new_id(), os.urandom(32)

    def _sign(self, type_, fields, attachments=None, seed=None):
        fields = {"id": new_id(), "time": now_ms(), **fields}
        entry = sign_entry(seed or self.seed, type_, fields)
        return submission_for(entry, os.urandom(32), attachments)

    def register(self) -> Submission:
        key = {"public_key": b64(public_key(self.seed)), "kind": "ed25519", "use": "sign"}
        fields = {
            "id": new_id(), "time": now_ms(), "party": self.id, "role": "owner", "keys": [key],
        }  # fmt: skip
        signers = [sign_ed25519(self.seed), sign_ed25519(self.keys.attester)]
        return submission_for(make_entry("party.registered", fields, signers), os.urandom(32))

    def register_dataset(self, **fields) -> Submission:
        value = {
            "dataset": self.dataset, "owner": self.id, "participant": os.urandom(16).hex(),
            "modality": "genotypes", "signing_key": b64(public_key(self.dataset_seed)),
            "ciphertext": {"sha256": "11" * 32, "size": 1000, "header_size": 124},
            "format": {}, "region": "local", "controller": None, "custodian": None,
        }  # fmt: skip
        return self._sign("dataset.registered", {**value, **fields})

    def grant(self, sealed: bytes) -> Submission:
        terms = {"v": 1}
        value = {
            "grant": new_id(), "owner": self.id, "dataset": self.dataset, "offer": None,
            "terms": terms, "terms_sha256": hashlib.sha256(canonical(terms)).hexdigest(),
            "facets": {}, "recipient": {"key_id": "epoch-1", "region": "local"},
            "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(),
            "activity_commitment": "22" * 32, "order": None,
        }  # fmt: skip
        return self._sign("consent.granted", value, {"sealed_grant": sealed}, self.dataset_seed)

    def withdraw(self, grant: Submission, index: int) -> Submission:
        return self._stop("consent.withdrawn", grant, index)

    def pause(self, grant: Submission, index: int) -> Submission:
        return self._stop("consent.paused", grant, index)

    def _stop(self, type_, grant, index):
        name = grant.entry.payload["grant"]
        fields = {"grant": name, "dataset": self.dataset, "owner": self.id, "stops": [index]}
        return self._sign(type_, fields, seed=self.dataset_seed)

    def erase(self, stops: list[int], erases: list[int]) -> Submission:
        fields = {"dataset": self.dataset, "owner": self.id, "stops": stops, "erases": erases}
        return self._sign("dataset.erased", fields)


class World:
    """A ledger directory, three witness directories and the trust file that binds them."""

    def __init__(self, path: Path, witnesses: int = 3, mldsa: bool = False) -> None:
        self.path = path
        self.keys = Keys()
        self.stack = ExitStack()
        self.ledger_dir = path / "ledger"
        self.witness_dirs = [path / f"witness-{i + 1}" for i in range(witnesses)]
        self.port = free_port()
        self.public = server.init(self.ledger_dir, ORIGIN, self.port, [])
        self.witness_ports = [free_port() for _ in self.witness_dirs]
        self.witness_public = [
            witness.init(directory, f"w{i}", port, [self.public["log"]], mldsa=mldsa)
            for i, (directory, port) in enumerate(
                zip(self.witness_dirs, self.witness_ports, strict=True)
            )
        ]
        self.trust_path = path / "trust" / "trust.json"
        self.trust_path.parent.mkdir(parents=True)
        self.trust = self._trust()
        self.trust_path.write_bytes(self.trust.format())
        self.tokens = load_tokens(self.ledger_dir)
        self.url = f"http://127.0.0.1:{self.port}"

    def _trust(self) -> TrustPolicy:
        from ledger.envelope import unb64

        lines = [f"log {self.public['log']} {self.url_of(self.port)}"]
        names = []
        for item, port in zip(self.witness_public, self.witness_ports, strict=True):
            lines.append(f"witness {item['name']} {item['witness']} {self.url_of(port)}")
            names.append(item["name"])
        lines += [f"group all {len(names) // 2 + 1} {' '.join(names)}", "quorum all"]
        return TrustPolicy(
            origin=ORIGIN,
            ledger_url=self.url_of(self.port),
            marketplace_url="http://127.0.0.1:1",
            witness_policy="\n".join(lines) + "\n",
            pins=self.keys.pins(unb64(self.public["operator"])),
            embedded=True,
        )

    @staticmethod
    def url_of(port: int) -> str:
        return f"http://127.0.0.1:{port}"

    def start_witnesses(self) -> None:
        for directory in self.witness_dirs:
            self.start_witness(directory)

    def start_witness(self, directory: Path):
        config = load_witness(directory)
        core, store = witness.open_witness(config)
        http = witness.WitnessServer((config.host, config.port), core)
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()

        stopped = []

        def stop():
            if not stopped:
                stopped.append(True)
                http.shutdown()
                http.server_close()
                thread.join()
                store.close()

        self.stack.callback(stop)
        return stop

    def service(self, directory: Path | None = None) -> Service:
        """Open (not start) the log of a directory in this process."""
        return Service(load_ledger(directory or self.ledger_dir, {}))

    def start(self, service: Service | None = None) -> Service:
        """Start witnesses' log in this process, without HTTP."""
        service = service or self.service()
        service.log.start(5)
        self.stack.callback(service.close)
        return service

    def serve(self, service: Service, port: int | None = None) -> str:
        """Put HTTP in front of a started log; returns its address."""
        port = port or self.port
        self.stack.enter_context(served(service.app(), port, server.THREADS))
        return self.url_of(port)

    def client(self, token: str | None = None, url: str | None = None) -> LedgerClient:
        client = LedgerClient(url or self.url, token)
        self.stack.callback(client.close)
        return client

    def spawn(self, *, directory: Path | None = None, module: str = "ledger.server", script=None):
        """Start a process of its own; it is killed at the end of the test."""
        start = ["-m", module] if script is None else [str(p) for p in script]
        process = subprocess.Popen(
            [sys.executable, *start, "--dir", str(directory or self.ledger_dir)],
            cwd=REPO,
            stderr=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "OMIC_DATABASE_URL"},
        )

        def end():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stderr:
                process.stderr.close()

        self.stack.callback(end)
        return process

    def wait_healthy(self, url: str | None = None, process=None) -> None:
        """Wait until a server answers; fail at once when its process (if named) ends instead."""

        def up():
            assert process is None or process.poll() is None, "it ended instead of serving"
            try:
                return httpx.get(f"{url or self.url}/healthz", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        eventually(up)

    def close(self) -> None:
        self.stack.close()

    def write_config(self, **changes) -> None:
        path = self.ledger_dir / "config.toml"
        lines = [
            line for line in path.read_text().splitlines() if line.split(" = ")[0] not in changes
        ]
        lines = [f"{k} = {json.dumps(v)}" for k, v in changes.items()] + lines
        path.write_text("\n".join(lines) + "\n")
