//! What executors printed, as they say themselves.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use slipway_tests::namespace::{JOB_WITHIN, Namespace};

/// Takes in what executors printed, and gives it to who asks.
pub(crate) struct Copies {
    pub(crate) address: SocketAddr,
    bodies: mpsc::Receiver<Vec<u8>>,
}

impl Copies {
    pub(crate) fn receive(at: &Namespace) -> Self {
        let listener = TcpListener::bind((at.cluster.host_address, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                if sender.send(read_body(&mut stream)).is_err() {
                    return;
                }
            }
        });
        Self { address, bodies }
    }

    pub(crate) fn next(&self) -> Vec<u8> {
        self.bodies.recv_timeout(JOB_WITHIN).expect("an executor sends a copy of its log")
    }
}

/// Reads one HTTP request with a Content-Length, and answers it.
fn read_body(stream: &mut std::net::TcpStream) -> Vec<u8> {
    let (mut request, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            if text.contains("expect: 100-continue") && request.len() == head {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("a written answer");
            }
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if request.len() >= head + length {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
                return request[head..].to_vec();
            }
        }
        let read = stream.read(&mut piece).expect("a readable request");
        request.extend_from_slice(&piece[..read]);
    }
}
