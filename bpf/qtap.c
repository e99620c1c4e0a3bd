// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The umbrella unit: one BCC module, so that all programs share their maps.
// BCC adds the licence section "GPL" to every program, which the tracing helpers require.
#include <uapi/linux/ptrace.h>
#include "include/qtap_config.h"
#include "include/qtap_events.h"
#include "include/qtap_kernel.h"
#include "include/qtap_maps.h"
#include "include/qtap_connection.h"
#include "include/qtap_binding.h"
#include "include/qtap_counting.h"
#include "include/qtap_submit.h"
#include "process.c"
#include "handshake.c"
#include "ciphertext.c"
#include "socket.c"
#include "calls.c"
#include "golang.c"
#include "sites.c"
