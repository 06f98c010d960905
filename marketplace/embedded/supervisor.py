"""The supervisor: starts every process of an embedded run, restarts what dies, stops cleanly.

It holds no key. One supervisor a directory (a lock file) and every port free, or a clear error.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from marketplace.embedded.setup import WITNESSES, Layout, SetupError, first_start

if TYPE_CHECKING:
    import httpx

START_SECONDS = 40.0
STOP_SECONDS = 15.0
HEALTHY_SECONDS = 20.0
MAX_BACKOFF_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
HELPER = "helper-"  # and a number: what shares compute's large passes, in compute's directory
STOPPED_TOGETHER = ("marketplace", "keys", "attester", "stripe")
# The user's own, and addresses that mean another thing to each process: no child inherits them.
PRIVATE_ENVIRONMENT = frozenset(
    {
        "OMIC_PASSPHRASE",
        "OMIC_HOME",
        "OMIC_STRIPE_KEY",
        "OMIC_DATABASE_URL",
        "OMIC_BROKER_URL",
        "OMIC_STORE_URL",
        "OMIC_OBJECT_STORE_URL",
    }
)


@dataclass(slots=True)
class Child:
    """One process: how to start it, and what became of it."""

    name: str
    command: list[str]
    cwd: Path
    health_url: str | None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float | None = None
    failures: int = 0
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Run an embedded market until told to stop.

    Usage: `with Supervisor(layout) as market: market.wait()`, or start()/stop().
    """

    layout: Layout
    report: Callable[[str], None] = lambda text: None
    children: list[Child] = field(default_factory=list)
    _lock: IO[str] | None = None
    _stopping: bool = False

    def __enter__(self) -> "Supervisor":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything in order and wait until each answers; SetupError says what is wrong."""
        self.layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        try:
            self._check_ports()
            first_start(self.layout)
            self.children = [self._child(*spec) for spec in _programs(self.layout)]
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Watch the children until SIGTERM or SIGINT; restart whatever dies, with a back-off."""
        with _signals(self._on_signal):
            while not self._stopping:
                self.watch_once()
                time.sleep(0.2)

    def watch_once(self) -> None:
        """Look at every child once and restart the dead ones whose back-off is over."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._note_death(child, now)
            if child.process is None and child.restart_at is not None and now >= child.restart_at:
                self._spawn(child)
                child.restarts += 1

    def stop(self) -> None:
        """Stop in reverse order of starting: SIGTERM, then SIGKILL after a grace period."""
        self._stopping = True
        helpers = tuple(c.name for c in self.children if c.name.startswith(HELPER))
        for group in (("compute", *helpers), STOPPED_TOGETHER, ("ledger",), WITNESSES):
            self._stop_group([c for c in self.children if c.name in group])
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def pids(self) -> dict[str, int]:
        """Return the process id of every running child by name."""
        return {c.name: c.process.pid for c in self.children if c.process is not None}

    def _take_lock(self) -> None:
        path = self.layout.root / "run" / "supervisor.lock"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = path.open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupError(
                f"another `omic up` already runs on {self.layout.root}; "
                "stop it first, or give another --dir"
            ) from None

    def _check_ports(self) -> None:
        for name in ("marketplace", "ledger", "stripe", "attester", *WITNESSES, "keys"):
            port = self.layout.port_of(name)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise SetupError(
                        f"port {port} (for {name}) is in use; free it or choose others "
                        f"with --port (eight ports from that number on are used)"
                    ) from None

    def _environment(self, name: str) -> dict[str, str]:
        """Return a child's environment; real money's key only where it was asked for."""
        private = set(PRIVATE_ENVIRONMENT)
        stripe = self.layout.overrides.get("marketplace", {}).get("stripe", {})
        if name == "marketplace" and stripe.get("live") is True:
            private.discard("OMIC_STRIPE_KEY")
        return {k: v for k, v in os.environ.items() if k not in private}

    def _child(self, name: str, command: list[str], health_url: str | None) -> Child:
        directory = self.layout.directory("compute" if name.startswith(HELPER) else name)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Child(name, command, directory, health_url)

    def _start_all(self) -> None:
        """Start every child at once; each waits by itself for those it needs."""
        for child in self.children:
            self._spawn(child)
        # Loaded here and not above: programs beside this one need no client.
        import httpx

        with httpx.Client(timeout=2.0) as http:
            for child in self.children:
                self._await_health(child, http)
                self.report(child.name)

    def _spawn(self, child: Child) -> None:
        logs = self.layout.root / "logs"
        logs.mkdir(exist_ok=True, mode=0o700)
        path = logs / f"{child.name}.log"
        path.touch(mode=0o600)
        with path.open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=child.cwd,
                env=self._environment(child.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - we start no threads before this
            )
        child.started, child.restart_at = time.monotonic(), None

    def _await_health(self, child: Child, http: "httpx.Client") -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if child.process is None or child.process.poll() is not None:
                raise SetupError(f"{child.name} stopped while starting:\n{self._tail(child)}")
            if child.health_url is None or _answers(http, child.health_url):
                return
            time.sleep(0.05)
        raise SetupError(
            f"{child.name} did not answer within {START_SECONDS:.0f} s:\n{self._tail(child)}"
        )

    def _tail(self, child: Child) -> str:
        path = self.layout.root / "logs" / f"{child.name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-15:]) + f"\n(whole log: {path})"

    def _note_death(self, child: Child, now: float) -> None:
        lived = now - child.started
        child.failures = 0 if lived > HEALTHY_SECONDS else child.failures + 1
        delay = min(MAX_BACKOFF_SECONDS, 0.25 * 2 ** min(child.failures, 6))
        child.process, child.restart_at = None, now + delay
        self.report(f"{child.name} stopped; starting it again in {delay:.1f} s")

    def _stop_group(self, group: list[Child]) -> None:
        running = [c for c in group if c.process is not None and c.process.poll() is None]
        for child in running:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            self._reap(child, deadline)

    def _reap(self, child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            child.process.wait()
        child.process, child.restart_at = None, None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True


def _programs(layout: Layout) -> Iterator[tuple[str, list[str], str | None]]:
    def run(module: str, name: str) -> list[str]:
        return [sys.executable, "-m", module, "--dir", str(layout.directory(name))]

    for name in WITNESSES:
        yield name, run("ledger.witness", name), f"{layout.url(name)}/healthz"
    yield "ledger", run("ledger.server", "ledger"), f"{layout.url('ledger')}/healthz"
    yield "stripe", _stripe_command(layout), f"{layout.url('stripe')}/healthz"
    yield (
        "attester",
        run("marketplace.embedded.attester", "attester"),
        f"{layout.url('attester')}/healthz",
    )
    yield "keys", run("marketplace.keyorigin.server", "keys"), f"{layout.url('keys')}/healthz"
    yield (
        "marketplace",
        run("marketplace.server", "marketplace"),
        f"{layout.url('marketplace')}/healthz",
    )
    yield "compute", run("compute.worker", "compute"), None
    for number in range(int(layout.overrides.get("compute", {}).get("helpers", 0))):
        name = f"{HELPER}{number + 1}"
        helper = ["help", "--name", name, "--dir", str(layout.directory("compute"))]
        yield name, [sys.executable, "-m", "compute.worker", *helper], None


def _stripe_command(layout: Layout) -> list[str]:
    market = layout.directory("marketplace")
    return [
        *(sys.executable, "-m", "marketplace.devstripe"),
        *("--dir", str(layout.directory("stripe")), "--port", str(layout.port_of("stripe"))),
        *("--webhook", f"{layout.url('marketplace')}/stripe/webhook"),
        *("--secret-file", str(market / "stripe.webhook")),
        *("--key-file", str(market / "stripe.key")),
    ]


def _answers(http: "httpx.Client", url: str) -> bool:
    import httpx

    with contextlib.suppress(httpx.HTTPError):
        return http.get(url).status_code == httpx.codes.OK
    return False


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _die_with_parent() -> None:
    """Ask Linux to end the child when the supervisor is killed; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    old = {n: signal.signal(n, handler) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, previous in old.items():
            signal.signal(number, previous)
