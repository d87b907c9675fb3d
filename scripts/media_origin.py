#!/usr/bin/env python3
"""The internet of scripts/bench-media: a name server and a web server on loopback, in a process of their own.

Every name is at home, 127.0.0.1, but `dead` ones, where nobody listens. How a URL is answered stands in its path:

  /good/N.jpg      a small image that no other number has
  /slow/N.jpg      the same, half a second later
  /busy/N.jpg      503 the first time
  /short/N.jpg     breaks off before the length it told, the first time
  /long/N.jpg      tells less than it sends
  /lies/N.jpg      breaks off before the length it told, always
  /html/N.jpg      a page
  /gone/N.jpg      404

Prints where both listen and the file that vouches for it, and ends with its standard input. Counts what was asked for
twice on a line for each line it is sent."""

import asyncio
import json
import ssl
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

# The smallest of baseline JPEGs that has all it must.
JPEG = Path(__file__).resolve().parent.parent / "tests/fixtures/media/plain.jpg"

asked = Counter()


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        end, labels = 12, []
        while length := data[end]:
            labels.append(data[end + 1:end + 1 + length].decode())
            end += 1 + length
        question = data[12:end + 5]
        is_a = question[-4:-2] == b"\0\1"
        home = bytes([127, 0, 0, 9 if labels[0].lower().startswith("dead") else 1])
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + home if is_a else b""
        header = data[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_a), 0, 0)
        self.transport.sendto(header + question + record, address)


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ", 2)[1]
        asked[path] += 1
        _, how, name = path.split("?")[0].split("/")
        body = image + name.encode().rjust(16, b"0")
        length, status = len(body), "200 OK"
        first = asked[path] == 1
        if how == "slow":
            await asyncio.sleep(0.5)
        elif how == "busy" and first:
            body, length, status = b"", 0, "503 Busy\r\nRetry-After: 1"
        elif how == "lies" or how == "short" and first:
            length += 1000
        elif how == "long":
            body += b"more than was told"
        elif how == "html":
            body = b"<!doctype html><title>Sign in</title>"
            length = len(body)
        elif how == "gone":
            body, length, status = b"", 0, "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        await writer.drain()
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def certificate(folder):
    """A certificate for the names, and who vouches for it."""
    authority, key, chain = folder / "authority.pem", folder / "key.pem", folder / "chain.pem"
    authority_key, request, names = folder / "authority-key.pem", folder / "request.pem", folder / "names"
    names.write_text("subjectAltName=DNS:*.example.com\nbasicConstraints=CA:FALSE\n")
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run = lambda *args: subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    run("req", "-x509", *elliptic, "-keyout", authority_key, "-out", authority, "-subj", "/CN=lab", "-days", 2)
    run("req", *elliptic, "-keyout", key, "-out", request, "-subj", "/CN=lab")
    signed = ["-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", 2, "-extfile", names]
    run("x509", "-req", "-in", request, "-out", chain, *signed)
    return authority, key, chain


async def main(folder):
    authority, key, chain = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    loop = asyncio.get_running_loop()
    names, _ = await loop.create_datagram_endpoint(Names, ("127.0.0.1", 0))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    port, dns = server.sockets[0].getsockname()[1], names.get_extra_info("sockname")[1]
    print(json.dumps({"port": port, "dns": f"127.0.0.1:{dns}", "roots": str(authority)}), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"asked": sum(asked.values()), "distinct": len(asked)}), flush=True)


if __name__ == "__main__":
    image = JPEG.read_bytes()
    asyncio.run(main(Path(sys.argv[1])))
