"""Names of the registered student architectures, found without importing PyTorch."""

import re
import sys
from difflib import get_close_matches
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "stages" / "students" / "architectures"
REGISTERED = re.compile(r"""^@register\(\s*["']([^"']+)["']""", re.MULTILINE)


def architectures() -> list[str]:
    """Return the names registered by the modules in ``FOLDER``, and at run time."""
    declared = {name for file in FOLDER.glob("*.py") for name in REGISTERED.findall(file.read_text(encoding="utf-8"))}
    registry = sys.modules.get("gendist.stages.students.architectures.registry")
    return sorted(declared | set(getattr(registry, "ARCHITECTURES", ())))


def unknown_architecture(name: str) -> str | None:
    """Return an error message for an unknown architecture, or None."""
    known = architectures()
    if name in known:
        return None
    close = get_close_matches(name, known, 1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    return f"'{name}' is unknown{hint}; accepted: {', '.join(known)}"
