"""``python -m randsvc``."""

from randsvc.cli.main import main

if __name__ == "__main__":
    main()
