"""What a program does with a storage, beside what ZODB's own tests do."""

import threading
import unittest
import unittest.mock

import transaction
import ZODB
import ZODB.config
import zodburi
from clusters import Cluster
from objects import Counter, commit, in_threads, new
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import ConflictError, POSKeyError
from ZODB.utils import maxtid, p64, u64, z64


class StorageTest(unittest.TestCase):
    """One cluster for all tests of a class: they use objects of their own."""

    mode = "three"

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.mode)
        cls.addClassCleanup(cls.cluster.stop)

    def open(self, **options):
        storage = self.cluster.open(**options)
        self.addCleanup(storage.close)
        return storage

    def database(self, **options):
        return ZODB.DB(self.open(**options))


class Loads(StorageTest):
    def test_a_revision_with_its_range(self):
        storage = self.open()
        oid, first = new(storage, b"1")
        second = commit(storage, (oid, first, b"2"))
        self.assertEqual(storage.loadBefore(oid, maxtid), (b"2", second, None))
        self.assertEqual(storage.loadBefore(oid, second), (b"1", first, second))
        self.assertIsNone(storage.loadBefore(oid, first))
        self.assertEqual(storage.loadSerial(oid, first), b"1")
        self.assertEqual(storage.getTid(oid), second)

    def test_data_of_all_sizes(self):
        for cache_size in (0, 1 << 20):
            storage = self.open(cache_size=cache_size)
            lengths = (0, 1, 63, 64, 128_000, 3_000_000)
            for data in (bytes(range(256)) * 500, *(b"y" * length for length in lengths)):
                oid, tid = new(storage, data)
                for _ in range(3):
                    self.assertEqual(storage.load(oid), (data, tid))

    def test_prefetch(self):
        writer = self.open()
        oids = [writer.new_oid() for _ in range(1000)]
        tid = commit(writer, *((oid, z64, bytes(oid) * 10) for oid in oids))
        reader = self.open(cache_size=16 << 20)
        reader.prefetch(iter(oids), maxtid)
        for oid in oids:
            self.assertEqual(reader.loadBefore(oid, maxtid), (bytes(oid) * 10, tid, None))
        # It is there already; what is not anywhere is nobody's trouble.
        reader.prefetch([*oids, p64(1 << 50)], maxtid)
        reader.prefetch([], maxtid)
        self.open(cache_size=0).prefetch(oids, maxtid)

    def test_prefetch_by_a_connection(self):
        db = self.database()
        with db.transaction() as connection:
            for number in range(10):
                connection.root()[f"prefetched {number}"] = PersistentMapping()
        connection = self.database().open()
        connection.prefetch(connection.root(), [b"\0" * 8])
        connection.close()

    def test_current_records(self):
        cluster = Cluster("one")
        self.addCleanup(cluster.stop)
        with cluster.open() as storage:
            self.assertRaises(POSKeyError, storage.record_iternext)
            oids = [storage.new_oid() for _ in range(250)]
            tid = commit(storage, *((oid, z64, b"1" + oid) for oid in oids))
            change = commit(storage, (oids[7], tid, b"2"))
            delete(storage, oids[9], tid)
            records, following = [], None
            while True:
                oid, serial, data, following = storage.record_iternext(following)
                records.append((oid, serial, data))
                if len(records) == 100:
                    # It sees what there was in the beginning, and another one is begun meanwhile.
                    commit(storage, (oids[200], tid, b"3"))
                    storage.record_iternext()
                if following is None:
                    break
            expected = [
                (oid, *((change, b"2") if oid == oids[7] else (tid, b"1" + oid)))
                for oid in sorted(oids)
                if oid not in (oids[9], oids[200])
            ]
            self.assertEqual([record for record in records if record[0] != oids[200]], expected)

    def test_history_and_undo_log(self):
        storage = self.open()
        oid, tid = new(storage, b"0")
        for number in range(5):
            data = TransactionMetaData(f"user {number}", "why", {"number": number})
            storage.tpc_begin(data)
            storage.store(oid, tid, b"%d" % number, "", data)
            storage.tpc_vote(data)
            tid = storage.tpc_finish(data)
        history = storage.history(oid, 3)
        self.assertEqual([entry["number"] for entry in history], [4, 3, 2])
        users = [entry["user_name"] for entry in history]
        self.assertEqual(users, [b"user 4", b"user 3", b"user 2"])
        self.assertEqual(history[0]["tid"], tid)
        found = storage.undoInfo(0, 2, {"number": 1})
        self.assertEqual([entry["user_name"] for entry in found], [b"user 1"])
        found = storage.undoLog(1, -2, lambda entry: "number" in entry)
        self.assertEqual([entry["number"] for entry in found], [3, 2])


