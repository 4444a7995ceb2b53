"""The relay that joins an output to its line: closed while something is played into it, and open else.

Promise: nothing is played while the contact cannot be closed. The wire is held from the start on, so that nobody else
closes it, and it is asked for again twice a minute while it cannot be had (by `playback`).

A joined line loses 1.6 dB and hears what the sound card hums, so the contact is open whenever that can be helped. When
this process dies, however it dies, the kernel lets go of the wire. What the wire does then is the driver's choice: that
of a Pi (pinctrl-bcm2835) makes an input of it in the kernel of Debian, the processor's pull-down takes GPIO 16 low, and
the contact opens at once. Raspberry Pi's own kernel leaves it as it was, unless config.txt has `dtparam=strict_gpiod`
(raspberrypi/linux, pull requests 6117 and 6150): there it stays closed until the recorder, which systemd starts again
after a second, asks for the wire anew.

Leaves to others: GPIO (gpio), and when something is played (playback).
"""

from __future__ import annotations

import threading
from typing import Protocol

from appliance.terms import RATE_HZ, LineTrouble

LEAD_FRAMES = RATE_HZ // 20
"""Silence that is played first. A solid-state relay closes within 5 ms (sheet of AQY214EH), a mechanical one within 20,
and the click of it should be over when the sound begins."""


class Contact(Protocol):
    """The wire of a relay, as gpio.GpioOutput promises it."""

    def open(self) -> None:
        """Have the wire; the relay's contact is open. Raises LineTrouble."""

    def switch(self, *, on: bool) -> None:
        """Raises LineTrouble; then it must be closed, and opened again."""

    def close(self) -> None:
        """Let go of the wire."""


class Relay:
    """One relay. Any thread may call it.

    Args:
        contact: its wire, not open.
    """

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._lock = threading.Lock()
        self._held = False
        self._sounds = 0
        self.trouble = ""
        """Why it cannot be used, as a sentence; empty if it can."""

    def hold(self) -> bool:
        """Have the wire, if that is possible now."""
        with self._lock:
            return self._have()

    def join(self) -> bool:
        """A sound begins: close the contact. False: it cannot be closed, and `part` must not follow."""
        with self._lock:
            if not self._have() or not self._switch(on=True):
                return False
            self._sounds += 1
            return True

    def part(self) -> None:
        """A sound is over: open the contact after the last one."""
        with self._lock:
            self._sounds -= 1
            if self._held and self._sounds <= 0:
                self._switch(on=False)

    def let_go(self) -> None:
        with self._lock:
            if self._held and self._switch(on=False):
                self._give_up("")

    def _have(self) -> bool:
        if not self._held:
            try:
                self._contact.open()
            except LineTrouble as trouble:
                self.trouble = str(trouble)
                return False
            self._held, self.trouble = True, ""
        return True

    def _switch(self, *, on: bool) -> bool:
        try:
            self._contact.switch(on=on)
        except LineTrouble as trouble:
            self._give_up(str(trouble))
            return False
        return True

    def _give_up(self, trouble: str) -> None:
        self._contact.close()
        self._held, self.trouble = False, trouble
