//! What is said to a server to learn whether it is ready, and what its answers mean. Nothing is
//! changed by it and nobody logs in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::lifecycle::ready::{Protocol, Seen};

/// How long a server may take for a connection and for each answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of an answer that are looked at.
const MOST: usize = 16 * 1024;

/// Returns what a server says to a greeting in its protocol.
pub(super) fn greet(address: SocketAddr, protocol: Protocol) -> Seen {
    let answer = match protocol {
        Protocol::Redis => exchange(address, b"*1\r\n$4\r\nPING\r\n", redis),
        Protocol::Mysql => exchange(address, b"", mysql),
        Protocol::Mongodb => exchange(address, &mongodb_hello(), mongodb),
        Protocol::Postgresql => postgresql_exchange(address),
        Protocol::Http => exchange(address, http_request("HEAD", "/").as_bytes(), |bytes| {
            // A proxy without what is behind it answers, too.
            status(bytes).map(|status| if matches!(status, 502..=504 | 999) { Seen::No } else { Seen::Welcome })
        }),
    };
    answer.unwrap_or(Seen::No)
}

/// Returns whether GET is answered with a status below 400.
pub(super) fn get(address: SocketAddr, path: &str) -> Seen {
    let well = |bytes: &[u8]| status(bytes).map(|status| if status < 400 { Seen::Welcome } else { Seen::No });
    exchange(address, http_request("GET", path).as_bytes(), well).unwrap_or(Seen::No)
}

/// Returns whether a connection is accepted.
pub(super) fn connect(address: SocketAddr) -> Seen {
    if TcpStream::connect_timeout(&address, PATIENCE).is_ok() { Seen::Welcome } else { Seen::No }
}

/// Sends a request and reads until `meaning` knows what the answer means.
fn exchange(address: SocketAddr, request: &[u8], meaning: impl Fn(&[u8]) -> Option<Seen>) -> io::Result<Seen> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    say(&mut stream, request, meaning)
}

fn say(stream: &mut TcpStream, request: &[u8], meaning: impl Fn(&[u8]) -> Option<Seen>) -> io::Result<Seen> {
    let until = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > MOST {
            return Ok(Seen::No);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => return Ok(Seen::No),
            count => answer.extend_from_slice(&part[..count]),
        }
        if let Some(seen) = meaning(&answer) {
            return Ok(seen);
        }
    }
}

/// `None` while too little has come to tell.
fn redis(answer: &[u8]) -> Option<Seen> {
    let end = answer.iter().position(|byte| *byte == b'\n');
    let line = String::from_utf8_lossy(&answer[..end?]).into_owned();
    let busy = ["-LOADING", "-BUSY", "-MASTERDOWN", "-CLUSTERDOWN"];
    Some(match line.as_bytes().first() {
        Some(b'+') => Seen::Welcome,
        Some(b'-') if busy.iter().any(|word| line.starts_with(word)) => Seen::Busy,
        // It wants a password: it answers.
        Some(b'-') => Seen::Welcome,
        _ => Seen::No,
    })
}

/// The packet with which a server begins: length, sequence number 0, version of the protocol or an error.
fn mysql(answer: &[u8]) -> Option<Seen> {
    let header = answer.get(..5)?;
    let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    Some(match (header[3], header[4]) {
        (0, 10) if (20..MOST).contains(&length) => Seen::Welcome,
        (0, 0xff) => match u16::from_le_bytes(answer.get(5..7)?.try_into().ok()?) {
            // Not allowed from here, or blocked: it answers.
            1129 | 1130 => Seen::Welcome,
            _ => Seen::Busy,
        },
        _ => Seen::No,
    })
}

/// Number of `OP_MSG`.
const OP_MSG: u32 = 2013;

