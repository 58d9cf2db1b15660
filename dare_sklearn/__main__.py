"""``python -m dare_sklearn`` is the command ``dare-sklearn``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
