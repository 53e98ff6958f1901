"""The public names: what people can call, and how, is written in public_names.txt, a line for each name.

After a change on purpose, write that file anew and look at what changed::

    python tests/test_public_names.py && git diff tests/public_names.txt
"""

import hashlib
import inspect
import re
from pathlib import Path

import pytest

import weightsharing

pytestmark = pytest.mark.python_only

LIST = Path(__file__).with_name("public_names.txt")
MODULES = (weightsharing, weightsharing.filters, weightsharing.samples, weightsharing.temporal)
# What people write as a call, an index, `with`, `in`, `for`, a conversion or arithmetic.
OPERATORS = {
    *(
        "__call__",
        "__getitem__",
        "__setitem__",
        "__delitem__",
        "__enter__",
        "__exit__",
        "__contains__",
        "__iter__",
    ),
    *("__len__", "__bool__", "__float__", "__int__", "__array__"),
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"),
}


class Spelled(str):
    """The text of a type, without quotes where a signature shows it."""

    __repr__ = str.__str__


def public_names():
    """Every public name in a line: the name, how it is called, a digest of its docstring."""
    lines = []
    for module in MODULES:
        lines.append(line(module.__name__, " module", module))
        for name in module.__all__:
            found = getattr(module, name)
            spelled = f"{module.__name__}.{name}"
            if inspect.isclass(found):
                lines += class_names(spelled, found)
            elif callable(found):
                lines.append(line(spelled, call(found), found))
            elif not inspect.ismodule(found):
                lines.append(f"{spelled} {type(found).__name__}")
    return lines


def class_names(spelled, found):
    """A class and all that it offers, inherited or its own."""
    parents = [one.__name__ for one in found.__mro__[1:] if is_public(one) or issubclass(one, Exception)]
    lines = [line(spelled, f"{call(found)} class{' of ' * bool(parents)}{', '.join(parents)}", found)]
    for name in sorted(dir(found)):
        owner = next((one for one in found.__mro__ if name in vars(one)), object)
        ours = owner.__module__.startswith("weightsharing")
        if ours and (not name.startswith("_") or name in OPERATORS):
            member = inspect.getattr_static(found, name)
            lines.append(line(f"{spelled}.{name}", f" {kind(member)}{call(member)}", member))
    return lines


def is_public(found):
    return any(getattr(module, name) is found for module in MODULES for name in module.__all__)


def kind(member):
    if isinstance(member, property):
        return "property, settable" if member.fset else "property"
    return "method" if inspect.isfunction(member) else type(member).__name__


def call(found):
    """The signature, without the modules of its types, which may move; of a property, that of its getter."""
    function = next((getattr(found, of) for of in ("fget", "func", "__func__") if hasattr(found, of)), found)
    if not callable(function) or (inspect.isclass(found) and issubclass(found, Exception)):
        return ""
    signature = inspect.signature(function)
    arguments = [one.replace(annotation=type_text(one.annotation)) for one in signature.parameters.values()]
    return str(
        signature.replace(parameters=arguments, return_annotation=type_text(signature.return_annotation))
    )


def type_text(annotation):
    if annotation is inspect.Signature.empty:
        return annotation
    return Spelled(re.sub(r"\b(weightsharing|attributes)\.([a-z_]+\.)*", "", str(annotation)))


def line(spelled, signature, found):
    """One line of the list; Python's own docstrings, such as that of a number, change with its version."""
    ours = inspect.ismodule(found) or inspect.isclass(found) or callable(found) or "property" in kind(found)
    text = inspect.cleandoc((found.__doc__ if ours else None) or "")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12] if text else "none"
    return f"{spelled}{signature}  # docstring {digest}"


def test_public_names_are_those_of_the_list():
    listed = LIST.read_text().splitlines()
    present = public_names()
    assert [one for one in listed if one not in present] == [], "listed, but no longer there"
    assert [one for one in present if one not in listed] == [], "there, but not listed"


if __name__ == "__main__":
    LIST.write_text("\n".join(public_names()) + "\n")
