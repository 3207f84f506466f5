"""How often one may ask: at most so many acts in so many seconds, for each key by itself."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque


class Pace:
    """Let at most ``acts`` acts begin within any ``seconds``, counted for each key; the others wait.

    It keeps no more than the keys of the last ``seconds``, so a million tasks cost no memory.
    """

    def __init__(self, acts: int, seconds: float) -> None:
        self._acts = acts
        self._seconds = seconds
        self._past: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str = "") -> None:
        """Return when it is ``key``'s turn."""
        time.sleep(max(0.0, self._turn(key) - time.monotonic()))

    def _turn(self, key: str) -> float:
        """Book the next free moment for ``key``."""
        with self._lock:
            now = time.monotonic()
            while self._past and next(iter(self._past.values()))[-1] < now - self._seconds:
                self._past.popitem(last=False)
            past = self._past.setdefault(key, deque(maxlen=self._acts))
            turn = max(now, past[0] + self._seconds) if len(past) == self._acts else now
            past.append(turn)
            self._past.move_to_end(key)
            return turn
