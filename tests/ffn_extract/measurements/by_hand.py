"""A toy model whose readings, events and shares are worked out by hand, and how it is read.

It is the model of planted.py. At token 0 the first FFN adds 3 on axis 1 (vector 0, m = 1) and 1 on
axis 7, of no token (vector 1, m = 1): token 1 comes to the top for good. The second adds 0.5 on
axis 2 and takes 0.25 from axis 1 (m = −0.5). The third adds nothing.
"""

import math

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.corpora import Corpus
from ffn_extract.measurements import measurement_of
from ffn_extract.measurements.examples import Example, Examples
from ffn_extract.measurements.measurement import Readings
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import REDUCTIONS, Pass
from ffn_extract.measurements.value_scores import value_tops
from ffn_extract.tracing.batches import BatchPlan
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.measurements.planted import blank_model, plant

OPTIONS = MeasureOptions(resamples=100)


def toy_model():
    model = blank_model()
    # Axis 0 of the normed stream is √8·x_0/‖x‖: 1 here, 1/√11 after the first layer.
    plant(model, 0, 0, at=0, norm=1, m=1.0, axis=1, amount=3.0)
    plant(model, 0, 1, at=0, norm=1, m=1.0, axis=7, amount=1.0)
    plant(model, 1, 4, at=0, norm=math.sqrt(11), m=1.0, axis=2, amount=0.5)
    plant(model, 1, 9, at=0, norm=math.sqrt(11), m=-0.5, axis=1, amount=0.5)
    return model


def readings_of(model, texts, tmp_path, options=OPTIONS):
    drawn = [Example(i, "", tuple(ids), len(ids) - 1, 0) for i, ids in enumerate(texts)]
    examples = Examples(drawn, (), 2, 0, 0, Corpus("file", ["x"]))
    reader = Reader(model, ARCHITECTURES["llama"])
    one = Pass(reader, examples, BatchPlan(4, 2), options.seed, REDUCTIONS, tmp_path / "parts")
    arrays = one.run(1, lambda *_: None)
    return Readings(
        arrays, None, [12, 12, 12], [ids[-1] for ids in texts], options,
        value_tops=lambda: [value_tops(reader, layer, 8) for layer in reader.layers],
    )  # fmt: skip


def table(readings, measurement, name):
    result = measurement_of(measurement).compute(readings)
    return next(one for one in result.tables if one.name == name)
