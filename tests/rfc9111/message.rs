//! HTTP/1.1 messages, byte for byte, as both ends of the gateway read them.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use crate::case::Fields;

/// How long a line may be before it is taken for an attack on the test.
const LINE: usize = 1 << 20;

/// A start line and the field lines in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Fields,
}

impl Head {
    /// The values of a field's lines.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| &v[..])
    }

    /// Whether a comma-separated field has this member.
    fn names(&self, name: &str, member: &str) -> bool {
        self.all(name).flat_map(|line| line.split(',')).any(|known| known.trim().eq_ignore_ascii_case(member))
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

async fn line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(LINE as u64).read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\r\n") {
        return Err(if line.is_empty() {
            io::ErrorKind::UnexpectedEof.into()
        } else {
            broken("a line's end")
        });
    }
    line.truncate(line.len() - 2);
    // Field values may hold any octets; each is one character here.
    Ok(line.into_iter().map(char::from).collect())
}

async fn fields<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> io::Result<Fields> {
    let mut fields = Fields::new();
    loop {
        let line = line(reader).await?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a field line without a colon"))?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(broken("a field line with a bad name"));
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// The next head; none where the other side has ended the connection between messages.
pub(crate) async fn head<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> io::Result<Option<Head>> {
    if reader.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let start = line(reader).await?;
    Ok(Some(Head { start, fields: fields(reader).await? }))
}

/// The body that follows a head, and its trailers. What isn't delimited by the head ends with the connection if
/// `until_close`, else it is empty.
pub(crate) async fn body<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    head: &Head,
    until_close: bool,
) -> io::Result<(String, Fields)> {
    let mut bytes = Vec::new();
    let mut trailers = Fields::new();
    let lengths: Vec<_> = head.all("Content-Length").collect();
    if head.names("Transfer-Encoding", "chunked") {
        if !lengths.is_empty() {
            return Err(broken("both a length and chunks"));
        }
        loop {
            let size = line(reader).await?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| broken("a chunk's size"))?;
            if size == 0 {
                trailers = fields(reader).await?;
                break;
            }
            exactly(reader, size, &mut bytes).await?;
            if !line(reader).await?.is_empty() {
                return Err(broken("a chunk's end"));
            }
        }
    } else if let [length] = lengths[..] {
        let length = length.parse().map_err(|_| broken("a Content-Length"))?;
        exactly(reader, length, &mut bytes).await?;
    } else if !lengths.is_empty() {
        return Err(broken("several lengths"));
    } else if until_close {
        reader.read_to_end(&mut bytes).await?;
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), trailers))
}

async fn exactly<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    length: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let read = reader.take(length).read_to_end(bytes).await?;
    if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
