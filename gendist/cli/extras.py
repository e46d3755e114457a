"""Check that the optional dependencies of a subcommand are installed."""

from importlib.util import find_spec

from gendist.errors import GendistError

EXTRA_MODULES = {
    "predict": ("numpy", "safetensors"),
    "slurm": ("snakemake_executor_plugin_slurm",),
    "study": ("pydantic", "yaml", "pyarrow", "scipy", "tokenizers", "snakemake"),
}
"""Modules checked for each extra."""


def require_extra(name: str) -> None:
    """Raise if an extra is not installed.

    Raises:
        GendistError: with the missing modules and the command that installs them.
    """
    missing = [module for module in EXTRA_MODULES[name] if find_spec(module) is None]
    if missing:
        raise GendistError(f"{', '.join(missing)} not installed: pip install 'gendist[{name}]'")
