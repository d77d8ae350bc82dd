"""The same ZODB work on several storages, side by side: see README.md."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib import metadata

import report
import shootout
import stores
import work

HERE = os.path.dirname(os.path.abspath(__file__))

WORKLOADS = (
    "small_commits",
    "batch_commits",
    "threaded_commits",
    "cold_loads",
    "hot_loads",
    "prefetched_loads",
    "process_loads",
)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="zodb-bench-", dir=options.dir)
        # PostgreSQL has a user of its own, who has to get there.
        os.chmod(directory, 0o755)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        measured = list(start(options, directory, stack))
        result = {
            "machine": machine(),
            "options": vars(options),
            "failed": [],
            "stores": [
                {"name": store.name, "durable": store.durable, "results": {}} for store in measured
            ],
        }
        run_rounds(options, measured, result)
        network(options, measured, directory, result)
        keep(options, result)
        if options.shootout:
            result["shootout"] = shootout.run(
                measured, directory, options.shootout_objects, result["failed"]
            )
            keep(options, result)
    print(report.text(result))
    return 1 if result["failed"] else 0


def keep(options, result):
    """Whatever comes afterwards."""
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--neolith", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--dir", help="the disk to measure: a directory [that for temporary files]")
    parser.add_argument("--objects", type=int, default=20_000, help="of each store [20000]")
    parser.add_argument("--size", type=int, default=1024, help="bytes of an object's data [1024]")
    parser.add_argument("--transactions", type=int, default=200, help="a round [200]")
    parser.add_argument("--loads", type=int, default=4_000, help="a round [4000]")
    parser.add_argument("--rounds", type=int, default=3, help="of all work on all stores [3]")
    parser.add_argument("--seed", type=int, default=1, help="of data and order [1]")
    parser.add_argument("--stores", help="only those whose names have one of these words: a,b,c")
    parser.add_argument("--workloads", help="only these: " + ",".join(WORKLOADS))
    parser.add_argument(
        "--also", metavar="NAME=FILE", action="append", default=[],
        help="another storage, by a file with its ZConfig section",
    )
    parser.add_argument(
        "--also-served", metavar="NAME=FILE", action="append", default=[],
        help="the same of one that several processes may have open",
    )
    parser.add_argument("--shootout", action="store_true", help="zodbshootout's workload, too")
    parser.add_argument(
        "--shootout-objects", type=int, default=100, help="of a transaction there [100]"
    )
    parser.add_argument("--json", metavar="FILE", help="everything that was measured")
    options = parser.parse_args()
    options.objects -= options.objects % work.CHUNK
    for each in (*options.also, *options.also_served):
        if "=" not in each:
            parser.error(f"--also {each}: expected NAME=FILE")
    for each in (options.workloads or "").split(","):
        if options.workloads and each not in WORKLOADS:
            parser.error(f"--workloads: {each} is not one of {', '.join(WORKLOADS)}")
    if options.objects < 2 * options.transactions or options.objects < 2_500:
        parser.error("--objects: at least 2500, and two of them a transaction")
    if options.loads > options.objects:
        parser.error("--loads: no more than there are objects")
    return options


def start(options, directory, stack):
    """Starts the stores that were asked for, and stops them with the stack."""
    known = [
        stores.FileStorage(),
        stores.Zeo(),
        stores.Sqlite(),
        stores.Postgresql(),
        *(stores.Other(*each.split("=", 1), False) for each in options.also),
        *(stores.Other(*each.split("=", 1), True) for each in options.also_served),
        stores.Embedded(),
        stores.Cluster(options.neolith),
    ]
    words = options.stores.lower().split(",") if options.stores else [""]
    chosen = [store for store in known if any(word in store.name.lower() for word in words)]
    if not chosen:
        raise stores.Failed(f"--stores {options.stores}: none has such a name")
    for store in chosen:
        own = f"{directory}/{len(os.listdir(directory))}"
        os.mkdir(own)
        stack.callback(store.stop)
        store.start(own)
        yield store


def run_rounds(options, measured, result):
    """All work on all stores, then all again: what disturbs the machine disturbs everyone."""
    workloads = options.workloads.split(",") if options.workloads else WORKLOADS
    task = {
        "objects": options.objects,
        "size": options.size,
        "transactions": options.transactions,
        "loads": options.loads,
        "device": device_of(options.dir or tempfile.gettempdir()),
    }
    oids = []
    for store in measured:
        say(f"{store.name}: {options.objects} objects of {options.size} bytes")
        one = {**task, "workload": "populate", "config": store.config, "seed": options.seed}
        oids.append(carry_out(one)["oids"])
    for number in range(options.rounds):
        # Who comes after whom changes.
        order = [(number + at) % len(measured) for at in range(len(measured))]
        for workload in workloads:
            for index in order:
                store = measured[index]
                if workload == "process_loads" and not store.many:
                    continue
                if workload == "prefetched_loads" and not store.prefetches:
                    continue
                say(f"round {number + 1} of {options.rounds}: {workload}, {store.name}")
                config = store.reading() if workload == "process_loads" else store.config
                one = {**task, "workload": workload, "oids": oids[index], "config": config}
                one["seed"] = options.seed + number
                try:
                    found = carry_out(one)
                except stores.Failed as failed:
                    result["failed"].append(f"{store.name}: {failed}")
                    say(result["failed"][-1])
                    continue
                results = result["stores"][index]["results"]
                results.setdefault(workload, []).append({**found, "round": number})


def carry_out(task):
    """One workload in a process of its own."""
    command = [sys.executable, f"{HERE}/work.py"]
    try:
        done = subprocess.run(
            command, input=json.dumps(task), capture_output=True, text=True, cwd=HERE,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise stores.Failed(f"{task['workload']} is not done after {TIMEOUT} s") from None
    if done.returncode != 0:
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        raise stores.Failed(f"{task['workload']}: {last}")
    return json.loads(done.stdout)


TIMEOUT = 600
"""Seconds for one workload on one store in one round."""


def network(options, measured, directory, result):
    """Loads of the same cluster by the client in Rust, beside a process that only answers."""
    for store in measured:
        if isinstance(store, stores.Cluster):
            say("the cluster without Python, and a bare connection")
            command = [
                options.neolith, "bench", "cluster", "--masters", store.masters,
                "--cluster", store.cluster, "--sizes", str(options.size), "--objects", "2000",
                "--connections", "1", "--clients", "0", "--directory", directory, "--json",
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                result["network"] = json.loads(done.stdout)
            else:
                result["failed"].append(done.stderr.strip())


def device_of(directory):
    """The counters of the whole disk that a directory is on, if the system tells."""
    number = os.stat(directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if os.path.exists(f"{path}/partition"):
        path = os.path.dirname(path)
    while os.path.isdir(f"{path}/slaves") and len(os.listdir(f"{path}/slaves")) == 1:
        path = os.path.realpath(f"{path}/slaves/{os.listdir(f'{path}/slaves')[0]}")
    path += "/stat"
    try:
        with open(path) as file:
            return path if len(file.read().split()) > 15 else None
    except OSError:
        say(f"{directory} is on no disk that counts: where nothing is synced, syncs take no time")
        return None


def machine():
    names = ("ZODB", "ZEO", "RelStorage", "psycopg2", "zodbshootout", "neolith")
    installed = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": {name: installed[name] for name in names if name in installed},
    }


def say(what):
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except stores.Failed as failed:
        say(f"run: {failed}")
        sys.exit(2)
