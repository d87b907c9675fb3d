"""An outside world for scripts: a name server that has every name at one loopback address, and a web server behind TLS.

Certificates are made by the openssl command, which must be there."""

import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path

HOME = "127.0.0.1"
NAME = "files.example.com"


class Names:
    """Answers every question for an IPv4 address with home, unless it is silent."""

    def __init__(self):
        self.is_silent, self.asked = False, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOME, 0))
        self.address = f"{HOME}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, peer = self.socket.recvfrom(4096)
            self.asked += 1
            if not self.is_silent:
                self.socket.sendto(self.answer(question), peer)

    @staticmethod
    def answer(message):
        end = message.index(b"\0", 12) + 5
        is_address = struct.unpack("!H", message[end - 4 : end - 2])[0] == 1
        head = message[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_address), 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(HOME)
        return head + message[12:end] + (record if is_address else b"")


class Origin:
    """Answers each request by `script(path, headers, send)`, and closes the connection behind it."""

    def __init__(self, folder, script):
        self.script, self.requests = script, 0
        certificate, key = make_certificate(Path(folder))
        self.roots = certificate
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.listener = socket.create_server((HOME, 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with self.tls.wrap_socket(connection, server_side=True) as stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = stream.recv(8192)
                    if not piece:
                        return
                    head += piece
                self.requests += 1
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines if ": " in line)
                self.script(first.split()[1], {name.lower(): value for name, value in headers.items()}, stream.sendall)
        except OSError:
            connection.close()

    def url(self, path):
        return f"https://{NAME}:{self.port}{path}"


def make_certificate(folder):
    certificate, key = folder / "outside.pem", folder / "outside.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=outside", "-addext", "subjectAltName=DNS:example.com,DNS:*.example.com"]
    extensions = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"]
    subprocess.run([*make, *names, *extensions, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def flags(names, origin):
    """Flags of `carryover serve` with which it lives in this world."""
    ways = [f"--fetch-dns={names.address}", f"--fetch-roots={origin.roots}"]
    return [*ways, f"--fetch-port={origin.port}", f"--fetch-allow={HOME}/32"]