/// `{hello: 1, $db: "admin"}` as `OP_MSG`.
fn mongodb_hello() -> Vec<u8> {
    let mut document = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0".to_vec();
    let length = u32::try_from(document.len() + 4).unwrap_or_default();
    document.splice(0..0, length.to_le_bytes());
    let whole = u32::try_from(16 + 4 + 1 + document.len()).unwrap_or_default();
    let mut message = Vec::new();
    for number in [whole, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(document);
    message
}

fn mongodb(answer: &[u8]) -> Option<Seen> {
    let number = |at: usize| answer.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let length = number(0)? as usize;
    if number(12)? != OP_MSG || !(26..MOST).contains(&length) {
        return Some(Seen::No);
    }
    let body = answer.get(21..length)?;
    let after = |name: &[u8]| {
        let at = body.windows(name.len()).position(|window| window == name)?;
        body.get(at + name.len()..)
    };
    let double = after(b"\x01ok\0").and_then(|rest| rest.get(..8)?.try_into().ok()).map(f64::from_le_bytes);
    let whole = after(b"\x10ok\0").and_then(|rest| rest.get(..4)?.try_into().ok()).map(i32::from_le_bytes);
    // Versions that do not know the command say so (code 59).
    let unknown = after(b"\x10code\0").and_then(|rest| rest.get(..4)?.try_into().ok()).map(i32::from_le_bytes);
    let well = double.is_some_and(|ok| ok == 1.0) || whole == Some(1) || unknown == Some(59);
    Some(if well { Seen::Welcome } else { Seen::Busy })
}

/// `SSLRequest`, and where TLS is not wanted a start-up message: the first is answered also by a
/// server that is not ready, the second then with "the database system is starting up".
fn postgresql_exchange(address: SocketAddr) -> io::Result<Seen> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    let request = [8u32.to_be_bytes(), 80_877_103u32.to_be_bytes()].concat();
    let plain = std::cell::Cell::new(false);
    let first = say(&mut stream, &request, |answer| {
        plain.set(answer.first() == Some(&b'N'));
        Some(if matches!(answer.first(), Some(b'S' | b'N')) { Seen::Welcome } else { Seen::No })
    })?;
    if first != Seen::Welcome || !plain.get() {
        return Ok(first);
    }
    let mut startup = 196_608u32.to_be_bytes().to_vec();
    startup.extend(b"user\0postgres\0database\0postgres\0application_name\0stack\0\0");
    let length = u32::try_from(startup.len() + 4).unwrap_or_default();
    startup.splice(0..0, length.to_be_bytes());
    let seen = say(&mut stream, &startup, postgresql)?;
    let _ = stream.write_all(b"X\0\0\0\x04"); // it leaves as a client does; no matter if it is gone
    Ok(seen)
}

fn postgresql(answer: &[u8]) -> Option<Seen> {
    match answer.first()? {
        b'R' => Some(Seen::Welcome),
        b'E' => {
            let length = u32::from_be_bytes(answer.get(1..5)?.try_into().ok()?) as usize;
            let fields = answer.get(5..(1 + length).min(MOST))?;
            let starting = fields.split(|byte| *byte == 0).any(|field| field == b"C57P03");
            Some(if starting { Seen::Busy } else { Seen::Welcome })
        }
        _ => Some(Seen::No),
    }
}

