// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Files mapped for execution and processes that end: what discovery and eviction feed on.

// Tracepoint syscalls/sys_enter_*: include/trace/events/syscalls.h
struct qtap_sys_enter {
	u64 _common;
	u64 number;
	u64 arguments[6];
};

int qtap_sys_enter_mmap(struct qtap_sys_enter *ctx)
{
	struct qtap_file_key key = {};
	u32 *known, seen = 1;
	u64 file, inode;

	if (!(ctx->arguments[2] & PROT_EXEC) || (int)ctx->arguments[4] < 0)
		return 0;
	file = qtap_file(ctx->arguments[4]);
	if (!file)
		return 0;
	inode = qtap_read(u64, file + OFF_FILE_INODE);
	key.inode = qtap_read(u64, inode + OFF_INODE_INO);
	key.device = qtap_read(u32, qtap_read(u64, inode + OFF_INODE_SB) + OFF_SB_DEV);
	known = known_files.lookup(&key);
	if (!known) {
		known_files.update(&key, &seen);
		qtap_submit_process_event(QTAP_FILE_MAPPED, &key);
	} else if (*known == 2) {
		qtap_submit_process_event(QTAP_PROCESS_SEEN, &key);
	}
	return 0;
}

// Raw tracepoint sched_process_exit: a thread ends. The leader stands for its process.
int qtap_process_exit(void *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct qtap_connection_event *event;
	u32 tgid = pid_tgid >> 32;
	u64 *start_ns, started;

	if (tgid != (u32)pid_tgid)
		return 0;
	excluded_processes.delete(&tgid);
	start_ns = tls_processes.lookup(&tgid);
	if (!start_ns)
		return 0;
	started = *start_ns;
	tls_processes.delete(&tgid);
	qtap_submit_process_event(QTAP_PROCESS_EXITED, NULL);
	event = control_ring.ringbuf_reserve(sizeof(*event));
	if (!event) {
		qtap_count_loss(QTAP_LOST_CONTROL, 0);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = QTAP_PROCESS_EXITED;
	event->timestamp_ns = bpf_ktime_get_boot_ns();
	event->connection.tgid = tgid;
	event->connection.process_start_ns = started;
	control_ring.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
