"""Hook, ring, button, lamp and relay of each line, and the switch of the case: what the wires say by themselves, and
what when a person acts.

By itself a wire shows only whether it is there and whether it is stuck. With a technician beside it each is tried: he
is told what to do, and has so many seconds for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from appliance.recorder.device.gpio import (
    GpioInput,
    GpioOutput,
    button_input,
    case_input,
    hook_input,
    relay_output,
    ring_input,
)
from appliance.recorder.line.hook import HookChange, HookEvent, RingPulses
from appliance.recorder.panel.button import Push
from appliance.recorder.panel.case_switch import CaseChange
from appliance.selftest.finding import Finding, bad, good, look
from appliance.settings import GpioSettings, LineSettings
from appliance.terms import LineTrouble

ACT_WITHIN_S = 20.0
RING_WITHIN_S = 45.0
OPEN_WITHIN_S = 120.0
"""A cover opens with a tool, and not before the line is unplugged: on its side there may be 187 V."""
_AT_REST_S = 1.0

Tell = Callable[[str], None]
"""Tell the technician what to do."""
Ask = Callable[[str], bool]
"""Ask him something that only he sees."""


def look_at_wires(line: LineSettings, tell: Tell | None, ask: Ask | None) -> Iterator[Finding]:
    """All wires that the settings of a line name. tell, ask: None if nobody is there."""
    if line.hook is not None:
        yield from _try(f"hook of {line.name}", hook_input(line.hook), lambda wire, part: _hook(wire, part, tell))
    if line.ring is not None:
        yield from _try(f"ring of {line.name}", ring_input(line.ring), lambda wire, part: _ring(wire, part, tell))
    if line.button is not None:
        yield from _try(f"button of {line.name}", button_input(line.button), lambda w, part: _button(w, part, tell))
    if line.lamp is not None:
        yield from _lamp(f"lamp of {line.name}", GpioOutput(line.lamp), ask)
    if line.output is not None and line.output.relay is not None:
        yield from _lamp(f"relay of {line.name}", relay_output(line.output.relay), None)


def look_at_case(tamper: GpioSettings, tell: Tell | None) -> Iterator[Finding]:
    """The switch of the case. tell: None if nobody is there."""
    yield from _try("switch of the case", case_input(tamper), lambda wire, part: _case(wire, part, tell))


def _try(part: str, wire: GpioInput[Any], act: Callable[[GpioInput[Any], str], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        wire.open()
        yield from act(wire, part)
    except LineTrouble as trouble:
        yield bad(part, "cannot be used", str(trouble))
    finally:
        wire.close()


def _hook(wire: GpioInput[Any], part: str, tell: Tell | None) -> Iterator[Finding]:
    if tell is None:
        if wire.active_at_opening:
            yield look(part, "off the hook", "If the handset lies on its hook, it is stuck, or 'active_low' wrong.")
        else:
            yield good(part, "on the hook")
        return
    for is_off, what in ((True, "Lift the handset"), (False, "Put the handset down")):
        tell(f"{part}: {what}.")
        if not _comes(wire, ACT_WITHIN_S, partial(_moved, off_hook=is_off)):
            yield bad(part, f"stuck: did not see it: {what.lower()}", "Look at opto-coupler, polarity and wire.")
            return
    yield good(part, "lifted and put down")


def _ring(wire: GpioInput[Any], part: str, tell: Tell | None) -> Iterator[Finding]:
    if _comes(wire, _AT_REST_S, _rings):
        yield bad(part, "rings at rest", "It sees hum or crosstalk. Look at the opto-coupler and its wire.")
    elif tell is None:
        yield good(part, "quiet at rest")
    else:
        tell(f"{part}: Call this line from another telephone.")
        if _comes(wire, RING_WITHIN_S, _rings):
            yield good(part, "rang")
        else:
            yield bad(part, "did not see the line ring", "Look at the ring capacitor, the opto-coupler and the wire.")


def _button(wire: GpioInput[Any], part: str, tell: Tell | None) -> Iterator[Finding]:
    if wire.active_at_opening:
        yield bad(part, "down at rest", "It is jammed, or 'active_low' is wrong.")
    elif tell is None:
        yield good(part, "up at rest")
    else:
        tell(f"{part}: Press it shortly.")
        if _comes(wire, ACT_WITHIN_S, lambda event: event.push is Push.SHORT):
            yield good(part, "pressed")
        else:
            yield bad(part, "did not see it pressed", "Look at its wires, and at the pull-up of the GPIO line.")


def _case(wire: GpioInput[Any], part: str, tell: Tell | None) -> Iterator[Finding]:
    if tell is None:
        if wire.active_at_opening:
            yield look(part, "open", "If the case is closed, a wire is cut, the plug is off, or 'active_low' is wrong.")
        else:
            yield good(part, "closed")
        return
    for is_open, what in ((True, "Open the case"), (False, "Close the case")):
        if wire.active_at_opening is not is_open or not is_open:
            tell(f"{part}: {'Unplug every telephone line. ' if is_open else ''}{what}.")
            if not _comes(wire, OPEN_WITHIN_S, partial(_stands, is_open=is_open)):
                yield bad(part, f"did not see it: {what.lower()}", "Look at switch, wire and pull-up.")
                return
    yield good(part, "opened and closed")


def _lamp(part: str, lamp: GpioOutput, ask: Ask | None) -> Iterator[Finding]:
    try:
        lamp.open()
        lamp.switch(on=True)
        if ask is None:
            yield good(part, "can be switched; nobody looked")
        elif ask(f"{part}: Does it burn now?"):
            yield good(part, "seen burning")
        else:
            yield bad(part, "stays dark", "Look at its polarity and its resistor, and at 'active_low'.")
    except LineTrouble as trouble:
        yield bad(part, "cannot be used", str(trouble))
    finally:
        lamp.close()


def _moved(event: HookEvent, *, off_hook: bool) -> bool:
    return isinstance(event, HookChange) and event.off_hook is off_hook


def _stands(event: CaseChange, *, is_open: bool) -> bool:
    return event.is_open is is_open


def _rings(event: HookEvent) -> bool:
    return isinstance(event, RingPulses) and event.on


def _comes(wire: GpioInput[Any], within_s: float, is_it: Callable[[Any], bool]) -> bool:
    """Whether such an event comes in time. Raises LineTrouble."""
    give_up = time.monotonic() + within_s
    while (left_s := give_up - time.monotonic()) > 0:
        if any(is_it(event) for event in wire.read(left_s)):
            return True
    return False
