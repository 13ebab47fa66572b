"""Writes the module with the enum Reason from the contract's reasons: python reasons.py error_reason.proto >reason.py."""

import re
import sys
from pathlib import Path

HEAD = '''"""The reasons of failed calls, generated from the contract by `make generate`."""

from enum import Enum


class Reason(str, Enum):
    """The reason of a failed call: the contract's ErrorReason, letter for letter. Each is also the string of its name.

    Values may be added. A reason that is newer than this package is only in Error.raw_reason.
    """
'''
TAIL = """
    def __str__(self) -> str:
        return self.value
"""

comment: list[str] = []
lines = [HEAD]
for line in map(str.strip, Path(sys.argv[1]).read_text().splitlines()):
    value = re.match(r"(\w+) = [1-9]\d*;$", line)
    if value:
        lines += [f"    # {text}" for text in comment] + [f'    {value[1]} = "{value[1]}"']
    comment = [*comment, line.removeprefix("//").strip()] if line.startswith("//") else []
print("\n".join([*lines, TAIL]), end="")
