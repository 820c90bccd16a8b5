//! The stat cache: digests of files that need not be read again, because the file system says
//! that they were not written since.
//!
//! A digest is believed while length, mtime, ctime, inode and device are what they were, and only
//! if the file was at least two seconds old when it was hashed: a younger one can be written again
//! within the same tick of the clock ("racily clean", as git says). ctime is what makes this
//! sound where mtime alone is not: no program can set it back. It never enters a fingerprint.
//!
//! The file is a hint: it is sealed by a digest of its own, and when it is damaged or missing
//! everything is read again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How old a file must be when it is hashed for its digest to be believed later.
const RACY_NANOSECONDS: i128 = 2_000_000_000;
/// Digests that no run asked for in this time are dropped.
const FORGET_NANOSECONDS: i128 = 30 * 24 * 3600 * 1_000_000_000;
/// Files from this size on are hashed by all threads together.
const LARGE: u64 = 16 << 20;
const HEADER: &str = "peregrine stat cache 1 ";

/// What the file system says of a file's content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub bytes: u64,
    mtime: i128,
    ctime: i128,
    inode: u64,
    device: u64,
}

/// A file's digest and what the file system said of it.
#[derive(Debug, Clone)]
pub(crate) struct Hashed {
    pub stamp: Stamp,
    pub digest: String,
}

#[derive(Debug, Clone)]
struct Known {
    stamp: Stamp,
    digest: String,
    hashed: i128,
}

/// The digests of files that were read before.
#[derive(Debug)]
pub(crate) struct StatCache {
    reads: PathBuf,
    writes: PathBuf,
    working_directory: PathBuf,
    known: Mutex<Option<HashMap<PathBuf, Known>>>,
    changed: AtomicBool,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    fn from(meta: &Metadata) -> Self {
        let time =
            |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Self {
            bytes: meta.len(),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
        }
    }
}

impl StatCache {
    /// The stat cache in the file `reads`, which is read when it is first needed, and is saved as
    /// the file `writes`.
    pub(crate) fn open(reads: PathBuf, writes: PathBuf) -> Self {
        let working_directory = std::env::current_dir().unwrap_or_default();
        Self { reads, writes, working_directory, known: Mutex::default(), changed: AtomicBool::new(false) }
    }

    /// The digest of the file at `path`, read only if it may have been written since it was last
    /// read.
    pub(crate) fn digest(&self, path: &Path) -> io::Result<Hashed> {
        let key = self.working_directory.join(path);
        let stamp = Stamp::of(path)?;
        if let Some(digest) = self.believed(&key, &stamp) {
            return Ok(Hashed { stamp, digest });
        }
        let now = now();
        let hashed = hash_file(path)?;
        if !key.as_os_str().as_bytes().contains(&b'\n') {
            let known = Known { stamp: hashed.stamp, digest: hashed.digest.clone(), hashed: now };
            self.with(|all| all.insert(key, known));
            self.changed.store(true, Ordering::Relaxed);
        }
        Ok(hashed)
    }

    fn believed(&self, key: &Path, stamp: &Stamp) -> Option<String> {
        self.with(|all| {
            let known = all.get(key)?;
            let old_enough = stamp.mtime.max(stamp.ctime) + RACY_NANOSECONDS <= known.hashed;
            (known.stamp == *stamp && old_enough).then(|| known.digest.clone())
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<PathBuf, Known>) -> T) -> T {
        let mut guard = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(guard.get_or_insert_with(|| {
            std::fs::read(&self.reads).ok().and_then(|file| parse(&file)).unwrap_or_default()
        }))
    }

    /// Writes the file, if anything was read. No error matters: the next run only reads more.
    pub(crate) fn save(&self) {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let oldest = now() - FORGET_NANOSECONDS;
        let body = self.with(|all| {
            all.retain(|_, known| known.hashed > oldest);
            render(all)
        });
        let seal = blake3::hash(&body).to_hex();
        let mut file = format!("{HEADER}{seal}\n").into_bytes();
        file.extend_from_slice(&body);
        let fresh = self.writes.with_extension(format!("new-{}", std::process::id()));
        let written = std::fs::write(&fresh, file).and_then(|()| std::fs::rename(&fresh, &self.writes));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&fresh);
            tracing::debug!(path = %self.writes.display(), %error, "the stat cache was not saved");
        }
    }
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

fn render(all: &HashMap<PathBuf, Known>) -> Vec<u8> {
    let mut body = Vec::with_capacity(all.len() * 192);
    let mut line = String::new();
    for (path, Known { stamp, digest, hashed }) in all {
        let Stamp { bytes, mtime, ctime, inode, device } = stamp;
        line.clear();
        let _ = write!(line, "{digest} {bytes} {mtime} {ctime} {inode} {device} {hashed} ");
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(path.as_os_str().as_bytes());
        body.push(b'\n');
    }
    body
}

