//! Requests of HTTP/1.1 as text, and gRPC-web calls made of them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::harness::Server;

/// Sends bytes to the port as they are; gives what came back.
pub async fn raw(server: &Server, request: &[u8]) -> String {
    exchange(server.app.address, request).await
}

/// Sends bytes to an address as they are; gives what came back.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = async { while stream.read_buf(&mut answer).await.is_ok_and(|n| n > 0) {} };
    tokio::select! {
        () = read => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A gRPC-web call over HTTP/1.1, whose body is given as bytes.
pub async fn web_call(server: &Server, key: &str, path: &str, headers: &str, body: &[u8]) -> String {
    raw(server, &web_request(key, path, headers, body)).await
}

/// Such a call as it is sent.
pub fn web_request(key: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\
         x-api-key: {key}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// The same of a message that is packed.
pub fn packed(message: &[u8]) -> Vec<u8> {
    [&[1][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// Whether a gRPC-web answer ends with this status.
pub fn has_status(answer: &str, code: Code) -> bool {
    let code = code as i32;
    answer.split("grpc-status:").nth(1).is_some_and(|rest| {
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next();
        digits == Some(&code.to_string())
    })
}
