"""The generated pages of the line interface: figures, levels, parts. What stands in them is computed, never typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain

from appliance.recorder.line_health import BEST_SPEECH_DBFS
from hardware import levels, strain
from hardware.bench import ZERO_DBM_V, db
from hardware.circuit import Circuit, Part, read_circuit, read_table
from hardware.figures import PROMISES, Promise

MOST_EUR = 15.0

_MADE = "<!-- Made by `make hardware` from parts.toml and models.lib; a test fails when it differs from them. -->"

FULL_SCALE_DBM0 = 3.14
"""A sine this loud on the line just fills the codec: where digital telephony has its overload (ITU-T G.711, A-law)."""

Measured = dict[str, tuple[float, float]]


def figures_page(measured: Callable[[Promise], tuple[float, float]]) -> str:
    rows = [
        f"| {one.what} | {_told(one, measured(one))} | {one.limit} | {one.unit} | `{one.name}` |" for one in PROMISES
    ]
    return "\n".join(
        [
            _MADE,
            "# What the simulation says of the line interface",
            "",
            "Command: `make hardware`. No board has been measured: these are figures of models (`models.lib`)",
            "made from data sheets. `any build` is a dozen circuits, or as many as are named, with every value",
            "anywhere within its tolerance and any temperature from -10 to 60 degrees Celsius. The last column is",
            "the name of the test.",
            "",
            "| | simulated | limit | unit | test |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## What each part bears",
            "",
            "Of all events the one that strains it most, if it is more than a tenth of what the part bears. `heat`",
            "is the mean power, in what lasts; `volt` of T1 is across its barrier.",
            "",
            "| part | | bears | of | share | when |",
            "|---|---|---|---|---|---|",
            *_strain_rows(read_circuit()),
            "",
        ]
    )


def _told(one: Promise, found: tuple[float, float]) -> str:
    least, most = (f"{value:.{one.digits}f}" for value in found)
    if one.at_least == -float("inf"):
        return most
    if one.at_most == float("inf"):
        return least
    return f"{least} to {most}"


_UNITS = {"volt": "V", "reverse": "V", "ampere": "A", "watt": "W", "heat": "W", "joule": "J"}


def _strain_rows(circuit: Circuit) -> list[str]:
    worst = strain.worst(chain.from_iterable(strain.bear(circuit, event).strains for event in strain.EVENTS))
    large = [found for found in worst.values() if found.share > 0.1]
    return [
        f"| {one.ref} | {one.limit} | {short(one.now)} {_UNITS[one.limit]} | {one.most:g} {_UNITS[one.limit]} "
        f"| {round(100 * one.share)} % | {one.event} |"
        for one in sorted(large, key=lambda found: (-round(found.share, 2), found.ref))
    ]


def short(value: float) -> str:
    """Two digits that count, never with an exponent."""
    return f"{float(f'{value:.2g}'):g}"


# Levels

_SIGNALS = (
    ("loudest sound that is not cut", FULL_SCALE_DBM0),
    ("0 dBm0", 0.0),
    ("key (DTMF), own telephone, both tones", -4.0),
    ("tone of the exchange, loud", -8.0),
    ("caller ID, loud", -9.5),
    ("announcement from the injection path", None),
    ("own side speaks", -17.9),
    ("caller ID, soft", -28.0),
    ("far side speaks, long line", -30.0),
    ("noise of a good line", -65.0),
)
"""dBm0. What telephones send is from ITU-T Q.23 and ETSI ES 201 235 (keys), EN 300 659-1 (caller ID, -14.5 dBV +- and
line losses), ITU-T E.180 (tones); speech so that the own side lands where `linekeep line check` wants it."""

_INPUTS_V = (2.1, 1.0, 0.5, 0.1)


def full_scale_v(circuit: Circuit) -> float:
    """RMS of the sine at the audio pins that must just fill the codec."""
    return ZERO_DBM_V * float(10 ** ((FULL_SCALE_DBM0 + levels.gain_db(circuit)) / 20))


def dbfs(dbm0: float) -> float:
    """As `linekeep` counts, 0 dBFS being a full-scale square wave: a full-scale sine is 3 dB below."""
    return dbm0 - FULL_SCALE_DBM0 - float(db(2**0.5))


def levels_page() -> str:
    circuit = read_circuit()
    gain = levels.gain_db(circuit)
    spoken = levels.injected_dbm0(read_circuit(["injection"]))
    rows = []
    for what, dbm0 in _SIGNALS:
        at = spoken if dbm0 is None else dbm0
        volts = ZERO_DBM_V * 10 ** (at / 20)
        rows.append(
            f"| {what} | {at:.1f} | {1000 * volts:.1f} | {1000 * volts * 10 ** (gain / 20):.2f} | {dbfs(at):.1f} |"
        )
    needed = full_scale_v(circuit)
    gains = [f"| {volts:g} V | {float(db(volts / needed)):+.1f} dB |" for volts in _INPUTS_V]
    return "\n".join(
        [
            _MADE,
            "# Level plan: from the line to the codec",
            "",
            f"The tap loses {-gain:.1f} dB at 1 kHz (simulated, codec of 20 kohm). 0 dBm0 is 1 mW in 600 ohm, 775 mV;",
            f"the plan lets a sine of +{FULL_SCALE_DBM0} dBm0 just fill the codec, as digital telephony does (ITU-T",
            f"G.711). That is {1000 * needed:.1f} mV at the audio pins. On a line of complex impedance (TBR 21) the",
            "same voltages hold; there dBm is a matter of definition. dBFS as `linekeep line check` shows it: 0 is a",
            f"full-scale square wave. Speech of the own side is best at {BEST_SPEECH_DBFS:.0f} dBFS.",
            "",
            "| | dBm0 | mV on the line | mV at the audio pins | dBFS |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Levels of keys, tones and caller ID are what standards allow; which of them a line has is heard with",
            "`linekeep line check`. Announcement: 1 V RMS from the codec, on a line of 600 ohm at both ends.",
            "",
            "## Gain to set",
            "",
            "What an input takes for full scale with its gain at 0 dB, and the gain that it then needs:",
            "",
            "| full scale, sine RMS | gain |",
            "|---|---|",
            *gains,
            "",
            "An input that cannot do so much is set to its most; 12 dB less cost no word, since a converter of 16 bit",
            "has noise some 60 dB below that of a line.",
            "",
        ]
    )


# Parts

_OPTIONS = {"": "The tap", "injection": "Option: announcement and beep onto the line", "handset": "Option: handset tap"}


def sum_eur(option: str = "") -> float:
    table = read_table()
    parts = sum(table["buy"][part.buy]["eur"] for part in _of_option(option))
    extra = sum(row["eur"] for row in table["extra"].values()) if not option else 0.0
    return float(parts + extra)


def _of_option(option: str) -> list[Part]:
    return [part for part in read_circuit([option]).parts if part.option == option]


def parts_page() -> str:
    lines = [
        _MADE,
        "# Parts of the line interface",
        "",
        f"One line, at quantity 10, without tax. The tap must stay below {MOST_EUR:.0f} EUR. **All prices are",
        "estimates** of 2026-11-28: no distributor could be asked. Order numbers were put together from the makers'",
        "ordering schemes and from memory: compare each with the maker's sheet before you order.",
        "",
    ]
    for option, title in _OPTIONS.items():
        lines += _option_table(option, title)
    return "\n".join(lines)


def _option_table(option: str, title: str) -> list[str]:
    table = read_table()
    parts = _of_option(option)
    counted = Counter(part.buy for part in parts)
    lines = [
        f"## {title}: {sum_eur(option):.2f} EUR",
        "",
        "| | what | first source | second source | EUR | price from |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for buy, count in counted.items():
        row = table["buy"][buy]
        refs = ", ".join(part.ref for part in parts if part.buy == buy)
        price = f"{count} x {row['eur']:.2f}" if count > 1 else f"{row['eur']:.2f}"
        lines.append(f"| {refs} | {row['what']} | {row['first']} | {row['second']} | {price} | {row['from']} |")
    for row in table["extra"].values() if not option else ():
        lines.append(f"| | {row['what']} | {row['first']} | {row['second']} | {row['eur']:.2f} | {row['from']} |")
    lines += ["", "| | value | what it does |", "|---|---|---|"]
    lines += [f"| {part.ref} | {part.label} | {part.does} |" for part in parts]
    sheets = {row["first"]: row["sheet"] for buy in counted if "sheet" in (row := table["buy"][buy])}
    read = ", ".join(f"[{first}]({sheet})" for first, sheet in sheets.items())
    return [*lines, "", f"Ratings and figures read in: {read}. Those of other parts are from memory.", ""]
