// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Files mapped as code, programs that begin and processes that end: what discovery and eviction feed on.

// Tracepoint syscalls/sys_enter_*: include/trace/events/syscalls.h
struct qtap_sys_enter {
	u64 _common;
	u32 number;
	u32 _pad; // whatever was on the kernel's stack
	u64 arguments[6];
};

// A file is mapped as code or run as a program: whoever does so with a file that holds a TLS library is told of,
// and so is a file that nobody has looked at yet.
QTAP_INLINE void qtap_meet_file(u64 file)
{
	struct qtap_known_file *known, fresh = {};
	struct qtap_file_key key = {};
	u64 inode = qtap_read(u64, file + OFF_FILE_INODE), now;

	key.inode = qtap_read(u64, inode + OFF_INODE_INO);
	key.device = qtap_read(u32, qtap_read(u64, inode + OFF_INODE_SB) + OFF_SB_DEV);
	known = known_files.lookup(&key);
	fresh.size = qtap_read(u64, inode + OFF_INODE_SIZE);
	fresh.mtime_ns = qtap_mtime_ns(inode);
	// Written to since it was looked at, or another file by the number of one that is gone.
	if (known && known->kind != QTAP_FILE_REPORTED &&
	    (known->size != fresh.size || known->mtime_ns != fresh.mtime_ns))
		known = NULL;
	if (known && known->kind == QTAP_FILE_OTHER)
		return;
	now = bpf_ktime_get_boot_ns();
	if (known && known->kind == QTAP_FILE_LIBRARY) {
		qtap_process(bpf_get_current_pid_tgid() >> 32);
	} else if (!known) {
		fresh.kind = QTAP_FILE_REPORTED;
		fresh.reported_ns = now;
		known_files.update(&key, &fresh);
		qtap_submit_process_event(QTAP_FILE_MAPPED, &key);
	} else if (now - known->reported_ns > QTAP_REPORT_AGAIN_NS) {
		// Whoever mapped it first was gone before anybody looked.
		known->reported_ns = now;
		qtap_submit_process_event(QTAP_FILE_MAPPED, &key);
	}
}

int qtap_sys_enter_mmap(struct qtap_sys_enter *ctx)
{
	u64 file;

	if (!(ctx->arguments[2] & PROT_EXEC) || (int)ctx->arguments[4] < 0)
		return 0;
	file = qtap_file(ctx->arguments[4]);
	if (file)
		qtap_meet_file(file);
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
	holdings.delete(&tgid);
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
// objects do not, and the new program's may have the same addresses. Whether that one is excluded is to be judged
// anew: until it is, it is seen, as every process is that begins.
int qtap_process_exec(void *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), started, now = bpf_ktime_get_boot_ns(), *since;
	u32 tgid = pid_tgid >> 32, every_file = QTAP_EVERY_FILE;
	struct qtap_tls_process *known = tls_processes.lookup(&tgid);

	if (!excluded_processes.delete(&tgid)) {
		since = probed_since.lookup(&every_file);
		if (since && *since < now) // what the former program carried was not counted
			*since = now;
	}
	speaking_processes.delete(&tgid);
	if (known) {
		threads.delete(&pid_tgid);
		started = known->start_ns;
		known->start_ns = 0;
		known->called_ns = 0;
		known->image_ns = now;
		if (started)
			qtap_end_process(tgid, started);
	}
	// The kernel maps the program itself, without a system call that would tell of it.
	qtap_meet_file(qtap_read(u64, qtap_read(u64, bpf_get_current_task() + OFF_TASK_MM) + OFF_MM_EXE_FILE));
	return 0;
}
