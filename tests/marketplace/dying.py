"""A process that kills itself without warning at one moment, as a power cut would."""

import os
import signal
import subprocess
import sys


def arm(place, name, when, count=1):
    """Let this process kill itself before or after the count-th call of place.name."""
    real, calls = getattr(place, name), [0]

    def deadly(*args, **kwargs):
        calls[0] += 1
        mine = calls[0] == count
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, deadly)


def child(module, *arguments):
    """Run a module of the tests as a process of its own, to its end."""
    command = [sys.executable, "-m", f"tests.marketplace.{module}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120)
