"""``python -m kie_notes.cli``."""

from kie_notes.cli import main

if __name__ == "__main__":
    main()
