"""Runs a command as its systemd unit would: as nobody, with no capability, on the paths that the unit leaves it.

Without systemd: a mount namespace of its own (unshare), from which setpriv steps down. Needs root, as CI has.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NOBODY = 65534
STEP_DOWN = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"


def settings_of(unit: str, node_folder: Path) -> dict[str, list[str]]:
    """The settings of a unit's [Service], each with all its values; paths are those of ``node_folder``."""
    text = (UNITS / unit).read_text(encoding="utf-8").split("[Service]\n")[1].split("[Install]")[0]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value.replace("/srv/credit-gateway/%i", str(node_folder)))
    return found


def confined(unit: str, node_folder: Path, writable: Sequence[str] = ()) -> list[str]:
    """A command that runs the rest of its arguments; ``writable`` are folders of the node instead of the unit's."""
    settings = settings_of(unit, node_folder)
    paths = [str(node_folder / name) for name in writable] or [
        path.lstrip("-") for line in settings["ReadWritePaths"] for path in line.split()
    ]
    steps = ["set -e", *(f"mount --bind {p} {p}" for p in dict.fromkeys([str(node_folder), *paths]))]
    let_through = [line.lstrip("-") for line in settings.get("BindReadOnlyPaths", ())]
    for hidden in settings.get("TemporaryFileSystem", ()):
        folder = hidden.split(":")[0]
        kept = [path for path in let_through if Path(path).is_file()]
        steps += [f"mkdir /run/kept.$$ && cp -a {shlex.join(kept)} /run/kept.$$"] if kept else []
        steps += [f"mount -t tmpfs tmpfs {folder}"]
        steps += [f"mv /run/kept.$$/* {folder}; rmdir /run/kept.$$"] if kept else []
        steps += [f"mount -o remount,ro {folder}"]
    if str(node_folder) not in paths:
        steps.append(f"mount -o remount,bind,ro {node_folder}")
    steps += ["mount -o remount,bind,ro /", f'exec {STEP_DOWN} "$@"']
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(steps), "confined"]
