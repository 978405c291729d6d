"""Break the chain at random: ``python -m benchmarks.chaos --trials 40 --seed 1``.

The chain runs natively under steady load. Each trial breaks one part or two, repairs them, and
compares what the clients know with what was counted, and which alerts fired with what people were
sent. If a promise of docs/reliability.md breaks, the exit code is 1, with a line for each. An
interrupted run continues where it stopped.
"""

import sys

from benchmarks.chaos.faults import KINDS
from benchmarks.chaos.runner import Campaign, main
from benchmarks.chaos.system import SYSTEM

CAMPAIGN = Campaign(
    system=SYSTEM,
    kinds=KINDS,
    trials=40,
    title="What the chain survives",
    command="chaos",
    promises="[docs/reliability.md](../docs/reliability.md)",
    changes={},
)

if __name__ == "__main__":
    sys.exit(main(CAMPAIGN, __doc__))