class Commits(StorageTest):
    def test_deleting(self):
        """What ZODB's IExternalGC.test does, without blobs."""
        storage = self.open()
        oid, tid = new(storage)
        with self.assertRaises(ConflictError):
            delete(storage, oid, p64(u64(tid) - 1))
        deleted = delete(storage, oid, tid)
        self.assertEqual(deleted, storage.lastTransaction())
        self.assertRaises(POSKeyError, storage.load, oid)
        self.assertEqual(storage.loadBefore(oid, deleted), (b"data", tid, deleted))

    def test_conflicts_of_two_clients_are_resolved(self):
        first, second = self.database(), self.database()
        with first.transaction() as connection:
            connection.root()["counter"] = Counter()

        def count(number):
            db = (first, second)[number % 2]
            for _ in range(20):
                manager = transaction.TransactionManager()
                connection = db.open(manager)
                for attempt in manager.attempts(50):
                    with attempt:
                        connection.root()["counter"].value += 1
                connection.close()

        in_threads(4, count)
        for db in (first, second):
            with db.transaction() as connection:
                connection.sync()
                self.assertEqual(connection.root()["counter"].value, 80)

    def test_a_conflict_that_cannot_be_resolved(self):
        db = self.database()
        managers = [transaction.TransactionManager() for _ in range(2)]
        connections = [db.open(manager) for manager in managers]
        with managers[0]:
            connections[0].root()["mapping"] = PersistentMapping()
        managers[1].begin()
        for number, connection in enumerate(connections):
            connection.root()["mapping"]["key"] = number
        managers[0].commit()
        with self.assertRaises(ConflictError) as caught:
            managers[1].commit()
        oid = connections[0].root()["mapping"]._p_oid
        self.assertEqual(caught.exception.oid, oid)
        self.assertEqual(caught.exception.serials[0], db.storage.getTid(oid))
        managers[1].abort()

    def test_many_at_once_share_a_storage(self):
        storage = self.open(cache_size=16 << 20)
        committed = {}

        def work(number):
            oid, tid = new(storage, b"%d" % number)
            for round in range(10):
                tid = commit(storage, (oid, tid, b"%d %d" % (number, round)))
                self.assertEqual(storage.load(oid)[1], tid)
                self.assertGreaterEqual(storage.lastTransaction(), tid)
            committed[oid] = (b"%d 9" % number, tid)

        in_threads(50, work)
        self.assertEqual(len(committed), 50)
        with self.cluster.open() as other:
            for oid, expected in committed.items():
                self.assertEqual(other.load(oid), expected)

    def test_new_oids_differ(self):
        storages = [self.open() for _ in range(3)]
        oids = []
        in_threads(6, lambda number: oids.extend(
            storages[number % 3].new_oid() for _ in range(250)))
        self.assertEqual(len(set(oids)), 1500)

    def test_close_and_open_again(self):
        for number in range(5):
            db = ZODB.DB(self.cluster.open())
            with db.transaction() as connection:
                found = connection.root().get("openings", 0)
                self.assertEqual(found, number)
                connection.root()["openings"] = number + 1
            db.close()


