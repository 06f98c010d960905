"""The committee's table is written from figures between its marks, part by part."""

import json
from pathlib import Path

import pytest

from benchmarks import privacy
from benchmarks.committee import END, PARTS, START, Run, read_runs, table, write_table
from benchmarks.harness import Figure

PAIRS = Run(
    "pairs",
    "2026-01-02",
    [
        Figure("AUC of an attack", 0.5678, "", 0.6, at_least=False),
        Figure("missed", 2.0, "s", 1.0, at_least=False, note="busy"),
    ],
)
POWER = Run("utility", "2026-01-03", [Figure("power", 0.7, "", None, True, 0.71, "without noise")])
DOCUMENT = Path(__file__).parents[2] / "ARCHITECTURE.md"


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "A.md"
    made.write_text(f"before\n{START}\n{table([])}\n{END}\nafter\n")
    return made


def test_only_what_stands_between_the_marks_is_replaced(path):
    write_table(path, [PAIRS, POWER])
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| AUC of an attack | 0.568 | <= 0.6 |  | yes |  | pairs, 2026-01-02 |" in text
    assert "| missed | 2 s | <= 1 |  | **no** | busy | pairs, 2026-01-02 |" in text
    assert "| power | 0.7 |  | 0.71 |  |  | utility, 2026-01-03 |" in text
    write_table(path, [POWER, PAIRS])
    assert path.read_text() == text


def test_a_part_not_run_anew_keeps_its_rows_and_their_day_and_one_run_anew_none_of_its_old(path):
    write_table(path, [PAIRS, POWER])
    write_table(path, [Run("pairs", "2026-02-03", PAIRS.figures[:1], 0.1)])
    text = path.read_text()
    assert "| power | 0.7 |  | 0.71 |  |  | utility, 2026-01-03 |" in text
    assert (
        "| AUC of an attack | 0.568 | <= 0.6 |  | yes |  | pairs, 2026-02-03, 10% of the work |"
        in text
    )
    assert "missed" not in text
    assert text.count("AUC of an attack") == 1


def test_a_part_that_never_was_run_says_so_until_it_is(path):
    assert path.read_text().count("not run") == len(PARTS)
    write_table(path, [PAIRS])
    text = path.read_text()
    assert text.count("not run") == len(PARTS) - 1
    assert "everything of part pairs" not in text


def test_of_two_files_with_one_part_the_later_counts(path, tmp_path):
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, value in zip(files, (0.1, 0.2), strict=True):
        run = Run("pairs", "2026-01-02", [Figure("AUC of an attack", value, "")])
        file.write_text(json.dumps({"runs": [run.to_json()]}))
    write_table(path, [run for file in files for run in read_runs(file)])
    assert "| AUC of an attack | 0.2 |" in path.read_text()


def test_what_a_run_of_one_part_keeps_is_read_again(path, tmp_path, monkeypatch):
    monkeypatch.setitem(privacy.PARTS, "trusted", lambda bench: iter(PAIRS.figures))
    kept = tmp_path / "part.json"
    assert privacy.main(["--part", "trusted", "--scale", "0.5", "--json", str(kept)]) == 1
    (run,) = read_runs(kept)
    assert (run.part, run.scale, list(run.figures)) == ("trusted", 0.5, PAIRS.figures)
    assert [*privacy.PARTS, *privacy.OF_A_MARKET] == list(PARTS)


@pytest.mark.parametrize("wrong", ["nothing", f"{START}\n| a |\n|---|\n| old row |\n{END}"])
def test_a_file_without_marks_or_with_rows_of_no_part_is_refused(path, wrong):
    path.write_text(wrong)
    with pytest.raises(ValueError, match=r"marks|part"):
        write_table(path, [PAIRS])
    assert path.read_text() == wrong


def test_a_file_that_names_no_parts_is_refused(tmp_path):
    file = tmp_path / "old.json"
    file.write_text('{"figures": []}')
    with pytest.raises(ValueError, match="names no parts"):
        list(read_runs(file))


def test_the_documents_own_table_is_made_again_from_no_file_at_all(tmp_path):
    copy = tmp_path / "ARCHITECTURE.md"
    copy.write_text(DOCUMENT.read_text())
    write_table(copy, [])
    assert copy.read_text() == DOCUMENT.read_text()
