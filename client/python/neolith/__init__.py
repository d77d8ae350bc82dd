"""ZODB on a Neolith cluster.

``Storage`` is a ZODB storage::

    import ZODB, neolith

    storage = neolith.Storage(masters="10.0.0.1:10000", name="site")
    db = ZODB.DB(storage)

``neolith://10.0.0.1:10000/site`` is the same to zodburi, and

.. code-block:: xml

    %import neolith
    <zodb>
      <neolith>
        masters 10.0.0.1:10000
        name site
      </neolith>
    </zodb>

to ZConfig. Exceptions are ZODB's, and those of :mod:`neolith.exceptions`.
"""

from neolith.exceptions import (
    Closed,
    Damaged,
    Forked,
    InternalError,
    InvalidId,
    NeolithError,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from neolith.storage import Storage

__all__ = [
    "Closed",
    "Damaged",
    "Forked",
    "InternalError",
    "InvalidId",
    "NeolithError",
    "OutcomeUnknown",
    "Refused",
    "Storage",
    "Unavailable",
]
