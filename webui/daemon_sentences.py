"""What the daemons say as plain English sentences, listed so that a person reads them in their own language.

A daemon's log and the message to the vault carry the sentence as it is; here it is found again by its pattern, with
what was put into it, and said in German. A sentence that is not listed is shown as it came. That each of them is one
that a daemon says, and each that a line can show is listed, is tested (tests/webui/test_daemon_sentences.py).
"""

from __future__ import annotations

import re

from webui.language import gettext, mark

SENTENCES = (
    mark("The clock shows a time before this software was made."),
    mark("The clock has gone back behind a time that this box has already seen."),
    mark("The clock has jumped ahead further than time has passed."),
    mark("The clock has fallen behind the time that has passed."),
    # the sound device
    mark(
        "The sound device '%(thing)s' is gone. What was recorded is safe; plug it in again, and recording goes on "
        "by itself."
    ),
    mark(
        "There is no sound device '%(thing)s'. Plug it in, or correct its name in the settings; 'arecord -L' lists "
        "the names."
    ),
    mark(
        "There is no sound card in the USB port %(port)s. Plug it in there, and it is used at once; "
        "'linekeep line check --list' shows the cards that are there."
    ),
    mark(
        "There is no sound card with the serial number '%(serial)s'. Plug it in, and it is used at once; "
        "'linekeep line check --list' shows the cards that are there."
    ),
    mark(
        "Several sound cards have the serial number '%(serial)s', and none is used. "
        "Write the USB port of the right one into the settings instead: %(ports)s."
    ),
    mark(
        "The sound device '%(thing)s' has delivered nothing for %(seconds)s seconds. It is opened again; if that does "
        "not help, unplug it and plug it in."
    ),
    mark(
        "The sound device '%(thing)s' cannot be opened for %(rate)s Hz, 16 bit: %(error)s. Check its name and the "
        "rights of this user (group 'audio')."
    ),
    mark(
        "The sound device '%(thing)s' gives %(channels)s channels of %(format)s at %(rate)s Hz, not %(wanted)s of "
        "S16_LE at %(wanted_rate)s Hz. Set the number of channels it has, or use its 'plughw:' name, which converts."
    ),
    mark("Another program uses the sound device '%(thing)s'. End that program."),
    mark("Listening to '%(thing)s' broke off. Nothing is recorded until the recorder is restarted."),
    # its output
    mark(
        "The output of the sound device '%(thing)s' takes %(channels)s channels of %(format)s at %(rate)s Hz, not "
        "%(wanted)s of S16_LE at %(wanted_rate)s Hz. Set the number of channels it has, or use its 'plughw:' name, "
        "which converts."
    ),
    mark(
        "The output of the sound device '%(thing)s' is gone, so nothing can be played on this line. "
        "What was recorded is safe; plug the device in again."
    ),
    mark(
        "The sound device '%(thing)s' was not fed in time, so what it played on this line has broken off. "
        "What was recorded is safe; if this comes again, the box is too busy."
    ),
    mark(
        "Something went wrong inside the recorder, and what it played on this line has broken off. "
        "What was recorded is safe; the log says more."
    ),
    mark(
        "The daily test tone was not heard, so on this line an announcement would not be heard either. What was "
        "recorded is safe. Look whether the coupler is plugged into input and output of the sound card and into the "
        "line, and whether that output is turned on (alsamixer, F3). It is tried again every hour."
    ),
    mark(
        "The daily test tone was too faint (%(level)s dBFS), as an announcement would be. What was recorded "
        "is safe. Turn up the output of the sound card (alsamixer, F3). It is tried again every hour."
    ),
    mark(
        "The daily test tone was too loud (%(level)s dBFS), as an announcement would be. What was recorded "
        "is safe. Turn down the output of the sound card (alsamixer, F3). It is tried again every hour."
    ),
    # what is in the way of a recording
    mark(
        "This line is not recorded, because the settings give no ground for it. "
        "Write down why it may be recorded, as 'ground' of this line."
    ),
    mark("This line is not recorded: its settings say that it never is."),
    mark(
        "The disk is full up to its reserve, so nothing is recorded. What was recorded is safe; "
        "recording goes on by itself when calls have been erased or their time has come."
    ),
    mark("The disk is full while %(doing)s. What was written before is safe; make room."),
    mark("The disk refuses while %(doing)s (%(error)s). What was written before is safe; is the disk sound?"),
    mark("An earlier write to this recording failed; what is on the disk will be recovered."),
    mark("The speech codec refused a block of audio; the recording ends here."),
    mark(
        "The vault does not answer, so there is no key to record with. The last seconds are kept in memory, and "
        "recording begins by itself when it is back."
    ),
    mark("A call waits for its key from the vault. It is recorded as soon as the key comes."),
    mark(
        "Something went wrong inside the recorder, and recording of this line starts anew. "
        "What was recorded before is safe; the log says more."
    ),
    # hook and ring inputs
    mark(
        "Somebody speaks on this line, but its hook input says that the handset is down, so nothing of it is recorded. "
        "Let a technician look at the wire of the hook and at 'active_low'; without 'hook' in the settings calls are "
        "known by what is heard."
    ),
    mark(
        "The hook input says that the handset has been lifted for a minute, but nothing at all is heard. "
        "Look whether the handset lies on its hook; if it does, let a technician look at the wire of the hook and at "
        "'active_low', and if it does not, at the wire of the sound."
    ),
    mark(
        "There is no GPIO chip %(chip)s, so the %(part)s is not used. "
        "%(meanwhile)s; correct 'chip' in the settings ('gpiodetect' lists them)."
    ),
    mark(
        "Another program uses GPIO %(wire)s, so the %(part)s is not used. %(meanwhile)s; "
        "end that program, or correct the settings ('gpioinfo' shows who it is)."
    ),
    mark(
        "GPIO %(wire)s cannot be used (%(error)s), so the %(part)s is not used. %(meanwhile)s; "
        "correct the settings, and check the rights of this user (group 'gpio')."
    ),
    # the health of a line
    mark(
        "Nothing comes from this line: for %(seconds)s seconds there was not even noise, so no call on it can be "
        "recorded. What was recorded is safe. Look whether the line's plug is in its coupler and the coupler's in the "
        "sound card, and whether the card's input is turned on."
    ),
    mark(
        "Neither ring nor speech was heard on this line for %(days)s days. If nobody telephoned, all is "
        "well; otherwise call it, and if this stays, look at the plugs of line and coupler. What was recorded is safe."
    ),
    mark(
        "Loud speech is cut off at the card's full scale and crackles. What was recorded can be understood. "
        "The level should be %(db)s dB lower: turn down the card's input (alsamixer, F4)."
    ),
    mark(
        "Speech on this line is too loud (%(level)s dBFS) and nearly cut off. What was recorded is safe. "
        "The level should be %(db)s dB lower: turn down the card's input (alsamixer, F4)."
    ),
    mark(
        "Speech on this line is too soft (%(level)s dBFS), and a soft voice may be missed. What was recorded "
        "is safe. The level should be %(db)s dB higher: turn up the card's input (alsamixer, F4)."
    ),
    mark(
        "The line hums with the mains (%(hz)s Hz and overtones). Calls are recorded, with the hum. Lay its cable away "
        "from mains cables, feed box and sound card from one socket, or let a technician put a transformer between "
        "line and card."
    ),
    mark(
        "The sound card adds an offset of %(share)s %% of full scale, and loud speech has so "
        "much less room. Calls are recorded. Check that the coupler blocks direct current, or take another card."
    ),
    mark(
        "Only one half of the sound's wave arrives, so that speech is harsh. What was recorded can be understood. "
        "Look for a broken coupler, a microphone input that feeds it voltage, or a plug that is half in."
    ),
)

