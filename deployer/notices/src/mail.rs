//! Notices by mail: one message in plain text, whose `Message-ID` is the notice's own, so that repetitions
//! can be told (RFC 5322, section 3.6.4).

use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use slipway_network::Network;
use slipway_types::Fault;
use slipway_types::id::NoticeId;
use url::Url;

use crate::NoticeOptions;
use crate::answer::Refusal;
use crate::channel::{Mail, MailTls};
use crate::letter::Letter;
use crate::post::checked;

/// The part of the server's words that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;
/// What this server calls itself if it has no name.
const NAMELESS: &str = "localhost";

/// Sends a letter; `password` goes with the mail's login. Mail goes by no proxy.
pub(crate) async fn send(
    mail: &Mail,
    password: Option<&SecretString>,
    id: NoticeId,
    letter: &Letter,
    options: &NoticeOptions,
) -> Result<String, Refusal> {
    let own_host = Url::parse(&options.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let own_host = own_host.unwrap_or_else(|| NAMELESS.to_owned());
    let email = email(mail, id, letter, &own_host)?;
    let transport = transport(mail, password, own_host, options).await?;
    let limit = Duration::from_millis(options.request_timeout_ms);
    match tokio::time::timeout(limit, transport.send(email)).await {
        Ok(Ok(response)) => Ok(told(mail, &response)),
        Ok(Err(error)) => Err(refused(mail, &error).into()),
        Err(_elapsed) => {
            let message = format!("{} does not take the mail in time", mail.host);
            Err(Fault::transient("channel_unreachable", message).into())
        }
    }
}

fn email(mail: &Mail, id: NoticeId, letter: &Letter, own_host: &str) -> Result<lettre::Message, Fault> {
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        // No answer of an absence is wanted (RFC 3834).
        "auto-generated".to_owned(),
    );
    let builder = lettre::Message::builder()
        .from(mail.from.clone())
        .subject(letter.title.clone())
        .message_id(Some(format!("<{id}@{own_host}>")))
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN);
    let builder = mail.to.iter().fold(builder, |builder, mailbox| builder.to(mailbox.clone()));
    let mut lines = letter.lines.clone();
    lines.extend(letter.link.clone());
    builder
        .body(lines.join("\n"))
        .map_err(|error| Fault::permanent("mail_invalid", format!("no mail can be made of it: {error}")))
}

async fn transport(
    mail: &Mail,
    password: Option<&SecretString>,
    own_host: String,
    options: &NoticeOptions,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Fault> {
    let unfit = || Fault::permanent("address_refused", format!("{} is no host of a mail server", mail.host));
    let host = if mail.host.contains(':') { format!("[{}]", mail.host) } else { mail.host.clone() };
    let url = Url::parse(&format!("https://{host}:{}", mail.port)).map_err(|_| unfit())?;
    let addresses = checked(&url, options, &Network::default()).await?;
    let address = addresses.first().ok_or_else(unfit)?;
    let tls = match mail.tls {
        MailTls::Tls => Tls::Wrapper(tls(mail, &options.network)?),
        MailTls::Starttls => Tls::Required(tls(mail, &options.network)?),
        MailTls::None => Tls::None,
    };
    // Connected to the checked address, and believed by the name.
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
        .port(mail.port)
        .tls(tls)
        .hello_name(ClientId::Domain(own_host))
        .timeout(Some(Duration::from_millis(options.connect_timeout_ms)));
    if let Some(((user, _), password)) = mail.login.as_ref().zip(password) {
        builder =
            builder.credentials(Credentials::new(user.clone(), password.expose_secret().trim().to_owned()));
    }
    Ok(builder.build())
}

fn tls(mail: &Mail, network: &Network) -> Result<TlsParameters, Fault> {
    let fault = |error: Error| Fault::permanent("tls", format!("no TLS to {}: {error}", mail.host));
    let mut builder = TlsParameters::builder(mail.host.clone());
    for der in network.authorities().into_iter().flat_map(slipway_network::Authorities::own) {
        builder = builder.add_root_certificate(Certificate::from_der(der.to_vec()).map_err(fault)?);
    }
    builder.build().map_err(fault)
}

fn told(mail: &Mail, response: &Response) -> String {
    let words = response.message().collect::<Vec<_>>().join(" ");
    shown(format!("{} answered {}: {words}", mail.host, response.code()))
}

fn refused(mail: &Mail, error: &Error) -> Fault {
    let message = shown(format!("{} does not take the mail: {error}", mail.host));
    if error.is_permanent() || error.is_client() {
        return Fault::permanent("channel_refused", message).hint("check user, password, from and to");
    }
    Fault::transient("channel_unavailable", message)
}

fn shown(text: String) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS_MAX).collect()
}
