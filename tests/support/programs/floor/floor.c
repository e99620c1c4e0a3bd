// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The least that a tap of SSL_read and SSL_write can do: two probes a call, and the bytes written to a ring. It knows
// no connection, no socket, no process and no position. What it costs a target is the floor for any tap.
#include <uapi/linux/ptrace.h>
#include "../../../../bpf/include/qtap_config.h"
#include "../../../../bpf/include/qtap_events.h"
#include "../../../../bpf/include/qtap_kernel.h"
#include "../../../../bpf/include/qtap_maps.h"

struct open_buffer {
	u64 buffer;
	u64 count_pointer;
};
BPF_HASH(open_buffers, u64, struct open_buffer);

int qtap_enter(struct pt_regs *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct open_buffer open = {};

	open.buffer = ctx->si;
	open.count_pointer = ctx->cx;
	open_buffers.update(&thread, &open);
	return 0;
}

int qtap_return(struct pt_regs *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), size = 0;
	struct open_buffer *open = open_buffers.lookup(&thread);
	void *record;

	if (!open || (int)ctx->ax <= 0 || bpf_probe_read_user(&size, sizeof(size), (void *)open->count_pointer))
		return 0;
	record = data_ring.ringbuf_reserve(2048);
	if (!record)
		return 0;
	if (size > 2048)
		size = 2048;
	bpf_probe_read_user(record, size, (void *)open->buffer);
	data_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
