"""ZODB's own tests of storages, unchanged, in each mode."""

import functools
import pathlib
import re
import unittest

from ZODB.tests import (
    BasicStorage,
    ConflictResolution,
    HistoryStorage,
    IteratorStorage,
    MTStorage,
    PackableStorage,
    PersistentStorage,
    ReadOnlyStorage,
    RecoveryStorage,
    RevisionStorage,
    StorageTestBase,
    Synchronization,
    TransactionalUndoStorage,
)

from clusters import EMBEDDED, MODES, Supply

LIST = pathlib.Path(__file__).parents[3] / "docs/zodb-tests.md"
"""Tests that cannot pass: rows of a table, with the modes and the reason."""


def expected_failures(mode):
    """Tests that cannot pass in a mode."""
    rows = re.findall(r"^\| `(test\w+)` \| ([\w ]+) \|", LIST.read_text(), re.MULTILINE)
    return {name for name, modes in rows if modes in ("all", mode)}



class StorageTests(StorageTestBase.StorageTestBase):
    """A cluster of its own for each test."""

    mode = None
    supply = None
    @classmethod
    def setUpClass(cls):
        cls.supply = Supply(cls.mode)

    @classmethod
    def tearDownClass(cls):
        cls.supply.close()

    def setUp(self):
        super().setUp()
        self._cluster = self.supply.take()
        self.addCleanup(self.supply.give_back, self._cluster)
        self.open()

    def open(self, **options):
        self._storage = self._cluster.open(**options)


class Storage(
    BasicStorage.BasicStorage,
    ConflictResolution.ConflictResolvingStorage,
    ConflictResolution.ConflictResolvingTransUndoStorage,
    HistoryStorage.HistoryStorage,
    IteratorStorage.ExtendedIteratorStorage,
    IteratorStorage.IteratorStorage,
    MTStorage.MTStorage,
    PackableStorage.PackableStorage,
    PackableStorage.PackableUndoStorage,
    PersistentStorage.PersistentStorage,
    ReadOnlyStorage.ReadOnlyStorage,
    RevisionStorage.RevisionStorage,
    Synchronization.SynchronizedStorage,
    TransactionalUndoStorage.TransactionalUndoStorage,
):
    """All that have one cluster."""

    # The extension is kept and given back as it was coded.
    use_extension_bytes = True

    def _new_storage_client(self):
        if self.mode == EMBEDDED:
            # A directory is opened once at a time: the test has nothing to look at, and skips.
            raise NotImplementedError
        storage = self._cluster.open()
        self.addCleanup(storage.close)
        return storage


class Recovery(RecoveryStorage.RecoveryStorage):
    """Those that copy into another cluster."""

    def setUp(self):
        super().setUp()
        self._other = self.supply.take()
        self.addCleanup(self.supply.give_back, self._other)
        self._dst = self._other.open()

    def tearDown(self):
        self._dst.close()
        super().tearDown()


def _copy(function):
    @functools.wraps(function)
    def copied(self):
        return function(self)

    return copied


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for mode in (*MODES, EMBEDDED):
        for mixin in (Storage, Recovery):
            name = f"{mixin.__name__}_{mode}"
            case = type(name, (mixin, StorageTests), {"mode": mode, "__module__": __name__})
            for test in expected_failures(mode).intersection(dir(case)):
                # A function of its own, as the mark stays on it.
                setattr(case, test, unittest.expectedFailure(_copy(getattr(case, test))))
            suite.addTests(loader.loadTestsFromTestCase(case))
    return suite


if __name__ == "__main__":
    unittest.main()
