// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The programs at probe sites: one at entries, one at returns. What the site is, its cookie says.

// Kernel >= 6.6: uprobe_multi links carry a cookie for each site; >= 5.15: links of perf events do.
#if defined(QTAP_ATTACH_MULTI) || defined(QTAP_ATTACH_COOKIES)

int qtap_enter(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);

	if (QTAP_COOKIE_HOOK(cookie) >= QTAP_HOOK_GO_READ && QTAP_COOKIE_HOOK(cookie) <= QTAP_HOOK_GO_HANDSHAKE_RETURN)
		return qtap_go(ctx, cookie);
	if (QTAP_COOKIE_HOOK(cookie) <= QTAP_HOOK_HANDSHAKE || QTAP_COOKIE_HOOK(cookie) == QTAP_HOOK_FLUSH)
		return qtap_enter_call(ctx, cookie);
	if (QTAP_COOKIE_HOOK(cookie) == QTAP_HOOK_BIO_WRITE)
		return qtap_note_ciphertext(ctx);
	return qtap_enter_event(ctx, cookie);
}

int qtap_return(struct pt_regs *ctx)
{
	return qtap_leave_call(ctx, bpf_get_attach_cookie(ctx));
}

#else // one program for each kind of site, named by its cookie: see otel_qtap/capture/attach.py

#define QTAP_CALL_SITE(HOOK, COUNT)                                                            \
	int qtap_enter_##HOOK##_##COUNT(struct pt_regs *ctx)                                   \
	{                                                                                      \
		return qtap_enter_call(ctx, QTAP_COOKIE(QTAP_HOOK_##HOOK, QTAP_COUNT_##COUNT, 1)); \
	}                                                                                      \
	int qtap_return_##HOOK##_##COUNT(struct pt_regs *ctx)                                  \
	{                                                                                      \
		return qtap_leave_call(ctx, QTAP_COOKIE(QTAP_HOOK_##HOOK, QTAP_COUNT_##COUNT, 1)); \
	}
#define QTAP_EVENT_SITE(HOOK)                                                                  \
	int qtap_enter_##HOOK##_RC(struct pt_regs *ctx)                                        \
	{                                                                                      \
		return qtap_enter_event(ctx, QTAP_COOKIE(QTAP_HOOK_##HOOK, QTAP_COUNT_RC, 1)); \
	}

QTAP_CALL_SITE(READ, RC)
QTAP_CALL_SITE(READ, ARG4)
QTAP_CALL_SITE(WRITE, RC)
QTAP_CALL_SITE(WRITE, ARG4)
QTAP_CALL_SITE(WRITE, ARG5)
QTAP_CALL_SITE(HANDSHAKE, RC)
QTAP_EVENT_SITE(SHUTDOWN)
QTAP_EVENT_SITE(FREE)
QTAP_EVENT_SITE(SET_FD)
QTAP_EVENT_SITE(SET_BIO)
QTAP_EVENT_SITE(CLEAR)

#endif
