"""First start of an embedded run: each process makes its own keys, we only pass on public parts.

Never reads a process's private key. Writes `trust/trust.json` (what every client pins) and one
`config.toml` a process, with paths relative to that process's directory.
"""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

ORIGIN = "localhost/omic-market"
WITNESSES = ("witness-1", "witness-2", "witness-3")
EMBEDDED_TICK_MS = 2_000
# As each process sees them from its own directory.
TRUST = "../trust/trust.json"
BROKER = "filesystem://../broker"
OPERATORS = ("operator-1", "operator-2")
PROCESSES = (
    *WITNESSES, "ledger", "compute", "marketplace", "attester", "auditor", *OPERATORS
)  # fmt: skip
QUORUM = 2
OWNER_CLAIMS = ("person_verified", "unaffiliated")
RESEARCHER_CLAIMS = (
    "organisation", "sector", "non_profit", "country", "ethics_approval",
    "accredited_researcher", "output_reviewer",
)  # fmt: skip


class SetupError(Exception):
    """The directory, a port or a process's first start is not as it must be."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an embedded run lives: directory, first port, and what the operator overrides.

    overrides: per process name, config keys that replace the embedded defaults
    (database_url, broker_url, object_store_url, ...).
    """

    root: Path
    port: int
    overrides: Mapping[str, Mapping[str, Any]]

    def directory(self, process: str) -> Path:
        """Return a process's own directory."""
        return self.root / process

    def port_of(self, process: str) -> int:
        """Return the port a process listens on."""
        order = ("marketplace", "ledger", "stripe", "attester", *WITNESSES, "keys")
        return self.port + order.index(process)

    def url(self, process: str) -> str:
        """Return where a process is reached."""
        # Browsers accept "localhost", never an IP address, as a WebAuthn relying party.
        host = "localhost" if process in ("marketplace", "keys") else "127.0.0.1"
        return f"http://{host}:{self.port_of(process)}"

    @property
    def trust_file(self) -> Path:
        """Return the file every client pins."""
        return self.root / "trust" / "trust.json"


def first_start(layout: Layout) -> None:
    """Create keys, configuration and trust file if this directory has none yet.

    A first start that was cut short is begun again: nothing was published yet, so its keys can go.
    Raises SetupError where the trust file is gone from a directory that had one: keys that others
    rely on are never made anew.
    """
    if not layout.trust_file.exists():
        _begin(layout)
        public = _make_keys(layout)
        _write_secrets(layout)
        _write_trust(layout, public)
    _unfinished(layout).unlink(missing_ok=True)
    _write_configs(layout)


def _unfinished(layout: Layout) -> Path:
    return layout.root / "run" / "first-start"


def _begin(layout: Layout) -> None:
    """Mark a first start, and remove what one that was cut short left."""
    mark = _unfinished(layout)
    there = [name for name in PROCESSES if layout.directory(name).exists()]
    if there and not mark.exists():
        raise SetupError(
            f"{layout.trust_file} is missing, but {layout.directory(there[0])} holds keys; "
            "put the trust file back from a client or a backup, or choose another --dir"
        )
    mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.touch(mode=0o600)
    for name in there:
        shutil.rmtree(layout.directory(name))


def _make_keys(layout: Layout) -> dict[str, Any]:
    with ThreadPoolExecutor() as pool:

        def start(module: str, process: str, *extra: str, port: bool = True) -> Future[Any]:
            return pool.submit(_init, layout, module, process, *extra, port=port)

        witnesses = {n: start("ledger.witness", n, "--name", n) for n in WITNESSES}
        ledger = start("ledger.server", "ledger", "--origin", ORIGIN)
        services = [
            start("compute.worker", "compute", "--region", "local", port=False),
            start("marketplace.server", "marketplace"),
            start("marketplace.embedded.attester", "attester"),
        ]
        auditor = start("marketplace.embedded.auditor", "auditor", port=False)
        people = [start("marketplace.embedded.operator", n, port=False) for n in OPERATORS]
        public: dict[str, Any] = dict(ledger.result())
        for service in services:
            public |= service.result()
        public["witnesses"] = {name: made.result()["vkey"] for name, made in witnesses.items()}
        public["vkey"] = ledger.result()["vkey"]
        public["auditor"] = auditor.result()
        public["operators"] = [made.result()["sign"] for made in people]
    return public


