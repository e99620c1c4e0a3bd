# SPDX-License-Identifier: Apache-2.0
"""``python -m otel_qtap`` is the ``otel-qtap`` command."""

import sys

from otel_qtap.cli.main import main

sys.exit(main())
