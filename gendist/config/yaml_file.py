"""Strict reader of YAML configs: one mapping of plain values.

PyYAML's safe loader creates no objects, but silently accepts repeated keys and anchors that expand to gigabytes.
"""

import re
import reprlib
from pathlib import Path
from typing import Any

import yaml

from gendist.errors import GendistError
from gendist.io.regular_files import require_regular_file

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
"""Most values in a config, with anchors expanded."""
TEMPLATE_KEY = "__use_yte__"
"""Key that makes Snakemake execute the Python code in a config (YTE template)."""

TAG = "tag:yaml.org,2002:"
"""Prefix of YAML's own tags."""

# Bounded, so that a huge value is not formatted in full.
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
_repr.maxlist = _repr.maxdict = 8


class _Loader(yaml.SafeLoader):
    """Safe loader that rejects repeated keys and anchors that expand without bound."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            self._count(node, {})
        return node

    def _count(self, node: yaml.Node, counted: dict[int, int]) -> int:
        """Return the number of values in a node, with anchors expanded."""
        if id(node) in counted:
            if not counted[id(node)]:
                raise yaml.constructor.ConstructorError(None, None, "an anchor contains itself", node.start_mark)
            return counted[id(node)]
        counted[id(node)] = 0
        total = 1
        if isinstance(node, yaml.MappingNode):
            total += sum(self._count(part, counted) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(self._count(part, counted) for part in node.value)
        if total > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_VALUES:,} values", node.start_mark)
        counted[id(node)] = total
        return total

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != f"{TAG}merge":
                if key.tag != f"{TAG}str":
                    problem = f"key '{key.value}' is not text; put it in quotes"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                if (key.tag, key.value) in seen:
                    problem = f"key '{key.value}' appears twice in one section"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Return a number; YAML 1.1 reads 010 as 8 and 1:30 as 90, which nobody means."""
        if re.fullmatch(r"[-+]?0[0-9_]+|.*:.*", node.value):
            problem = f"number '{node.value}' is octal or sexagesimal; write it plainly, or put text in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if node.tag == f"{TAG}int":
            return int(self.construct_yaml_int(node))
        return float(self.construct_yaml_float(node))


for _tag in ("int", "float"):
    _Loader.add_constructor(f"{TAG}{_tag}", _Loader.construct_number)


def read_config(path: Path) -> dict[Any, Any]:
    """Read a config file.

    Raises:
        GendistError: if it is not a UTF-8 YAML file with one mapping, repeats a key, or is a template.
    """
    if require_regular_file(path, what="config file") > MAX_BYTES:
        raise GendistError(f"{path}: larger than {MAX_BYTES:,} bytes, the limit of a config")
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8-sig"), _Loader)
    except UnicodeDecodeError as error:
        raise GendistError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise GendistError(f"{path}: not a config (nested too deeply)") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise GendistError(f"{path}{where}: not valid YAML ({problem})") from None
    except (ValueError, TypeError, AttributeError, OverflowError, KeyError) as error:
        # An invalid date or number, such as 2020-13-45.
        raise GendistError(f"{path}: contains a value that YAML cannot read ({error}); put text in quotes") from None
    if not isinstance(content, dict):
        raise GendistError(f"{path}: expected a mapping with at least 'datasets', got {short_repr(content)}")
    if TEMPLATE_KEY in content:
        raise GendistError(f"{path}: key '{TEMPLATE_KEY}' makes the config a program; only plain YAML is accepted")
    return content


def short_repr(value: object, limit: int = 60) -> str:
    """Return a shortened ``repr`` for messages."""
    text = _repr.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
