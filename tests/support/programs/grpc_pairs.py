# SPDX-License-Identifier: Apache-2.0
"""Clients and a server in one process that talk gRPC: grpc_pairs.py CA CERTIFICATE KEY CONNECTIONS."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

ca, certificate, key = (Path(argument).read_bytes() for argument in sys.argv[1:4])
connections = int(sys.argv[4])


class Echo(grpc.GenericRpcHandler):
    """Answers every call with what it asked."""

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """One handler for all methods."""
        return grpc.unary_unary_rpc_method_handler(lambda request, _context: request)


server = grpc.server(ThreadPoolExecutor(4), handlers=[Echo()])
port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
server.start()
for number in range(connections):
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca), options) as channel:
        call = channel.unary_unary("/qtap.Echo/Call")
        for size in (1, 300, 20000):
            asked = f"<{number}:".encode() + b"x" * size + b">"
            assert call(asked, timeout=30) == asked
server.stop(None).wait()
