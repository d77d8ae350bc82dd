"""``neolith://`` for zodburi, which finds :func:`resolve` by its entry point."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from neolith.storage import Storage

_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def resolve(uri: str) -> tuple[Callable[[], Storage], dict[str, str]]:
    """What zodburi wants of a URI: a function that opens the storage, and options of ``ZODB.DB``.

    ``neolith://master1:port,master2:port/name?options`` is a cluster, ``neolith:///path?options`` a
    directory. Options are ``cache_size`` (bytes, or as ``64MB``), ``read_only``, ``wait_timeout``
    (seconds, or ``none``), ``busy_poll_us`` (microseconds), ``storage_cache_size`` (the same as
    ``cache_size``), and those of ``ZODB.DB`` as zodburi names them: ``connection_pool_size``,
    ``connection_cache_size``, ``database_name`` and so on. :exc:`ValueError` says what is wrong
    with the URI.
    """
    place, options = _parse(uri)
    return lambda: Storage(**place, **options[0]), options[1]


def _parse(uri: str) -> tuple[dict[str, Any], tuple[dict[str, Any], dict[str, str]]]:
    scheme, _, rest = uri.partition("://")
    if scheme != "neolith" or not rest:
        raise ValueError(f"{uri!r}: expected neolith://MASTERS/NAME or neolith:///PATH")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    if not authority:
        place = {"path": "/" + unquote(path)}
    elif not path and "@" in authority:
        name, masters = authority.rsplit("@", 1)
        place = {"masters": masters, "name": unquote(name)}
    elif path and "/" not in path and "@" not in authority:
        place = {"masters": authority, "name": unquote(path)}
    else:
        raise ValueError(f"{uri!r}: expected neolith://MASTERS/NAME, without credentials")
    return place, _options(uri, query)


def _options(uri: str, query: str) -> tuple[dict[str, Any], dict[str, str]]:
    converters: dict[str, Callable[[str], object]] = {
        "cache_size": _bytes,
        "storage_cache_size": _bytes,
        "read_only": _boolean,
        "wait_timeout": _seconds,
        "busy_poll_us": _microseconds,
    }
    own: dict[str, Any] = {}
    others: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in converters:
            others[key] = value
            continue
        try:
            own[key.removeprefix("storage_")] = converters[key](value.strip().lower())
        except ValueError:
            raise ValueError(f"{uri!r}: {key} cannot be {value!r}") from None
    return own, others


def _bytes(text: str) -> int:
    unit = _UNITS.get(text[-2:])
    return int(text[:-2]) * unit if unit else int(text)


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _seconds(text: str) -> float | None:
    return None if text == "none" else float(text)


def _microseconds(text: str) -> int:
    if not 0 <= int(text) <= 1_000_000:
        raise ValueError(text)
    return int(text)
