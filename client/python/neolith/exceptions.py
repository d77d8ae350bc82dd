"""What can go wrong, beside what ZODB has exceptions for.

All are :class:`ZODB.POSException.StorageError`. What is not there is a ``POSKeyError``, whatever is
wrong with nodes or the network is not: an application may take the first for an answer.
"""

from transaction.interfaces import TransientError
from ZODB.POSException import (
    ConflictError,
    POSKeyError,
    ReadConflictError,
    ReadOnlyError,
    StorageError,
    StorageSystemError,
    StorageTransactionError,
    TransactionTooLargeError,
    UndoError,
    Unsupported,
)

__all__ = [
    "Closed",
    "ConflictError",
    "Damaged",
    "Forked",
    "InternalError",
    "InvalidId",
    "NeolithError",
    "OutcomeUnknown",
    "POSKeyError",
    "ReadConflictError",
    "ReadOnlyError",
    "Refused",
    "StorageError",
    "StorageSystemError",
    "StorageTransactionError",
    "TransactionTooLargeError",
    "Unavailable",
    "UndoError",
    "Unsupported",
]


class NeolithError(StorageError):
    """What all of this module are."""


class Unavailable(NeolithError, TransientError):
    """A node or the network failed: nothing was committed, and the same may work later.

    No master answers, no storage has what is asked for, or one failed that a transaction cannot do
    without. The text names which.
    """


class OutcomeUnknown(NeolithError):
    """Nobody who could be reached knows whether the transaction is committed.

    Not transient: whoever repeats it may do it twice. ``undoLog`` tells, once the cluster is back.
    """


class Refused(NeolithError):
    """A node refuses: it is of another cluster, say. The text has its reason."""


class Damaged(NeolithError):
    """All copies of a revision that can be read are damaged."""


class Closed(NeolithError):
    """The storage was closed, perhaps while the call waited."""


class Forked(NeolithError):
    """The storage was opened before ``os.fork()``, and this is the child.

    Connections and threads are the parent's. Open storages after the fork.
    """


class InvalidId(NeolithError, ValueError):
    """An oid or tid that is not 8 bytes."""


class InternalError(NeolithError):
    """A bug in the native code, which went on."""
