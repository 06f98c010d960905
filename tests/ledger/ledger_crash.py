"""Run the ledger server, and die without warning at one call of its store.

python ledger_crash.py METHOD before|after COUNT --dir D
"""

import os
import signal
import sys

from ledger import server
from ledger.store_sql import SqlStore

METHOD, MOMENT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
real = getattr(SqlStore, METHOD)
calls = 0


def deadly(self, *args, **kwargs):
    global calls
    calls += 1
    if calls == COUNT and MOMENT == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(self, *args, **kwargs)
    if calls == COUNT:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


setattr(SqlStore, METHOD, deadly)
sys.exit(server.main(sys.argv[4:]))
