"""The students' networks, by name.

To add one: write a module here with a class decorated by ``@register("name")`` and import
it below. The class takes (vectors, settings, classes) and maps ids (rows, pieces) with their
mask (rows, pieces) to logits (rows, classes).
"""

from gendist.stages.students.architectures import bag, bilstm, blend, kim, res
from gendist.stages.students.architectures.registry import ARCHITECTURES, build, register

__all__ = ["ARCHITECTURES", "bag", "bilstm", "blend", "build", "kim", "register", "res"]
