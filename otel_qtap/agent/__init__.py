# SPDX-License-Identifier: Apache-2.0
"""The composition root: where rooms are built from settings and joined, in two processes.

supervisor  privileged and small: loads, finds libraries, attaches, reads /proc, reloads
pipeline_process  the pipeline as the supervisor sees it: started, replaced, killed, started again
pipeline    without any privilege: reads the rings, parses, classifies, stores, exports
messages    what the two say to each other
chain       the data path of the pipeline, kernel events in, telemetry out
assembly    Settings to rooms
watcher     which processes use TLS libraries
probed_files  the library files that are probed: attached, followed, left
coverage    which processes speak TLS, and why some are not captured
plaintext   whether what comes out of located libraries is plaintext
workloads   process facts, joined to connections as they arrive
health      /livez, /readyz, /metrics, /coverage
readiness   what has to be well for the agent to be ready, and alive
vital_signs what supervisor and pipeline show each other: that they go round, and counts
loss_watch  says when something begins to be lost, and when that is over
reload      what new settings change, and what that takes
file_watch  tells when the configuration file has become another
service_manager  what systemd is told
log_output  the log: text on a terminal, JSON lines otherwise
stray_output  standard error as libraries and children write it, brought into the log
capabilities  which the agent uses, and for what
privileges  giving them up for good
recorder    stands in the pipeline's place and writes raw kernel records to a file
replay      a recording through the same chain, without a kernel
"""
