#!/usr/bin/env python3
"""Open a FileStorage with ZODB itself and print the two hashes of its canonical dump.

    python3 check_export.py FILE.fs...

Needs the package ZODB (pip). The file is copied to a temporary directory and opened there for
writing, without Data.fs.index, so that ZODB reads and checks all of it; whatever ZODB logs while
it does so (a wrong previous pointer, a truncated transaction) makes the check fail. One line of
JSON a file: path, dump_sha256, dump_without_data_txn_sha256, transactions, records.

Exit status: 0 all files were opened without a warning, 1 otherwise.
"""

import hashlib
import json
import logging
import os
import shutil
import struct
import sys
import tempfile

from ZODB.FileStorage import FileStorage


def main(paths):
    failed = False
    for path in paths:
        warnings = Warnings()
        logging.getLogger("ZODB").addHandler(warnings)
        with tempfile.TemporaryDirectory() as directory:
            copy = os.path.join(directory, "Data.fs")
            shutil.copyfile(path, copy)
            storage = FileStorage(copy)
            answer = {"path": path, **dump_hashes(storage)}
            storage.close()
        logging.getLogger("ZODB").removeHandler(warnings)
        print(json.dumps(answer))
        for line in warnings.lines:
            print("%s: ZODB says: %s" % (path, line), file=sys.stderr)
            failed = True
    return 1 if failed else 0


class Warnings(logging.Handler):
    """Keeps what is logged at level warning and above."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        # A database of the future is no damage: the tids of test data may be of any time.
        if "in the future" not in record.getMessage():
            self.lines.append(record.getMessage())


def dump_hashes(storage):
    """The two hashes of the canonical dump, and how much was hashed."""
    whole = hashlib.sha256()
    without = hashlib.sha256()
    transactions = records = 0
    for transaction in storage.iterator():
        transactions += 1
        for part, is_data_txn in transaction_dump(transaction):
            records += is_data_txn
            whole.update(part)
            if not is_data_txn:
                without.update(part)
    return {
        "dump_sha256": whole.hexdigest(),
        "dump_without_data_txn_sha256": without.hexdigest(),
        "transactions": transactions,
        "records": records,
    }


def transaction_dump(transaction):
    """Yields the dump of one transaction as (bytes, whether these are the data_txn of a record).

        "T" tid[8] status[1]; user, description, extension, each behind its u32 length;
        for each record "R" oid[8] tid[8], 0 or 1 u64 length data, 0 or 1 data_txn[8]; "E"
    """
    status = transaction.status
    yield b"T" + transaction.tid + (status if isinstance(status, bytes) else status.encode()), False
    for text in (transaction.user, transaction.description, transaction.extension_bytes):
        yield struct.pack(">I", len(text)) + text, False
    for record in transaction:
        yield b"R" + record.oid + record.tid, False
        if record.data is None:
            yield b"\0", False
        else:
            yield b"\1" + struct.pack(">Q", len(record.data)), False
            yield record.data, False
        yield b"\0" if record.data_txn is None else b"\1" + record.data_txn, True
    yield b"E", False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
