"""`Report`: what objects say about themselves."""


class Report(dict[str, object]):
    """A dictionary that prints as a table."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{key:<{width}}  {value}" for key, value in self.items())

    __repr__ = __str__
