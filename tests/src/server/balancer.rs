//! Between clients and several servers: each connection goes to the next server in turn.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Forwards connections until the process ends; servers that do not answer are passed over.
#[derive(Debug)]
pub struct Balancer {
    address: String,
    servers: Arc<Mutex<Servers>>,
}

#[derive(Debug, Default)]
struct Servers {
    addresses: Vec<String>,
    next: usize,
}

impl Balancer {
    /// Listens at `address` (`IP:0`: a port of its own), with nothing behind it yet.
    pub fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let servers = Arc::new(Mutex::new(Servers::default()));
        let behind = Arc::clone(&servers);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let behind = Arc::clone(&behind);
                thread::spawn(move || {
                    if let Some(server) = connect(&behind) {
                        join(client, server);
                    }
                });
            }
        });
        Self { address, servers }
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a server.
    pub fn add(&self, address: &str) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).addresses.push(address.to_owned());
    }
}

fn connect(servers: &Mutex<Servers>) -> Option<TcpStream> {
    let tries = servers.lock().unwrap_or_else(PoisonError::into_inner).addresses.len();
    (0..tries).find_map(|_| {
        let address = {
            let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.next += 1;
            servers.addresses[servers.next % tries].clone()
        };
        TcpStream::connect(address).ok()
    })
}

fn join(client: TcpStream, server: TcpStream) {
    let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || pass_on(from_server, client));
    pass_on(from_client, server);
}

/// Either side may go at any time; the other then sees the end of the stream.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        drop(from.shutdown(Shutdown::Both));
    }
    drop(to.shutdown(Shutdown::Write));
}
