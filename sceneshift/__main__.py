"""`python -m sceneshift`: the command line, without anything installed but the dependencies."""

import sys

from sceneshift.cli import main

sys.exit(main())
