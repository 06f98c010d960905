"""Run the ledger server, and die without warning at one call of its store.

python ledger_crash.py METHOD before|after|forgets COUNT --dir D

forgets is a control: the call is answered as done and is not done, and the next one kills.
"""

import itertools
import os
import signal
import sys

from ledger import server
from ledger.store_sql import SqlStore

METHOD, MOMENT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
real = getattr(SqlStore, METHOD)
calls = itertools.count(1)


def deadly(self, *args, **kwargs):
    call = next(calls)  # its own number: several threads are in the store at once
    if MOMENT == "forgets" and call == COUNT:
        return None
    if call == COUNT + (MOMENT == "forgets") and MOMENT != "after":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(self, *args, **kwargs)
    if call == COUNT:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


setattr(SqlStore, METHOD, deadly)
sys.exit(server.main(sys.argv[4:]))