def _init(layout: Layout, module: str, process: str, *extra: str, port: bool = True) -> Any:
    directory = layout.directory(process)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", module, "init", "--dir", str(directory), *extra]
    if port:
        command += ["--port", str(layout.port_of(process))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise SetupError(f"first start of {process} failed:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _write_secrets(layout: Layout) -> None:
    """Secrets two processes share: worker token, test-money key, webhook secret."""
    worker = secrets.token_urlsafe(32)
    for process in ("compute", "marketplace"):
        _private(layout.directory(process) / "worker.token", worker)
    market = layout.directory("marketplace")
    _private(market / "stripe.key", "sk_test_" + secrets.token_hex(12))
    _private(market / "stripe.webhook", "whsec_" + secrets.token_hex(16))
    tokens = _ledger_tokens(layout)
    _private(market / "ledger.token", tokens["envelopes"])
    _private(layout.directory("compute") / "ledger.token", tokens["grants"])
    _private(layout.directory("auditor") / "ledger.token", tokens["auditor"])


def _ledger_tokens(layout: Layout) -> dict[str, str]:
    import tomllib

    return tomllib.loads((layout.directory("ledger") / "tokens.toml").read_text())


def _private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(text)


def _write_trust(layout: Layout, public: Mapping[str, Any]) -> None:
    pins = {
        "marketplace": [public["marketplace"]],
        "compute": [public["compute"]],
        "operator": [public["operator"]],
        "treasurer": public["operators"],
        "auditors": [{"name": "local-auditor", **public["auditor"]}],
        "attesters": {c: [public["attester"]] for c in (*OWNER_CLAIMS, *RESEARCHER_CLAIMS)},
    }
    trust = {
        "v": 1,
        "origin": ORIGIN,
        "ledger_url": layout.url("ledger"),
        "marketplace_url": layout.url("marketplace"),
        "attester_url": layout.url("attester"),
        "witness_policy": witness_policy(public["vkey"], public["witnesses"]),
        "pins": pins,
        "max_checkpoint_age_ms": 10_000,
        "passkeys": {"rp_id": "localhost", "origins": [layout.url("keys")]},
        "embedded": True,
    }
    layout.trust_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = layout.trust_file.with_suffix(".new")
    temporary.write_text(json.dumps(trust, indent=2) + "\n")
    temporary.replace(layout.trust_file)


def witness_policy(log_vkey: str, witnesses: Mapping[str, str]) -> str:
    """Return the policy file (c2sp.org/tlog-policy): any 2 of the 3 local witnesses."""
    lines = [f"log {log_vkey}"]
    lines += [f"witness {name} {vkey}" for name, vkey in witnesses.items()]
    lines += [f"group local {QUORUM} {' '.join(witnesses)}", "quorum local"]
    return "\n".join(lines) + "\n"


def _write_configs(layout: Layout) -> None:
    for process, config in _configs(layout).items():
        config |= dict(layout.overrides.get(process, {}))
        path = layout.directory(process) / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(tomli_w.dumps(config))
        path.chmod(0o600)


def _configs(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return each process's configuration by its name."""
    configs: dict[str, dict[str, Any]] = {
        name: {"port": layout.port_of(name), "name": name, "trust_file": TRUST}
        for name in (*WITNESSES, "attester")
    }
    configs["attester"]["ledger_url"] = layout.url("ledger")
    configs["keys"] = {"port": layout.port_of("keys"), "trust_file": TRUST}
    configs["ledger"] = {
        "port": layout.port_of("ledger"),
        "origin": ORIGIN,
        "database_url": "sqlite:///ledger.sqlite",
        "witnesses": [{"url": layout.url(name)} for name in WITNESSES],
        "trust_file": TRUST,
    }
    return configs | {"compute": _compute(layout), "marketplace": _marketplace(layout)}


def _compute(layout: Layout) -> dict[str, Any]:
    return {
        "ledger_url": layout.url("ledger"),
        "marketplace_url": layout.url("marketplace"),
        "database_url": "sqlite:///compute.sqlite",
        "store_url": "file://store.sqlite",
        "broker_url": BROKER,
        "region": "local",
        "trust_file": TRUST,
        "worker_token_file": "worker.token",
        "ledger_token_file": "ledger.token",
        # A practice run's patience; where real people are in the cohort it is the default, 30 s.
        "tick_ms": EMBEDDED_TICK_MS,
    }


def _marketplace(layout: Layout) -> dict[str, Any]:
    return {
        "port": layout.port_of("marketplace"),
        "public_url": layout.url("marketplace"),
        "keys_url": layout.url("keys"),
        "database_url": "sqlite:///marketplace.sqlite",
        "object_store_url": "objects",
        "broker_url": BROKER,
        "ledger_url": layout.url("ledger"),
        # One address plays everybody here, so a limit per address would stop the demo itself.
        "rate_limit": "100000 per minute",
        "stripe": {
            "base_url": layout.url("stripe"),
            "key_file": "stripe.key",
            "webhook_secret_file": "stripe.webhook",
        },
        "trust_file": TRUST,
        "ledger_token_file": "ledger.token",
        "worker_token_file": "worker.token",
    }
