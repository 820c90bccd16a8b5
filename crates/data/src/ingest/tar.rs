//! Images in a tar archive, plain or compressed with gzip or Zstandard.
//!
//! Reads the headers itself (names in them by the `tar` package), because what an archive hides
//! between entries has to be seen. Refuses links, devices, sparse files and several volumes.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use tar::{EntryType, Header};

use super::Found;
use super::archive::{self, ArchiveSource, Bounded, Counting, Guard, Kind, Limits, Member, entry};
use super::workplace::{self, Workplace};

const BLOCK: usize = 512;
/// The longest extended header.
const EXTENDED: u64 = 1 << 20;

/// How a file is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

fn packing(file: &mut File) -> anyhow::Result<Packing> {
    let mut head = Vec::new();
    file.by_ref().take(BLOCK as u64).read_to_end(&mut head)?;
    file.rewind()?;
    match head.as_slice() {
        [0x1f, 0x8b, ..] => return Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Ok(Packing::Zstd),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => bail!("it is a zip file (write `name: zip`)"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => bail!("it is compressed with xz (unpack it with `xz -d`)"),
        [b'B', b'Z', b'h', ..] => bail!("it is compressed with bzip2 (unpack it with `bzip2 -d`)"),
        _ => {}
    }
    let header: Option<[u8; BLOCK]> = head.try_into().ok();
    let sound = |block: &[u8; BLOCK]| has_checksum(block) || block.iter().all(|&byte| byte == 0);
    ensure!(header.as_ref().is_some_and(sound), "it is no tar archive (its first header has no checksum)");
    Ok(Packing::Plain)
}

/// What is wrong, before anything runs.
pub(super) fn check(source: &ArchiveSource) -> Vec<peregrine_pipeline::ParamProblem> {
    archive::check(source, |file| {
        packing(file).map(drop).with_context(|| format!("`{}` can't be read", source.path))
    })
}

/// The images in the archive.
pub(super) fn list(source: &ArchiveSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Found>> {
    let members = read(source, workplace).with_context(|| format!("archive `{}` is refused", source.path))?;
    archive::arrange(source, members, workplace)
}

fn read(source: &ArchiveSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Member>> {
    let mut file = workplace.open(&source.path)?;
    let packing = packing(&mut file)?;
    let limits = Limits::of(source);
    let packed = Rc::new(Cell::new(0));
    let file = BufReader::with_capacity(1 << 16, Counting { inner: file, count: Rc::clone(&packed) });
    let bounded = |inner: Box<dyn Read>| Bounded { inner, packed, unpacked: 0, limits };
    match packing {
        Packing::Plain => walk(file, true, limits, workplace),
        Packing::Gzip => {
            walk(bounded(Box::new(flate2::bufread::MultiGzDecoder::new(file))), false, limits, workplace)
        }
        Packing::Zstd => walk(bounded(Box::new(zstd::Decoder::with_buffer(file)?)), false, limits, workplace),
    }
}

/// How many bytes fill up the last block of `bytes` bytes.
fn filling(bytes: u64) -> u64 {
    (BLOCK as u64 - bytes % BLOCK as u64) % BLOCK as u64
}

/// A stream that knows where it is.
struct Stream<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read> Stream<R> {
    /// The next block; none where the file ends.
    fn block(&mut self) -> anyhow::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => bail!("cut short: it ends inside a header"),
                read => filled += read,
            }
        }
        Ok(Some(block))
    }

    /// Goes over `bytes` bytes.
    fn skip(&mut self, bytes: u64) -> anyhow::Result<()> {
        let skipped = std::io::copy(&mut self.take(bytes), &mut std::io::sink())?;
        ensure!(skipped == bytes, "cut short: {} bytes are missing", bytes - skipped);
        Ok(())
    }

    /// The short content of an extended header.
    fn content(&mut self, bytes: u64) -> anyhow::Result<Vec<u8>> {
        ensure!(bytes <= EXTENDED, "an extended header has {bytes} bytes (the limit is {EXTENDED})");
        let mut content = Vec::new();
        self.take(bytes).read_to_end(&mut content)?;
        ensure!(content.len() as u64 == bytes, "cut short: it ends inside an extended header");
        self.skip(filling(bytes)).map(|()| content)
    }

    /// After the end mark there are zeros only.
    fn rest_is_empty(&mut self) -> anyhow::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(()),
                read => ensure!(
                    buffer[..read].iter().all(|&byte| byte == 0),
                    "there is more behind its end mark (several archives in one file?)"
                ),
            }
        }
    }
}

