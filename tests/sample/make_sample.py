#!/usr/bin/env python3
"""Make sample.fs, a small real FileStorage, and sample.truth.json, what ZODB answers about it.

    python3 make_sample.py          (pip install ZODB BTrees; writes beside this script)

Clock and random numbers are fixed, so that the same versions of ZODB, BTrees and persistent give
the same bytes; the versions that made the committed files are in sample.truth.json. No class of
its own is stored: whoever has ZODB and BTrees can load every object.

The story: a site with pages in BTrees is created and packed (status "p"), then pages are
imported, edited (some of them dozens of times), undone, deleted and collected, by people whose
names need UTF-8. `main` lists the special transactions.

The truth has the keys of a `*.truth.json.gz` file: the canonical dump is that of
../python/check_export.py, its hashes are also given per transaction; `loadBefore` has
`[oid, tid, "none" | "POSKeyError" | [sha256 of data, length, tid, next tid or null]]`.
"""

import hashlib
import json
import os
import random
import sys
import time

import importlib.metadata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "python"))

import transaction  # noqa: E402
import ZODB  # noqa: E402
from BTrees.IOBTree import IOBTree  # noqa: E402
from BTrees.Length import Length  # noqa: E402
from BTrees.OOBTree import OOBTree, OOTreeSet  # noqa: E402
from check_export import dump_hashes, transaction_dump  # noqa: E402
from persistent.mapping import PersistentMapping  # noqa: E402
from ZODB.Connection import TransactionMetaData  # noqa: E402
from ZODB.FileStorage import FileStorage  # noqa: E402
from ZODB.POSException import POSKeyError  # noqa: E402
from ZODB.utils import p64, u64  # noqa: E402

SEED = 21
EDITORS = ["jsmith", "Zoë Müller", "δημήτρης", "山田太郎", "admin"]
COMMENTS = ["", "typo", "Überschrift geändert — 日本語の説明 ☃", "new figures", "shorter"]
WORDS = """a about address after all also an and any are as at be been before block but by byte can
change client close commit copy could data database day default delete directory disk do each edit
empty end error every file find first for from get give has have how if in index into is it its
key known large last later length less like list load log long made many may message more most name
need never new next no not now number object of off old on one only open or order other out over
page part path people place read record release replica right run same save second see server set
should show size small so some state still storage store such system table take text than that the
their them then there these they this time to transaction tree two under undo until up update use
user value version was way we well were what when where which while who will with without word work
would write year you""".split()


class Clock:
    """Stands in for time.time(): moves only when told to."""

    def __init__(self):
        self.now = 1677657600.0  # 2023-03-01 08:00 UTC

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


class Site:
    """The database while it is made."""

    def __init__(self, path):
        self.clock = time.time = Clock()
        self.random = random.Random(SEED)
        self.storage = FileStorage(path)
        self.db = ZODB.DB(self.storage, cache_size=100000)
        self.manager = transaction.TransactionManager()
        self.connection = self.db.open(self.manager)
        self.root = self.connection.root()
        self.titles = []

    def commit(self, user="", description="", **extension):
        """Commits what was changed; the tid."""
        self.clock.advance(self.random.choice([0.001, 3, 70, 600, 7000]) * self.random.random())
        current = self.manager.get()
        current.setUser(user, "") if user else None
        current.note(description)
        for key, value in extension.items():
            current.setExtendedInfo(key, value)
        self.manager.commit()
        return self.storage.lastTransaction()

    def text(self, words):
        """So many words; the frequent ones come first in a sentence of the list's own order."""
        count = len(WORDS)
        drawn = [WORDS[int(count * self.random.random() ** 2)] for _ in range(words)]
        return " ".join(drawn).capitalize() + "."

    def create(self, number):
        self.root["site"] = PersistentMapping(title="Sample", pages=OOBTree(), words=OOBTree())
        self.root["site"]["count"] = Length()
        self.root["site"]["by number"] = IOBTree()
        self.commit(description="create the site")
        for _ in range(number):
            self.add_page()
            self.commit("admin", "first pages")

    def add_page(self):
        site = self.root["site"]
        number = len(self.titles)
        title = "page-%05d" % number
        body = self.text(int(20 + 180 * self.random.random() ** 3))
        site["pages"][title] = page = PersistentMapping(
            title=title, number=number, text=body, tags=OOTreeSet(), history=[])
        site["by number"][number] = page
        site["count"].change(1)
        self.index(title, body)
        self.titles.append(title)

    def index(self, title, body):
        words = self.root["site"]["words"]
        for word in sorted(set(body.lower().strip(".").split()))[:4]:
            if word not in words:
                words[word] = OOTreeSet()
            words[word].insert(title)

    def edit(self, title, who):
        page = self.root["site"]["pages"][title]
        parts = page["text"].split(". ")
        parts[int(len(parts) * self.random.random())] = self.text(12).rstrip(".")
        page["text"] = ". ".join(parts)[:2000]
        page["history"] = (page["history"] + [(who, self.clock.now)])[-5:]
        if self.random.random() < 0.1:
            self.index(title, page["text"])
            page["tags"].insert(self.random.choice(WORDS))

    def some_title(self):
        """Some pages are edited far more often than others."""
        return self.titles[int(len(self.titles) * self.random.random() ** 6)]

    def edits(self, number):
        for _ in range(number):
            who = self.random.choice(EDITORS)
            for _ in range(1 + int(3 * self.random.random() ** 4)):
                self.edit(self.some_title(), who)
            self.commit(who, self.random.choice(COMMENTS))

    def undo(self, tids, who, description):
        """Undoes transactions, the newest first; the tid of the undo."""
        self.db.undoMultiple([undo_id(tid) for tid in tids], self.manager.get())
        tid = self.commit(who, description)
        self.connection.sync()
        return tid

    def raw(self, steps, user=b"", description=b"", extension=None):
        """A transaction made with the storage itself: `steps` gets the storage's part of it."""
        self.clock.advance(5)
        meta = TransactionMetaData(user, description, extension or {})
        self.storage.tpc_begin(meta)
        steps(meta)
        self.storage.tpc_vote(meta)
        self.storage.tpc_finish(meta)
        return self.storage.lastTransaction()


