"""What the factory test says, in German: part, reading and advice, found by their pattern.

What a device's driver says of itself (a card that is gone, a chip that refuses) stays as the program says it.
"""

from __future__ import annotations

import re

_TEXTS = {
    # parts
    "temperature": "Temperatur",
    "supply": "Versorgung",
    "speed": "Takt",
    "memory": "Arbeitsspeicher",
    "swap": "Auslagerung",
    "radio": "Funk",
    "network": "Netz",
    "clock": "Uhr",
    "clock rate": "Gang der Uhr",
    "storage": "Speicher",
    "storage speed": "Speicher, Tempo",
    "storage syncs": "Speicher, Sichern",
    "storage honesty": "Speicher, Ehrlichkeit",
    "storage wear": "Speicher, Abnutzung",
    "TPM random": "TPM, Zufall",
    "TPM owner": "TPM, Eigentum",
    "switch of the case": "Gehäuseschalter",
    "sound {}, channel {} level": "Ton {}, Kanal {}, Pegel",
    "sound {}, channel {} distortion": "Ton {}, Kanal {}, Verzerrung",
    "sound {}, channel {} noise": "Ton {}, Kanal {}, Rauschen",
    "sound {}, channel {}": "Ton {}, Kanal {}",
    "sound {} output": "Ton {}, Ausgang",
    "sound {}": "Ton {}",
    "hook of {}": "Gabel von {}",
    "ring of {}": "Rufstrom von {}",
    "button of {}": "Taster von {}",
    "lamp of {}": "Lampe von {}",
    "relay of {}": "Relais von {}",
    # the board
    "this board tells none": "diese Platine nennt keine",
    "this board does not watch it": "diese Platine überwacht sie nicht",
    "this board does not tell it": "diese Platine nennt ihn nicht",
    "the kernel does not tell it": "der Kernel nennt ihn nicht",
    "{} GHz of {} GHz": "{} GHz von {} GHz",
    "never below 4.63 V since the start": "seit dem Start nie unter 4,63 V",
    "below 4.63 V since the start": "seit dem Start unter 4,63 V",
    "none": "keine",
    "no Ethernet": "kein Ethernet",
    "no link": "keine Verbindung",
    "The processor slows itself down. Give the box air, or a heat sink.": (
        "Der Prozessor bremst sich. Geben Sie dem Gerät Luft oder einen Kühlkörper."
    ),
    "It should stay below {} °C. Let air reach the box.": "Sie sollte unter {} °C bleiben. Lassen Sie Luft heran.",
    "Use the board's own power supply and a short cable; undervoltage damages cards.": (
        "Nehmen Sie das Netzteil der Platine und ein kurzes Kabel; Unterspannung schadet Karten."
    ),
    "The processor is held back. Look at temperature and power supply.": (
        "Der Prozessor wird gebremst. Sehen Sie nach Temperatur und Netzteil."
    ),
    "Linekeep needs {} MiB. Take another board.": "Linekeep braucht {} MiB. Nehmen Sie eine andere Platine.",
    "What must not be recorded could reach the disk through it. Switch it off: swapoff -a, and in /etc/fstab.": (
        "Was nicht aufgezeichnet werden darf, könnte darüber auf die Platte kommen. Schalten Sie sie ab: swapoff -a, "
        "und in /etc/fstab."
    ),
    "The box needs no radio. Switch it off, so that nobody reaches it from outside: 'blacklist brcmfmac' in a file of "
    "/etc/modprobe.d on a Pi with Debian's kernel, dtoverlay=disable-wifi with Raspberry Pi's own.": (
        "Das Gerät braucht keinen Funk. Schalten Sie ihn ab, damit niemand es von außen erreicht: 'blacklist brcmfmac' "
        "in einer Datei in /etc/modprobe.d auf einem Pi mit Debians Kernel, dtoverlay=disable-wifi bei dem von "
        "Raspberry Pi."
    ),
    "Its page cannot be reached. Is the adapter plugged in?": ("Seine Seite ist nicht erreichbar. Steckt der Adapter?"),
    "It records, but nobody reaches its page. Plug in the cable; if it is, try another cable and switch port.": (
        "Es zeichnet auf, aber niemand erreicht seine Seite. Stecken Sie das Kabel; steckt es, versuchen Sie ein "
        "anderes Kabel und einen anderen Anschluss."
    ),
    # the clock
    "no battery-backed clock": "keine Uhr mit Batterie",
    "{}: does not tell the time": "{}: sagt die Zeit nicht",
    "{}: stands still": "{}: steht",
    "{}: {} s from the system's": "{}: {} s neben der des Systems",
    "Plug in an RTC with its battery, and load its overlay.": (
        "Stecken Sie eine Uhr mit Batterie und laden Sie ihr Overlay."
    ),
    "Its battery is empty or missing. Put in a new one.": "Ihre Batterie ist leer oder fehlt. Legen Sie eine neue ein.",
    "It has lost its time. Put in a new battery, then set it.": (
        "Sie hat ihre Zeit verloren. Setzen Sie eine neue Batterie ein und stellen Sie sie."
    ),
    "Once the system's is right: hwclock --systohc.": "Sobald die des Systems stimmt: hwclock --systohc.",
    "The clock is broken, or its quartz. Take another one.": (
        "Die Uhr oder ihr Quarz ist defekt. Nehmen Sie eine andere."
    ),
    "It runs wrong. Take another one.": "Sie geht falsch. Nehmen Sie eine andere.",
    # storage
    "nine of ten within {} ms": "neun von zehn in {} ms",
    "half of the syncs within {} ms": "die Hälfte in {} ms gesichert",
    "half of the syncs within {} ms; in memory, or on another machine": (
        "die Hälfte in {} ms gesichert; im Arbeitsspeicher oder auf einem anderen Rechner"
    ),
    "at most {} tenths of its life": "höchstens {} Zehntel ihres Lebens",
    "at most {} tenths of its life, and 80 % of its spare blocks": (
        "höchstens {} Zehntel ihres Lebens und 80 % der Ersatzblöcke"
    ),
    "at most {} tenths of its life, and 90 % of its spare blocks": (
        "höchstens {} Zehntel ihres Lebens und 90 % der Ersatzblöcke"
    ),
    "this disk does not tell it here (smartctl may)": "diese Platte sagt sie hier nicht (smartctl vielleicht)",
    "card {} does not tell it; take one made for recording": (
        "Karte {} sagt sie nicht; nehmen Sie eine, die für Aufzeichnungen gemacht ist"
    ),
    "cannot be written: {}": "lässt sich nicht beschreiben: {}",
    "Is it full, read-only or broken?": "Ist er voll, nur lesbar oder defekt?",
    "Too slow, or about to fail. Take a card of class A1, made for recording.": (
        "Zu langsam oder kurz vor dem Ausfall. Nehmen Sie eine Karte der Klasse A1, für Aufzeichnungen gemacht."
    ),
    "Slow. A card of class A1 writes 10 MB/s and more.": (
        "Langsam. Eine Karte der Klasse A1 schreibt 10 MB/s und mehr."
    ),
    "A power cut could cost more than 2 s of a call. Take a better card.": (
        "Ein Stromausfall könnte mehr als 2 s eines Gesprächs kosten. Nehmen Sie eine bessere Karte."
    ),
    "Slow for eight lines. Take a card of class A2, or fewer lines.": (
        "Langsam für acht Leitungen. Nehmen Sie eine Karte der Klasse A2 oder weniger Leitungen."
    ),
    "No flash is that fast: this card says 'safe' before it is, and a power cut will lose calls. Take another.": (
        "So schnell ist kein Flash: Diese Karte sagt „gesichert“, bevor es so ist, und verliert bei einem Stromausfall "
        "Gespräche. Nehmen Sie eine andere."
    ),
    "No flash is that fast. If this disk has no capacitors against power cuts, it says 'safe' before it is.": (
        "So schnell ist kein Flash. Hat diese Platte keine Kondensatoren gegen Stromausfall, so sagt sie „gesichert“, "
        "bevor es so ist."
    ),
    "It will fail soon. Make a backup, and replace the board or its eMMC.": (
        "Sie fällt bald aus. Machen Sie eine Sicherung und ersetzen Sie Platine oder eMMC."
    ),
    "Plan its replacement.": "Planen Sie ihren Ersatz.",
    # the TPM
    "{}, firmware {}": "{}, Firmware {}",
    "{} of 256 values in {} bytes": "{} von 256 Werten in {} Byte",
    "nobody's; the first start takes it": "gehört niemandem; der erste Start nimmt es",
    "somebody's, and this box has no keys yet": "gehört schon jemandem, und das Gerät hat noch keine Schlüssel",
    "the one that sealed this box's keys": "das, das die Schlüssel des Geräts versiegelt hat",
    "this box's keys are sealed by another TPM": "ein anderes TPM hat die Schlüssel des Geräts versiegelt",
    "Is the module on its pins, and its overlay loaded, with its chip select? Without a TPM there are no keys.": (
        "Sitzt das Modul auf seinen Stiften, und ist sein Overlay geladen, mit seinem Chip Select? Ohne TPM gibt es "
        "keine Schlüssel."
    ),
    "This TPM is software. Its keys lie on a disk and protect nothing from a thief.": (
        "Dieses TPM ist Software. Seine Schlüssel liegen auf einer Platte und schützen vor keinem Dieb."
    ),
    "The chip is broken. Take another one.": "Der Baustein ist defekt. Nehmen Sie einen anderen.",
    "It was used elsewhere. Clear it before the first start: in the firmware's set-up, or, where there is none, right "
    "after the power was off: tpm2_clear -c p.": (
        "Es war anderswo in Gebrauch. Löschen Sie es vor dem ersten Start: im Setup der Firmware oder, wo es keines "
        "gibt, gleich nachdem der Strom aus war: tpm2_clear -c p."
    ),
    "Put the TPM back that was in this box. If it is lost: linekeep recover, with the words on paper.": (
        "Setzen Sie das TPM wieder ein, das im Gerät war. Ist es verloren: linekeep recover, mit den Wörtern vom Blatt."
    ),
    # sound
    "does not deliver": "liefert nichts",
    "does not play": "spielt nicht",
    "{} frames a second, none lost": "{} Frames in der Sekunde, keiner verloren",
    "{} frames a second, not {}": "{} Frames in der Sekunde, nicht {}",
    "{} frames lost in {} s": "{} Frames in {} s verloren",
    "noise at {} dBFS, offset {} %": "Rauschen bei {} dBFS, Gleichanteil {} %",
    "dead: all samples are the same": "tot: alle Werte sind gleich",
    "the tone did not come back": "der Ton kam nicht zurück",
    "hears what channel {} plays": "hört, was Kanal {} spielt",
    "{} dB from output to input": "{} dB vom Ausgang zum Eingang",
    "{} dB from output to input, and cut off": "{} dB vom Ausgang zum Eingang, und abgeschnitten",
    "It opened, but delivered nothing. Unplug it and plug it in again; else take another card.": (
        "Ließ sich öffnen, lieferte aber nichts. Ziehen Sie die Karte und stecken Sie sie wieder; sonst eine andere."
    ),
    "It did not come to its end. Unplug the card and plug it in again.": (
        "Es kam nicht zu Ende. Ziehen Sie die Karte und stecken Sie sie wieder."
    ),
    "Plug the card in directly, without a hub.": "Stecken Sie die Karte direkt, ohne Verteiler.",
    "The card's clock is wrong. Take another card.": "Der Takt der Karte ist falsch. Nehmen Sie eine andere.",
    "Is the input chosen and turned on (alsamixer, F4)?": "Ist der Eingang gewählt und aufgedreht (alsamixer, F4)?",
    "The coupler must block direct current. Look at its capacitor.": (
        "Die Anschaltung muss Gleichstrom sperren. Sehen Sie nach ihrem Kondensator."
    ),
    "That is far too loud for a line at rest. Is a wire loose, or the gain too high?": (
        "Das ist viel zu laut für eine ruhende Leitung. Ist ein Draht lose oder die Verstärkung zu hoch?"
    ),
    "Noisy. Look for mains hum: linekeep line check names it.": (
        "Rauscht. Suchen Sie nach Netzbrummen: linekeep line check nennt es."
    ),
    "Is the cable in both sockets, the right input chosen, and neither output nor input muted (alsamixer)?": (
        "Steckt das Kabel in beiden Buchsen, ist der richtige Eingang gewählt und keiner von beiden stumm (alsamixer)?"
    ),
    "Exchange the plugs of output or input.": "Vertauschen Sie die Stecker von Ausgang oder Eingang.",
    "Turn the output (alsamixer, F3) or the input (F4) down by {} dB.": (
        "Stellen Sie den Ausgang (alsamixer, F3) oder den Eingang (F4) um {} dB leiser."
    ),
    "Turn the output (alsamixer, F3) or the input (F4) up by {} dB.": (
        "Stellen Sie den Ausgang (alsamixer, F3) oder den Eingang (F4) um {} dB lauter."
    ),
    "Is an automatic gain control on, or an effect? Turn down what is at its most (alsamixer). Else take another.": (
        "Ist eine Automatik (AGC) oder ein Effekt an? Drehen Sie zurück, was ganz auf ist (alsamixer). Sonst eine "
        "andere Karte."
    ),
    "Take a shielded cable, and plug card and cable in apart from power supplies. Is a microphone boost on?": (
        "Nehmen Sie ein geschirmtes Kabel, und stecken Sie Karte und Kabel weg von Netzteilen. Ist ein Boost an?"
    ),
    # wires
    "cannot be used": "nicht benutzbar",
    "on the hook": "aufgelegt",
    "off the hook": "abgehoben",
    "lifted and put down": "abgehoben und aufgelegt",
    "stuck: did not see it: lift the handset": "hängt: das Abheben war nicht zu sehen",
    "stuck: did not see it: put the handset down": "hängt: das Auflegen war nicht zu sehen",
    "quiet at rest": "ruhig",
    "rings at rest": "meldet Ruf in Ruhe",
    "rang": "hat geklingelt",
    "did not see the line ring": "sah die Leitung nicht klingeln",
    "up at rest": "nicht gedrückt",
    "down at rest": "gedrückt in Ruhe",
    "pressed": "gedrückt",
    "did not see it pressed": "sah das Drücken nicht",
    "can be switched; nobody looked": "lässt sich schalten; niemand sah hin",
    "seen burning": "leuchtet",
    "stays dark": "bleibt dunkel",
    "open": "offen",
    "closed": "geschlossen",
    "opened and closed": "geöffnet und geschlossen",
    "did not see it: open the case": "sah das Öffnen nicht",
    "did not see it: close the case": "sah das Schließen nicht",
    "If the handset lies on its hook, it is stuck, or 'active_low' wrong.": (
        "Liegt der Hörer auf, so hängt sie, oder 'active_low' ist falsch."
    ),
    "Look at opto-coupler, polarity and wire.": "Sehen Sie nach Optokoppler, Polung und Draht.",
    "It sees hum or crosstalk. Look at the opto-coupler and its wire.": (
        "Er sieht Brummen oder Übersprechen. Sehen Sie nach Optokoppler und Draht."
    ),
    "Look at the ring capacitor, the opto-coupler and the wire.": (
        "Sehen Sie nach dem Rufkondensator, dem Optokoppler und dem Draht."
    ),
    "It is jammed, or 'active_low' is wrong.": "Er klemmt, oder 'active_low' ist falsch.",
    "Look at its wires, and at the pull-up of the GPIO line.": (
        "Sehen Sie nach seinen Drähten und nach dem Pull-up der GPIO-Leitung."
    ),
    "Look at its polarity and its resistor, and at 'active_low'.": (
        "Sehen Sie nach Polung, Widerstand und 'active_low'."
    ),
    "If the case is closed, a wire is cut, the plug is off, or 'active_low' is wrong.": (
        "Ist das Gehäuse geschlossen, so ist ein Draht ab, der Stecker gezogen oder 'active_low' falsch."
    ),
    "Look at switch, wire and pull-up.": "Sehen Sie nach Schalter, Draht und Pull-up.",
}

_PATTERNS = tuple(
    (re.compile(re.escape(english).replace(r"\{\}", "(.+?)")), german) for english, german in _TEXTS.items()
)
"""In their order: what says more stands before what says less."""


def in_german(text: str) -> str:
    """A part, reading or advice; as it came if it is none of ours."""
    for pattern, german in _PATTERNS:
        if match := pattern.fullmatch(text):
            return german.format(*match.groups())
    return text
