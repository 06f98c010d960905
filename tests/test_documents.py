"""The documents say what is so: named tests exist, the order diagram is the table's own."""

import re
from pathlib import Path

import pytest

from marketplace.orders import diagram

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
SOURCES = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def test_the_order_diagram_is_the_transition_tables_own():
    assert diagram().strip() in ARCHITECTURE


def test_every_test_the_architecture_names_exists():
    named = set(re.findall(r"`[A-Z]+::(test_\w+)`|\.py::(test_\w+)", ARCHITECTURE))
    names = {one or other for one, other in named}
    assert len(names) > 20
    missing = [name for name in names if f"def {name}(" not in SOURCES]
    assert not missing


def test_every_file_the_architecture_names_exists():
    named = set(re.findall(r"tests/[\w/]+\.py", ARCHITECTURE))
    assert [name for name in named if not (ROOT / name).exists()] == []


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


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "GLOSSARY.md", "SECURITY.md"])
def test_every_local_link_leads_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_lock_file_names_a_registry():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