def main():
    path = os.path.join(HERE, "sample.fs")
    for suffix in ("", ".index", ".lock", ".tmp", ".old"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    site = Site(path)
    site.create(40)
    site.edits(20)
    site.clock.advance(60)
    site.db.pack(site.clock.now)
    site.clock.advance(60)
    for batch in range(14):
        for _ in range(90):
            site.add_page()
        site.commit("admin", "import, part %d" % batch, source={"batch": batch, "of": 14})
    site.edits(170)
    undo_story(site)
    site.edits(80)
    conflict_story(site)
    deletion_story(site)
    odd_story(site)
    site.edits(25)
    site.db.close()
    truth = ground_truth(path)
    with open(os.path.join(HERE, "sample.truth.json"), "w") as file:
        write_json(file, truth)
    for suffix in (".index", ".lock", ".tmp", ".old"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)


def undo_story(site):
    """Undo, redo, undo of a creation, undo of two at once that both changed one page."""
    site.edit("page-00003", "jsmith")
    edit = site.commit("jsmith", "an edit that is undone")
    undo = site.undo([edit], "jsmith", "undo")
    redo = site.undo([undo], "jsmith", "undo of the undo")
    site.undo([redo], "jsmith", "and once more")
    site.root["site"]["note"] = PersistentMapping(text="short-lived")
    creation = site.commit("Zoë Müller", "a note")
    undo = site.undo([creation], "Zoë Müller", "undo of a creation")
    redo = site.undo([undo], "Zoë Müller", "undo of the undo of a creation")
    site.undo([redo], "Zoë Müller", "undo of the creation again, by a back pointer to nothing")
    edits = []
    for number in range(3):
        site.edit("page-00005", "admin")
        edits.append(site.commit("admin", "edit %d" % number))
    site.undo(edits[:0:-1], "admin", "undo of two: the page occurs twice in this transaction")


def conflict_story(site):
    """A commit and an undo that ZODB could merge."""
    other_manager = transaction.TransactionManager()
    other = site.db.open(other_manager)
    other.root()["site"]["count"].change(100)
    site.root["site"]["count"].change(10)
    first = site.commit("jsmith", "concurrent, the first")
    site.clock.advance(1)
    other_manager.get().note("concurrent, the second: conflict resolved")
    other_manager.commit()
    other.close()
    site.connection.sync()
    site.undo([first], "jsmith", "undo with conflict resolution")


def deletion_story(site):
    """Objects that are unreferenced, deleted by a garbage collector, and stored again."""
    gone = []
    for title in site.titles[-12:]:
        page = site.root["site"]["pages"].pop(title)
        del site.root["site"]["by number"][page["number"]]
        gone.append(page._p_oid)
    del site.titles[-12:]
    site.commit("山田太郎", "remove twelve pages")
    serials = {oid: site.storage.load(oid)[1] for oid in gone}
    data = site.storage.load(gone[0])[0]

    def delete(meta):
        for oid in gone:
            site.storage.deleteObject(oid, serials[oid], meta)

    deleted = site.raw(delete, b"gc", b"garbage collection")
    site.raw(lambda meta: site.storage.store(gone[0], deleted, data, "", meta), b"gc", b"regret")


def odd_story(site):
    """What the format allows and an application rarely does."""
    site.connection.sync()
    site.raw(lambda meta: None, b"", b"empty transaction")
    site.raw(lambda meta: None)
    site.edit("page-00001", "admin")
    site.commit("/" + "é" * 500, "a long description: " + site.text(900))
    site.root["site"]["big"] = PersistentMapping(text=site.text(24000))
    big = site.commit("admin", "a record of more than 64 KiB")
    site.edit("page-00002", "admin")
    site.commit("admin", "extension", nested={"list": [1, 2, {"x": "ä"}], "bytes": b"\0\xff" * 20},
                number=2 ** 70)
    storage, oid = site.storage, site.root["site"]["big"]._p_oid
    data = storage.load(oid)[0]
    site.raw(lambda meta: storage.restore(oid, storage._tid, data, "", big, meta), b"",
             b"restore(): back pointer to equal data")
    tid = p64(u64(storage.lastTransaction()) + 1)
    meta = TransactionMetaData(b"", b"the tid is only one greater", {})
    storage.tpc_begin(meta, tid, "p")
    storage.restore(p64(2 ** 63 - 1), tid, b"no pickle", "", None, meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)
    highest_known = storage._oid

    def large(meta):
        for number in range(2, 5):
            storage.store(p64(2 ** 64 - number), b"\0" * 8, b"large oid %d" % number, "", meta)

    before = site.raw(large, b"", b"oids above 2**63")
    site.raw(lambda meta: storage.store(p64(2 ** 64 - 2), before, b"changed", "", meta))
    # New oids shall go on from the small ones.
    storage._oid = min(highest_known, p64(2 ** 40))
    site.connection.sync()


def undo_id(tid):
    import base64
    return base64.encodebytes(tid).rstrip()


def ground_truth(path):
    """What ZODB answers when it opens the file without its index."""
    os.remove(path + ".index")
    storage = FileStorage(path, read_only=True)
    revisions, transactions, counts = {}, [], dict.fromkeys(
        ("records_data", "records_backpointer", "records_none", "pickle_bytes"), 0)
    statuses = {}
    for txn in storage.iterator():
        hasher = hashlib.sha256()
        for part, _ in transaction_dump(txn):
            hasher.update(part)
        records = list(txn)
        size = sum(len(record.data or b"") for record in records)
        transactions.append([txn.tid.hex(), len(records), size, hasher.hexdigest()])
        statuses[txn.status] = statuses.get(txn.status, 0) + 1
        counts["pickle_bytes"] += size
        for record in records:
            kind = "none" if record.data is None else "backpointer" if record.data_txn else "data"
            counts["records_" + kind] += 1
            revisions.setdefault(record.oid, []).append(txn.tid)
    hashes = dump_hashes(storage)
    truth = {
        "format": "zodb-ground-truth-1",
        "file": os.path.basename(path),
        "file_size": os.path.getsize(path),
        "file_sha256": hashlib.sha256(open(path, "rb").read()).hexdigest(),
        "magic": "FS30",
        "versions": {name: importlib.metadata.version(name)
                     for name in ("ZODB", "BTrees", "persistent", "transaction")},
        "transactions": len(transactions),
        "first_tid": transactions[0][0],
        "last_tid": transactions[-1][0],
        "last_transaction": storage.lastTransaction().hex(),
        "oids": len(revisions),
        "storage_len": len(storage),
        "max_oid": max(revisions).hex(),
        "records": hashes["records"],
        **counts,
        "revisions_max": max(map(len, revisions.values())),
        "status": statuses,
        "dump_sha256": hashes["dump_sha256"],
        "dump_without_data_txn_sha256": hashes["dump_without_data_txn_sha256"],
        "per_transaction": transactions,
        "loadBefore": load_before_samples(storage, revisions, [t[0] for t in transactions]),
    }
    storage.close()
    return truth


def load_before_samples(storage, revisions, tids):
    """Some 300 questions: any revision, the edges around it, and objects that do not exist."""
    generator = random.Random(SEED)
    oids = sorted(revisions)
    often = sorted(revisions, key=lambda oid: (-len(revisions[oid]), oid))[:30]
    gone = [oid for oid in oids if not has_data(storage, oid)]
    samples = []
    for number in range(300):
        oid = generator.choice([oids, often, often, gone][number % 4])
        tid = u64(generator.choice(revisions[oid])) + generator.choice([0, 1, -1, 1 << 20])
        if number % 25 == 0:
            tid = int(generator.choice(tids), 16)
        if number % 30 == 7:
            oid = p64(u64(oid) ^ (1 << 45))
        samples.append([oid.hex(), p64(tid).hex(), load_before(storage, oid, p64(tid))])
    return samples


def has_data(storage, oid):
    try:
        storage.load(oid)
        return True
    except POSKeyError:
        return False


def load_before(storage, oid, tid):
    try:
        result = storage.loadBefore(oid, tid)
    except POSKeyError:
        return "POSKeyError"
    if result is None:
        return "none"
    data, serial, after = result
    return [hashlib.sha256(data).hexdigest(), len(data), serial.hex(), after and after.hex()]


def write_json(file, truth):
    """One line a key, one line an entry of the long lists."""
    lines = []
    for key, value in truth.items():
        if key in ("per_transaction", "loadBefore"):
            entries = ",\n".join(json.dumps(entry) for entry in value)
            lines.append("%s: [\n%s\n]" % (json.dumps(key), entries))
        else:
            lines.append("%s: %s" % (json.dumps(key), json.dumps(value, sort_keys=True)))
    file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
