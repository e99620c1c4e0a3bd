# SPDX-License-Identifier: Apache-2.0
"""Which processes, which libraries, which instructions; and where the kernel keeps what."""
