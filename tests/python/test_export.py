#!/usr/bin/env python3
"""What `neolith export` writes is a FileStorage that ZODB opens, with nothing added or lost.

    NEOLITH_BIN=target/release/neolith python3 -m unittest discover -s tests/python

Needs the package ZODB (pip). `cargo xtask test --only python` installs it and runs this.
"""

import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
BINARY = os.environ.get("NEOLITH_BIN", os.path.join(ROOT, "target", "release", "neolith"))
# More databases, which a checkout need not have beside it.
MORE = sorted(glob.glob(os.path.join(ROOT, "..", "shared", "data", "zodb", "tiny*.fs")))


class ExportTest(unittest.TestCase):
    """A FileStorage goes in and comes out; ZODB finds in it what the truth file says."""

    def test_sample(self):
        sample = os.path.join(ROOT, "tests", "sample", "sample.fs")
        with open(truth_path(sample, ".truth.json"), encoding="utf-8") as truth:
            self.check(sample, json.load(truth))

    @unittest.skipUnless(MORE, "no databases in ../shared/data/zodb")
    def test_databases_with_every_kind_of_record(self):
        for source in MORE:
            with gzip.open(truth_path(source, ".truth.json.gz"), "rt", encoding="utf-8") as truth:
                self.check(source, json.load(truth))

    def check(self, source, truth):
        for partitions in ("1", "12"):
            with self.subTest(source=os.path.basename(source), partitions=partitions):
                answer = export_and_open(source, partitions)
                for key in ("transactions", "records", "dump_sha256"):
                    self.assertEqual(answer[key], truth[key], key)


def truth_path(source, extension):
    return os.path.splitext(source)[0] + extension


def export_and_open(source, partitions):
    """What check_export.py says of a FileStorage that was imported and exported."""
    with tempfile.TemporaryDirectory() as directory:
        database = os.path.join(directory, "database")
        target = os.path.join(directory, "target.fs")
        run([BINARY, "import", "--partitions", partitions, source, database])
        run([BINARY, "export", database, target])
        check = os.path.join(HERE, "check_export.py")
        return json.loads(run([sys.executable, check, target]))


def run(command):
    """The output of a command, which has to succeed. What it complains about goes to the test's."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    unittest.main()
