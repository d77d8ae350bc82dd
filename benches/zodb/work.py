"""One workload on one storage, in a process of its own: its client cache is empty at the start.

Reads what to do from standard input, as JSON, and writes what it took to standard output.
"""

import json
import math
import multiprocessing
import random
import sys
import threading
import time
import warnings

import transaction
import ZODB.config
from persistent import Persistent

CHUNK = 100
"""Objects of a transaction, when many are written."""

PREFETCHED = 1000
"""Objects that are asked for at once."""


class Item(Persistent):
    """An object with some data and no references."""

    def __init__(self, data):
        self.data = data


class Chunk(Persistent):
    """Objects that were made by one transaction."""

    def __init__(self, items):
        self.items = items


def make_data(chance, size):
    """Half random, half as text has it: compression takes off about a third."""
    pieces = []
    length = 0
    while length < size:
        piece = chance.randbytes(16) + b"a fragment as pickles have them: "[: chance.randrange(33)]
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)[:size]


def open_database(config):
    storage = ZODB.config.storageFromString(config)
    return ZODB.DB(storage)


def populate(task):
    """Writes the objects, in transactions of ``CHUNK``; returns their oids."""
    chance = random.Random(task["seed"])
    database = open_database(task["config"])
    connection = database.open()
    root = connection.root()
    oids = []
    for number in range(task["objects"] // CHUNK):
        items = [Item(make_data(chance, task["size"])) for _ in range(CHUNK)]
        root[f"chunk{number}"] = Chunk(items)
        transaction.commit()
        oids.extend(item._p_oid.hex() for item in items)
    connection.close()
    database.close()
    return {"oids": oids}


def commits(task, changed):
    """Transactions that each change so many objects, one after the other: seconds of each."""
    chance = random.Random(task["seed"])
    database = open_database(task["config"])
    connection = database.open()
    items = chosen_items(connection, task, chance, max(changed, CHUNK))
    times = []
    before = flushes(task["device"])
    for number in range(task["transactions"] + WARM_UP):
        for item in chance.sample(items, changed):
            item.data = make_data(chance, task["size"])
        begin = time.perf_counter()
        transaction.commit()
        times.append(time.perf_counter() - begin)
        if number + 1 == WARM_UP:
            times.clear()
            before = flushes(task["device"])
    flushed = flushes(task["device"]) - before
    connection.close()
    database.close()
    count = task["transactions"]
    return {**summary(times), "rate": count * changed / sum(times), "flushes": flushed / count}


WARM_UP = 5
"""Commits that are not counted."""


def small_commits(task):
    return commits(task, 1)


def batch_commits(task):
    return commits({**task, "transactions": max(10, task["transactions"] // 10)}, CHUNK)


def threaded_commits(task):
    """Small commits by four threads on one storage, each with objects of its own."""
    database = open_database(task["config"])
    start = threading.Barrier(THREADS + 1)
    times = [[] for _ in range(THREADS)]
    failures = []

    def run(number):
        try:
            commit_beside(task, database, number, start, times[number])
        except BaseException as failure:
            failures.append(failure)
            start.abort()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        start.wait(PATIENCE)
    except threading.BrokenBarrierError:
        raise failures[0] from None
    before = flushes(task["device"])
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if failures:
        raise failures[0]
    flushed = flushes(task["device"]) - before
    database.close()
    times = [each for own in times for each in own]
    return {**summary(times), "rate": len(times) / seconds, "flushes": flushed / len(times)}


def commit_beside(task, database, number, start, times):
    chance = random.Random(task["seed"] + number)
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    first = number * len(task["oids"]) // THREADS
    own = [connection.get(bytes.fromhex(oid)) for oid in task["oids"][first : first + CHUNK]]
    for item in own:
        item._p_activate()
    for count in range(WARM_UP + task["transactions"]):
        if count == WARM_UP:
            start.wait(PATIENCE)
        chance.choice(own).data = make_data(chance, task["size"])
        begin = time.perf_counter()
        manager.commit()
        if count >= WARM_UP:
            times.append(time.perf_counter() - begin)
    connection.close()


PATIENCE = 120
"""Seconds after which others are not waited for any more."""

THREADS = 4


def chosen_items(connection, task, chance, count):
    first = chance.randrange(len(task["oids"]) - count + 1)
    items = [connection.get(bytes.fromhex(oid)) for oid in task["oids"][first : first + count]]
    for item in items:
        item._p_activate()
    return items


def cold_loads(task):
    """Each object once, in random order, as a connection asks its storage for it."""
    return with_storage(task, lambda storage, oids: timed_loads(storage, oids[: task["loads"]]))


def hot_loads(task):
    """Again what was loaded before: from the client's cache, or the system's."""

    def measure(storage, oids):
        oids = oids[:PREFETCHED]
        timed_loads(storage, oids)
        return timed_loads(storage, oids * 20)

    return with_storage(task, measure)


def prefetched_loads(task):
    """So many cold objects one by one, and as many others with ``prefetch`` before."""

    def measure(storage, oids):
        prefetch, load = storage.prefetch, storage.load
        load(oids.pop())
        begin = time.perf_counter()
        for oid in oids[:PREFETCHED]:
            load(oid)
        middle = time.perf_counter()
        ahead = oids[PREFETCHED : 2 * PREFETCHED]
        prefetch(ahead)
        for oid in ahead:
            load(oid)
        end = time.perf_counter()
        return {
            "rate": len(ahead) / (end - middle),
            "one_by_one": PREFETCHED / (middle - begin),
            "times": (middle - begin) / (end - middle),
        }

    return with_storage(task, measure)


def process_loads(task):
    """Cold loads by four processes at the same time, from the first to the last."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(THREADS)
    results = context.Queue()
    processes = [
        context.Process(target=load_beside, args=({**task, "seed": seed}, start, results))
        for seed in range(task["seed"], task["seed"] + THREADS)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=PATIENCE) for _ in processes]
    for process in processes:
        process.join()
    spent = max(end for _, end, _ in found) - min(begin for begin, _, _ in found)
    times = [each for _, _, own in found for each in own]
    return {**summary(times), "rate": len(times) / spent}


def load_beside(task, start, results):
    def measure(storage, oids):
        start.wait(PATIENCE)
        begin = time.monotonic()
        times = load_each(storage, oids[: task["loads"]])
        return begin, time.monotonic(), times

    results.put(with_storage(task, measure))


def with_storage(task, measure):
    """Calls a function with what a connection loads from, and all oids in random order."""
    oids = [bytes.fromhex(oid) for oid in task["oids"]]
    random.Random(task["seed"]).shuffle(oids)
    database = open_database(task["config"])
    connection = database.open()
    try:
        return measure(connection._storage, oids)
    finally:
        connection.close()
        database.close()


def timed_loads(storage, oids):
    times = load_each(storage, oids)
    return {**summary(times), "rate": len(times) / sum(times)}


def load_each(storage, oids):
    load = storage.load
    clock = time.perf_counter_ns
    times = []
    for oid in oids:
        begin = clock()
        load(oid)
        times.append(clock() - begin)
    return [each / 1e9 for each in times]


def summary(times):
    """Percentiles, in microseconds."""
    ordered = sorted(times)
    at = {name: ordered[int(len(ordered) * part)] * 1e6 for name, part in PERCENTILES.items()}
    return {**at, "count": len(ordered)}


PERCENTILES = {"p50": 0.5, "p99": 0.99}


def flushes(device):
    """Requests of a block device to flush its cache so far; not a number without a device."""
    if device is None:
        return math.nan
    with open(device) as file:
        return int(file.read().split()[15])


WORKLOADS = {
    function.__name__: function
    for function in (
        populate,
        small_commits,
        batch_commits,
        threaded_commits,
        cold_loads,
        hot_loads,
        prefetched_loads,
        process_loads,
    )
}


def main():
    warnings.simplefilter("ignore")
    task = json.load(sys.stdin)
    result = WORKLOADS[task["workload"]](task)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    # Objects are of this module, by its name, in whichever process.
    import work

    work.main()
