//! What stands before an object store and holds up the requests that a test names.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub struct Gateway {
    pub endpoint: String,
    held: Arc<AtomicUsize>,
    is_open: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Gateway {
    /// Before what listens at `endpoint`, and open; `holds` is asked with the first line of each request.
    pub async fn before(endpoint: &str, holds: fn(&str) -> bool) -> Self {
        let behind = endpoint.strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (held, (is_open, gate)) = (Arc::<AtomicUsize>::default(), watch::channel(true));
        let mut task = JoinSet::new();
        let count = held.clone();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(relay(socket, behind.clone(), holds, count.clone(), gate.clone()));
            }
        });
        Self { endpoint, held, is_open, _task: task }
    }

    /// Requests that were held up.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// From now on requests are held up.
    pub fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets all go on.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn relay(
    client: TcpStream,
    behind: String,
    holds: fn(&str) -> bool,
    held: Arc<AtomicUsize>,
    mut gate: watch::Receiver<bool>,
) {
    let server = TcpStream::connect(behind).await.expect("it listens");
    let ((mut asks, mut answers), (mut says, mut hears)) = (client.into_split(), server.into_split());
    let back = async { drop(tokio::io::copy(&mut says, &mut answers).await) };
    let there = async {
        let mut bytes = vec![0; 64 << 10];
        // A client sends a request when it has the answer to the one before, so each begins what is read at once.
        while let Ok(count @ 1..) = asks.read(&mut bytes).await {
            let line = bytes[..count].split(|byte| *byte == b'\r').next().unwrap_or_default();
            if holds(&String::from_utf8_lossy(line)) && !*gate.borrow() {
                held.fetch_add(1, Ordering::SeqCst);
                drop(gate.wait_for(|is_open| *is_open).await);
            }
            if hears.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = back => {}, () = there => {} }
}
