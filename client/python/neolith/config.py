"""The section ``<neolith>`` of ZConfig, which ``component.xml`` declares."""

from ZODB.config import BaseConfig

from neolith.storage import Storage

_OPTIONS = ("masters", "name", "path", "cache_size", "read_only", "wait_timeout", "busy_poll_us")


class Neolith(BaseConfig):  # type: ignore[misc]
    """A storage as it is configured."""

    def open(self) -> Storage:
        options = {
            name: getattr(self.config, name)
            for name in _OPTIONS
        }
        if options["masters"]:
            options["masters"] = " ".join(options["masters"])
        return Storage(**{name: value for name, value in options.items() if value is not None})
