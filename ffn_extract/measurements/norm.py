"""The norm before the unembedding: how much it changes top tokens (appendix A.1, figure 4)."""

from collections.abc import Sequence

from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
from ffn_extract.measurements.measurement import Figure, Line, Measurement, Result, Table
from ffn_extract.norm_table import Row

_LABELS = {"value": "value vectors", "random": "random vectors"}


def norm_result(rows: Sequence[Row], top_k: int) -> Result:
    """Table and figure of the comparison's rows."""
    columns = tuple(Row.__dataclass_fields__)
    table = Table("norm", columns, [tuple(getattr(row, c) for c in columns) for row in rows])
    lines = []
    for kind, label in _LABELS.items():
        own = [row for row in rows if row.kind == kind]
        lines.append(
            Line(
                label,
                [row.layer for row in own],
                [row.mean_iou for row in own],
                [max(0.0, row.mean_iou - row.std_iou) for row in own],
                [min(1.0, row.mean_iou + row.std_iou) for row in own],
            )
        )
    title = f"Top {top_k} tokens with and without the norm"
    means = {kind: sum(r.mean_iou for r in rows if r.kind == kind) for kind in _LABELS}
    layers = len({row.layer for row in rows})
    words = [
        f"Mean intersection over union of the top {top_k} tokens over {layers} layers: "
        f"{means['value'] / layers:.3f} for value vectors and {means['random'] / layers:.3f} for "
        "random ones."
    ]
    return Result([table], [Figure("norm", title, "intersection over union", lines)], words)


MEASUREMENT = Measurement(
    name="norm",
    title="Top tokens with and without the norm",
    definition=(
        "The intersection over union of the top tokens of E·v and of E·Norm(v), E the unembedding "
        "and Norm the norm before it, for sampled value vectors v of each layer and for as many "
        "random ones from a normal distribution with their mean and standard deviation. Bands in "
        "the figure are one standard deviation."
    ),
    source="Geva et al. (2022), appendix A.1 and figure 4.",
    columns={
        "norm": {
            "layer": "layer, counted from 0",
            "kind": "value or random",
            "vectors": "number of vectors",
            "mean_iou": "mean intersection over union",
            "std_iou": "its standard deviation",
            "min_iou": "its minimum",
            "max_iou": "its maximum",
        }
    },
    in_paper=InPaper(
        section="A.1",
        says=(
            "The final layer norm changes the top 30 tokens of value vectors little, and those of "
            "random vectors much more (figure 4[^norm-vectors])."
        ),
        tables=[
            Beside(
                "norm",
                "Intersection over union of the top tokens with and without the norm, mean",
                "{layer}",
                [
                    Numbers("mean_iou", "value vectors", "{:.3f}", {"kind": "value"}),
                    Numbers("mean_iou", "random vectors", "{:.3f}", {"kind": "random"}),
                ],
            )
        ],
        footnotes={
            "norm-vectors": "Here a sample of each layer's vectors is drawn (--per-layer), and as "
            "many random ones.",
        },
    ),
)
