# SPDX-License-Identifier: Apache-2.0
"""The settings of a command: its environment, and the file that ``--config`` or the environment names."""

import argparse
import os
from pathlib import Path

from otel_qtap.settings import Settings, find_file, load_settings


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` to a command that reads settings."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file of settings, which the environment overrides (default: OTEL_QTAP_CONFIG_FILE, or "
        "/etc/otel-qtap/config.yaml if there is one)",
    )


def settings(arguments: argparse.Namespace) -> Settings:
    """All settings, read now. Raises SettingsError."""
    return load_settings(os.environ, find_file(os.environ, arguments.config))
