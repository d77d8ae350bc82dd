"""A real database: all of it, seen through ZODB, as FileStorage has it."""

import pathlib
import shutil
import tempfile
import unittest

from clusters import MODES, Cluster
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.utils import p64, u64, z64

SAMPLE = pathlib.Path(__file__).parents[3] / "tests/sample/sample.fs"


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


if __name__ == "__main__":
    unittest.main()
