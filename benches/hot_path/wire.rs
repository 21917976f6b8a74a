//! As much of HTTP/1.1 as answers need: a status line, a length or chunks, and the body.

use anyhow::{Context, bail};

const BUFFER_BYTES: usize = 32 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A whole answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// How the body's end is told.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    /// Where the next chunk's size stands.
    Chunks(usize),
}

/// Collects an answer piece by piece. The buffers stay for the next one.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    filled: usize,
    status: u16,
    /// Where the body begins, once the head is there.
    body: usize,
    framing: Option<Framing>,
    /// The body of an answer in chunks.
    joined: Vec<u8>,
}

impl Reader {
    pub fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], filled: 0, status: 0, body: 0, framing: None, joined: Vec::new() }
    }

    /// Where the next bytes go: never empty.
    pub fn space(&mut self) -> &mut [u8] {
        let wanted = match self.framing {
            Some(Framing::Length(length)) => self.body + length + 1,
            _ if self.filled == self.buffer.len() => self.filled * 2,
            _ => 0,
        };
        if wanted > self.buffer.len() {
            self.buffer.resize(wanted, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// That many bytes came. Whether the answer is complete now.
    pub fn advance(&mut self, bytes: usize) -> anyhow::Result<bool> {
        let before = self.filled;
        self.filled += bytes;
        if self.framing.is_none() && !self.read_head(before)? {
            return Ok(false);
        }
        match self.framing {
            Some(Framing::Length(length)) if self.filled > self.body + length => bail!("more came than was announced"),
            Some(Framing::Length(length)) => Ok(self.filled == self.body + length),
            _ => self.read_chunks(),
        }
    }

    fn read_head(&mut self, before: usize) -> anyhow::Result<bool> {
        let from = before.saturating_sub(HEAD_END.len());
        let Some(at) = find(&self.buffer[from..self.filled], HEAD_END) else {
            if self.filled > HEAD_BYTES_MAX {
                bail!("the head of an answer is too long");
            }
            return Ok(false);
        };
        self.body = from + at + HEAD_END.len();
        let head = std::str::from_utf8(&self.buffer[..self.body]).context("the head of an answer is no text")?;
        self.status = head.get(9..12).and_then(|status| status.parse().ok()).context("an answer without a status")?;
        let mut framing = (self.status == 204 || self.status == 304).then_some(Framing::Length(0));
        for line in head.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                framing = Some(Framing::Length(value.trim().parse().context("a content-length that is no number")?));
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
                framing = Some(Framing::Chunks(self.body));
            }
        }
        self.framing = Some(framing.context("an answer whose end is not told")?);
        Ok(true)
    }

    fn read_chunks(&mut self) -> anyhow::Result<bool> {
        while let Some(Framing::Chunks(at)) = self.framing {
            let rest = &self.buffer[at..self.filled];
            let Some(line) = find(rest, b"\r\n") else { return Ok(false) };
            let digits = std::str::from_utf8(&rest[..line])?.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).context("a chunk without a size")?;
            let (start, end) = (at + line + 2, at + line + 2 + size);
            if self.filled < end + 2 {
                return Ok(false);
            }
            if size == 0 {
                return Ok(true);
            }
            self.joined.extend_from_slice(&self.buffer[start..end]);
            self.framing = Some(Framing::Chunks(end + 2));
        }
        Ok(false)
    }

    /// The answer, once it is complete.
    pub fn answer(&self) -> Answer<'_> {
        let body = match self.framing {
            Some(Framing::Length(length)) => &self.buffer[self.body..self.body + length],
            _ => &self.joined,
        };
        Answer { status: self.status, body }
    }

    /// Ready for the next answer.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.framing = None;
        self.joined.clear();
    }
}

/// Where `needle` begins.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == first) {
        let at = from + at;
        if text[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
