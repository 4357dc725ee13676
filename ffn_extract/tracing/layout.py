"""Where a model of transformers has the modules that its family names."""

import torch

from ffn_extract.errors import CheckpointError


class Layout:
    """A model's modules by the names of its family, whatever stands in front of them.

    Raises CheckpointError where the modules of the value matrices are not there, or are there
    twice.
    """

    def __init__(self, model: torch.nn.Module, value_module: str) -> None:
        self.value_module = value_module
        self._modules: dict[str, torch.nn.Module] = dict(model.named_modules())
        parts = value_module.split(".")
        for left_out in range(parts.index("{layer}")):
            tail = ".".join(parts[left_out:]).format(layer=0)
            found = [name for name in self._modules if f".{name}".endswith(f".{tail}")]
            found = [name for name in found if "language_model" in name.split(".")] or found
            if len(found) == 1:
                self._before = found[0].removesuffix(tail)
                self._left_out = "".join(f"{part}." for part in parts[:left_out])
                return
            if found:
                raise CheckpointError(
                    f"The model has more than one {tail} ({', '.join(sorted(found)[:3])}), and it "
                    "is not clear which one to read. Give the language model alone."
                )
        raise CheckpointError(
            f"The model that transformers makes has no module {value_module.format(layer=0)}, so "
            "it cannot be measured or traced."
        )

    @property
    def base(self) -> torch.nn.Module:
        """The decoder that holds the layers, without the head."""
        list_of_layers = self.value_module.partition(".{layer}")[0].rpartition(".")[0]
        whole = self._before + list_of_layers.removeprefix(self._left_out.removesuffix("."))
        return self._modules[whole.strip(".")]

    def module(self, name: str, layer: int = 0) -> torch.nn.Module:
        """The module of a name, with `{layer}` for the layer. Raises CheckpointError."""
        found = self.optional(name, layer)
        if found is None:
            raise CheckpointError(
                f"The model that transformers makes has no module {name.format(layer=layer)}, so "
                "it cannot be measured or traced."
            )
        return found

    def optional(self, name: str, layer: int = 0) -> torch.nn.Module | None:
        """The same, or None where there is none."""
        return self._modules.get(
            self._before + name.format(layer=layer).removeprefix(self._left_out)
        )

    def block(self, layer: int) -> torch.nn.Module:
        """A whole layer: what ends with the residual stream after the FFN."""
        return self.module(self.value_module.partition("{layer}")[0] + "{layer}", layer)
