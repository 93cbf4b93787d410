"""`python -m mmx` is `mmx`."""

from mmx.cli.app import main

if __name__ == "__main__":
    main()
