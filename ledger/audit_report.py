"""What an audit found, as a value, as JSON and in plain words. Decides nothing."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_PROBLEMS = 100
PASS, UNDECIDED, FAIL = "pass", "undecided", "fail"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong; index: the leaf, or None for the log as a whole."""

    index: int | None
    reason: str


@dataclass(slots=True)
class AuditReport:
    """What an audit found. verdict: pass, undecided (newer entries than this program) or fail."""

    kind: str
    verdict: str = PASS
    origin: str = ""
    size: int = 0
    root: bytes = b""
    quorum_time: int = 0
    age_ms: int | None = None
    fresh: bool = False
    entries: Counter[str] = field(default_factory=Counter)
    personal: int = 0
    opened: int = 0
    erased: int = 0
    unreadable: int = 0
    stops: int = 0
    uses: int = 0
    money: dict[str, Counter[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    undecided: str | None = None
    dangling: int = 0

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong and nothing stayed undecided."""
        return self.verdict == PASS

    @property
    def first_bad(self) -> int | None:
        """Return the lowest leaf index something is wrong with, or None."""
        return min((item.index for item in self.problems if item.index is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON value (integers, strings, objects)."""
        plain = ("kind", "verdict", "origin", "size", "quorum_time", "age_ms", "fresh")
        counts = ("personal", "opened", "erased", "unreadable", "stops", "uses", "dangling")
        value: dict[str, Any] = {name: getattr(self, name) for name in plain + counts}
        value["root"] = self.root.hex()
        value["entries"] = dict(sorted(self.entries.items()))
        value["money"] = {c: dict(sorted(sums.items())) for c, sums in sorted(self.money.items())}
        value["problems"] = [{"index": p.index, "reason": p.reason} for p in self.problems]
        value["problem_count"] = self.problem_count
        value["first_bad"] = self.first_bad
        value["undecided"] = self.undecided
        value["words"] = self.words()
        return value

    def words(self) -> str:
        """Say the verdict in plain words."""
        if self.verdict == FAIL:
            named = [item for item in self.problems if item.index is not None]
            first = min(named, key=lambda item: item.index or 0, default=self.problems[0])
            where = "the log as a whole" if first.index is None else f"entry {first.index}"
            return f"Do not trust this ledger: {self.problem_count} problems, first {where}: " + (
                first.reason
            )
        if self.verdict == UNDECIDED:
            return f"Nothing wrong was found, but not all could be judged: {self.undecided}."
        seen = f"{self.size} entries form the tree that the witnesses signed"
        if self.kind == "public":
            return (
                f"This ledger is sound as far as anyone can see: {seen}, and every public entry "
                f"is signed by who may sign it. {self.personal} personal entries stayed closed."
            )
        return (
            f"This ledger is sound: {seen}, and every one of them is signed by who may sign it "
            f"and allowed where it stands. {self.erased} personal entries are erased."
        )

    def note(self, index: int | None, reason: str) -> None:
        """Add a problem; only the first hundred are kept, all are counted."""
        self.verdict = FAIL
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(index, reason))
