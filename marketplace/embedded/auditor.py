"""Make the local auditor's keys: `python -m marketplace.embedded.auditor init --dir D`.

A real deployment pins the keys of an auditor it does not control; the embedded run makes a
stand-in. Prints the public parts as one JSON line.
"""

import argparse
import json
from pathlib import Path

from ledger import b64
from marketplace.client.keys import KeyStore


def main() -> None:
    """Make the keys unless they are there, and print their public parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["init"])
    parser.add_argument("--dir", type=Path, required=True)
    store = KeyStore(parser.parse_args().dir / "keys")
    for name in ("sign", "encrypt"):
        if not store.has(name):
            store.create(name, name)
    public = {"sign": b64(store.signing().public), "encrypt": b64(store.encryption().public)}
    print(json.dumps(public))  # noqa: T201 - this is the command's output


if __name__ == "__main__":
    main()
