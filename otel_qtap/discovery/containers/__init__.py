# SPDX-License-Identifier: Apache-2.0
"""What container runtimes and the kubelet say of a container; all of it optional.

answer      a question, an answer, and what can answer
sockets     which runtimes' sockets are there
engine_api  the Docker Engine API, which Podman serves too
cri         the Kubernetes Container Runtime Interface of containerd and CRI-O
kubelet     the kubelet's own list of pods
enquiry     asks them, in a process of its own
directory   starts that process, remembers the answers, asks again where it may help
"""
