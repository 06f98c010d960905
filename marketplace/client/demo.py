"""`omic demo`: the main job on 178 real people's open data, told from start to end.

Everything runs for real on this machine: 178 homes with their own keys, the three processes, the
witnesses. What is a stand-in (attester, reviewers, payment provider) is said on screen.
"""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from marketplace.client import (
    demo_attacks,
    demo_audit,
    demo_orders,
    demo_owners,
    demo_report,
    demo_team,
)
from marketplace.client.demo_data import cut
from marketplace.client.errors import ClientError
from marketplace.client.terminal import Context, say
from marketplace.embedded import Layout, Supervisor

PRIVATE_PEOPLE = 100  # fewer, and private frequencies are not offered
BASE_PORT = 8080
PORTS_USED = 8


@dataclass
class Run:
    """What the demo has so far: where it runs, who takes part, and what it found."""

    layout: Layout
    people: int
    seconds: dict[str, float] = field(default_factory=dict)
    findings: dict[str, Any] = field(default_factory=dict)
    report: Callable[[], object] = lambda: None

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Time one stage and announce it."""
        say(f"\n[bold]{title}[/]")
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


def run_demo(
    directory: Path,
    port: int | None,
    overrides: Mapping[str, Mapping[str, Any]],
    people: int,
    json_file: Path | None,
    context: Context,
) -> None:
    """Run the story in a fresh directory and write report, pictures and JSON into it."""
    if not 60 <= people <= len(cut.people()):
        raise ClientError(
            f"--people must be 60 to {len(cut.people())}: fewer cannot pass the floors"
        )
    _fresh(directory)
    _mark(directory)
    layout = Layout(directory.resolve(), port or _free_base(), overrides)
    run = Run(layout, people)
    started = time.monotonic()
    say("[bold]Omic Market[/]: a consent is a key.")
    say(f"{people} people of the 1000 Genomes/GEUVADIS study, played here from open data.")
    supervisor = Supervisor(layout)
    try:
        with run.stage("start", "1. Start ledger, three witnesses, compute and marketplace"):
            supervisor.start()
            say("   witnesses, attester and payments are [yellow]local stand-ins[/]")
            say("   answers appear on a clock tick: every 2 s here, every 30 s elsewhere")
        with _watching(supervisor):
            _story(run)
        # Drawing needs nobody else: the processes stop meanwhile.
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(supervisor.stop)
            run.report()
            stopping.result()
    finally:
        supervisor.stop()
    run.seconds["total"] = round(time.monotonic() - started, 2)
    _finish(run, directory, json_file, context)


def _story(run: Run) -> None:
    with run.stage("cut", "2. Each person holds a genome, a transcriptome and a record"):
        files = _progress("cutting", _chosen(run.people), demo_owners.files_of)
        say(f"   {3 * len(files)} files, e.g. {files[0].person.participant}: single-sample VCF")
    joining = ThreadPoolExecutor(1)
    team_joins = joining.submit(demo_team.Team, run.layout)
    with run.stage("owners", "3. They encrypt, register, offer and consent (each with own keys)"):
        crowd = demo_owners.Crowd(run.layout)
        owners = _progress("registering", files, crowd.join, threads=4)
        crowd.finish(owners)
        say("   consent: [yellow]trusted[/] release, exact numbers for an attested researcher;")
        say("   that rests on accountability and two reviewers, not on mathematics")
    with run.stage("team", "4. A researcher and two reviewers are attested (scripted)"):
        team = team_joins.result()  # they joined while the owners did
        joining.shutdown()
    orders: list[demo_team.Done] = []
    useless: bool | None = None
    few, many = demo_orders.private_requests()
    asks = [*demo_orders.requests(), *([few] if run.people >= PRIVATE_PEOPLE else [])]
    with run.stage("orders", "5. The researcher rehearses, pays test money and gets answers"):
        placed = [team.place(ask, say) for ask in asks]
        for one in placed:
            team.review(one, say)
        for one in placed:
            orders.append(team.collect(one, say))
    if run.people >= PRIVATE_PEOPLE:
        with run.stage("private", "   ... one of them with noise: it bounds what anybody learns"):
            demo_team.show_private(orders[-1], say)
            useless = team.refused_as_useless(many, say)
    with run.stage("owners_view", "6. What three owners see"):
        views = [demo_owners.owner_view(owner, say) for owner in demo_owners.examples(owners)]
    with run.stage("withdraw", "7. One person withdraws; a different order runs without them"):
        leaver = demo_owners.leaver(owners)
        withdrawn = demo_attacks.withdraw_and_order(run.layout, leaver, team, say)
        orders.append(withdrawn.order)
    with run.stage("attacks", "8. A flipped byte and a forged consent"):
        tampered = demo_attacks.tamper(run.layout, leaver, say)
        forged = demo_attacks.forge(run.layout, owners[0], say)
    with run.stage("audit", "9. The auditor checks everything, trusting nobody"):
        audit = demo_audit.audit(run.layout, orders, say)
    run.findings = {
        "owners": len(owners),
        "datasets": sum(len(owner.datasets) for owner in owners),
        "consented": sum(len(owner.grants) for owner in owners),
        "orders": [order.to_json(audit.cohort_sizes, audit.verified) for order in orders],
        "ledger": audit.ledger,
        "withdrawn_excluded": withdrawn.excluded,
        "tamper_refused": tampered,
        "forgery_refused": forged,
        "useless_refused": useless,
    }
    run.report = partial(
        demo_report.write, run.layout.root, orders, views, audit, run.findings, run.seconds
    )


def _chosen(count: int) -> list[Any]:
    """Return `count` people with both populations in proportion, sorted by participant."""
    everyone = list(cut.people())
    if count == len(everyone):
        return everyone
    by_population: dict[str, list[Any]] = {}
    for person in everyone:
        by_population.setdefault(person.population, []).append(person)
    half = count // 2
    parts = list(by_population.values())
    chosen = parts[0][: count - half] + parts[1][:half]
    return sorted(chosen, key=lambda person: str(person.participant))


def _progress(label: str, items: Any, work: Callable[[Any], Any], threads: int = 1) -> list[Any]:
    """Run work over items in order with a progress bar; the first error stops it."""
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    results = []
    with Progress(*columns) as progress, ThreadPoolExecutor(threads) as pool:
        task = progress.add_task(label, total=len(items))
        for result in pool.map(work, items):
            results.append(result)
            progress.advance(task)
    return results


@contextmanager
def _watching(supervisor: Supervisor) -> Iterator[None]:
    """Restart what dies while the story runs, as `omic up` would."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.3):
            supervisor.watch_once()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _fresh(directory: Path) -> None:
    """Empty the directory of an earlier demo; refuse to touch anything else."""
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not (directory / "demo.marker").exists():
        raise ClientError(f"{directory} holds something that no demo made; choose another --dir")
    shutil.rmtree(directory)


