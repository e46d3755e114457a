"""Which architectures there are, found without loading one: a config is checked before PyTorch is wanted."""

import re
import sys
from difflib import get_close_matches
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "stages" / "students" / "architectures"
REGISTERED = re.compile(r"""^@register\(\s*["']([^"']+)["']""", re.MULTILINE)


def architectures() -> list[str]:
    """Return the names that modules of the folder register, and those registered by running code."""
    named = {name for file in FOLDER.glob("*.py") for name in REGISTERED.findall(file.read_text(encoding="utf-8"))}
    registry = sys.modules.get("gendist.stages.students.architectures.registry")
    return sorted(named | set(getattr(registry, "ARCHITECTURES", ())))


def unknown_architecture(name: str) -> str | None:
    """Say what is wrong with a name, or return None."""
    known = architectures()
    if name in known:
        return None
    close = get_close_matches(name, known, 1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    return f"'{name}' is unknown{hint}; accepted: {', '.join(known)}"
