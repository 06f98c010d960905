"""Make a local operator's key: `python -m marketplace.embedded.operator init --dir D`.

A real deployment pins the keys of people; the embedded run makes two stand-ins, so that what needs
two people can be tried. Prints the public part as one JSON line.
"""

import argparse
import json
from pathlib import Path

from ledger import b64
from marketplace.client.keys import KeyStore


def main() -> None:
    """Make the key unless it is there, and print its public part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["init"])
    parser.add_argument("--dir", type=Path, required=True)
    store = KeyStore(parser.parse_args().dir / "keys")
    if not store.has("sign"):
        store.create("sign", "sign")
    print(json.dumps({"sign": b64(store.signing().public)}))  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
