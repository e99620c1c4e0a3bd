# SPDX-License-Identifier: Apache-2.0
"""What a user types: one module per command, and the only room that prints.

Exit codes: 0 done, 1 failed at run time, 2 bad usage or configuration, 3 missing privilege or kernel feature.
"""
