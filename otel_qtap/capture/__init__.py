# SPDX-License-Identifier: Apache-2.0
"""The kernel door: programs are loaded and attached here, and kernel bytes become KernelEvents.

loader    compiles and loads bpf/ with BCC; a short-lived process of its own, the only importer of bcc
session   starts the loader and keeps the descriptors that it passed on
syscalls  bpf(2) and perf_event_open(2), as little of them as is needed
attach    probes and tracepoints, attached and detached
leftovers what ended processes leave in the maps, removed
ring      a BPF ring buffer read by mmap, without a privilege or a library
records   mirrors of bpf/include/qtap_events.h
decode    bytes to KernelEvent
recording raw kernel records to a file and back
"""
