"""The `omic` command, run in this process."""

from marketplace.client import cli


def run_omic(monkeypatch, capsys, *arguments):
    """Run `omic` with these arguments: (exit status, stdout, stderr)."""
    monkeypatch.setattr("sys.argv", ["omic", *map(str, arguments)])
    capsys.readouterr()
    try:
        cli.main()
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    said = capsys.readouterr()
    return status, said.out, said.err
