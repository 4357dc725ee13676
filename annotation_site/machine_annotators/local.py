"""placeholder"""


class LocalAnswerer:
    at_once = 1

    def __init__(self, model: str) -> None: ...
    def close(self) -> None: ...
