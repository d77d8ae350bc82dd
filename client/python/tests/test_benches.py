"""The comparison with other storages, of ours only: the others are not installed here."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from clusters import BINARY

COMPARE = pathlib.Path(__file__).parents[3] / "benches/zodb/compare.py"


class Benches(unittest.TestCase):
    def test_all_work_is_done_on_both(self):
        with tempfile.TemporaryDirectory() as directory:
            output = f"{directory}/out.json"
            words = ["--neolith", BINARY, "--stores", "neolith", "--json", output]
            words += ["--objects", "2500", "--transactions", "3", "--loads", "20", "--rounds", "1"]
            done = self.run_it(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(output) as file:
                found = json.load(file)
        self.assertEqual(found["failed"], [])
        self.assertIn("from Python", done.stdout)
        counted = {store["name"]: set(store["results"]) for store in found["stores"]}
        alone = {"small_commits", "batch_commits", "threaded_commits", "cold_loads", "hot_loads"}
        self.assertEqual(counted["neolith, embedded"], alone)
        self.assertEqual(
            counted["neolith, cluster"], alone | {"prefetched_loads", "process_loads"}
        )

    def test_what_is_wrong_is_told_before_anything_starts(self):
        for words in (
            ("--stores", "nothing"),
            ("--workloads", "nothing"),
            ("--also", "nothing"),
            ("--objects", "10"),
        ):
            done = self.run_it("--neolith", BINARY, *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words[0], done.stderr)

    def run_it(self, *words):
        command = [sys.executable, str(COMPARE), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)


if __name__ == "__main__":
    unittest.main()
