"""A neighbour on the network opens Flower; one on the machine reads the data directory."""

import pytest

from broker.settings import Settings
from cli import data_directory, database
from cli.commands import doctor
from cli.start.flower_login import flower_login


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "waybill.internal", ""])
def test_flower_asks_for_a_password_where_others_reach_it(tmp_path, host):
    config = Settings(data_dir=tmp_path)
    first, again = flower_login(config, host), flower_login(config, host)
    assert first.made_in == tmp_path / "flower_password"  # shown once
    assert again.made_in is None
    user, _, password = again.text.partition(":")
    assert first.text == again.text
    assert user == "waybill"
    assert len(password) >= 20
    assert first.made_in.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_this_machine_it_does_not(tmp_path, host):
    assert flower_login(Settings(data_dir=tmp_path), host) is None


def test_the_setting_decides(tmp_path):
    config = Settings(data_dir=tmp_path, flower_basic_auth="ada:a-password")
    assert flower_login(config, "0.0.0.0").text == "ada:a-password"
    assert flower_login(config, "127.0.0.1").text == "ada:a-password"
    off = Settings(data_dir=tmp_path, flower_basic_auth="off")
    assert flower_login(off, "0.0.0.0") is None


@pytest.mark.parametrize("wrong", ["password", "ada:", ":password", "ada:a,b", "ada:a b"])
def test_a_login_that_flower_would_misread_is_refused(wrong):
    with pytest.raises(ValueError, match="flower_basic_auth"):
        Settings(flower_basic_auth=wrong)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o705, 0o701])
@pytest.mark.parametrize("holds", [None, "waybill.db", "secret_key"])
def test_an_open_data_directory_is_closed(tmp_path, mode, holds):
    place = tmp_path / "data"
    place.mkdir()
    if holds:
        (place / holds).touch()
    place.chmod(mode)
    config = Settings(data_dir=place)
    with pytest.raises(database.CheckFailed, match="other users of this machine"):
        doctor.check_data_directory(config)
    data_directory.make(place)
    assert place.stat().st_mode & 0o777 == 0o700
    assert doctor.check_data_directory(config) == str(place)


@pytest.mark.parametrize(("mode", "holds"), [(0o755, "thesis.txt"), (0o1777, "lock")])
def test_a_directory_of_somebody_elses_files_is_refused_and_left_as_it_is(tmp_path, mode, holds):
    place = tmp_path / "home"
    place.mkdir()
    (place / holds).touch()
    place.chmod(mode)
    with pytest.raises(SystemExit, match="chmod 700"):
        data_directory.make(place)
    assert place.stat().st_mode & 0o7777 == mode


def test_rights_of_a_group_were_given_on_purpose(tmp_path):
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o770)
    data_directory.make(place)
    assert place.stat().st_mode & 0o777 == 0o770
