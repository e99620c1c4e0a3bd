# SPDX-License-Identifier: Apache-2.0
"""One module a view of a body: bytes to markup, a page of bounded size at a time.

view         what each is given and gives
image        a picture, by its own first bytes
json_text    JSON, its tokens on lines of their own
form         key=value&...
multipart    the parts of a multipart body
text         lines, numbered; long ones are cut
hexdump      offsets, bytes, characters
"""
