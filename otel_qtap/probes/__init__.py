# SPDX-License-Identifier: Apache-2.0
"""What to probe in which TLS library: data that discovery and bpf/ share."""
