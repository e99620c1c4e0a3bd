"""Answers messages, by gRPC."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_messages

certificate, key = (Path(path).read_bytes() for path in sys.argv[1:3])


class Answering(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, asked: bytes, context: grpc.ServicerContext) -> bytes:
        return answer(port, int(context.peer().rpartition(":")[2]), read_messages(asked)[0]).encode()


server = grpc.server(ThreadPoolExecutor(8), handlers=[Answering()])
port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
server.start()
print(port, flush=True)
server.wait_for_termination()
