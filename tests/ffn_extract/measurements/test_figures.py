"""Figures of measurements as SVG and PDF."""

from ffn_extract.measurements.folder import write_folder
from ffn_extract.measurements.measurement import Figure, Line, Measurement, Result, Table

MEASUREMENT = Measurement("toy", "Toy", "A definition.", "A source.", {"toy": {"layer": "layer"}})


def test_figures_are_the_same_bytes_each_time_and_stand_outside_the_digest(tmp_path):
    lines = [Line("a", [0, 1], [0.5, 0.25], [0.4, 0.2], [0.6, 0.3]), Line("b", [0, 1], [0.1, 0.2])]
    table = Table("toy", ("layer",), [(0,), (1,)])
    digests = []
    for name, figures in (("one", lines), ("two", lines), ("three", lines[:1])):
        result = Result([table], [Figure("toy", "Title", "share", figures)], ["Words."])
        done = write_folder(
            tmp_path / name, MEASUREMENT, result, model={"name": "tiny"}, parameters={},
            environment={}, counts={}, more={},
        )  # fmt: skip
        digests.append(done.digest)
        assert done.has_figures
    assert len(set(digests)) == 1
    for name in ("toy.svg", "toy.pdf"):
        one, two, three = (
            (tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three")
        )
        assert one == two != three
    assert (tmp_path / "one" / "toy.svg").read_text().startswith("<?xml")
    assert "`toy.svg` and `toy.pdf`: Title." in (tmp_path / "one" / "README.md").read_text()
