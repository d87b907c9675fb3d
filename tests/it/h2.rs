//! HTTP/2 frames made by hand, well-formed or not, and a peer that sends them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number at `at` of the payload.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq)]
pub struct GoAway {
    pub code: u32,
    pub text: String,
}

/// A client that knows no rules. What the server sends is always read.
pub struct Peer {
    write: OwnedWriteHalf,
    frames: mpsc::UnboundedReceiver<Frame>,
}

impl Peer {
    /// Connects, and sends the preface and settings as any client does.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("connects")).await
    }

    pub async fn over(socket: TcpStream) -> Self {
        let (read, write) = socket.into_split();
        let (sender, frames) = mpsc::unbounded_channel();
        tokio::spawn(read_frames(read, sender));
        let mut peer = Self { write, frames };
        peer.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        peer
    }

    /// Sends bytes; `false` when the server has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.write.write_all(bytes).await.is_ok()
    }

    /// Sends bytes, so many times, until the server has had enough.
    pub async fn flood(&mut self, times: u32, bytes: impl Fn(u32) -> Vec<u8>) {
        for n in 0..times {
            if !self.send(&bytes(n)).await {
                return;
            }
        }
    }

    /// The next frame; none at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.frames.recv()).await.expect("the server says something, or ends")
    }

    /// The next frame that is meant.
    pub async fn find(&mut self, meant: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if meant(&frame) {
                return Some(frame);
            }
        }
    }

    /// Waits for the end of the connection; gives the reason that was told before it.
    pub async fn end(&mut self) -> Option<GoAway> {
        let mut told = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                let text = String::from_utf8_lossy(&frame.payload[8..]).into_owned();
                told = Some(GoAway { code: frame.number(4), text });
            }
        }
        told
    }

    /// Whether the connection is served: a PING comes back.
    pub async fn is_served(&mut self) -> bool {
        let ping = |frame: &Frame| (frame.kind, frame.flags) == (PING, ACK) && frame.payload == *b"servedno";
        self.send(&frame(PING, 0, 0, b"servedno")).await && self.find(ping).await.is_some()
    }
}

async fn read_frames(mut read: OwnedReadHalf, frames: mpsc::UnboundedSender<Frame>) {
    let mut head = [0; 9];
    while read.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if read.read_exact(&mut payload).await.is_err() {
            return;
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        // An ended test needs them no more.
        let _ = frames.send(Frame { kind: head[3], flags: head[4], stream, payload });
    }
}

/// A frame with any payload.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A frame whose payload is one number.
pub fn numbered(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

/// The head of a call as one HEADERS frame; END_HEADERS is set.
pub fn call(stream: u32, flags: u8, path: &str, key: &str) -> Vec<u8> {
    let block = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "x"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
        field("x-api-key", key),
    ];
    frame(HEADERS, flags | END_HEADERS, stream, &block.concat())
}

/// A header as HPACK writes it literally, without an index and without Huffman codes.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut length = Vec::new();
        match text.len() {
            short @ 0..127 => length.push(short as u8),
            // An integer with a prefix of seven bits.
            long => {
                let mut rest = long - 127;
                length.push(127);
                while rest >= 128 {
                    length.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                length.push(rest as u8);
            }
        }
        [&length, text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}