_SIDES = (mark("Own side"), mark("Other side"))
"""Before a sentence about one side of a line."""

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

_PARTS = {
    "hook": mark("hook"),
    "ringing voltage": mark("ringing voltage"),
    "lamp": mark("lamp"),
    "button": mark("button"),
    "relay": mark("relay"),
    "switch of the case": mark("switch of the case"),
    "Calls are recorded without it": mark("Calls are recorded without it"),
    "Nothing is played on this line without it": mark("Nothing is played on this line without it"),
    "An opening of the case is not noticed without it": mark("An opening of the case is not noticed without it"),
    "a recording is begun": mark("a recording is begun"),
    "a running recording is made safe": mark("a running recording is made safe"),
    "a recording is ended": mark("a recording is ended"),
    "a recording is closed": mark("a recording is closed"),
    "a recording is let go of": mark("a recording is let go of"),
    "a recording is written": mark("a recording is written"),
}
"""Words that a daemon puts into a sentence."""


def _pattern(sentence: str) -> re.Pattern[str]:
    pieces = _PLACEHOLDER.split(sentence)
    texts = [re.escape(text.replace("%%", "%")) for text in pieces[::2]]
    texts[-1] += r"\Z"
    # Atomic: each piece of the text is looked for once, from the left, which finds whatever there is to find. Going
    # back and forth, a sentence that a recorder was made to say takes two hundred times as long, twice a second.
    return re.compile(texts[0] + "".join(f"(?>(?P<{n}>.+?){t})" for n, t in zip(pieces[1::2], texts[1:], strict=True)))


_PATTERNS = tuple((_pattern(sentence), sentence) for sentence in SENTENCES)


def said(sentence: str) -> str:
    """A sentence from a daemon in the person's language, if it is a known one."""
    side, separator, about_side = sentence.partition(": ")
    if separator and side in _SIDES:
        return f"{gettext(side)}: {said(about_side)}"
    for pattern, text in _PATTERNS:
        if match := pattern.fullmatch(sentence):
            parts = {
                name: gettext(_PARTS[part]) if part in _PARTS else part for name, part in match.groupdict().items()
            }
            return gettext(text, **parts)
    return sentence
