//! Archives made to do harm, or damaged: each is refused, names its entry, and writes nothing
//! outside of the stage's folder.

use std::io::Write as _;
use std::path::Path;

use peregrine_data::ingest::Source;

use crate::fixtures::{png, run_ingest, source_files, write};

/// A tar entry with its header filled in by hand.
fn tar_entry(name: &[u8], kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    tar_entry(name.as_bytes(), b'0', content.len() as u64, content)
}

/// An extended header of `kind` before an empty file.
fn extended(kind: u8, content: &[u8]) -> Vec<u8> {
    [tar_entry(b"extended", kind, content.len() as u64, content), file("b/short.png", b"x")].concat()
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = (1..9).find(|digits| (rest + digits).to_string().len() == *digits).unwrap();
    [format!("{} {key}=", rest + digits).as_bytes(), value, b"\n"].concat()
}

/// A tar archive with two good images, then `entries`.
fn tar_with(entries: &[u8]) -> Vec<u8> {
    [file("a/1.png", &png(1, 8, 8, 1)), file("b/1.png", &png(2, 8, 8, 1)), entries.to_vec(), vec![0; 1024]]
        .concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar with `megabytes` of zeros behind the head `head`, written to `out`.
fn zeros(mut out: impl std::io::Write, head: &[u8], megabytes: usize) {
    out.write_all(&tar_with(&[])[..tar_with(&[]).len() - 1024]).unwrap();
    out.write_all(head).unwrap();
    for _ in 0..megabytes {
        out.write_all(&vec![0; 1 << 20]).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
}

fn gzip_bomb(head: &[u8], megabytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zeros(&mut encoder, head, megabytes);
    encoder.finish().unwrap()
}

fn zstd_bomb(head: &[u8], megabytes: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    zeros(&mut encoder, head, megabytes);
    encoder.finish().unwrap()
}

/// An entry of a zip archive made by hand.
#[derive(Clone)]
struct Zipped {
    local: Vec<u8>,
    central: Vec<u8>,
    method: u16,
    flags: u16,
    crc: u32,
    size: u32,
    mode: u32,
    data: Vec<u8>,
    listed: bool,
}

fn stored(name: &[u8], data: &[u8]) -> Zipped {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    Zipped {
        local: name.to_vec(),
        central: name.to_vec(),
        method: 0,
        flags: 0,
        crc: crc.sum(),
        size: data.len() as u32,
        mode: 0o100_644,
        data: data.to_vec(),
        listed: true,
    }
}

fn deflated(name: &[u8], data: &[u8]) -> Zipped {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    Zipped { method: 8, data: encoder.finish().unwrap(), ..stored(name, data) }
}

fn zip_with(entries: Vec<Zipped>) -> Vec<u8> {
    let good = vec![stored(b"a/1.png", &png(1, 8, 8, 1)), deflated(b"b/1.png", &png(2, 8, 8, 1))];
    zip_of(good.into_iter().chain(entries).collect())
}

fn zip_of(entries: Vec<Zipped>) -> Vec<u8> {
    let (mut out, mut list, mut listed) = (Vec::new(), Vec::new(), 0_u16);
    for entry in entries {
        let at = out.len() as u32;
        let mut fields = Vec::new();
        for field in [20, entry.flags, entry.method, 0, 0x21] {
            fields.extend_from_slice(&field.to_le_bytes());
        }
        for field in [entry.crc, entry.data.len() as u32, entry.size] {
            fields.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&fields);
        out.extend_from_slice(&(entry.local.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&entry.local);
        out.extend_from_slice(&entry.data);
        if entry.listed {
            listed += 1;
            list.extend_from_slice(b"PK\x01\x02\x14\x03");
            list.extend_from_slice(&fields);
            list.extend_from_slice(&(entry.central.len() as u16).to_le_bytes());
            list.extend_from_slice(&[0; 8]);
            list.extend_from_slice(&(entry.mode << 16).to_le_bytes());
            list.extend_from_slice(&at.to_le_bytes());
            list.extend_from_slice(&entry.central);
        }
    }
    let (start, length) = (out.len() as u32, list.len() as u32);
    out.extend_from_slice(&list);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&listed.to_le_bytes());
    out.extend_from_slice(&listed.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}

/// Reads the archive, and gives what was said of it; fails when anything was written outside.
fn refusal(reader: &str, bytes: &[u8], most: u64) -> Result<usize, String> {
    // In memory where that can be: there are thousands of these folders.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let archives = dir.path().join("deep/in");
    write(&archives, "x", bytes);
    let params =
        serde_json::json!({ "name": reader, "path": archives.join("x"), "max_unpacked_bytes": most });
    let source: Source = serde_json::from_value(params).unwrap();
    let result = run_ingest(source, &archives, &dir.path().join("deep/run"));
    for file in source_files(dir.path()) {
        let inside = file.path.strip_prefix(dir.path()).unwrap();
        let fine = inside == Path::new("deep/in/x") || inside.starts_with("deep/run/out/manifest");
        assert!(fine, "`{}` was written", inside.display());
    }
    result.map(|manifest| manifest.images.len()).map_err(|error| format!("{error:#}"))
}

#[test]
fn archives_of_files_and_folders_are_read() {
    let folder = tar_entry(b"b/sub/", b'5', 0, b"");
    assert_eq!(refusal("tar", &tar_with(&[folder, file("b/sub/2.png", b"x")].concat()), 1 << 30), Ok(3));
    let globals = tar_entry(b"pax", b'g', 12, b"12 comment=x");
    assert!(refusal("tar", &tar_with(&globals), 1 << 30).is_err());
    let globals = extended(b'g', &record("comment", b"made by git archive"));
    assert_eq!(refusal("tar", &tar_with(&globals), 1 << 30), Ok(3));
    assert_eq!(
        refusal("zip", &zip_with(vec![stored(b"b/sub/", b""), stored(b"b/sub/2.png", b"x")]), 1 << 30),
        Ok(3)
    );
}

#[test]
fn hostile_tar_archives_are_refused_and_name_the_entry() {
    let big = [b'x'; 5000];
    let link = |kind: u8| {
        let mut header = tar::Header::new_ustar();
        header.set_path("b/link.png").unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_link_name("/etc/passwd").unwrap();
        header.set_size(0);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let mut minus = tar_entry(b"b/minus.png", b'0', 0, b"");
    minus[124..136].copy_from_slice(&[0xff; 12]);
    let mut minus_header = tar::Header::from_byte_slice(&minus[..512]).clone();
    minus_header.set_cksum();
    let mut wrong_sum = file("b/sum.png", b"x");
    wrong_sum[0] = b'c';
    let whole = tar_with(&file("b/2.png", &[7; 600]));
    let long = extended(b'L', b"b/long.png\0");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("entry `/etc/evil.png`: its name is an absolute path", file("/etc/evil.png", b"x")),
        ("entry `../evil.png`: its name leads out", file("../evil.png", b"x")),
        ("entry `a/../../evil.png`: its name leads out", file("a/../../evil.png", b"x")),
        ("entry `a/../b/2.png`: its name leads out", file("a/../b/2.png", b"x")),
        ("entry `a/..`: its name leads out", tar_entry(b"a/..", b'5', 0, b"")),
        ("entry `..\\evil.png`: its name has a backslash", file("..\\evil.png", b"x")),
        ("entry `C:/evil.png`: its name begins with a drive", file("C:/evil.png", b"x")),
        ("entry `c:evil.png`: its name begins with a drive", file("c:evil.png", b"x")),
        ("entry `b/%00.png`: its name has a zero byte", extended(b'x', &record("path", b"b/\0.png"))),
        ("its name has 5000 bytes", extended(b'L', &big)),
        ("its name has 5000 bytes", extended(b'x', &record("path", &big))),
        ("entry `..`: its name leads out", extended(b'x', &record("path", b".."))),
        ("entry `../long.png`: its name leads out", extended(b'L', b"../long.png\0")),
        ("entry `b/link.png`: it is a symbolic link", link(b'2')),
        (
            "entry `b/link.png`: it is a symbolic link",
            [link(b'2'), file("b/link.png/evil.png", b"x")].concat(),
        ),
        ("entry `b/link.png`: it is a hard link", link(b'1')),
        ("entry `b/x`: it is a device", tar_entry(b"b/x", b'3', 0, b"")),
        ("entry `b/x`: it is a device", tar_entry(b"b/x", b'4', 0, b"")),
        ("entry `b/x`: it is a named pipe", tar_entry(b"b/x", b'6', 0, b"")),
        ("entry `b/x`: it is a sparse file", tar_entry(b"b/x", b'S', 0, b"")),
        ("entry `b/x`: it is of the unknown type 0x37", tar_entry(b"b/x", b'7', 0, b"")),
        ("entry `b/x`: it is of the unknown type 0x56", tar_entry(b"b/x", b'V', 0, b"")),
        ("entry `b/x`: it is a folder with content", tar_entry(b"b/x", b'5', 3, b"abc")),
        ("entry `b/1.png`: the archive has two files of this name", file("b/1.png", b"x")),
        ("entry `./b/./1.png`: the archive has two files of this name", file("./b/./1.png", b"x")),
        ("entry `b/1.PNG`: its name differs", file("b/1.PNG", b"x")),
        ("entry `B/2.png`: its name differs", file("B/2.png", b"x")),
        ("entry `b/É.png`: its name differs", [file("b/é.png", b"x"), file("b/É.png", b"x")].concat()),
        ("entry `b/1.png/2.png`: the name is that of a file", file("b/1.png/2.png", b"x")),
        ("entry `b/1.png/`: the name is that of a file", tar_entry(b"b/1.png/", b'5', 0, b"")),
        ("entry ``: its name is empty", file("", b"x")),
        ("entry `.`: its name is empty", file(".", b"x")),
        ("entry `b/2.png`: it has 314572800 bytes", tar_entry(b"b/2.png", b'0', 300 << 20, b"x")),
        ("entry `b/2.png`: it says that it has", tar_entry(b"b/2.png", b'0', 1 << 62, b"x")),
        ("entry `b/minus.png`", minus_header.as_bytes().to_vec()),
        ("has a wrong checksum", wrong_sum),
        ("has the key `size`", extended(b'x', &record("size", b"7"))),
        ("has the key `GNU.sparse.major`", extended(b'x', &record("GNU.sparse.major", b"1"))),
        ("has the key `path`", extended(b'g', &record("path", b"b/all.png"))),
        ("has a wrong record", extended(b'x', b"99 path=b/2.png\n")),
        ("has a wrong record", extended(b'x', b"4 path=b/2.png\n")),
        ("an extended header has 2097152 bytes", extended(b'x', &vec![b' '; 2 << 20])),
        ("an entry has two long names", [long[..1024].to_vec(), long.clone()].concat()),
        ("it ends behind an extended header", long[..1024].to_vec()),
        ("more behind its end mark", [vec![0; 1024], file("b/3.png", b"x")].concat()),
    ];
    assert!(cases.len() >= 40);
    for (expected, entries) in cases {
        let said = refusal("tar", &tar_with(&entries), 1 << 30).unwrap_err();
        assert!(said.contains(expected), "{said:?} says nothing of {expected:?}");
        let packed = refusal("tar", &gzip(&tar_with(&entries)), 1 << 30).unwrap_err();
        assert!(packed.contains(expected), "packed: {packed:?} says nothing of {expected:?}");
    }
    // A cut anywhere is found.
    for length in (1..whole.len() - 512).step_by(37) {
        let said = refusal("tar", &whole[..length], 1 << 30).unwrap_err();
        assert!(said.contains("cut short") || length < 512, "{length}: {said}");
    }
    let packed = gzip(&whole);
    for length in (20..packed.len()).step_by(7) {
        assert!(refusal("tar", &packed[..length], 1 << 30).is_err(), "{length}");
    }
    let mut damaged = packed.clone();
    let crc = packed.len() - 8;
    damaged[crc] ^= 1;
    assert!(refusal("tar", &damaged, 1 << 30).is_err());
}

#[test]
fn decompression_bombs_are_refused_early() {
    let zero_file = |name: &[u8]| tar_entry(name, b'0', 64 << 20, b"");
    let ratio = "unpacks to more than 200 times its size";
    let image = zero_file(b"b/zero.png");
    for bytes in [gzip_bomb(&image, 64), zstd_bomb(&image, 64), gzip_bomb(&zero_file(b"b/zero.bin"), 64)] {
        let said = refusal("tar", &bytes, 1 << 40).unwrap_err();
        assert!(said.contains(ratio), "{said}");
    }
    // A name, and zeros behind the end mark, are held to it too.
    assert!(refusal("tar", &gzip_bomb(&tar_entry(b"x", b'L', 64 << 20, b""), 64), 1 << 40).is_err());
    assert!(refusal("tar", &gzip_bomb(&[0; 1024], 64), 1 << 40).unwrap_err().contains(ratio));
    let said = refusal("tar", &gzip(&tar_with(&file("b/2.png", &[7; 9000]))), 5000).unwrap_err();
    assert!(said.contains("unpacks to more than 5000 bytes (raise `max_unpacked_bytes`"), "{said}");

    let bomb = deflated(b"b/zero.png", &vec![0; 32 << 20]);
    let said = refusal("zip", &zip_with(vec![bomb.clone()]), 1 << 40).unwrap_err();
    assert!(said.contains("entry `b/zero.png`: unpacks to more than 200 times"), "{said}");
    // One that says it is small is stopped where it said that it ends.
    let liar = Zipped { size: 1000, ..bomb.clone() };
    assert!(refusal("zip", &zip_with(vec![liar]), 1 << 40).is_err());
    let huge = Zipped { size: 4_000_000_000, ..deflated(b"b/huge.bin", b"x") };
    let said = refusal("zip", &zip_with(vec![huge]), 1 << 30).unwrap_err();
    assert!(said.contains("entry `b/huge.bin`: unpacks to more than"), "{said}");
    // 42.zip: zips in a zip, which nobody opens.
    let inner = zip_of(vec![bomb]);
    let layers: Vec<Zipped> = (0..16).map(|n| stored(format!("lib {n}.zip").as_bytes(), &inner)).collect();
    let said = refusal("zip", &zip_of(layers), 1 << 40).unwrap_err();
    assert!(said.contains("holds no images (archives inside of it are not opened)"), "{said}");
}

#[test]
fn hostile_zip_archives_are_refused() {
    let good = stored(b"b/2.png", &[7; 600]);
    let cases: Vec<(&str, Zipped)> = vec![
        ("entry `../evil.png`: its name leads out", stored(b"../evil.png", b"x")),
        ("entry `/evil.png`: its name is an absolute path", stored(b"/evil.png", b"x")),
        ("entry `..\\evil.png`: its name has a backslash", stored(b"..\\evil.png", b"x")),
        ("entry `C:/evil.png`: its name begins with a drive", stored(b"C:/evil.png", b"x")),
        ("entry `b/%00.png`: its name has a zero byte", stored(b"b/\0.png", b"x")),
        ("its name has 5000 bytes", stored(&[b'x'; 5000], b"x")),
        ("entry `b/1.png`: the archive has two files", stored(b"b/1.png", b"x")),
        ("entry `b/./1.png`: the archive has two files", stored(b"b/./1.png", b"x")),
        ("entry `b/1.PNG`: its name differs", stored(b"b/1.PNG", b"x")),
        ("entry `b/1.png/2.png`: the name is that of a file", stored(b"b/1.png/2.png", b"x")),
        ("entry `b/2.png`: it is a symbolic link", Zipped { mode: 0o120_777, ..good.clone() }),
        ("entry `b/2.png`: it is no file and no folder", Zipped { mode: 0o020_644, ..good.clone() }),
        ("entry `b/2.png`: it is encrypted", Zipped { flags: 1, ..good.clone() }),
        ("entry `b/2.png`: it is compressed with", Zipped { method: 12, ..good.clone() }),
        ("entry `b/2.png`: it is stored, but its two sizes differ", Zipped { size: 7, ..good.clone() }),
        ("", Zipped { local: b"../../x".to_vec(), ..good.clone() }),
        ("entry `b/2.png`", Zipped { crc: 7, ..good.clone() }),
        ("entry `b/2.png`", Zipped { size: 599, ..deflated(b"b/2.png", &[7; 600]) }),
        ("entry `b/2.png`", Zipped { size: 601, ..deflated(b"b/2.png", &[7; 600]) }),
        ("", Zipped { listed: false, ..good.clone() }),
    ];
    for (expected, entry) in cases {
        let said = refusal("zip", &zip_with(vec![entry]), 1 << 30).unwrap_err();
        assert!(said.contains(expected), "{said:?} says nothing of {expected:?}");
    }
    // Two entries of the list that share bytes of the file.
    let mut shared = zip_with(vec![good.clone(), Zipped { central: b"b/3.png".to_vec(), ..good.clone() }]);
    let list = shared.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let first =
        shared.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x03\x04").nth(2).unwrap().0;
    shared[list + 42..list + 46].copy_from_slice(&(first as u32).to_le_bytes());
    assert!(refusal("zip", &shared, 1 << 30).is_err());
    let whole = zip_with(vec![good]);
    for length in (1..whole.len()).step_by(13) {
        assert!(refusal("zip", &whole[..length], 1 << 30).is_err(), "{length}");
    }
}

#[test]
fn no_damage_makes_the_readers_panic() {
    let tar = tar_with(&extended(b'x', &record("path", b"b/2.png")));
    let zip = zip_with(vec![stored(b"b/2.png", b"x")]);
    let mut read = 0;
    for (reader, whole) in [("tar", &tar), ("tar", &gzip(&tar)), ("zip", &zip)] {
        for at in (0..whole.len()).filter(|at| whole.len() < 1500 || whole[*at] != 0).step_by(2) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            read += usize::from(refusal(reader, &damaged, 1 << 30).is_ok());
        }
    }
    // Tar keeps no sum of contents: there, damage is `clean`'s to find.
    assert!(read > 0);
}
