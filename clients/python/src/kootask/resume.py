"""The delays after which a watch resumes."""

from __future__ import annotations

import random

# Seconds between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
_MIN, _MAX, _GROWTH = 1.0, 15.0, 1.6


def retry_delay(retry_after: float, count: int) -> float:
    """Return the delay after so many consecutive errors with this retry_after, which may be 0: that is obeyed once."""
    return retry_after if count < 2 else max(retry_after, backoff(count))


def backoff(count: int) -> float:
    """Return the delay after so many consecutive streams that broke or brought no message."""
    return min(_MIN * _GROWTH ** min(count, 10), _MAX) * random.uniform(0.8, 1.2)
