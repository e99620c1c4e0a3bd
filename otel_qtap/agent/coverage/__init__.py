# SPDX-License-Identifier: Apache-2.0
"""Which processes speak TLS, and why some of them are not captured.

judging   what is known of a process in, captured or not and why out; no I/O
speakers  the supervisor's side: processes that the kernel side saw speak TLS, judged and judged again
lasting   conversations that are missed and go on; no I/O
table     the pipeline's side: what the supervisor said, as JSON, as counts and as log events
"""
