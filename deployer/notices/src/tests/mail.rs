//! Mail, to a server that speaks just enough SMTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use slipway_records::noticing::Noticing as _;
use slipway_records::{JobError, NoticeState};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, failed, here};

/// What came, and what recipients are answered.
#[derive(Clone)]
struct MailServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn start(to_recipients: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&kept), to_recipients));
            }
        });
        Self { address, mails }
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

/// RFC 5321, as far as one mail needs it.
async fn converse(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>, to_recipients: &'static str) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    let mut said = String::new();
    loop {
        said.clear();
        if stream.read_line(&mut said).await.unwrap_or(0) == 0 {
            return;
        }
        let answer = match said.split([' ', ':', '\r']).next().unwrap_or_default() {
            "EHLO" => "250-mail.test\r\n250 8BITMIME\r\n",
            "RCPT" => to_recipients,
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                mails.lock().unwrap().push(mail);
                "250 queued as 1\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn mail(server: &MailServer) -> Value {
    json!([{"name": "ops", "kind": "mail", "server": server.address.to_string(), "tls": "none",
        "from": "Slipway <slipway@example.com>", "to": ["ops@example.com", "Ann <ann@example.com>"]}])
}

#[tokio::test]
async fn a_mail_says_it_in_plain_text_under_the_id_of_the_notice() {
    let server = MailServer::start("250 ok\r\n").await;
    let world = World::new(mail(&server), here()).await;
    world.moves(&mut world.deployment(7), failed()).await;
    world.notices.work_off(&"ops".parse().unwrap()).await.unwrap();
    let told = world.told().await.remove(0);
    assert_eq!(told.state, NoticeState::Sent, "{:?}", told.answer);
    assert!(told.answer.as_deref().is_some_and(|answer| answer.contains("queued as 1")), "{:?}", told.answer);
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    for part in [
        format!("Message-ID: <{}@slipway.example.com>", told.id),
        "Subject: commerce/shop failed in prod: 1.4.2, generation 7".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
        "web: no such image".to_owned(),
        "slipway deploy show 'commerce/shop@prod#7'".to_owned(),
    ] {
        assert!(mails[0].contains(&part), "{part}: {}", mails[0]);
    }
    assert!(mails[0].contains("ops@example.com") && mails[0].contains("ann@example.com"), "{}", mails[0]);
}

#[tokio::test]
async fn a_mail_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let busy = MailServer::start("451 try later\r\n").await;
    let world = World::new(mail(&busy), here()).await;
    world.moves(&mut world.deployment(7), failed()).await;
    let waits = world.notices.work_off(&"ops".parse().unwrap()).await;
    assert!(matches!(&waits, Err(JobError::Wait { why, .. }) if why.contains("451")), "{waits:?}");

    let strict = MailServer::start("550 nobody of that name\r\n").await;
    let world = World::new(mail(&strict), here()).await;
    let fault = world.notices.test(&"ops".parse().unwrap(), "ann").await.unwrap().unwrap_err();
    assert_eq!(fault.code, "channel_refused");
    assert!(
        fault.message.contains("550") && fault.message.contains("nobody of that name"),
        "{}",
        fault.message
    );
    assert!(strict.mails().is_empty());
}
