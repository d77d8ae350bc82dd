"""A database without a cluster."""

import os
import unittest

import neolith
import transaction
import ZODB
import zodburi
from ZODB.POSException import POSKeyError, ReadOnlyError, StorageSystemError, Unsupported
from ZODB.utils import p64

from clusters import Directory
from objects import Counter, commit, in_threads, new


class Embedded(unittest.TestCase):
    def setUp(self):
        self.directory = Directory()
        self.addCleanup(self.directory.stop)

    def test_what_is_committed_is_there_when_it_is_opened_again(self):
        with self.directory.open() as storage:
            oid, first = new(storage, b"first")
            second = commit(storage, (oid, first, b"second"))
            self.assertEqual(storage.loadBefore(oid, second), (b"first", first, second))
        with self.directory.open() as storage:
            self.assertEqual(storage.lastTransaction(), second)
            self.assertEqual(storage.load(oid), (b"second", second))
            self.assertNotEqual(storage.new_oid(), oid)
            with self.assertRaises(POSKeyError):
                storage.load(p64(1 << 40))

    def test_it_is_opened_once_at_a_time(self):
        with self.directory.open():
            with self.assertRaisesRegex(neolith.NeolithError, "database"):
                self.directory.open()
        self.directory.open().close()

    def test_reading_only(self):
        with self.assertRaises((neolith.NeolithError, StorageSystemError)):
            self.directory.open(read_only=True)
        with self.directory.open() as storage:
            oid, tid = new(storage)
        with self.directory.open(read_only=True) as storage:
            self.assertEqual(storage.load(oid), (b"data", tid))
            with self.assertRaises(ReadOnlyError):
                commit(storage, (oid, tid, b"more"))

    def test_what_is_no_database_is_refused(self):
        os.mkdir(self.directory.path)
        with open(f"{self.directory.path}/letter", "w") as letter:
            letter.write("Dear Sirs")
        with self.assertRaises((neolith.NeolithError, StorageSystemError)) as caught:
            self.directory.open()
        self.assertIn(self.directory.path, str(caught.exception))
        self.assertEqual(os.listdir(self.directory.path), ["letter"])

    def test_another_name_is_refused(self):
        self.directory.open(name="site").close()
        with self.assertRaisesRegex(neolith.Refused, "site"):
            self.directory.open(name="shop")

    def test_packing(self):
        with self.directory.open() as storage:
            new(storage)
            with self.assertRaises(Unsupported):
                storage.pack(2_000_000_000, None)

    def test_a_program_of_zodb(self):
        factory, options = zodburi.resolve_uri(self.directory.uri)
        database = ZODB.DB(factory(), **options)
        with database.transaction() as connection:
            connection.root.counter = Counter()

        def count(_number):
            manager = transaction.TransactionManager()
            connection = database.open(manager)
            for _ in range(20):
                for attempt in manager.attempts(50):
                    with attempt:
                        connection.root.counter.value += 1
            connection.close()

        in_threads(4, count)
        database.close()
        with ZODB.DB(self.directory.open()).transaction() as connection:
            self.assertEqual(connection.root.counter.value, 80)


if __name__ == "__main__":
    unittest.main()
