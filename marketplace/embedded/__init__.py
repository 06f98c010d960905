"""The embedded run: every process of the market on this machine, under one supervisor.

Nothing to install and nobody else to trust but yourself; the witnesses, the attester and the
payment provider are local stand-ins for other organisations and say so.
"""

from marketplace.embedded.setup import Layout, SetupError, first_start
from marketplace.embedded.supervisor import Supervisor

__all__ = ["Layout", "SetupError", "Supervisor", "first_start"]
