# SPDX-License-Identifier: Apache-2.0
"""Finds the functions of a TLS library in one open file: one module a method, one registry line a library."""
