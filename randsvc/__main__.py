"""``python -m randsvc``."""

from randsvc.cli import main

if __name__ == "__main__":
    main()
