//! A name server on loopback that says what a test wants, over UDP and TCP, byte by byte.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

/// Types of records, as numbers on the wire.
pub const A: u16 = 1;
pub const AAAA: u16 = 28;

/// What a server is asked.
pub struct Question {
    pub name: String,
    pub kind: u16,
    pub over_tcp: bool,
    /// How often the same was asked before.
    pub before: usize,
}

#[derive(Clone)]
pub enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
    /// A record of another name.
    Of(String, Box<Record>),
}

pub enum Reply {
    Records(Vec<Record>),
    Code(u8),
    Truncated,
    Silent,
    /// Answers with a wrong id and for another name, and then the right one.
    Forged(Vec<Record>, Vec<Record>),
}

impl Reply {
    pub fn a(addresses: &[[u8; 4]]) -> Self {
        Self::Records(addresses.iter().map(|octets| Record::A((*octets).into())).collect())
    }

    pub fn none() -> Self {
        Self::Records(Vec::new())
    }
}

type Script = dyn Fn(&Question) -> Reply + Send + Sync;

pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    _tasks: JoinSet<()>,
}

impl Dns {
    pub async fn start(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<(String, u16)>>>::default();
        let server = Server { script: Arc::new(script), asked: asked.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(server.clone().udp(udp));
        tasks.spawn(server.tcp(tcp));
        Self { address, asked, _tasks: tasks }
    }

    /// All that was asked, in order.
    pub fn asked(&self) -> Vec<(String, u16)> {
        self.asked.lock().expect("asked").clone()
    }

    /// How often a name's IPv4 addresses were asked for.
    pub fn lookups(&self, name: &str) -> usize {
        self.asked().iter().filter(|(asked, kind)| asked == name && *kind == A).count()
    }
}

/// One port for both; another process may have the one that was found.
async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")).await {
            return (udp, tcp);
        }
    }
}

#[derive(Clone)]
struct Server {
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Server {
    async fn udp(self, socket: UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            for mut message in self.answer(&buffer[..length], false) {
                if message.len() > 1_200 {
                    message = self.message(&buffer[..length], &[], 0x0200);
                }
                let _ = socket.send_to(&message, peer).await;
            }
        }
    }

    async fn tcp(self, listener: TcpListener) {
        while let Ok((mut socket, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = socket.read_u16().await {
                    let mut question = vec![0; length.into()];
                    if socket.read_exact(&mut question).await.is_err() {
                        return;
                    }
                    for message in server.answer(&question, true) {
                        let length = u16::try_from(message.len()).expect("fits a message");
                        let whole = [&length.to_be_bytes()[..], &message].concat();
                        let _ = socket.write_all(&whole).await;
                    }
                }
            });
        }
    }

    /// The messages to send back.
    fn answer(&self, message: &[u8], over_tcp: bool) -> Vec<Vec<u8>> {
        let (name, kind, _) = question(message);
        let before = {
            let mut asked = self.asked.lock().expect("asked");
            let before = asked.iter().filter(|known| **known == (name.clone(), kind)).count();
            asked.push((name.clone(), kind));
            before
        };
        match (self.script)(&Question { name, kind, over_tcp, before }) {
            Reply::Silent => Vec::new(),
            Reply::Code(code) => vec![self.message(message, &[], code.into())],
            Reply::Truncated => vec![self.message(message, &[], 0x0200)],
            Reply::Records(records) => vec![self.message(message, &records, 0)],
            Reply::Forged(forged, good) => {
                let mut other_id = self.message(message, &forged, 0);
                other_id[0] ^= 0x55;
                let mut other_name = self.message(message, &forged, 0);
                other_name[13] ^= 1;
                vec![other_id, other_name, self.message(message, &good, 0)]
            }
        }
    }

    fn message(&self, question_message: &[u8], records: &[Record], flags: u16) -> Vec<u8> {
        let (name, _, end) = question(question_message);
        let mut out = question_message[..2].to_vec();
        let count = u16::try_from(records.len()).expect("a count");
        for word in [0x8180 | flags, 1, count, 0, 0] {
            out.extend(u16::to_be_bytes(word));
        }
        out.extend(&question_message[12..end]);
        for record in records {
            let (owner, data) = match record {
                Record::Of(owner, data) => (owner.as_str(), data.as_ref()),
                data => (name.as_str(), data),
            };
            // The question's name is at the twelfth byte.
            let owner = if owner == name { vec![0xc0, 12] } else { wire_name(owner) };
            let (kind, data) = match data {
                Record::A(v4) => (A, v4.octets().to_vec()),
                Record::Aaaa(v6) => (AAAA, v6.octets().to_vec()),
                Record::Cname(target) => (5, wire_name(target)),
                Record::Of(..) => panic!("one owner is enough"),
            };
            out.extend(owner);
            out.extend(kind.to_be_bytes());
            // Of the internet, and not to be kept for any time.
            out.extend([0, 1, 0, 0, 0, 0]);
            out.extend(u16::try_from(data.len()).expect("a length").to_be_bytes());
            out.extend(data);
        }
        out
    }
}

/// Name and type of a question, and where it ends.
fn question(message: &[u8]) -> (String, u16, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..=at + length]).to_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([message[at + 1], message[at + 2]]);
    (labels.join("."), kind, at + 5)
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
