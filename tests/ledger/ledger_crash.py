"""Run the ledger server, and die without warning at one call of its store.

python ledger_crash.py METHOD before|after|forgets COUNT --dir D

forgets is a control: from that call on, the first batch of a writer's notes is answered as done
and is not done; a second later, when its writer was told so, the process dies.
"""

import itertools
import os
import signal
import sys
import threading

from ledger import server
from ledger.store_sql import SqlStore

METHOD, MOMENT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
real = getattr(SqlStore, METHOD)
calls = itertools.count(1)
forgotten = threading.Event()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(self, *args, **kwargs):
    call = next(calls)  # its own number: several threads are in the store at once
    if call == COUNT and MOMENT == "before":
        die()
    result = real(self, *args, **kwargs)
    if call == COUNT:
        die()
    return result


def forgetful(self, expected, new, batch):
    ours = all(b'"web.released"' in row.leaf for row in batch.rows)
    if forgotten.is_set() or next(calls) < COUNT or not ours:
        return real(self, expected, new, batch)
    forgotten.set()
    return threading.Timer(1.0, die).start()


setattr(SqlStore, METHOD, forgetful if MOMENT == "forgets" else deadly)
sys.exit(server.main(sys.argv[4:]))
