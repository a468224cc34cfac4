# SPDX-License-Identifier: Apache-2.0
"""Which form of the array belongs to which target."""

from __future__ import annotations

import pytest

from tritone_hw.platform.ecp5 import Ecp5Form
from tritone_hw.platform.portable import PortableForm
from tritone_hw.platform.target import Target, form_for
from tritone_hw.platform.xc7 import Xc7Form


def test_every_target_has_its_form() -> None:
    """Without a platform, as in simulators, the form is the portable one."""
    assert type(form_for(None)) is PortableForm
    assert {target: type(form_for(target)) for target in Target} == {
        Target.PORTABLE: PortableForm,
        Target.ECP5: Ecp5Form,
        Target.XC7: Xc7Form,
    }


def test_boards() -> None:
    """The platform of a board has the form of its device; one with another device has none."""
    ulx3s = pytest.importorskip("amaranth_boards.ulx3s", reason="pip install -e '.[board]'")
    assert type(form_for(ulx3s.ULX3S_85F_Platform())) is Ecp5Form
    icestick = pytest.importorskip("amaranth_boards.icestick")
    with pytest.raises(
        TypeError, match=r"^Platform must be a Target, that of a board with an ECP5"
    ):
        form_for(icestick.ICEStickPlatform())


def test_other_platforms_are_refused() -> None:
    """A platform is a Target, a board's, or none."""
    message = r"^Platform must be a Target, that of a board with an ECP5, or None, not 'ecp5'$"
    with pytest.raises(TypeError, match=message):
        form_for("ecp5")
