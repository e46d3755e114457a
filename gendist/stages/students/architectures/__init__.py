"""Student architectures, registered by name.

To add one, write a module with a class decorated by ``@register("name")`` and import it below. The constructor
takes (vectors, settings, classes); ``forward`` maps ids and mask (rows, pieces) to logits (rows, classes).
"""

from gendist.stages.students.architectures import bag, bilstm, blend, kim, res
from gendist.stages.students.architectures.registry import ARCHITECTURES, build, register

__all__ = ["ARCHITECTURES", "bag", "bilstm", "blend", "build", "kim", "register", "res"]
