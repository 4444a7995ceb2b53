"""Announcements as companies play them: by synthetic voices, and long prompts of human ones in their stead."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from appliance.recorder.ear.announcement import Announcement, read_announcement
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.simulators import voices

TEXTS = {
    "de": "Guten Tag, hier ist die Werkstatt. Dieses Gespräch wird aufgezeichnet, damit wir Ihren Auftrag richtig"
    " erfassen. Wenn Sie das nicht möchten, sagen Sie es bitte gleich.",
    "en-us": "Thank you for calling. This call is recorded for quality and training. Please hold the line.",
    "en-gb": "Good morning. We record all calls, so that we can prove what was ordered. If you do not want that, please"
    " hang up and write to us.",
    "fr-fr": "Bonjour. Cet appel est enregistré afin d'améliorer notre service. Merci de patienter un instant.",
    "it": "Buongiorno. Questa chiamata viene registrata. Se non è d'accordo, lo dica subito al nostro operatore.",
    "nl": "Goedemorgen. Dit gesprek wordt opgenomen. Blijft u aan de lijn, u wordt zo snel mogelijk geholpen.",
}
OTHER_ENDING = {
    "de": "Guten Tag, hier ist die Werkstatt. Dieses Gespräch wird leider nicht angenommen, denn wir haben heute"
    " geschlossen. Bitte rufen Sie morgen wieder an.",
    "en-us": "Thank you for calling. This call cannot be taken now. Our office opens at eight.",
    "en-gb": "Good morning. We record all orders that you leave after the tone, and call you back tomorrow.",
    "fr-fr": "Bonjour. Cet appel est gratuit. Nos bureaux sont fermés, rappelez demain matin.",
    "it": "Buongiorno. Questa chiamata viene trasferita al reparto vendite, attenda in linea.",
    "nl": "Goedemorgen. Dit gesprek wordt doorverbonden met een van onze medewerkers, een ogenblik geduld.",
}
"""What else the same voice says on the same line, with the same words first."""

_PROMPTS = Path("/usr/share/asterisk/sounds")
_LONG_PROMPTS = ("demo-nogo", "vm-rec-unv", "demo-echotest")
_ESPEAK_RATE_HZ = 22050


def spoken(language: str, text: str, voice: str = "") -> Pcm:
    """By espeak-ng, the same every time."""
    command = ["espeak-ng", "-v", language + voice, "-s", "160", "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    return voices.resampled(np.frombuffer(sound[44:], np.int16), _ESPEAK_RATE_HZ, RATE_HZ)


@cache
def synthetic() -> dict[str, Announcement]:
    """By language."""
    return {language: Announcement.of(language, spoken(language, text)) for language, text in TEXTS.items()}


def human() -> dict[str, Announcement]:
    """By speaker and prompt; between 3 s and 22 s long."""
    paths = [_PROMPTS / speaker / f"{name}.wav" for speaker in voices.HUMANS for name in _LONG_PROMPTS]
    return {f"{path.parent.name}/{path.stem}": read_announcement(path) for path in paths if path.exists()}
