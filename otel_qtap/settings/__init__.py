# SPDX-License-Identifier: Apache-2.0
"""What the user asked for, read from environment and file, checked as a whole, frozen.

model      the agent's own settings, one class per room: OTEL_QTAP_<ROOM>_<FIELD>
otel       the standard OTEL_* variables, with the specification's meaning and default
fields     how one setting is declared: kind, default, bounds, what it is for
values     the kinds of value: parsers from text, and what each wants
shape      how a refused value is described without being repeated
catalog    every variable by name, with its description and default
endpoints  where and how each signal is sent, rules of precedence applied
given      the text of one setting, and where it was set
file       the configuration file: the same settings in YAML
document   YAML of two levels with its line numbers, and nothing guessed
loading    load_settings(environ) -> Settings, or SettingsError with every problem
effective  what `otel-qtap config` shows: value, origin, secrets masked
reference  docs/settings.md, generated from the catalog
example    a commented configuration file, generated from the catalog
"""

from otel_qtap.settings.endpoints import SignalExport
from otel_qtap.settings.loading import Settings, find_file, load_settings

__all__ = ["Settings", "SignalExport", "find_file", "load_settings"]
