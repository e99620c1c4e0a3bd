# SPDX-License-Identifier: Apache-2.0
"""A read-only HTTP viewer of stored payloads: what a click on a payload reference opens.

server           connections: bounded in number, time and size
application      a request -> an answer: who may see what, on which path
requests         what was asked, taken apart; paths and parameters are a contract
responses        an answer with the headers that keep it inert
problems         what went wrong, why, and how to fix it
guard            requests that other sites made the browser send
authentication   who is asking: token, session cookie, or the header of a proxy
visitors         whoever is let in
sessions         the cookie that a token is exchanged for
throttle         failed attempts, limited
resolving        payload reference -> place in the configured store, and nowhere else
exchanges        place -> both halves of an exchange
messages         the head of an HTTP message taken apart
markup           HTML that cannot hold an unescaped byte; what cannot be printed is shown as a symbol
bodies           which view a body gets; views/ draw it
payload_page     the page of an exchange
pages            all other pages, and the frame around each
"""
