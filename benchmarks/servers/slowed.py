"""`randsvc` for callgrind, which slows a program down by a factor of some 25.

Ten times a second the service folds what was recorded. So that as many requests share that as
without callgrind, it is done as much more rarely. The arguments are those of `randsvc`.
"""

from randsvc.cli.main import main
from randsvc.telemetry import runtime

if __name__ == "__main__":
    runtime.TICK *= 25
    main()
