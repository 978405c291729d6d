"""Break the highly available layout: ``python -m benchmarks.chaos_ha --trials 200 --seed 1``.

The layout of `make stack-ha` runs natively under steady load. Each trial breaks one part, every
second trial two, repairs them, and compares what the clients know with what each Prometheus and
Query have counted, and which alerts fired with what people were sent. Then the layout changes: a
fourth receiver, no object store, no Prometheus at all. If a promise of docs/beyond-one-machine.md
breaks, the exit code is 1, with a line for each. An interrupted run continues where it stopped.
"""

import sys

from benchmarks.chaos.runner import Campaign, main
from benchmarks.chaos_ha.chain import KINDS
from benchmarks.chaos_ha.changes import CHANGES
from benchmarks.chaos_ha.system import SYSTEM

CAMPAIGN = Campaign(
    system=SYSTEM,
    kinds=KINDS,
    trials=200,
    title="What the highly available layout survives",
    command="chaos-ha",
    promises="[docs/beyond-one-machine.md](../docs/beyond-one-machine.md#what-is-promised)",
    changes=CHANGES,
)

if __name__ == "__main__":
    sys.exit(main(CAMPAIGN, __doc__))
