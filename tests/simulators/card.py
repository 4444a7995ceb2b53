"""The mixers of simulated sound cards: real ALSA controls, of which each is a file (line/ctl_linekeep.c says how).

They are asked for as real cards are, by "hw:CARD=id".
"""

from __future__ import annotations

from pathlib import Path

from tests.simulators.line import build_plugin

_SOURCE = Path(__file__).parent / "line" / "ctl_linekeep.c"

CM108 = {
    "Mic Capture Volume": "volume 3 15 0 150",
    "Mic Capture Switch": "switch 0",
    "Mic Playback Switch": "switch 1",
    "Mic Playback Volume": "volume 20 31 -2300 100",
    "Auto Gain Control": "switch 1",
    "Speaker Playback Volume": "volume 10 37 -3700 100",
    "Speaker Playback Switch": "switch 0",
}
"""What the kernel makes of one, as far as it matters here."""


class SimulatedCards:
    """
    Args:
        run_dir: for controls and ALSA's configuration.
    """

    def __init__(self, run_dir: Path, build_dir: Path) -> None:
        self._run_dir = run_dir
        (run_dir / "controls").mkdir(parents=True)
        plugin = build_plugin(build_dir, _SOURCE).resolve()
        (run_dir / "alsa.conf").write_text(
            f"""ctl_type.linekeep_card {{ lib "{plugin}" }}
ctl.hw {{
    @args [ CARD ]
    @args.CARD {{ type string }}
    type linekeep_card
    controls {{ @func concat strings [ "{(run_dir / "controls").resolve()}/" $CARD ] }}
}}
"""
        )

    def environment(self) -> dict[str, str]:
        """What a process must find in its environment to see them."""
        return {"ALSA_CONFIG_PATH": str((self._run_dir / "alsa.conf").resolve())}

    def plug(self, card_id: str, controls: dict[str, str]) -> None:
        for name, text in controls.items():
            path = self._run_dir / "controls" / card_id / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{text}\n")

    def value(self, card_id: str, control: str) -> int:
        return int((self._run_dir / "controls" / card_id / control).read_text().split()[1])
