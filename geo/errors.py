"""What geo refuses, each with a clear text and the name of the field at fault."""

from __future__ import annotations


class GeoError(ValueError):
    """Something about a place is wrong; ``field`` names what, where one thing can be named."""

    code = "geo_error"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadPoint(GeoError):
    """A latitude or longitude that is no place on the map."""

    code = "bad_point"


class BadFence(GeoError):
    """A geofence whose shape encloses nothing."""

    code = "bad_fence"


class BadMap(GeoError):
    """Bytes or shapes that make no campus map."""

    code = "bad_map"


class ImportFailed(GeoError):
    """A file from outside that cannot become a campus; the text names what is missing or broken."""

    code = "import_failed"


class UnknownPlace(GeoError):
    """A place id that this campus does not have."""

    code = "unknown_place"
