"""A real database: all of it, seen through ZODB, as FileStorage has it.

It is the project's sample, or the file that ``NEOLITH_SAMPLE`` names.
"""

import logging
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import ZODB
import zstandard
from clusters import BINARY, MODES, Cluster, Directory
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError, StateLoadError
from ZODB.serialize import referencesf
from ZODB.utils import p64, u64, z64

SAMPLE = pathlib.Path(
    os.environ.get("NEOLITH_SAMPLE", pathlib.Path(__file__).parents[3] / "tests/sample/sample.fs")
)


SITE = pathlib.Path(__file__).parents[4] / "shared/data/zodb/site-a.fs.zst"
"""A site of 150 MB, which does not come with the project."""


class Sample(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        # FileStorage puts an index beside it.
        path = shutil.copy(SAMPLE, cls.directory.name)
        cls.expected = FileStorage(path, read_only=True)
        cls.addClassCleanup(cls.expected.close)

    def test_imported_with_neolith(self):
        for mode in MODES:
            with self.subTest(mode):
                cluster = Cluster(mode, "--import", str(SAMPLE))
                self.addCleanup(cluster.stop)
                with cluster.open() as storage:
                    self.compare(storage)

    def test_imported_into_a_directory(self):
        directory = Directory()
        self.addCleanup(directory.stop)
        command = [BINARY, "import", str(SAMPLE), directory.path]
        subprocess.run(command, check=True, capture_output=True)
        with directory.open() as storage:
            self.compare(storage)

    def test_copied_into_a_directory_with_zodb(self):
        directory = Directory()
        self.addCleanup(directory.stop)
        with directory.open() as storage:
            storage.copyTransactionsFrom(self.expected)
            self.compare(storage)
            self.assertGreater(storage.new_oid(), max(walk(self.expected)))

    def test_copied_with_zodb(self):
        cluster = Cluster("one")
        self.addCleanup(cluster.stop)
        with cluster.open() as storage:
            storage.copyTransactionsFrom(self.expected)
            self.compare(storage)
            self.assertGreater(storage.new_oid(), max(walk(self.expected)))

    def compare(self, storage):
        self.assertEqual(storage.lastTransaction(), self.expected.lastTransaction())
        self.assertEqual(walk(storage), walk(self.expected))
        self.assertEqual(objects(storage), objects(self.expected))
        for own, other in zip(storage.iterator(), self.expected.iterator(), strict=True):
            for name in ("tid", "user", "description", "extension"):
                self.assertEqual(getattr(own, name), getattr(other, name))
            # FileStorage keeps both records of who undoes two changes of an object at once.
            records = [{record.oid: record.data for record in each} for each in (own, other)]
            self.assertEqual(*records)
            # And as whoever began just before saw it.
            for record in other:
                before = answer(self.expected, record.oid, record.tid)
                self.assertEqual(answer(storage, record.oid, record.tid), before)


@unittest.skipUnless(SITE.exists(), "only the project's sample is here")
class Site(unittest.TestCase):
    """The greater one: all its objects in each mode, not all that they ever were."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.path = f"{directory.name}/site.fs"
        with open(SITE, "rb") as packed, open(cls.path, "wb") as plain:
            zstandard.ZstdDecompressor().copy_stream(packed, plain)
        expected = FileStorage(cls.path, read_only=True)
        cls.addClassCleanup(expected.close)
        cls.walked, cls.objects = walk(expected), objects(expected)

    def test_in_a_directory(self):
        directory = Directory()
        self.addCleanup(directory.stop)
        command = [BINARY, "import", self.path, directory.path]
        subprocess.run(command, check=True, capture_output=True)
        self.compare(directory)

    def test_on_one_storage(self):
        self.compare_cluster("one")

    def test_on_three_storages(self):
        self.compare_cluster("three")

    def compare_cluster(self, mode):
        cluster = Cluster(mode, "--import", self.path)
        self.addCleanup(cluster.stop)
        self.compare(cluster)

    def compare(self, place):
        with place.open() as storage:
            self.assertTrue(walk(storage) == self.walked, "objects differ")
            self.assertTrue(objects(storage) == self.objects, "ZODB's objects differ")


def answer(storage, oid, tid):
    try:
        return storage.loadBefore(oid, tid)
    except POSKeyError as error:
        return error.args


def walk(storage):
    """All objects that can be reached, in the last state."""
    found, waiting = {}, [z64]
    before = p64(u64(storage.lastTransaction()) + 1)
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            found[oid] = storage.loadBefore(oid, before)
            waiting += referencesf(found[oid][0])
    return found


def objects(storage):
    """The same by ZODB's objects, whose classes are not there: class, serial and keys of each."""
    found, waiting = {}, [z64]
    connection = ZODB.DB(storage).open()
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            loaded = connection.get(oid)
            found[oid] = described(loaded)
            waiting += referencesf(connection._storage.load(oid)[0])
    # Closing the database would close its storage.
    connection.close()
    return found


def described(loaded):
    """What is told of an object: its class, its serial, what its state is."""
    name = f"{type(loaded).__module__}.{type(loaded).__name__}"
    try:
        loaded._p_activate()
    except StateLoadError as error:
        # Some states want classes that are not there.
        return name, repr(error.__cause__)
    state = loaded.__getstate__()
    keys = sorted(state) if isinstance(state, dict) else type(state).__name__
    return name, loaded._p_serial, keys


def setUpModule():
    # It logs each state that wants classes.
    logging.getLogger("ZODB.Connection").setLevel(logging.CRITICAL + 1)


if __name__ == "__main__":
    unittest.main()
