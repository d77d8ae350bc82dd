"""zodbshootout's own workloads on the same storages."""

import json
import os
import statistics
import subprocess
import sys
import textwrap

KINDS = ("add", "store", "update", "cold", "prefetch_cold", "warm", "hot", "conflicts")


def run(measured, directory, objects, failed):
    """What each workload takes on each store, milliseconds by its name; None if it failed."""
    path, output = f"{directory}/shootout.conf", f"{directory}/shootout.json"
    with open(path, "w") as file:
        file.write(configuration(measured))
    command = [
        os.path.join(os.path.dirname(sys.executable), "zodbshootout"),
        "--include-mapping", "false", "--threads", "shared", "-c", "1",
        # One turn a value: it would take many of a slow storage until it knows how many to take.
        "--object-counts", str(objects), "-p", "1", "-n", "3", "-w", "1", "-l", "1", "-q",
        "-o", output,
        path, *KINDS,
    ]
    print("zodbshootout", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=directory, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        failed.append(f"zodbshootout is not done after {TIMEOUT} s")
        return None
    if done.returncode != 0:
        failed.append(f"zodbshootout: {done.stderr.strip()[-500:]}")
        return None
    with open(output) as file:
        return means(json.load(file), measured)


TIMEOUT = 3600
"""Seconds for all of it."""


def configuration(measured):
    """A database for each storage; imports are at the top."""
    imports, sections = [], []
    for store in measured:
        lines = store.config.splitlines()
        imports += [line for line in lines if line.startswith("%import")]
        storage = [line for line in lines if not line.startswith("%import")]
        sections.append(f"<zodb {label(store.name)}>")
        sections.append(textwrap.indent("\n".join(storage), "  "))
        sections.append("</zodb>")
    return "\n".join([*dict.fromkeys(imports), *sections]) + "\n"


def label(name):
    return "".join(each if each.isalnum() else "-" for each in name.lower())


def means(found, measured):
    names = {label(store.name): store.name for store in measured}
    by_store = {}
    for benchmark in found["benchmarks"]:
        # "{c=1 threads, o=100} zeo-filestorage: add 100 objects"
        told = benchmark.get("metadata", found.get("metadata", {}))["name"]
        store, kind = told.split("} ", 1)[1].split(": ", 1)
        values = [value for run in benchmark["runs"] for value in run.get("values", [])]
        if values:
            own = by_store.setdefault(names[store], {})
            own[kind] = 1000 * statistics.mean(values)
    return by_store
