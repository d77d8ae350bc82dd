"""What can go wrong is said with ZODB's exceptions, and the facts in them."""

import socket
import threading
import time
import unittest

import neolith
from clusters import Cluster
from neolith import _neolith
from objects import commit, in_threads, new
from transaction.interfaces import TransientError
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import (
    ConflictError,
    POSKeyError,
    ReadConflictError,
    ReadOnlyError,
    StorageError,
    StorageTransactionError,
    UndoError,
)
from ZODB.utils import maxtid, p64, z64


class Opening(unittest.TestCase):
    """No cluster is needed for these."""

    def test_no_master_answers(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            masters = ["127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}"]
            begin = time.monotonic()
            with self.assertRaises(neolith.Unavailable) as caught:
                neolith.Storage(masters, "site", wait_timeout=0.5)
            self.assertLess(time.monotonic() - begin, 5)
        for master in masters:
            self.assertIn(master, str(caught.exception))
        self.assertIsInstance(caught.exception, StorageError)
        self.assertIsInstance(caught.exception, TransientError)
        self.assertNotIsInstance(caught.exception, KeyError)

    def test_bad_arguments(self):
        for error, arguments in (
            (ValueError, {"masters": "nowhere", "name": "site"}),
            (ValueError, {"masters": "h:99999", "name": "site"}),
            (ValueError, {"masters": [], "name": "site"}),
            (ValueError, {"masters": "h:1", "name": "site", "wait_timeout": -1}),
            (OverflowError, {"masters": "h:1", "name": "site", "cache_size": -1}),
            (OverflowError, {"masters": "h:1", "name": "site", "busy_poll_us": -1}),
            (ValueError, {"masters": "h:1", "name": "site", "busy_poll_us": 1_000_001}),
            (TypeError, {"masters": "h:1"}),
            (TypeError, {"masters": "h:1", "name": ""}),
            (TypeError, {"masters": "h:1", "name": "site", "path": "/tmp/x"}),
            (TypeError, {"masters": 7, "name": "site"}),
            (TypeError, {"masters": "h:1", "name": "site", "color": "red"}),
            (TypeError, {}),
            (TypeError, {"path": 7}),
        ):
            with self.subTest(arguments), self.assertRaises(error):
                neolith.Storage(**arguments)

    def test_a_panic_is_an_exception(self):
        with self.assertRaisesRegex(neolith.InternalError, "oh no"):
            _neolith._panic("oh no")


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.stop)
        cls.storage = cls.cluster.open()
        cls.addClassCleanup(cls.storage.close)

    def test_another_name(self):
        with self.assertRaisesRegex(neolith.Refused, self.cluster.masters[0]):
            neolith.Storage(self.cluster.masters, "other", wait_timeout=5)

    def test_something_that_is_no_oid(self):
        storage, transaction = self.storage, TransactionMetaData()
        storage.tpc_begin(transaction)
        for bad in (b"1234567", b"123456789", "12345678", 5, None, bytearray(8)):
            for call in (
                lambda: storage.loadBefore(bad, maxtid),
                lambda: storage.loadBefore(z64, bad),
                lambda: storage.load(bad),
                lambda: storage.loadSerial(bad, z64),
                lambda: storage.getTid(bad),
                lambda: storage.history(bad),
                lambda: storage.prefetch([z64, bad], maxtid),
                lambda: storage.store(bad, z64, b"", "", transaction),
                lambda: storage.deleteObject(bad, z64, transaction),
                lambda: storage.undo(bad, transaction),
            ):
                with self.assertRaises(neolith.InvalidId) as caught:
                    call()
                self.assertIn(repr(bad), str(caught.exception))
        storage.tpc_abort(transaction)

    def test_no_object(self):
        oid = p64(1 << 60)
        for call in (
            lambda: self.storage.loadBefore(oid, maxtid),
            lambda: self.storage.load(oid),
            lambda: self.storage.loadSerial(oid, p64(1)),
            lambda: self.storage.getTid(oid),
            lambda: self.storage.history(oid),
        ):
            with self.assertRaises(POSKeyError) as caught:
                call()
            self.assertEqual(caught.exception.args, (oid,))

    def test_no_such_revision(self):
        oid, tid = new(self.storage)
        self.assertIsNone(self.storage.loadBefore(oid, tid))
        with self.assertRaises(POSKeyError):
            self.storage.loadSerial(oid, p64(1))

    def test_a_conflict_has_the_facts(self):
        oid, first = new(self.storage, b"first")
        second = commit(self.storage, (oid, first, b"second"))
        with self.assertRaises(ConflictError) as caught:
            commit(self.storage, (oid, first, b"other"))
        self.assertEqual(caught.exception.oid, oid)
        self.assertEqual(caught.exception.serials, (second, first))
        self.assertEqual(self.storage.load(oid), (b"second", second))
        with self.assertRaises(ConflictError) as caught:
            commit(self.storage, (oid, z64, b"other"))
        self.assertEqual(caught.exception.serials, (second, z64))

    def test_a_read_conflict_has_the_facts(self):
        storage = self.storage
        oid, first = new(storage)
        second = commit(storage, (oid, first, b"second"))
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        with self.assertRaises(ReadConflictError) as caught:
            storage.checkCurrentSerialInTransaction(oid, first, transaction)
            storage.tpc_vote(transaction)
        storage.tpc_abort(transaction)
        self.assertEqual(caught.exception.oid, oid)
        self.assertEqual(caught.exception.serials, (second, first))

    def test_undo_of_what_is_not_there(self):
        transaction = TransactionMetaData()
        self.storage.tpc_begin(transaction)
        with self.assertRaises(UndoError):
            self.storage.undo(p64(7), transaction)
        self.storage.tpc_abort(transaction)

    def test_undo_of_what_changed_since(self):
        oid, first = new(self.storage, b"first")
        second = commit(self.storage, (oid, first, b"second"))
        commit(self.storage, (oid, second, b"third"))
        transaction = TransactionMetaData()
        self.storage.tpc_begin(transaction)
        # It cannot be merged: it is no pickle.
        with self.assertLogs("ZODB.ConflictResolution"), self.assertRaises(UndoError) as caught:
            self.storage.undo(second, transaction)
            self.storage.tpc_vote(transaction)
        self.storage.tpc_abort(transaction)
        self.assertIn(f"0x{int.from_bytes(oid):x}", str(caught.exception))

    def test_only_reading(self):
        oid, tid = new(self.storage)
        with self.cluster.open(read_only=True) as storage:
            self.assertTrue(storage.isReadOnly())
            self.assertEqual(storage.load(oid), (b"data", tid))
            transaction = TransactionMetaData()
            for call in (
                storage.new_oid,
                lambda: storage.tpc_begin(transaction),
                lambda: storage.store(oid, tid, b"", "", transaction),
                lambda: storage.deleteObject(oid, tid, transaction),
                lambda: storage.undo(tid, transaction),
                lambda: storage.pack(time.time(), None),
            ):
                self.assertRaises(ReadOnlyError, call)

    def test_a_transaction_out_of_turn(self):
        storage, transaction = self.storage, TransactionMetaData()
        oid = storage.new_oid()

        def misused(call):
            self.assertRaises(StorageTransactionError, call)

        misused(lambda: storage.store(oid, z64, b"1", "", transaction))
        storage.tpc_begin(transaction)
        misused(lambda: storage.tpc_begin(transaction))
        storage.store(oid, z64, b"1", "", transaction)
        storage.tpc_vote(transaction)
        misused(lambda: storage.store(oid, z64, b"2", "", transaction))
        misused(lambda: storage.tpc_vote(transaction))
        storage.tpc_abort(transaction)
        # After the end, whichever.
        misused(lambda: storage.tpc_vote(transaction))
        misused(lambda: storage.tpc_finish(transaction))
        self.assertRaises(POSKeyError, storage.load, oid)
        storage.tpc_begin(transaction)
        storage.store(oid, z64, b"3", "", transaction)
        storage.tpc_vote(transaction)
        tid = storage.tpc_finish(transaction)
        misused(lambda: storage.tpc_finish(transaction))
        misused(lambda: storage.store(oid, tid, b"4", "", transaction))
        storage.tpc_abort(transaction)
        self.assertEqual(storage.load(oid), (b"3", tid))

    def test_finishing_what_was_not_voted(self):
        transaction = TransactionMetaData()
        self.storage.tpc_begin(transaction)
        oid = self.storage.new_oid()
        self.storage.store(oid, z64, b"1", "", transaction)
        with self.assertRaises(StorageTransactionError):
            self.storage.tpc_finish(transaction)
        self.storage.tpc_abort(transaction)
        self.assertRaises(POSKeyError, self.storage.load, oid)

    def test_a_transaction_of_two_threads(self):
        """One of them is refused or waits; nothing is stored half."""
        storage, transaction = self.storage, TransactionMetaData()
        storage.tpc_begin(transaction)
        oids = [storage.new_oid() for _ in range(200)]
        stored = []

        def store(number):
            for oid in oids[number::4]:
                try:
                    storage.store(oid, z64, b"x" * 5000, "", transaction)
                    stored.append(oid)
                except StorageTransactionError as error:
                    self.assertIn("another thread", str(error))

        in_threads(4, store)
        storage.tpc_vote(transaction)
        tid = storage.tpc_finish(transaction)
        for oid in oids:
            if oid in stored:
                self.assertEqual(storage.load(oid)[1], tid)
            else:
                self.assertRaises(POSKeyError, storage.load, oid)

    def test_an_exception_in_the_function_comes_after_the_commit(self):
        storage, transaction = self.storage, TransactionMetaData()
        storage.tpc_begin(transaction)
        oid = storage.new_oid()
        storage.store(oid, z64, b"1", "", transaction)
        storage.tpc_vote(transaction)
        told = []

        def function(tid):
            told.append((tid, storage.lastTransaction()))
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            storage.tpc_finish(transaction, function)
        ((tid, last_tid),) = told
        self.assertLess(last_tid, tid)
        self.assertEqual(storage.lastTransaction(), tid)
        self.assertEqual(storage.load(oid), (b"1", tid))

    def test_closed(self):
        storage = self.cluster.open()
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        storage.close()
        storage.close()
        for call in (
            lambda: storage.load(z64),
            lambda: storage.loadBefore(z64, maxtid),
            lambda: storage.tpc_vote(transaction),
            lambda: storage.tpc_begin(TransactionMetaData()),
            storage.new_oid,
            storage.lastTransaction,
            storage.sync,
        ):
            self.assertRaises(neolith.Closed, call)

    def test_closing_ends_what_waits(self):
        storage = self.cluster.open(cache_size=0)
        oid, _ = new(storage)
        begun = threading.Event()

        def load():
            with self.assertRaises(neolith.Closed):
                while True:
                    storage.load(oid)
                    begun.set()

        def close():
            begun.wait(10)
            storage.close()

        in_threads(5, lambda number: close() if number == 4 else load())


if __name__ == "__main__":
    unittest.main()
