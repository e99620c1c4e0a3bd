# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request by a libcurl of the caller's choice, called as C programs do.

LIBRARY URL CA ANSWER [BODY]: BODY is a file to be posted, ANSWER the file that takes what comes.
"""

import ctypes
import sys
from pathlib import Path

# curl/curl.h
URL, CA, HTTP_VERSION, POST_FIELDS, POST_SIZE, WRITE_FUNCTION = 10002, 10065, 84, 10015, 60, 20011
HTTP_1_1 = 2
WRITER = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)


def main() -> None:
    library, url, ca, answer = sys.argv[1:5]
    curl = ctypes.CDLL(library)
    curl.curl_easy_init.restype = ctypes.c_void_p
    curl.curl_easy_setopt.argtypes = (ctypes.c_void_p, ctypes.c_int)
    curl.curl_easy_perform.argtypes = curl.curl_easy_cleanup.argtypes = (ctypes.c_void_p,)
    with Path(answer).open("wb") as file:

        def take(data: int, _: int, size: int, __: object) -> int:
            file.write(ctypes.string_at(data, size))
            return size

        handle, writer = curl.curl_easy_init(), WRITER(take)
        curl.curl_easy_setopt(handle, URL, url.encode())
        curl.curl_easy_setopt(handle, CA, ca.encode())
        curl.curl_easy_setopt(handle, HTTP_VERSION, ctypes.c_long(HTTP_1_1))
        curl.curl_easy_setopt(handle, WRITE_FUNCTION, writer)
        if len(sys.argv) > 5:
            body = Path(sys.argv[5]).read_bytes()
            curl.curl_easy_setopt(handle, POST_SIZE, ctypes.c_long(len(body)))
            curl.curl_easy_setopt(handle, POST_FIELDS, body)
        result = curl.curl_easy_perform(handle)
        curl.curl_easy_cleanup(handle)
    sys.exit(result)


if __name__ == "__main__":
    main()
