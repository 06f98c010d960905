"""The documents say what is so: what they name exists, the order diagram is the table's own."""

import re
from pathlib import Path

import pytest

from marketplace.orders import diagram

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
ROOMS = ("ledger", "compute", "marketplace", "tests", "benchmarks", "infra", "docs")
PAGES = ["ARCHITECTURE.md", "README.md", "SECURITY.md"]


def test_the_order_diagram_is_the_transition_tables_own():
    assert diagram().strip() in ARCHITECTURE


def files():
    found = [p for room in ROOMS for p in (ROOT / room).rglob("*") if "__pycache__" not in p.parts]
    return {p.relative_to(ROOT).as_posix() for p in found}


FILES = files()
TESTS = {
    name
    for path in FILES
    if path.startswith("tests/") and path.endswith(".py")
    for name in [Path(path).stem, *re.findall(r"def (test_\w+)", (ROOT / path).read_text())]
}


def spelled_out(text):
    """`a/{b,c}.py` is two names."""
    found = re.search(r"\{([^{}]*)\}", text)
    if found is None:
        return [text]
    before, after = text[: found.start()], text[found.end() :]
    return [name for one in found[1].split(",") for name in spelled_out(before + one + after)]


def named_paths(page):
    """What stands in code marks and looks like a path of ours: it begins with a room or is .py."""
    marked = re.findall(r"`([\w./{},:]+)`", page) + re.findall(
        r"(?<![\w/`])(tests/[\w/{},.]+)", page
    )
    for text in marked:
        path = text.split("::")[0].rstrip(".,")
        if path.startswith(tuple(f"{room}/" for room in ROOMS)) or path.endswith(".py"):
            yield from spelled_out(path)


def missing_paths(page):
    return [
        path
        for path in named_paths(page)
        if not any(known == path.rstrip("/") or known.endswith(f"/{path}") for known in FILES)
    ]


def missing_tests(page):
    """A name that ends in _ is cut: the page says only how it begins."""
    named = set(re.findall(r"test_\w+", page))
    cut = {name for name in named if name.endswith("_") and any(t.startswith(name) for t in TESTS)}
    return sorted(named - cut - TESTS)


def missing_modules(page):
    named = {name.replace(".", "/") for name in re.findall(r"python -m ([\w.]*\w)", page)}
    return [name for name in named if not {f"{name}.py", f"{name}/__main__.py"} & FILES]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    assert missing_paths(text) == []
    assert missing_tests(text) == []
    assert missing_modules(text) == []


def test_what_is_not_there_is_noticed():
    assert len(list(named_paths(ARCHITECTURE))) > 100
    assert missing_paths("`compute/{vault,gone}.py`, tests/none.py") == [
        "compute/gone.py", "tests/none.py",
    ]  # fmt: skip
    assert missing_tests("test_nobody_wrote_this") == ["test_nobody_wrote_this"]
    assert missing_modules("python -m ledger.nothing") == ["ledger/nothing"]


def test_every_requirement_of_the_web_has_tests_that_exist_where_it_says():
    """Each row of the ASVS table in SECURITY.md names at least one test, by file and name."""
    text = (ROOT / "SECURITY.md").read_text()
    files = dict(re.findall(r"`([A-Z])` = (tests/[\w/]+\.py)", text))
    table = text.split("| requirement | how | test |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`([A-Z])::(test_\w+)`", row.rpartition("|")[0].rpartition("|")[2])
        assert named, f"no test in the row {row[:60]}"
        for letter, name in named:
            assert f"def {name}(" in (ROOT / files[letter]).read_text(), (letter, name)


DOCUMENTS = ["README.md", "ARCHITECTURE.md", "GLOSSARY.md", "SECURITY.md", "docs/PAGES.md"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_local_link_leads_somewhere(name):
    path = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_no_lock_file_names_a_registry():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
