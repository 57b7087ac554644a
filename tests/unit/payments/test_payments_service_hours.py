"""When campuses are served: the file that says so, and what always and over midnight mean."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from payments.assembly import assemble
from payments.settings import SettingsError, read_settings
from payments.upkeep.alarms import ServiceHours
from payments.upkeep.service_hours import no_hours, read_hours

#: Noon in China, six in the morning in Berlin (no summer time yet).
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def test_hours_are_read_from_a_file() -> None:
    text = '{"nu": {"opens": "18:30", "closes": "02:00"}, "eu": {"zone": "Europe/Berlin"}, "*": {"opens": "00:00"}}'
    nu, eu, others = read_hours(text)
    assert nu == ServiceHours(
        campus_id="nu", zone=ZoneInfo("Asia/Shanghai"), opens=time(18, 30), closes=time(2, 0)
    )  # fmt: skip
    assert (eu.campus_id, eu.zone, others.campus_id, others.opens) == ("eu", ZoneInfo("Europe/Berlin"), "", time(0))
    assert [each.is_open(NOON) for each in (nu, eu, others)] == [False, False, True]


def test_the_same_hour_twice_is_always() -> None:
    always = ServiceHours(campus_id="nu", opens=time(5, 0), closes=time(5, 0))
    assert all(always.is_open(NOON.replace(hour=hour)) for hour in range(24))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"nu": {"zone": "Mars/Olympus"}}', "nu: no time zone"),
        ('{"*": {"zone": "../etc/passwd"}}', r"\*: no time zone"),
        ('{"nu": {"zone": ""}}', "nu: no time zone"),
        ('{"nu": {"opens": "7:00"}}', "opens"),
        ('{"nu": {"closes": "24:00"}}', "closes"),
        ('{"nu": {"shuts": "20:00"}}', "shuts"),
        ("[]", "object"),
        ("{", "truncated"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_hours(text)


async def test_the_setting_reaches_the_watch(tmp_path: Path) -> None:
    path = tmp_path / "hours.json"
    told = {"PAYMENTS_DATA_DIR": str(tmp_path / "data"), "PAYMENTS_SERVICE_HOURS_FILE": str(path)}
    with pytest.raises(SettingsError, match="PAYMENTS_SERVICE_HOURS_FILE"):
        read_settings(told, None)
    path.write_text('{"nu": {"opens": "20:00", "closes": "22:00"}}')
    payments = assemble(read_settings(told, None))
    (hours,) = await payments.upkeep.watch._sources.hours()
    assert (hours.campus_id, hours.opens, hours.closes) == ("nu", time(20), time(22))
    await payments.stop()
    path.write_text('{"nu": 7}')
    with pytest.raises(SettingsError, match="PAYMENTS_SERVICE_HOURS_FILE"):
        read_settings(told, None)


async def test_who_is_told_nothing_takes_the_usual_hours() -> None:
    assert await no_hours() == ()
