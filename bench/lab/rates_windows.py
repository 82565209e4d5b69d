"""What a receiver saw, against what it should have seen: sums over windows of what arrived.

A window may hold a frame's worth more or less than its share, since a frame is whole. A window counts only
if the receiver looked in time at both of its ends: what arrives while nobody looks is counted too late.
"""
import itertools
import statistics
from typing import NamedTuple

MEAN_SECONDS, MEAN_FRAMES = 1.0, 500        # a window for the mean is as long as both
SHORT_SECONDS, SHORT_FRAMES = 0.010, 50
LATE = 0.005            # of a window: a look that was later than this at one of its ends spoils it


class Errors(NamedTuple):
    """Of the windows of one length, as shares of the target."""
    seconds: float
    windows: int
    spoiled: int        # not counted
    median: float       # signed
    p90: float          # of what they are off, without sign
    worst: float


def mean_seconds(frames_per_second):
    return max(MEAN_SECONDS, MEAN_FRAMES / frames_per_second)


def short_seconds(frames_per_second):
    return max(SHORT_SECONDS, SHORT_FRAMES / frames_per_second)


def off(amount, due, one):
    """By how much `amount` misses `due`, beyond one frame, as a share; signed."""
    missed = amount - due
    beyond = max(0.0, abs(missed) - one)
    return beyond / due if missed > 0 else -beyond / due


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def errors(amounts, bucket, seconds, target, one, late):
    """Errors of all windows of so many seconds, one from each bucket on; None if none counts.

    amounts     what arrived in each bucket, of `bucket` seconds
    target      per second
    one         the largest frame
    late        {index of a bucket: seconds between the looks around its begin}
    """
    length = round(seconds / bucket)
    due = target * length * bucket
    sums = [0, *itertools.accumulate(amounts)]
    spoiling = {edge for edge, gap in late.items() if gap > LATE * length * bucket}
    found, spoiled = [], 0
    for first in range(len(amounts) - length + 1):
        if first in spoiling or first + length in spoiling:
            spoiled += 1
        else:
            found.append(off(sums[first + length] - sums[first], due, one))
    if not found:
        return None
    sizes = list(map(abs, found))
    return Errors(length * bucket, len(found), spoiled, statistics.median(found), quantile(sizes, 0.9),
                  max(sizes))


def jain(amounts):
    """Jain's index of fairness: 1 if all are alike, 1/n if one has everything."""
    return sum(amounts) ** 2 / (len(amounts) * sum(amount * amount for amount in amounts))


def turned(amounts, start, old, new, calm=5):
    """The first bucket from `start` on in which the pace was the new one, and on average in the `calm` ones
    from there on; None if there is none. Paces are per bucket."""
    middle = (old * new) ** 0.5

    def is_new(amount):
        return (amount > middle) == (new > old)
    for index in range(start, len(amounts) - calm + 1):
        if is_new(amounts[index]) and is_new(sum(amounts[index:index + calm]) / calm):
            return index
    return None