/// Reads every entry; `inside` says that positions in the stream are positions in the file.
fn walk(
    input: impl Read,
    inside: bool,
    limits: Limits,
    workplace: &mut Workplace<'_>,
) -> anyhow::Result<Vec<Member>> {
    let mut stream = Stream { inner: input, at: 0 };
    let mut guard = Guard::new(limits);
    let mut members = Vec::new();
    let mut long_name: Option<Vec<u8>> = None;
    loop {
        let start = stream.at;
        let block = stream.block()?.context("cut short: it has no end mark (copy it again)")?;
        if block.iter().all(|&byte| byte == 0) {
            stream.rest_is_empty()?;
            ensure!(long_name.is_none(), "it ends behind an extended header");
            return Ok(members);
        }
        ensure!(has_checksum(&block), "damaged: the header at byte {start} has a wrong checksum");
        let header = Header::from_byte_slice(&block);
        let own_name = header.path_bytes().into_owned();
        let size = header.entry_size().with_context(|| entry(&own_name))?;
        ensure!(size < 1 << 60, "{}: it says that it has {size} bytes", entry(&own_name));
        let named = match header.entry_type() {
            EntryType::GNULongName => Some(gnu_name(stream.content(size)?)),
            EntryType::XHeader => pax_name(&stream.content(size)?, false)?,
            EntryType::XGlobalHeader => pax_name(&stream.content(size)?, true)?,
            EntryType::GNULongLink => stream.content(size).map(|_| None)?,
            _ => {
                let name = long_name.take().unwrap_or(own_name);
                let kind = kind(header.entry_type(), &name, size).with_context(|| entry(&name))?;
                if let Some(path) = guard.admit(&name, kind)? {
                    let member = take(&mut stream, path, size, inside, limits, workplace);
                    members.push(member.with_context(|| entry(&name))?);
                    workplace.step(members.len() as u64, 0)?;
                } else {
                    stream.skip(size + filling(size)).with_context(|| entry(&name))?;
                }
                continue;
            }
        };
        if let Some(name) = named {
            ensure!(long_name.replace(name).is_none(), "an entry has two long names");
        }
    }
}

/// The image that comes next in the stream.
fn take(
    stream: &mut Stream<impl Read>,
    name: std::path::PathBuf,
    bytes: u64,
    inside: bool,
    limits: Limits,
    workplace: &mut Workplace<'_>,
) -> anyhow::Result<Member> {
    ensure!(bytes <= limits.image, "it has {bytes} bytes (the limit for an image is {})", limits.image);
    let (offset, digest) = if inside {
        (stream.at, workplace::digest(stream, bytes, |_| Ok(()))?)
    } else {
        workplace.blob.copy(stream, bytes)?
    };
    stream.skip(filling(bytes))?;
    Ok(Member { name, inside, offset, bytes, digest })
}

/// Whether an entry is a file or a folder; everything else is refused.
fn kind(kind: EntryType, name: &[u8], size: u64) -> anyhow::Result<Kind> {
    let refused = match kind {
        EntryType::Regular if name.ends_with(b"/") => return Ok(Kind::Folder),
        EntryType::Regular => return Ok(Kind::File),
        EntryType::Directory => {
            ensure!(size == 0, "it is a folder with content");
            return Ok(Kind::Folder);
        }
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file",
        other => bail!("it is of the unknown type {:#04x}", other.as_byte()),
    };
    bail!("it is {refused} (archives of images hold files and folders only)")
}

/// Whether the checksum in a header is that of the header, counted with blanks in its place.
fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let blank = |at: usize| (148..156).contains(&at);
    let sum: u32 = (0..BLOCK).map(|at| if blank(at) { 32 } else { u32::from(block[at]) }).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|stored| stored == sum)
}

/// The name in a GNU long name, which ends with a zero byte.
fn gnu_name(mut content: Vec<u8>) -> Vec<u8> {
    if content.last() == Some(&0) {
        content.pop();
    }
    content
}

/// The name in a pax header, if there is one. The records are `LENGTH KEY=VALUE\n`, and values may
/// hold anything.
fn pax_name(content: &[u8], global: bool) -> anyhow::Result<Option<Vec<u8>>> {
    let mut name = None;
    let mut rest = content;
    while !rest.is_empty() {
        let wrong = || anyhow::anyhow!("damaged: an extended header has a wrong record");
        let blank = rest.iter().take(8).position(|&byte| byte == b' ').ok_or_else(wrong)?;
        let length = std::str::from_utf8(&rest[..blank]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let record = length.and_then(|length| rest.get(blank + 1..length)).ok_or_else(wrong)?;
        rest = &rest[blank + 1 + record.len()..];
        let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key == b"path" && !global {
            ensure!(name.replace(value.to_vec()).is_none(), "an extended header names an entry twice");
        } else if key == b"path" || key == b"size" || key.starts_with(b"GNU.sparse") {
            bail!(
                "an extended header has the key `{}`, which is not supported",
                String::from_utf8_lossy(key)
            );
        }
    }
    Ok(name)
}
