"""Values and small programs that tests share."""

import threading

from persistent import Persistent
from ZODB.Connection import TransactionMetaData
from ZODB.utils import z64


class Counter(Persistent):
    """Two who count at the same time are both right."""

    value = 0

    def _p_resolveConflict(self, old, saved, new):
        return {"value": saved["value"] + new["value"] - old.get("value", 0)}


def commit(storage, *stores):
    """Store ``(oid, serial, data)`` in a transaction of their own. Returns its tid."""
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    try:
        for oid, serial, data in stores:
            storage.store(oid, serial, data, "", transaction)
        storage.tpc_vote(transaction)
        return storage.tpc_finish(transaction)
    except BaseException:
        storage.tpc_abort(transaction)
        raise


def new(storage, data=b"data"):
    """A new object. Returns its oid and tid."""
    oid = storage.new_oid()
    return oid, commit(storage, (oid, z64, data))


def in_threads(count, action):
    """Do something on several threads. The first of their exceptions is raised."""
    failures = []

    def run(number):
        try:
            action(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        if thread.is_alive():
            raise AssertionError("a thread hangs")
    if failures:
        raise failures[0]
