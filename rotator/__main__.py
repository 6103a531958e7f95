"""`python -m rotator` is the command `rotator`."""

from rotator.main import app

if __name__ == "__main__":
    app(prog_name="rotator")