fn parse(file: &[u8]) -> Option<HashMap<PathBuf, Known>> {
    let file = file.strip_prefix(HEADER.as_bytes())?;
    let (seal, body) = file.split_at_checked(65)?;
    if seal.strip_suffix(b"\n")? != blake3::hash(body).to_hex().as_bytes() {
        return None;
    }
    let mut all = HashMap::with_capacity(body.len() / 160);
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut words = line.splitn(8, |byte| *byte == b' ');
        let mut word = || std::str::from_utf8(words.next()?).ok();
        let digest = word()?.to_owned();
        let stamp = Stamp {
            bytes: word()?.parse().ok()?,
            mtime: word()?.parse().ok()?,
            ctime: word()?.parse().ok()?,
            inode: word()?.parse().ok()?,
            device: word()?.parse().ok()?,
        };
        let hashed = word()?.parse().ok()?;
        let path = std::ffi::OsString::from_vec(words.next()?.to_vec());
        all.insert(path.into(), Known { stamp, digest, hashed });
    }
    Some(all)
}

/// Reads and hashes the file at `path`. Reads instead of mapping it: a mapped file that somebody
/// cuts short kills the process.
pub(crate) fn hash_file(path: &Path) -> io::Result<Hashed> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let stamp = Stamp::from(&meta);
    let mut hasher = blake3::Hasher::new();
    let large = stamp.bytes >= LARGE;
    let room = if large { 4 << 20 } else { stamp.bytes.clamp(1, 1 << 17) as usize + 1 };
    let mut buffer = vec![0; room];
    let mut total = 0;
    loop {
        let read = read_full(&mut file, &mut buffer)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if large {
            hasher.update_rayon(&buffer[..read]);
        } else {
            hasher.update(&buffer[..read]);
        }
        if read < buffer.len() {
            break;
        }
    }
    let digest = hasher.finalize().to_hex().to_string();
    Ok(Hashed { stamp: Stamp { bytes: total, ..stamp }, digest })
}

/// Fills `buffer` as far as the file goes.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes a stat cache that believes that `path`, as it is, has this digest.
#[cfg(test)]
pub(crate) fn forge(stat: &Path, path: &Path, digest: &str) {
    let cache = StatCache::open(stat.to_owned(), stat.to_owned());
    let known = Known { stamp: Stamp::of(path).unwrap(), digest: digest.to_owned(), hashed: now() };
    cache.with(|all| all.insert(cache.working_directory.join(path), known));
    cache.changed.store(true, Ordering::Relaxed);
    cache.save();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn digests_are_blake3_of_the_content() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 131_072, 131_073, 300_000, (16 << 20) + 5] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let hashed = hash_file(&path).unwrap();
            assert_eq!(hashed.digest, blake3::hash(&bytes).to_hex().as_str(), "{size}");
            assert_eq!(hashed.stamp.bytes, size);
        }
    }

    #[test]
    fn an_edit_within_the_same_tick_and_of_the_same_length_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let cache = StatCache::open(dir.path().join("stat"), dir.path().join("stat"));
        for i in 0..100_u32 {
            std::fs::write(&path, i.to_le_bytes()).unwrap();
            assert_eq!(cache.digest(&path).unwrap().digest, blake3::hash(&i.to_le_bytes()).to_hex().as_str());
        }
    }

    #[test]
    fn an_old_file_is_believed_until_it_is_written_even_if_its_mtime_is_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        std::thread::sleep(Duration::from_millis(2100));
        let stat = dir.path().join("stat");
        let first = StatCache::open(stat.clone(), stat.clone());
        let digest = first.digest(&path).unwrap().digest;
        first.save();
        let second = StatCache::open(stat.clone(), stat);
        assert_eq!(second.believed(&path, &Stamp::of(&path).unwrap()), Some(digest.clone()));
        let mtime = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
        assert_ne!(second.digest(&path).unwrap().digest, digest);
    }

    #[test]
    fn a_damaged_stat_cache_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let stat = dir.path().join("stat");
        let cache = StatCache::open(stat.clone(), stat.clone());
        cache.digest(&path).unwrap();
        cache.save();
        let whole = std::fs::read(&stat).unwrap();
        assert_eq!(parse(&whole).unwrap().len(), 1);
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_none(), "{cut}");
            let mut flipped = whole.clone();
            flipped[cut] ^= 1 << (cut % 8);
            assert!(parse(&flipped).is_none(), "{cut}");
        }
    }
}
