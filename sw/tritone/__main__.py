# SPDX-License-Identifier: Apache-2.0
"""``python -m tritone``: the command line."""

from __future__ import annotations

import sys

from tritone.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
