// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Kernel structs, read only at offsets that the running kernel's BTF gave (-DOFF_...).
#pragma once

#define QTAP_INLINE static inline __attribute__((always_inline))

#define qtap_read(type, address)                                                   \
	({                                                                         \
		type _value = 0;                                                   \
		bpf_probe_read_kernel(&_value, sizeof(_value), (void *)(address)); \
		_value;                                                            \
	})

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define SOCK_STREAM 1
#define SHUTDOWN_MASK 3
#define AF_INET 2
#define AF_INET6 10
#define PROT_EXEC 4

QTAP_INLINE u64 qtap_group_leader(void)
{
	return qtap_read(u64, bpf_get_current_task() + OFF_TASK_GROUP_LEADER);
}

QTAP_INLINE u64 qtap_process_start_ns(void)
{
	return qtap_read(u64, qtap_group_leader() + OFF_TASK_START_BOOTTIME);
}

// Threads of the current process that have not begun to exit.
QTAP_INLINE u32 qtap_live_threads(void)
{
	return qtap_read(u32, qtap_read(u64, bpf_get_current_task() + OFF_TASK_SIGNAL) + OFF_SIGNAL_LIVE);
}

QTAP_INLINE u32 qtap_parent_tgid(void)
{
	u64 parent = qtap_read(u64, qtap_group_leader() + OFF_TASK_REAL_PARENT);

	return qtap_read(u32, parent + OFF_TASK_TGID);
}

// struct file * of an open descriptor of the current process, or 0.
QTAP_INLINE u64 qtap_file(u32 fd)
{
	u64 files = qtap_read(u64, bpf_get_current_task() + OFF_TASK_FILES);
	u64 table = qtap_read(u64, files + OFF_FILES_FDT);

	if (!table || fd >= qtap_read(u32, table + OFF_FDT_MAX_FDS))
		return 0;
	return qtap_read(u64, qtap_read(u64, table + OFF_FDT_FD) + 8 * (u64)fd);
}

// When a file was last written to, in Unix time; wraps around for what was before 1970.
QTAP_INLINE u64 qtap_mtime_ns(u64 inode)
{
	return qtap_read(u64, inode + OFF_INODE_MTIME_S) * 1000000000ULL + qtap_read(u32, inode + OFF_INODE_MTIME_NS);
}

// What a nested socket call went to, as it was noted while it ran: the struct sock * where the kernel's socket
// tracepoints tell it (>= 6.3), else the descriptor plus one. Yields the struct sock *, or 0.
#ifdef QTAP_SOCKET_TRACEPOINTS
QTAP_INLINE u64 qtap_socket(u64 io) { return io; }
#else
QTAP_INLINE u64 qtap_socket(u64 io)
{
	u64 file = qtap_file(io - 1), inode;

	if (!file)
		return 0;
	inode = qtap_read(u64, file + OFF_FILE_INODE);
	if ((qtap_read(u16, inode + OFF_INODE_MODE) & S_IFMT) != S_IFSOCK)
		return 0;
	return qtap_read(u64, qtap_read(u64, file + OFF_FILE_PRIVATE_DATA) + OFF_SOCKET_SK);
}
#endif

// The same where it is a TCP socket, else 0. What a callback within a TLS call sends to a resolver or a log
// daemon by UDP says nothing about the connection.
QTAP_INLINE u64 qtap_tcp_socket(u64 io, u16 *family)
{
	u64 socket = qtap_socket(io);

	if (!socket || qtap_read(u16, socket + OFF_SOCK_TYPE) != SOCK_STREAM)
		return 0;
	*family = qtap_read(u16, socket + OFF_SOCK_FAMILY);
	return *family == AF_INET || *family == AF_INET6 ? socket : 0;
}

QTAP_INLINE u16 qtap_local_port(u64 socket) { return qtap_read(u16, socket + OFF_SOCK_NUM); }
QTAP_INLINE u16 qtap_remote_port(u64 socket) { return __builtin_bswap16(qtap_read(u16, socket + OFF_SOCK_DPORT)); }