def _mark(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / "demo.marker").write_text("made by `omic demo`; it may empty this directory\n")


def _free_base() -> int:
    for base in range(BASE_PORT, BASE_PORT + 400, PORTS_USED):
        if all(_is_free(base + offset) for offset in range(PORTS_USED)):
            return base
    raise ClientError("no eight free ports in a row from 8080 on; give --port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _finish(run: Run, directory: Path, json_file: Path | None, context: Context) -> None:
    document = {**run.findings, "seconds": run.seconds}
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    say("\n[bold]Time a stage took[/] (seconds)")
    for name, seconds in run.seconds.items():
        say(f"   {name:<12} {seconds:6.2f}")
    say(f"\nReport with pictures: [bold]{directory / 'report' / 'index.html'}[/]")
    say(f"Open the web page over this very data: [bold]omic up --dir {directory}[/]")
    say(f"   then {run.layout.url('marketplace')}")
    if context.json_output:
        say(json.dumps(document))
    if not _all_well(run.findings):
        raise ClientError("the demo ended, but something above is not as it must be")


def _all_well(findings: Mapping[str, Any]) -> bool:
    return (
        bool(findings["ledger"]["verified"])
        and all(order["verified"] for order in findings["orders"])
        and bool(findings["withdrawn_excluded"])
        and bool(findings["tamper_refused"])
        and bool(findings["forgery_refused"])
        and findings["useless_refused"] is not False
    )
