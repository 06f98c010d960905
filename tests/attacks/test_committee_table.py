"""The committee's table is written from figures between its marks, and the document has them."""

from pathlib import Path

import pytest

from benchmarks.committee import END, START, write_table
from benchmarks.harness import Figure

FIGURES = [
    Figure("AUC of an attack", 0.5678, "", 0.6, at_least=False),
    Figure("missed", 2.0, "s", 1.0, at_least=False, note="busy"),
    Figure("power", 0.7, "", limit=0.71),
]


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    path = tmp_path / "A.md"
    path.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_table(path, FIGURES)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| AUC of an attack | 0.568 | <= 0.6 |  | yes |  |" in text
    assert "| missed | 2 s | <= 1 |  | **no** | busy |" in text
    write_table(path, FIGURES)
    assert path.read_text() == text


def test_a_file_without_marks_is_refused(tmp_path):
    path = tmp_path / "B.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="marks"):
        write_table(path, FIGURES)


def test_architecture_has_the_marks():
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    assert text.index(START) < text.index(END)
