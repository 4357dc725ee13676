"""`python -m annotation_site.demo`: the command `ffn-concepts demo`."""

from annotation_site.cli import demo

if __name__ == "__main__":
    demo(prog_name="python -m annotation_site.demo")
