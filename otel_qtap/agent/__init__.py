# SPDX-License-Identifier: Apache-2.0
"""The composition root: where rooms are built from settings and joined, in two processes.

supervisor  privileged and small: loads, finds libraries, attaches, reads /proc, keeps the pipeline alive
pipeline    without any privilege: reads the rings, parses, classifies, stores, exports
messages    what the two say to each other
chain       the data path of the pipeline, kernel events in, telemetry out
assembly    Settings to rooms
watcher     which library files are probed, and which processes are known
workloads   process facts, joined to connections as they arrive
health      /livez, /readyz, /metrics
capabilities  which the agent uses, and for what
privileges  giving them up for good
recorder    stands in the pipeline's place and writes raw kernel records to a file
replay      a recording through the same chain, without a kernel
"""
