"""Whether what a subcommand needs is installed, told in one line before an import fails."""

from importlib.util import find_spec

from gendist.errors import GendistError

EXTRA_MODULES = {
    "predict": ("onnxruntime", "tokenizers"),
    "slurm": ("snakemake_executor_plugin_slurm",),
    "study": ("pydantic", "yaml", "pyarrow", "scipy", "tokenizers", "snakemake"),
}
"""Modules by which an extra is known to be there."""


def require_extra(name: str) -> None:
    """Refuse to go on without an extra.

    Raises:
        GendistError: naming the missing modules and the command that installs them.
    """
    missing = [module for module in EXTRA_MODULES[name] if find_spec(module) is None]
    if missing:
        raise GendistError(f"{', '.join(missing)} not installed: pip install -e '.[{name}]' in gendist's checkout")
