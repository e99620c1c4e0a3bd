// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Connection state: found, made, bound to its socket, ended.
#pragma once

QTAP_INLINE void qtap_count_loss(u32 reason, u64 bytes)
{
	u32 bytes_index = reason + QTAP_LOSSES;
	u64 *value = counters.lookup(&reason);

	if (value)
		__sync_fetch_and_add(value, 1);
	value = counters.lookup(&bytes_index);
	if (value)
		__sync_fetch_and_add(value, bytes);
}

// Who talks to whom on a TCP socket.
QTAP_INLINE void qtap_set_addresses(struct qtap_connection *connection, u64 socket)
{
	connection->family = qtap_read(u16, socket + OFF_SOCK_FAMILY);
	connection->local_port = qtap_local_port(socket);
	connection->remote_port = qtap_remote_port(socket);
	if (connection->family == AF_INET) {
		bpf_probe_read_kernel(connection->local_address, 4, (void *)(socket + OFF_SOCK_RCV_SADDR));
		bpf_probe_read_kernel(connection->remote_address, 4, (void *)(socket + OFF_SOCK_DADDR));
	} else {
		bpf_probe_read_kernel(connection->local_address, 16, (void *)(socket + OFF_SOCK_V6_RCV_SADDR));
		bpf_probe_read_kernel(connection->remote_address, 16, (void *)(socket + OFF_SOCK_V6_DADDR));
	}
}

QTAP_INLINE int qtap_is_excluded(u32 tgid)
{
	u64 *start_ticks = excluded_processes.lookup(&tgid);

	return start_ticks && *start_ticks == qtap_process_start_ns() / 10000000;
}

QTAP_INLINE void qtap_submit_process_event(u32 kind, struct qtap_file_key *file)
{
	struct qtap_process_event *event = process_ring.ringbuf_reserve(sizeof(*event));

	if (!event) {
		qtap_count_loss(QTAP_LOST_PROCESS, 0);
		return;
	}
	event->kind = kind;
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->process_start_ns = qtap_process_start_ns();
	event->timestamp_ns = bpf_ktime_get_boot_ns();
	event->inode = file ? file->inode : 0;
	event->device = file ? file->device : 0;
	event->user_id = bpf_get_current_uid_gid();
	bpf_get_current_comm(event->command, sizeof(event->command));
	process_ring.ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
}

