"""The storage: what is seldom called. The rest is native, in ``_neolith``."""

import atexit
import contextlib
import os
import time
import weakref

import ZODB.interfaces
import zope.interface
from persistent.TimeStamp import TimeStamp
from ZODB.BaseStorage import DataRecord, TransactionRecord, copy
from ZODB.ConflictResolution import ConflictResolvingStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import z64

from neolith import _neolith

_PAGE_LENGTH = 100
"""Transactions that a filtered undo log asks for at once."""

_open_storages = weakref.WeakSet()


@zope.interface.implementer(
    ZODB.interfaces.IStorage,
    ZODB.interfaces.IMultiCommitStorage,
    ZODB.interfaces.IStorageUndoable,
    ZODB.interfaces.IStorageIteration,
    ZODB.interfaces.IStorageRestoreable,
    ZODB.interfaces.IStorageCurrentRecordIteration,
    ZODB.interfaces.IExternalGC,
    ZODB.interfaces.IPrefetchStorage,
    ZODB.interfaces.ReadVerifyingStorage,
)
class Storage(ConflictResolvingStorage, _neolith.NativeStorage):
    """A database of a Neolith cluster, or in a directory, as a ZODB storage.

    ``Storage(masters, name)`` finds a cluster by some of its masters. ``Storage(path=...)`` opens a
    directory in this process, as one process at a time can.

    ``masters``
        ``"host:port"``, several separated by commas or spaces, or a sequence of such strings.
    ``name``
        Of the cluster. A master of another cluster refuses: :exc:`neolith.Refused`. With a path,
        of the cluster that the directory is of, or may be served by.
    ``path``
        Instead of masters: a directory. It is made if it is not there, and the one that it is to be
        in is.
    ``cache_size``
        Bytes of memory for objects that were loaded or committed; 0: none. 64 MiB by default. All
        threads and connections share it, beside ZODB's caches of unpickled objects.
    ``read_only``
        Whatever writes raises ``ReadOnlyError``.
    ``wait_timeout``
        Seconds to wait for a primary master, when opening and when it was lost; 30 by default,
        ``None``: without end. Then :exc:`neolith.Unavailable`, which names the masters.
    ``busy_poll_us``
        Microseconds for which a thread that waits for an answer stays awake, without the
        interpreter's lock, while answers mostly come so soon; 50 by default, a million at most, 0:
        it sleeps at once.

    Oids, tids and serials are 8 bytes, or :exc:`neolith.InvalidId`. Threads share a storage, and
    each may have transactions of its own: they are told apart by the transaction object, and commit
    at the same time. The interpreter's lock is given up in all that waits for the network; a load
    that the cache answers does not wait.

    Stores are pipelined: ``store`` returns at once, and conflicts come later, at the latest with
    ``tpc_vote``, which returns the oids of those that were resolved, by ``_p_resolveConflict``.

    Of the two interfaces for prefetching it is ``IPrefetchStorage``, whose ``prefetch(oids, tid)``
    says for which snapshot: ZODB's ``MVCCAdapter`` makes snapshots of this storage and passes that
    on. ``IMVCCPrefetchStorage`` is for storages with snapshots of their own, one a connection;
    here all connections share one cache, one set of connections, and one stream of invalidations.

    After ``os.fork()`` it is the parent's: the child gets :exc:`neolith.Forked`.
    """

    def __init__(self, *arguments, **options):
        super().__init__()
        _open_storages.add(self)

    def close(self):
        """End: transactions in progress are aborted, threads that wait get ``Closed``."""
        _open_storages.discard(self)
        super().close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __bool__(self):
        return True

    def __len__(self):
        """0: nobody counts objects, as the interface allows."""
        return 0

    def getSize(self):
        """0 bytes: a client does not know the size of the cluster."""
        return 0

    def supportsUndo(self):
        return True

    def tpc_transaction(self):
        """None: there may be several."""
        return None

    def pack(self, t, referencesf, gc=None):
        """Order what is older than ``t`` (seconds since the epoch) to be packed, and wait for it.

        Clusters do not pack yet: they keep the order, report it as completed, and keep
        everything. Without a cluster it raises ``Unsupported``. Garbage is not collected either
        way: ``zc.zodbdgc`` does that, by ``deleteObject``.
        """
        tid = TimeStamp(*time.gmtime(t)[:5], t % 60).raw()
        if self.lastTransaction() != z64:
            self._pack(min(tid, self.lastTransaction()))

    # Iteration

    def iterator(self, start=None, stop=None):
        """Transactions whose tids are from ``start`` to ``stop``, both included, in order.

        Each is iterated over for its records. None is later than the last one of when this is
        called.
        """
        return _TransactionIterator(self, start, stop)

    def record_iternext(self, next=None):
        """The current record of the least oid that is not below ``next``.

        Returns ``(oid, tid, data, next)``, whose last is ``None`` after the last one. One
        iteration sees the records as of when it began, and loads some of them ahead.
        """
        record = self._record_iternext(next)
        if record is None:
            raise POSKeyError(next or z64)
        return record

    def copyTransactionsFrom(self, other, verbose=0):
        """Restore all transactions of another storage, which nothing here is later than."""
        copy(other, self, verbose)

    # What users see of transactions

    def history(self, oid, size=1):
        """At most ``size`` revisions of an object, newest first: dictionaries.

        ``tid``, ``time`` (seconds since the epoch), ``user_name`` and ``description`` (bytes),
        ``size`` (bytes as kept: compressed ones), and what the extension has.
        """
        revisions = []
        for length, (tid, _, user, description, extension) in self._history(oid, size):
            revision = _description(tid, user, description, extension)
            revision.update(tid=tid, serial=tid, version="", size=length)
            revisions.append(revision)
        return revisions

    def undoLog(self, first=0, last=-20, filter=None):
        """Transactions that can be undone, newest first: see ``IStorageUndoable``.

        ``id`` is the tid.
        """
        if last < 0:
            last = first - last
        if filter is None:
            return [_undo_entry(entry) for entry in self._undo_log(first, last)]
        passed = []
        start = 0
        while len(passed) < last:
            page = self._undo_log(start, start + _PAGE_LENGTH)
            passed.extend(found for found in map(_undo_entry, page) if filter(found))
            if len(page) < _PAGE_LENGTH:
                break
            start += _PAGE_LENGTH
        return passed[first:last]

    def undoInfo(self, first=0, last=-20, specification=None):
        """What ``undoLog`` gives, of those that have all that ``specification`` has."""
        if not specification:
            return self.undoLog(first, last)
        wanted = specification.items()
        return self.undoLog(first, last, lambda entry: wanted <= entry.items())


