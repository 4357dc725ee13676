"""`python -m ffn_extract`."""

from ffn_extract.cli import main

if __name__ == "__main__":
    main(prog_name="python -m ffn_extract")
