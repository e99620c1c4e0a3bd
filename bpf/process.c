// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Libraries mapped for execution and processes that end: what discovery and eviction feed on.

// Tracepoint syscalls/sys_enter_*: include/trace/events/syscalls.h
struct qtap_sys_enter {
	u64 _common;
	u32 number;
	u32 _pad; // whatever was on the kernel's stack
	u64 arguments[6];
};

// Whether a file has the name of a TLS library: whether one of the marks ends at any of its characters. A mark
// is up to eight characters, the last of them in the lowest byte, and a mask of as many.
QTAP_INLINE int qtap_is_library(u64 file)
{
	const u64 marks[][2] = {QTAP_LIBRARY_MARKS};
	u64 dentry = qtap_read(u64, file + OFF_FILE_DENTRY), window = 0;
	char name[QTAP_NAME_BYTES] = {};
	u32 i, mark;

	bpf_probe_read_kernel_str(name, sizeof(name), (void *)qtap_read(u64, dentry + OFF_DENTRY_NAME));
	for (i = 0; i < sizeof(name); i++) {
		window = window << 8 | (u8)name[i];
#pragma unroll
		for (mark = 0; mark < sizeof(marks) / sizeof(marks[0]); mark++)
			if ((window & marks[mark][0]) == marks[mark][1])
				return 1;
	}
	return 0;
}

int qtap_sys_enter_mmap(struct qtap_sys_enter *ctx)
{
	struct qtap_known_file *known, fresh = {};
	struct qtap_file_key key = {};
	u64 file, inode, now;

	if (!(ctx->arguments[2] & PROT_EXEC) || (int)ctx->arguments[4] < 0)
		return 0;
	file = qtap_file(ctx->arguments[4]);
	if (!file || !qtap_is_library(file))
		return 0;
	inode = qtap_read(u64, file + OFF_FILE_INODE);
	key.inode = qtap_read(u64, inode + OFF_INODE_INO);
	key.device = qtap_read(u32, qtap_read(u64, inode + OFF_INODE_SB) + OFF_SB_DEV);
	now = bpf_ktime_get_boot_ns();
	known = known_files.lookup(&key);
	if (known && known->kind == QTAP_FILE_LIBRARY) {
		qtap_process(bpf_get_current_pid_tgid() >> 32);
	} else if (!known) {
		fresh.kind = QTAP_FILE_REPORTED;
		fresh.reported_ns = now;
		known_files.update(&key, &fresh);
		qtap_submit_process_event(QTAP_FILE_MAPPED, &key);
	} else if (known->kind == QTAP_FILE_REPORTED && now - known->reported_ns > QTAP_REPORT_AGAIN_NS) {
		// Whoever mapped it first was gone before anybody looked.
		known->reported_ns = now;
		qtap_submit_process_event(QTAP_FILE_MAPPED, &key);
	}
	return 0;
}

// Whatever TLS connections this process had are gone.
QTAP_INLINE void qtap_end_process(u32 tgid, u64 started)
{
	struct qtap_connection_event *event;

	qtap_submit_process_event(QTAP_PROCESS_EXITED, NULL);
	event = control_ring.ringbuf_reserve(sizeof(*event));
	if (!event) {
		qtap_count_loss(QTAP_LOST_CONTROL, 0);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = QTAP_PROCESS_EXITED;
	event->timestamp_ns = bpf_ktime_get_boot_ns();
	event->connection.tgid = tgid;
	event->connection.process_start_ns = started;
	control_ring.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

// Raw tracepoint sched_process_exit: a thread ends. The process goes with its last one, which need not be
// the one that it began with.
int qtap_process_exit(void *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), started;
	u32 tgid = pid_tgid >> 32;
	struct qtap_tls_process *known;

	threads.delete(&pid_tgid);
	if (qtap_live_threads())
		return 0;
	excluded_processes.delete(&tgid);
	known = tls_processes.lookup(&tgid);
	if (!known)
		return 0;
	started = known->start_ns;
	tls_processes.delete(&tgid);
	if (started)
		qtap_end_process(tgid, started);
	return 0;
}

// Raw tracepoint sched_process_exec: the process goes on as another program. PID and start time stay, TLS
// objects do not, and the new program's may have the same addresses.
int qtap_process_exec(void *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), started;
	u32 tgid = pid_tgid >> 32;
	struct qtap_tls_process *known = tls_processes.lookup(&tgid);

	speaking_processes.delete(&tgid);
	if (!known)
		return 0;
	threads.delete(&pid_tgid);
	started = known->start_ns;
	known->start_ns = 0;
	known->called_ns = 0;
	known->image_ns = bpf_ktime_get_boot_ns();
	if (started)
		qtap_end_process(tgid, started);
	return 0;
}
