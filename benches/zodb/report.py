"""The table, and the ratios that matter."""

import math
import statistics

COLUMNS = (
    ("commit/s", "small_commits", "rate", 0),
    ("p50 us", "small_commits", "p50", 0),
    ("flush", "small_commits", "flushes", 1),
    ("4 thr./s", "threaded_commits", "rate", 0),
    ("batch obj/s", "batch_commits", "rate", 0),
    ("cold p50 us", "cold_loads", "p50", 1),
    ("p99 us", "cold_loads", "p99", 1),
    ("hot p50 us", "hot_loads", "p50", 2),
    ("one by one/s", "prefetched_loads", "one_by_one", 0),
    ("prefetched/s", "prefetched_loads", "rate", 0),
    ("4 proc./s", "process_loads", "rate", 0),
)

RATIOS = (
    # What, the store and its peer, workload, what of it, whether less is better.
    ("hot load", "neolith, embedded", "FileStorage", "hot_loads", "p50", True),
    ("small commit", "neolith, embedded", "FileStorage", "small_commits", "rate", False),
    ("small commit", "neolith, cluster", "ZEO, FileStorage", "small_commits", "rate", False),
    ("small commit", "neolith, cluster", "RelStorage, PostgreSQL", "small_commits", "rate", False),
    ("small commit", "neolith, cluster", "RelStorage, SQLite", "small_commits", "rate", False),
    ("4 threads", "neolith, cluster", "ZEO, FileStorage", "threaded_commits", "rate", False),
    ("4 threads", "neolith, cluster", "RelStorage, PostgreSQL", "threaded_commits", "rate", False),
    ("cold load", "neolith, cluster", "ZEO, FileStorage", "cold_loads", "p50", True),
    ("cold load", "neolith, cluster", "RelStorage, PostgreSQL", "cold_loads", "p50", True),
    ("prefetched", "neolith, cluster", "ZEO, FileStorage", "prefetched_loads", "rate", False),
    ("4 processes", "neolith, cluster", "ZEO, FileStorage", "process_loads", "rate", False),
    ("4 processes", "neolith, cluster", "RelStorage, PostgreSQL", "process_loads", "rate", False),
)


def text(result):
    lines = [described(result["machine"]), ""]
    rows = [["", *(title for title, *_ in COLUMNS)]]
    for store in result["stores"]:
        rows.append([store["name"], *(cell(store, column) for column in COLUMNS)])
    lines += table(rows)
    lines += ["", "ratios, greater is better:"]
    lines += ratios(result["stores"])
    lines += network(result)
    if result.get("shootout"):
        lines += ["", "zodbshootout, ms (mean of one thread):"]
        lines += table(shootout_rows(result["shootout"]))
    if result["failed"]:
        lines += ["", "failed:", *(f"  {each}" for each in result["failed"])]
    lines += ["", "synced before a commit ends:"]
    lines += [f"  {store['name']}: {store['durable']}" for store in result["stores"]]
    return "\n".join(lines)


def described(machine):
    versions = " ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Python {machine['python']}, {machine['processors']} CPUs, "
        f"load average before {machine['load_before']:.1f}; {versions}"
    )


def cell(store, column):
    _, workload, name, digits = column
    found = store["results"].get(workload)
    if not found or math.isnan(found[0][name]):
        return "-"
    return f"{median(found, name):.{digits}f}"


def table(rows):
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def ratios(found):
    """Medians of the ratios of each round, with the least and the greatest."""
    results = {store["name"]: store["results"] for store in found}
    lines = []
    for what, store, peer, workload, name, less in RATIOS:
        ours = results.get(store, {}).get(workload, [])
        theirs = {one["round"]: one for one in results.get(peer, {}).get(workload, [])}
        pairs = [(one, theirs[one["round"]]) for one in ours if one["round"] in theirs]
        each = [b[name] / a[name] if less else a[name] / b[name] for a, b in pairs]
        if each:
            lines.append(f"  {what}, {store} to {peer}: {spread(each)}")
    for store in found:
        each = [one["times"] for one in store["results"].get("prefetched_loads", [])]
        if each:
            lines.append(f"  prefetched to one by one, {store['name']}: {spread(each)}")
    return lines


def spread(each):
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def network(result):
    """What a cold load takes above the network: from Rust, and from Python."""
    found = result.get("network")
    if not found:
        return []
    raw, own = (
        each[0]["latency"]["p50_ns"] / 1000
        for each in (found["raw"]["loads"], found["clusters"][0]["session_loads"])
    )
    lines = [
        "",
        f"one connection, p50: bare TCP {raw:.1f} us, load from Rust {own:.1f} us "
        f"({own / raw:.2f} times)",
    ]
    for store in result["stores"]:
        if store["name"] == "neolith, cluster" and "cold_loads" in store["results"]:
            python = median(store["results"]["cold_loads"], "p50")
            lines[-1] += f", from Python {python:.1f} us ({python - own:+.1f})"
    return lines


def shootout_rows(found):
    names = list(found)
    kinds = dict.fromkeys(kind for name in names for kind in found[name])
    rows = [["", *names]]
    for kind in kinds:
        values = [found[name].get(kind) for name in names]
        rows.append([kind, *("-" if value is None else f"{value:.2f}" for value in values)])
    return rows


def median(found, name):
    return statistics.median(each[name] for each in found)
