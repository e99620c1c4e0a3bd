# SPDX-License-Identifier: Apache-2.0
"""Reads what the Go linker leaves in every executable, stripped or not, and finds crypto/tls by it."""
