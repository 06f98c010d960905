"""No key reaches a log, though the crypt4gh package writes them at level DEBUG.

Run in a process of its own, so that logging is configured as an application would.
"""

import subprocess
import sys

SCRIPT = """
import io, logging, sys
{before}
from compute.crypt import crypt4gh, keyfiles
{after}
stream = io.StringIO()
logging.basicConfig(level=logging.DEBUG, stream=stream, force=True)
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).setLevel(logging.DEBUG)
secret, public = crypt4gh.generate_keypair()
file = crypt4gh.encrypt_file(b"canary", public)
header = crypt4gh.read_header(file)
key = crypt4gh.session_key(header, secret)
crypt4gh.reencrypt_header(header, secret, public)
assert crypt4gh.decrypt_file(file, secret) == b"canary"
keyfiles.parse_secret_key(keyfiles.format_secret_key(secret, "pass phrase"), "pass phrase")
from crypt4gh import lib
lib.decrypt([(0, secret, None)], io.BytesIO(file), io.BytesIO())
lib.encrypt([(0, secret, public)], io.BytesIO(b"canary"), io.BytesIO())
text = stream.getvalue().lower()
for hidden in (secret.hex(), key.hex(), "canary", "pass phrase", "secret key"):
    assert hidden not in text, hidden
logging.getLogger("other").debug("heard")
assert "heard" in stream.getvalue()
"""


def run(before="", after=""):
    script = SCRIPT.format(before=before, after=after)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_no_key_is_logged_with_every_logger_at_debug():
    done = run()
    assert (done.returncode, done.stderr) == (0, "")


def test_nor_when_the_package_was_imported_first():
    done = run(before="import crypt4gh.lib, crypt4gh.keys")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_would_notice_a_logger_that_speaks():
    after = (
        "import logging\n"
        "logger = logging.getLogger('crypt4gh.header')\n"
        "logger.filters.clear(); logger.propagate = True\n"
        "logging.getLogger('crypt4gh').filters.clear(); logging.getLogger('crypt4gh').propagate = True\n"
    )
    assert "AssertionError" in run(after=after).stderr
