"""The same ZODB work on several storages, side by side: see README.md."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata

import report
import shootout
import stores

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
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="zodb-bench-", dir=options.dir)
        # PostgreSQL has a user of its own, who has to get there.
        os.chmod(directory, 0o755)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        measured = list(start(options, directory, stack))
        result = {
            "machine": machine(),
            "options": {name: value for name, value in vars(options).items() if name != "also"},
            "stores": [
                {"name": store.name, "durable": store.durable, "results": {}} for store in measured
            ],
        }
        run_rounds(options, measured, result)
        result["network"] = network(options, measured, directory)
        if options.shootout:
            result["shootout"] = shootout.run(measured, directory, options.shootout_objects)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    print(report.text(result))


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
    parser.add_argument("--shootout", action="store_true", help="zodbshootout's workload, too")
    parser.add_argument(
        "--shootout-objects", type=int, default=100, help="of a transaction there [100]"
    )
    parser.add_argument("--json", metavar="FILE", help="everything that was measured")
    options = parser.parse_args()
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
        *(stores.Other(*each.split("=", 1)) for each in options.also),
        stores.Embedded(),
        stores.Cluster(options.neolith),
    ]
    words = options.stores.lower().split(",") if options.stores else [""]
    for store in known:
        if not any(word in store.name.lower() for word in words):
            continue
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
        written = work(one)
        oids.append(written["oids"])
    for number in range(options.rounds):
        for workload in workloads:
            for index, store in enumerate(measured):
                say(f"round {number + 1} of {options.rounds}: {workload}, {store.name}")
                one = {**task, "workload": workload, "oids": oids[index], "config": store.config}
                one["seed"] = options.seed + number
                if workload == "process_loads":
                    if not store.many:
                        continue
                    one["config"] = store.reading()
                found = work(one)
                if found is not None:
                    results = result["stores"][index]["results"]
                    results.setdefault(workload, []).append(found)


def work(task):
    """One workload in a process of its own."""
    command = [sys.executable, f"{HERE}/work.py"]
    done = subprocess.run(
        command, input=json.dumps(task), stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    if done.returncode != 0:
        raise SystemExit(f"{task['workload']} failed with\n{task['config']}")
    return json.loads(done.stdout)


def network(options, measured, directory):
    """Loads of the same cluster by the client in Rust, beside a process that only answers."""
    for store in measured:
        if isinstance(store, stores.Cluster):
            say("the cluster without Python, and a bare connection")
            command = [
                options.neolith, "bench", "cluster", "--masters", store.masters,
                "--cluster", store.cluster, "--sizes", str(options.size), "--objects", "2000",
                "--connections", "1", "--clients", "0", "--directory", directory, "--json",
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            return json.loads(done.stdout) if done.returncode == 0 else None
    return None


def device_of(directory):
    """The counters of the block device that a directory is on, if it is on one."""
    number = os.stat(directory).st_dev
    path = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat"
    return path if os.path.exists(path) else None


def machine():
    packages = ("ZODB", "ZEO", "RelStorage", "psycopg2", "zodbshootout", "neolith")
    return {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": {name: metadata.version(name) for name in packages},
    }


def say(what):
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except stores.Failed as failed:
        raise SystemExit(f"run: {failed}")
