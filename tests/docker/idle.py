"""Opens idle TLS connections to a port of this machine and holds them for a while: idle.py PORT COUNT."""

import resource
import socket
import ssl
import sys
import time

port, count = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
held = []
for _ in range(count):
    try:
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="localhost")
        stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.recv(4096)
        held.append(stream)
    except OSError:
        pass
print(len(held), "connections are open")
time.sleep(3)
