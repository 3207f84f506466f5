"""Break things on purpose and count what was lost: ``python -m tests.proofs NAME [options]``; each has a ``--help``."""

from __future__ import annotations

import importlib
import sys

PROOFS = {
    "kill": "a collector and a receiver are killed at random moments; what they acknowledged is there, once",
    "processes": "several processes collect the same tasks; each task is asked for and stored once",
    "faults": "every fault of the network and the service, alone and mixed; every task ends in its right state",
    "callbacks": "hundreds of callbacks a second; how long an answer takes, and that none is lost",
    "fuzz": "a million damaged bodies; nothing but the library's own errors, and every note accounted for",
    "secrets": "everything that was written, searched for the keys",
    "growth": "what a put, a scan and a seal cost as the store grows",
}


def main() -> int:
    """Run one proof; gives 0 when its laws hold."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROOFS:
        print("usage: python -m tests.proofs NAME [options]\n")
        print("\n".join(f"  {name:10} {what}" for name, what in PROOFS.items()))
        return 0 if sys.argv[1:] in ([], ["--help"], ["-h"]) else 2
    proof = importlib.import_module(f"tests.proofs.{sys.argv[1]}")
    return int(proof.main(sys.argv[2:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