class Invalidations(StorageTest):
    mode = "one"

    def test_all_databases_of_all_storages_are_told(self):
        storages = [self.open() for _ in range(2)]
        # Two databases share the first storage.
        databases = [ZODB.DB(storage) for storage in (storages[0], storages[0], storages[1])]
        with databases[0].transaction() as connection:
            connection.root()["value"] = 0
        connections = []
        for db in databases:
            db.storage.sync()
            manager = transaction.TransactionManager()
            connections.append((manager, db.open(manager)))
        for value in range(1, 10):
            manager, writer = connections[value % 3]
            manager.begin()
            writer.root()["value"] = value
            manager.commit()
            for manager, reader in connections:
                # `begin` asks for what was committed elsewhere.
                reader.sync()
                self.assertEqual(reader.root()["value"], value)

    def test_snapshots_stay_while_others_commit(self):
        db, other = self.database(), self.database()
        with db.transaction() as connection:
            for number in range(10):
                connection.root()[number] = Counter()
        stop = threading.Event()

        def write():
            manager = transaction.TransactionManager()
            connection = other.open(manager)
            value = 0
            while not stop.is_set():
                value += 1
                manager.begin()
                for number in range(10):
                    connection.root()[number].value = value
                manager.commit()
            connection.close()

        def read():
            try:
                seen = 0
                for _ in range(150):
                    manager = transaction.TransactionManager()
                    connection = db.open(manager)
                    values = {connection.root()[number].value for number in range(10)}
                    self.assertEqual(len(values), 1, values)
                    self.assertGreaterEqual(min(values), seen)
                    seen = min(values)
                    connection.cacheMinimize()
                    self.assertEqual({connection.root()[n].value for n in range(10)}, values)
                    manager.abort()
                    connection.close()
            finally:
                stop.set()

        in_threads(3, lambda number: write() if number == 0 else read())

    def test_told_in_order_and_before_it_can_be_seen(self):
        class Database:
            """Takes note of what it is told, slowly."""

            def __init__(self, storage):
                self.told, self.storage = [], storage

            def invalidate(self, tid, oids):
                self.told.append((tid, list(oids), self.storage.lastTransaction()))

            def invalidateCache(self):
                self.told.append(None)

            transform_record_data = untransform_record_data = staticmethod(lambda data: data)

        reader, writer = self.open(), self.open()
        database = Database(reader)
        reader.registerDB(database)
        tids = []

        def work(number):
            for _ in range(20):
                oid, tid = new(writer if number else reader)
                tids.append((tid, oid))
                reader.sync()
                self.assertGreaterEqual(reader.lastTransaction(), tid)
                self.assertIn(tid, [told[0] for told in database.told])

        in_threads(4, work)
        self.assertEqual([told[0] for told in database.told], sorted(tid for tid, _ in tids))
        self.assertEqual({(tid, *oids) for tid, oids, _ in database.told}, set(tids))
        for tid, _, seen in database.told:
            self.assertLess(seen, tid)

    def test_an_exception_of_a_database_stops_nothing(self):
        class Database:
            def invalidate(self, tid, oids):
                raise ZeroDivisionError

            transform_record_data = untransform_record_data = staticmethod(lambda data: data)

        reader, writer = self.open(), self.open()
        reader.registerDB(Database())
        with unittest.mock.patch("sys.unraisablehook") as hook:
            _, tid = new(writer)
            reader.sync()
        hook.assert_called_once()
        self.assertEqual(reader.lastTransaction(), tid)


class Configuration(StorageTest):
    mode = "one"

    def test_uri(self):
        masters, name = ",".join(self.cluster.masters), self.cluster.name
        for uri in (
            f"neolith://{masters}/{name}?cache_size=5MB&wait_timeout=7&busy_poll_us=0"
            "&connection_pool_size=3",
            f"neolith://{name}@{masters}?storage_cache_size=0&connection_pool_size=3&read_only=no",
        ):
            factory, options = zodburi.resolve_uri(uri)
            self.assertEqual(options["pool_size"], 3)
            db = ZODB.DB(factory(), **options)
            with db.transaction() as connection:
                connection.root()["uri"] = uri
            db.close()

    def test_bad_uris(self):
        for uri in (
            "neolith://",
            "neolith://host:1",
            "neolith://host:1/a/b",
            "neolith://user:secret@host:1/name",
            "neolith://host:1/name?cache_size=much",
            "neolith://host:1/name?read_only=perhaps",
            "neolith://host:1/name?wait_timeout=soon",
            "neolith://host:1/name?busy_poll_us=long",
            "neolith://host:1/name?busy_poll_us=-1",
        ):
            with self.subTest(uri), self.assertRaisesRegex(ValueError, "neolith://"):
                zodburi.resolve_uri(uri)
        with self.assertRaises(KeyError):
            zodburi.resolve_uri("neolith://host:1/name?color=red")

    def test_zconfig(self):
        db = ZODB.config.databaseFromString(f"""
            %import neolith
            <zodb>
              pool-size 3
              <neolith>
                masters {" ".join(self.cluster.masters)}
                name {self.cluster.name}
                cache-size 5MB
                wait-timeout 7
                busy-poll-us 100
              </neolith>
            </zodb>
        """)
        with db.transaction() as connection:
            connection.root()["zconfig"] = 1
        self.assertEqual(db.storage.getName(), self.cluster.name)
        db.close()

    def test_names(self):
        storage, other = self.open(), self.open(read_only=True)
        self.assertEqual(storage.getName(), self.cluster.name)
        self.assertEqual(storage.sortKey(), other.sortKey())
        self.assertIn(self.cluster.masters[0], storage.sortKey())
        self.assertTrue(storage.supportsUndo())
        self.assertTrue(storage)


def delete(storage, oid, serial):
    data = TransactionMetaData()
    storage.tpc_begin(data)
    try:
        storage.deleteObject(oid, serial, data)
        storage.tpc_vote(data)
        return storage.tpc_finish(data)
    except BaseException:
        storage.tpc_abort(data)
        raise


if __name__ == "__main__":
    unittest.main()
