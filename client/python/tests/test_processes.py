"""Forks, interpreters that end, and nodes that are killed."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import neolith
import ZODB
from clusters import Cluster, Nodes
from objects import commit, in_threads, new
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import POSKeyError, StorageError
from ZODB.utils import maxtid, z64
from transaction.interfaces import TransientError


class Forks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("one")
        cls.addClassCleanup(cls.cluster.stop)

    def test_the_child_of_a_fork_is_told(self):
        storage = self.cluster.open()
        self.addCleanup(storage.close)
        oid, tid = new(storage)
        iterator = storage.iterator()
        process = os.fork()
        if process == 0:
            os._exit(self._use_in_child(storage, iterator, oid))
        self.assertEqual(_wait(process), 0)
        # The parent goes on.
        self.assertEqual(commit(storage, (oid, tid, b"2")), storage.lastTransaction())

    def _use_in_child(self, storage, iterator, oid):
        for number, call in enumerate((
            lambda: storage.load(oid),
            lambda: storage.loadBefore(oid, maxtid),
            storage.lastTransaction,
            storage.new_oid,
            storage.sync,
            lambda: storage.tpc_begin(TransactionMetaData()),
            lambda: next(iterator),
        )):
            try:
                call()
            except neolith.Forked:
                continue
            return number + 1
        storage.close()
        # One of its own works.
        with self.cluster.open() as own:
            own.load(oid)
        return 0

    def test_a_child_ends_like_any_other_process(self):
        """Also when it drops what it has of the parent's, and runs what is run at exit."""
        self._run_program("""
            process = os.fork()
            if process == 0:
                del storage
                sys.exit(0)
            assert os.waitpid(process, 0)[1] == 0
        """)

    def test_an_interpreter_ends_with_open_storages(self):
        self._run_program("")
        self._run_program("other = neolith.Storage(masters, name); db = ZODB.DB(storage)")
        self._run_program("storage.close(); del storage")

    def test_an_interpreter_ends_with_a_lock_that_a_thread_holds(self):
        """What is run at exit may wait for it: the thread is not held for ever."""
        self._run_program("""
            import atexit
            lock = threading.Lock()
            # What was registered before the storage's is run after it.
            atexit.unregister(neolith.storage._close_all)
            atexit.register(lock.acquire)
            atexit.register(neolith.storage._close_all)

            def load():
                with lock:
                    closed = 0
                    while closed < 20:
                        try:
                            storage.loadBefore(oid, maxtid)
                        except neolith.Closed:
                            closed += 1
                        if closed:
                            storage.close()

            threading.Thread(target=load, daemon=True).start()
            threading.Event().wait(0.2)
        """)

    def test_an_interpreter_ends_while_threads_load_and_commit(self):
        for _ in range(3):
            self._run_program("""
                def load():
                    while True:
                        storage.loadBefore(oid, maxtid)

                def commit():
                    while True:
                        transaction = TransactionMetaData()
                        storage.tpc_begin(transaction)
                        storage.store(storage.new_oid(), z64, b"", "", transaction)
                        storage.tpc_vote(transaction)
                        storage.tpc_finish(transaction, lambda tid: None)

                db = ZODB.DB(neolith.Storage(masters, name))
                for target in (load, load, commit, commit):
                    threading.Thread(target=target, daemon=True).start()
                threading.Event().wait(0.2)
            """)

    def _run_program(self, text):
        program = textwrap.dedent("""
            import os, sys, threading
            import neolith, ZODB
            from ZODB.Connection import TransactionMetaData
            from ZODB.utils import maxtid, p64, z64
            masters, name, oid = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
            storage = neolith.Storage(masters, name, cache_size=0)
        """) + textwrap.dedent(text)
        with self.cluster.open() as storage:
            oid, _ = new(storage)
        arguments = [self.cluster.masters[0], self.cluster.name, oid.hex()]
        done = subprocess.run(
            # Of forks, when there are threads.
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
            timeout=60,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        # Neither a panic, nor what threads would say that find their storage closed.
        self.assertEqual(done.stderr, "")

    def test_waiting_for_a_cluster_can_be_interrupted(self):
        # Whoever runs the tests in the background of a shell has it ignore the signal.
        program = textwrap.dedent("""
            import signal, neolith
            signal.signal(signal.SIGINT, signal.default_int_handler)
            print("begun", flush=True)
            neolith.Storage("127.0.0.1:1", "x")
        """)
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        self.assertIn(b"KeyboardInterrupt", errors)


class Kills(unittest.TestCase):
    def nodes(self, **options):
        nodes = Nodes(**options)
        self.addCleanup(nodes.stop)
        return nodes

    def open(self, nodes, **options):
        storage = nodes.open(**options)
        self.addCleanup(storage.close)
        return storage

    def test_a_storage_is_killed_during_loads(self):
        """Its replicas answer, and nobody notices."""
        nodes = self.nodes(storages=2, replicas=1)
        storage = self.open(nodes, cache_size=0)
        oids = [storage.new_oid() for _ in range(50)]
        tid = commit(storage, *((oid, z64, oid) for oid in oids))
        loaded = threading.Semaphore(0)
        is_over = threading.Event()

        def load():
            while not is_over.is_set():
                for oid in oids:
                    self.assertEqual(storage.load(oid), (oid, tid))
                    loaded.release()

        def kill():
            try:
                _acquire(loaded, 200)
                nodes.kill("storage1")
                _acquire(loaded, 1000)
            finally:
                is_over.set()

        in_threads(4, lambda number: kill() if number == 3 else load())

    def test_a_storage_is_killed_in_a_commit(self):
        """In whichever phase: its replica has all of it, and the commit is one."""
        for phase in ("begun", "stored", "voted"):
            with self.subTest(phase):
                nodes = self.nodes(storages=2, replicas=1)
                storage = self.open(nodes)
                oids = [new(storage)[0] for _ in range(8)]
                transaction = TransactionMetaData()
                storage.tpc_begin(transaction)
                self.kill_if(phase == "begun", nodes)
                for oid in oids:
                    serial = storage.getTid(oid)
                    storage.store(oid, serial, phase.encode(), "", transaction)
                self.kill_if(phase == "stored", nodes)
                storage.tpc_vote(transaction)
                self.kill_if(phase == "voted", nodes)
                tid = storage.tpc_finish(transaction)
                with nodes.open(cache_size=0) as other:
                    for oid in oids:
                        self.assertEqual(other.load(oid), (phase.encode(), tid))
                # Nobody notices that it is back, whenever that is.
                nodes.start("storage1")
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    tid = commit(storage, *((oid, tid, b"after") for oid in oids))
                self.assertEqual(storage.load(oids[0]), (b"after", tid))

    def kill_if(self, is_time, nodes):
        if is_time:
            nodes.kill("storage1")

    def test_the_only_storage_is_killed_in_a_commit(self):
        """What was voted only is not committed, and nothing stays locked."""
        nodes = self.nodes()
        storage = self.open(nodes, cache_size=0)
        oid, tid = new(storage)
        for phase in ("begun", "stored", "voted"):
            with self.subTest(phase):
                transaction = TransactionMetaData()
                storage.tpc_begin(transaction)
                self.kill_and_start_if(phase == "begun", nodes)
                with self.assertRaises(neolith.Unavailable) as caught:
                    storage.store(oid, tid, phase.encode(), "", transaction)
                    self.kill_and_start_if(phase == "stored", nodes)
                    storage.tpc_vote(transaction)
                    self.kill_and_start_if(phase == "voted", nodes)
                    storage.tpc_finish(transaction)
                self.assertIsInstance(caught.exception, TransientError)
                storage.tpc_abort(transaction)
                self.assertEqual(_until_it_works(lambda: storage.load(oid)), (b"data", tid))
        tid = _until_it_works(lambda: commit(storage, (oid, tid, b"at last")))
        self.assertEqual(storage.load(oid), (b"at last", tid))

    def kill_and_start_if(self, is_time, nodes):
        if is_time:
            nodes.kill("storage0")
            nodes.start("storage0")

    def test_without_the_only_storage_it_is_not_a_missing_object(self):
        nodes = self.nodes()
        storage = self.open(nodes, cache_size=0, wait_timeout=1)
        oid, tid = new(storage)
        nodes.kill("storage0")
        with self.assertRaises(neolith.Unavailable) as caught:
            storage.load(oid)
        self.assertNotIsInstance(caught.exception, POSKeyError)
        nodes.start("storage0")
        self.assertEqual(_until_it_works(lambda: storage.load(oid)), (b"data", tid))

    def test_without_a_master_calls_end(self):
        nodes = self.nodes()
        storage = self.open(nodes, cache_size=1 << 20, wait_timeout=0.5)
        oid, tid = new(storage)
        storage.load(oid)
        nodes.kill("master")
        begin = time.monotonic()
        for call in (
            storage.sync,
            lambda: storage.tpc_begin(TransactionMetaData()),
            lambda: list(storage.iterator()),
            lambda: storage.history(oid),
            storage.undoLog,
        ):
            with self.assertRaisesRegex(neolith.Unavailable, nodes.masters[0]):
                call()
        self.assertLess(time.monotonic() - begin, 10)
        nodes.start("master")
        _until_it_works(lambda: storage.sync())
        self.assertEqual(storage.load(oid), (b"data", tid))
        commit(storage, (oid, tid, b"2"))

    def test_the_master_is_killed_in_tpc_finish(self):
        """What is reported is what happened: committed, or not at all."""
        nodes = self.nodes(storages=2, replicas=1)
        storage = self.open(nodes)
        databases = ZODB.DB(storage)
        for round in range(3):
            transaction = TransactionMetaData()
            storage.tpc_begin(transaction)
            oid = storage.new_oid()
            storage.store(oid, z64, b"%d" % round, "", transaction)
            storage.tpc_vote(transaction)
            # The commit has to wait for a storage that does nothing.
            nodes.signal("storage0", signal.SIGSTOP)
            outcomes = []

            def finish():
                try:
                    outcomes.append(storage.tpc_finish(transaction, outcomes.append))
                except StorageError as error:
                    outcomes.append(error)

            thread = threading.Thread(target=finish)
            thread.start()
            thread.join(0.1 * round)
            nodes.kill("master")
            nodes.signal("storage0", signal.SIGCONT)
            nodes.start("master")
            thread.join(60)
            self.assertFalse(thread.is_alive())
            if isinstance(outcomes[-1], Exception):
                self.assertEqual(len(outcomes), 1, "the function is called for commits only")
                self.assertNotIsInstance(outcomes[0], neolith.OutcomeUnknown)
                self.assertRaises(POSKeyError, _until_it_works, lambda: storage.load(oid))
            else:
                tid = outcomes[0]
                self.assertEqual(outcomes, [tid, tid])
                loaded = _until_it_works(lambda: storage.load(oid))
                self.assertEqual(loaded, (b"%d" % round, tid))
                self.assertGreaterEqual(storage.lastTransaction(), tid)
        databases.close()

    def test_a_connection_goes_on_after_the_master_was_lost(self):
        nodes = self.nodes()
        db, other = (ZODB.DB(self.open(nodes)) for _ in range(2))
        with db.transaction() as connection:
            connection.root()["value"] = 0
        for value in range(3):
            with db.transaction() as connection:
                self.assertEqual(connection.root()["value"], value)
            nodes.kill("master")
            nodes.start("master")

            def change(value=value):
                with other.transaction() as connection:
                    connection.root()["value"] = value + 1

            _until_it_works(change)
            db.storage.sync()


def _acquire(semaphore, count):
    for _ in range(count):
        if not semaphore.acquire(timeout=30):
            raise AssertionError("nothing goes on")


def _until_it_works(call, seconds=30):
    """The result of a call, repeated while nodes are missing."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return call()
        except neolith.Unavailable:
            if time.monotonic() > limit:
                raise
            threading.Event().wait(0.05)


def _wait(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    unittest.main()