QTAP_INLINE void qtap_submit_connection_event(u32 kind, u32 reason, u64 started_ns, struct qtap_state *state)
{
	struct qtap_connection_event *event = control_ring.ringbuf_reserve(sizeof(*event));

	if (!event) {
		qtap_count_loss(QTAP_LOST_CONTROL, 0);
		return;
	}
	event->kind = kind;
	event->reason = reason;
	event->timestamp_ns = bpf_ktime_get_boot_ns();
	event->started_ns = started_ns;
	event->egress_position = state->position[QTAP_EGRESS];
	event->ingress_position = state->position[QTAP_INGRESS];
	event->connection = state->connection;
	control_ring.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

QTAP_INLINE void qtap_end(struct qtap_state *state, u32 reason)
{
	if (state->closed)
		return;
	state->closed = reason;
	state->ended_ns = bpf_ktime_get_boot_ns();
	qtap_submit_connection_event(QTAP_CONNECTION_CLOSED, reason, 0, state);
}

// The current process, reported when it is new.
QTAP_INLINE struct qtap_tls_process qtap_process(u32 tgid)
{
	struct qtap_tls_process process = {}, *known = tls_processes.lookup(&tgid);

	process.start_ns = qtap_process_start_ns();
	process.image_ns = known ? known->image_ns : 0;
	process.called_ns = known ? known->called_ns : 0;
	if (!known || known->start_ns != process.start_ns) {
		tls_processes.update(&tgid, &process);
		qtap_submit_process_event(QTAP_PROCESS_SEEN, NULL);
	}
	return process;
}

// A call of a probed TLS library was seen in this process: what it says there, we see.
QTAP_INLINE void qtap_note_call(u32 tgid, u64 start_ns)
{
	struct qtap_tls_process *process = tls_processes.lookup(&tgid);
	struct qtap_speaker *speaker = speaking_processes.lookup(&tgid);
	u64 now = bpf_ktime_get_boot_ns();

	if (process && process->start_ns == start_ns && !process->called_ns)
		process->called_ns = now;
	if (speaker && speaker->process_start_ns == start_ns && !speaker->called_ns) {
		speaker->called_ns = now;
		speaker->missed = 0; // before, its library may not have been probed
	}
}

// What is known of the TLS objects that the site with this cookie is about.
QTAP_INLINE struct qtap_layout *qtap_layout_of(u64 cookie)
{
	u32 file = QTAP_COOKIE_FILE(cookie);

	return layouts.lookup(&file);
}

// Whether the object is a plain TLS connection: others are laid out differently.
QTAP_INLINE int qtap_is_plain(struct qtap_layout *layout, u64 handle)
{
	u32 type = 0;

	return !layout->type ||
	       (!bpf_probe_read_user(&type, sizeof(type), (void *)(handle + layout->type - 1)) && !type);
}

// Where the TLS library says which end it is.
QTAP_INLINE u8 qtap_role(u64 handle, u64 cookie)
{
	struct qtap_layout *layout = qtap_layout_of(cookie);
	u32 value = 0;

	if (!layout || !layout->role || !qtap_is_plain(layout, handle))
		return QTAP_ROLE_UNKNOWN;
	if (bpf_probe_read_user(&value, sizeof(value), (void *)(handle + layout->role - 1)))
		return QTAP_ROLE_UNKNOWN;
	if (layout->role_mask)
		value &= layout->role_mask;
	return value ? QTAP_SERVER : QTAP_CLIENT;
}

// A new use of a TLS object, in place of `ended`. A child that was forked after the handshake inherits what
// the handshake told; one that begins with a handshake of its own has only the address in common.
QTAP_INLINE struct qtap_state *qtap_begin(struct qtap_connection_key *key, u64 start_ns, u64 cookie,
					  struct qtap_state *ended)
{
	u32 hook = QTAP_COOKIE_HOOK(cookie);
	struct qtap_connection_key parent_key = {};
	struct qtap_state fresh = {}, *parent;
	int is_replaced = ended && ended->connection.process_start_ns == start_ns;

	fresh.connection.process_start_ns = start_ns;
	fresh.connection.handle = key->handle;
	fresh.connection.generation = bpf_ktime_get_boot_ns();
	fresh.connection.tgid = key->tgid;
	fresh.connection.user_id = bpf_get_current_uid_gid();
	fresh.connection.library = QTAP_COOKIE_LIBRARY(cookie);
	fresh.connection.file = QTAP_COOKIE_FILE(cookie);
	fresh.connection.role = qtap_role(key->handle, cookie);
	bpf_get_current_comm(fresh.connection.command, sizeof(fresh.connection.command));
	qtap_note_call(key->tgid, start_ns);
#ifdef QTAP_SOCKET_TRACEPOINTS // elsewhere a descriptor is what was closed: its socket may live on
	if (is_replaced && ended->closed == QTAP_SOCKET_CLOSED)
		__builtin_memcpy(fresh.over_random, ended->connection.client_random, QTAP_RANDOM_BYTES);
#endif
	parent_key.handle = key->handle;
	parent_key.tgid = qtap_parent_tgid();
	parent = connections.lookup(&parent_key);
	if (hook != QTAP_HOOK_HANDSHAKE && hook != QTAP_HOOK_CLEAR && !is_replaced && parent &&
	    parent->connection.generation < start_ns) {
		if (fresh.connection.role == QTAP_ROLE_UNKNOWN)
			fresh.connection.role = parent->connection.role;
		fresh.connection.flags = parent->connection.flags;
		if (fresh.connection.flags & QTAP_FROM_HANDSHAKE) {
			fresh.position[QTAP_EGRESS] = parent->position[QTAP_EGRESS];
			fresh.position[QTAP_INGRESS] = parent->position[QTAP_INGRESS];
			__builtin_memcpy(fresh.connection.client_random, parent->connection.client_random,
					 QTAP_RANDOM_BYTES);
		}
	}
	if (ended)
		connections.update(key, &fresh);
	else // two threads may meet a connection at once: it is the one of whoever came first
		connections.insert(key, &fresh);
	return connections.lookup(key);
}

QTAP_INLINE struct qtap_state *qtap_find(u64 handle)
{
	struct qtap_connection_key key = {};
	struct qtap_state *state;

	key.handle = handle;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	state = connections.lookup(&key);
	if (!state || state->closed || state->connection.process_start_ns != qtap_process_start_ns())
		return NULL;
	return state;
}

// The current thread's record, made at its first TLS call.
QTAP_INLINE struct qtap_thread *qtap_this_thread(u64 pid_tgid)
{
	struct qtap_thread *thread = threads.lookup(&pid_tgid), fresh = {};
	struct qtap_tls_process process;

	if (thread)
		return thread;
	process = qtap_process(pid_tgid >> 32);
	fresh.process_start_ns = process.start_ns;
	fresh.image_ns = process.image_ns;
	qtap_note_call(pid_tgid >> 32, process.start_ns);
	threads.update(&pid_tgid, &fresh);
	return threads.lookup(&pid_tgid);
}

// Whether the process of this thread is excluded, as of a moment ago.
QTAP_INLINE int qtap_is_thread_excluded(struct qtap_thread *thread, u32 tgid, u64 now)
{
	if (now - thread->judged_ns > QTAP_VERDICT_NS) {
		thread->judged_ns = now;
		thread->excluded = qtap_is_excluded(tgid);
	}
	return thread->excluded;
}

// What this process has of the maps that all share.
QTAP_INLINE struct qtap_holding *qtap_holding(u32 tgid)
{
	struct qtap_holding *holding = holdings.lookup(&tgid), fresh = {};

	if (holding)
		return holding;
	holdings.insert(&tgid, &fresh);
	return holdings.lookup(&tgid);
}

// Whether there is room for one more where a process has so many. Of a half on, the supervisor is told.
QTAP_INLINE int qtap_has_room(struct qtap_holding *holding, s64 count, s64 share)
{
	u64 now;

	if (count < share / 2)
		return 1;
	now = bpf_ktime_get_boot_ns();
	if (now - holding->told_ns > QTAP_TELL_AGAIN_NS) {
		holding->told_ns = now;
		qtap_submit_process_event(QTAP_PROCESS_CROWDED, NULL);
	}
	return count < share;
}

// Whether this process may have one more connection in the map; it is counted if so.
QTAP_INLINE int qtap_take_share(u32 tgid)
{
	struct qtap_holding *holding = qtap_holding(tgid);

	if (!holding || !qtap_has_room(holding, holding->connections, QTAP_SHARE))
		return 0;
	__sync_fetch_and_add(&holding->connections, 1);
	return 1;
}

QTAP_INLINE struct qtap_state *qtap_find_or_begin(struct qtap_thread *thread, u64 handle, u64 cookie)
{
	struct qtap_connection_key key = {};
	struct qtap_state *state;

	key.handle = handle;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	state = connections.lookup(&key);
	if (!state && !qtap_take_share(key.tgid))
		return NULL;
	if (!state || state->closed || state->connection.process_start_ns != thread->process_start_ns ||
	    state->connection.generation < thread->image_ns)
		state = qtap_begin(&key, thread->process_start_ns, cookie, state);
	if (state && state->connection.role == QTAP_ROLE_UNKNOWN)
		state->connection.role = qtap_role(handle, cookie);
	return state;
}

// Whether the object has carried a connection: what comes after a reset or another handshake is another one.
QTAP_INLINE int qtap_is_used(struct qtap_state *state)
{
	return state->connection.flags & QTAP_HANDSHAKE_SEEN || state->position[QTAP_EGRESS] ||
	       state->position[QTAP_INGRESS];
}
