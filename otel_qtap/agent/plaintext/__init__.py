# SPDX-License-Identifier: Apache-2.0
"""Whether what comes out of a library that was located by its code is plaintext.

look   what the first bytes of a conversation are like; no I/O
page   what supervisor and pipeline show each other of files: asked, and answered
watch  the pipeline's side: conversations of the files that are asked about
"""