fn http_request(method: &str, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: stack\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// Returns the status of an HTTP answer; 999 of what is none.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.get(..12)?;
    let digits = line.starts_with(b"HTTP/1.").then(|| std::str::from_utf8(&line[9..12]).ok()).flatten();
    Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(999))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[track_caller]
    fn check(meaning: fn(&[u8]) -> Option<Seen>, answer: &[u8], expected: impl Into<Option<Seen>>) {
        assert_eq!(meaning(answer), expected.into(), "{}", answer.escape_ascii());
    }

    #[test]
    fn answers_of_redis() {
        check(redis, b"+PO", None);
        check(redis, b"+PONG\r\n", Some(Seen::Welcome));
        check(redis, b"-NOAUTH Authentication required.\r\n", Some(Seen::Welcome));
        check(redis, b"-LOADING Redis is loading the dataset in memory\r\n", Some(Seen::Busy));
        check(redis, b"HTTP/1.1 400 Bad Request\r\n", Some(Seen::No));
    }

    #[test]
    fn answers_of_mysql() {
        check(mysql, b"\x4a\0\0\0", None);
        check(mysql, b"\x4a\0\0\0\x0a8.0.36\0", Some(Seen::Welcome));
        check(mysql, b"\x10\0\0\x00\xff\x10\x04Too many connections", Some(Seen::Busy));
        check(mysql, b"\x45\0\0\x00\xff\x6a\x04Host is not allowed", Some(Seen::Welcome));
        check(mysql, b"SSH-2.0-x\r\n", Some(Seen::No));
    }

    #[test]
    fn answers_of_mongodb() {
        let answer = |document: &[u8]| {
            let mut message = Vec::new();
            let length = u32::try_from(21 + document.len()).unwrap();
            for number in [length, 7, 1, OP_MSG, 0] {
                message.extend(number.to_le_bytes());
            }
            message.push(0);
            message.extend(document);
            message
        };
        let well = answer(b"\x12\0\0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f\0");
        check(mongodb, &well, Some(Seen::Welcome));
        check(mongodb, &well[..30], None);
        check(mongodb, &answer(b"\x12\0\0\0\x01ok\0\0\0\0\0\0\0\0\0\0"), Some(Seen::Busy));
        check(mongodb, b"HTTP/1.0 200 OK\r\nConnection: close\r\n", Some(Seen::No));
        let hello = mongodb_hello();
        assert_eq!(hello.len(), u32::from_le_bytes(hello[..4].try_into().unwrap()) as usize);
        assert_eq!(hello[21..].len(), u32::from_le_bytes(hello[21..25].try_into().unwrap()) as usize);
    }

    #[test]
    fn answers_of_postgresql() {
        check(postgresql, b"R\0\0\0\x08\0\0\0\x0a", Some(Seen::Welcome));
        check(postgresql, b"E\0\0\0\x13SFATAL\0C57P03\0\0", Some(Seen::Busy));
        check(postgresql, b"E\0\0\0\x13SFATAL\0C28000\0\0", Some(Seen::Welcome));
        check(postgresql, b"E\0\0\0\x64SFATAL\0", None);
    }

    #[test]
    fn answers_of_http() {
        assert_eq!(status(b"HTTP/1."), None);
        assert_eq!(status(b"HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status(b"-ERR unknown"), Some(999));
    }

    /// Says `reply` to whoever has sent something, and returns what a greeting finds.
    fn serve(reply: &'static [u8], ask: impl FnOnce(SocketAddr) -> Seen) -> Seen {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(reply);
        });
        let seen = ask(address);
        server.join().unwrap();
        seen
    }

    #[test]
    fn over_a_connection() {
        assert_eq!(serve(b"+PONG\r\n", |at| greet(at, Protocol::Redis)), Seen::Welcome);
        assert_eq!(serve(b"HTTP/1.0 404 Not Found\r\n", |at| greet(at, Protocol::Http)), Seen::Welcome);
        assert_eq!(serve(b"HTTP/1.0 503 No\r\n", |at| greet(at, Protocol::Http)), Seen::No);
        assert_eq!(serve(b"HTTP/1.0 302 Found\r\n", |at| get(at, "/a")), Seen::Welcome);
        assert_eq!(serve(b"HTTP/1.0 404 Not Found\r\n", |at| get(at, "/a")), Seen::No);
        assert_eq!(serve(b"S", |at| greet(at, Protocol::Postgresql)), Seen::Welcome);
        assert_eq!(serve(b"", |at| greet(at, Protocol::Mongodb)), Seen::No);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!((connect(closed), greet(closed, Protocol::Mysql)), (Seen::No, Seen::No));
    }
}