class _TransactionIterator:
    """Transactions of a storage, once."""

    def __init__(self, storage, start, stop):
        self._found = storage._transactions(start, stop)

    def __iter__(self):
        return self

    def __next__(self):
        if self._found is None:
            raise StopIteration
        description, records = next(self._found)
        return _Transaction(description, records)

    def close(self):
        self._found = None


class _Transaction(TransactionRecord):
    """A transaction, and its records as often as they are asked for."""

    def __init__(self, description, records):
        tid, packed, user, text, extension = description
        super().__init__(tid, "p" if packed else " ", user, text, extension)
        self._found = records

    def __iter__(self):
        return _RecordIterator(self._found.again())


class _RecordIterator:
    """Records of a transaction, once."""

    def __init__(self, found):
        self._found = found

    def __iter__(self):
        return self

    def __next__(self):
        return DataRecord(*next(self._found))


def _undo_entry(entry):
    tid, _, user, description, extension = entry
    found = _description(tid, user, description, extension)
    found["id"] = tid
    return found


def _description(tid, user, description, extension):
    found = dict(TransactionRecord(tid, " ", user, description, extension).extension)
    found.update(time=TimeStamp(tid).timeTime(), user_name=user, description=description)
    return found


@atexit.register
def _close_all():
    # The threads of a storage do not outlive the interpreter that they call.
    _neolith._begin_end()
    with contextlib.ExitStack() as stack:
        stack.callback(_neolith._wait_until_idle, 5.0)
        for storage in list(_open_storages):
            stack.callback(storage.close)


os.register_at_fork(after_in_child=_neolith._after_fork)
